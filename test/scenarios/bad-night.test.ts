/**
 * A night on which things are in the way: customers made again meanwhile, an e-mail taken, sessions over. The operator narrows the
 * query, then reorders the plan; whatever was applied under which text, all of it can be taken back, from anywhere.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareSnapshots, takeSnapshot } from '../demo/snapshot.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { jsonLines, type PlanRun, runPlan } from '../lab/plan-command.ts';
import { mongodump } from '../lab/tools.ts';
import {
  DOCUMENTS_PER_CUSTOMER,
  EMAIL_TAKEN,
  EXPIRED_SESSIONS,
  fillShop,
  loseCustomers,
  lostCustomers,
  RECREATED_ALIKE,
  RECREATED_DIFFERENTLY,
  type Shop,
  shop,
} from './shop.ts';

const CUSTOMERS = 300;
const DELETED = 30;

let lab: Lab;
let folder: TemporaryFolder;
let all: Shop;
let staging: Db;
let production: Db;

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('bad-night');
  all = shop({ customers: CUSTOMERS, deleted: DELETED });
  staging = lab.staging.client.db(lab.databaseName('shop-staging'));
  production = lab.production.client.db(lab.databaseName('shop'));
  await Promise.all([fillShop(staging, all), fillShop(production, all)]);
  const dump = join(folder.path, 'dump');
  mkdirSync(dump);
  await mongodump(lab.production.uri, ['--db', production.databaseName, '--out', dump]);
  await Promise.all([loseCustomers(staging, all), loseCustomers(production, all)]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

/** `query` of the customers; of the sessions, those that are not over. */
function writePlan(query: string, dependents: readonly string[]): void {
  const texts: Record<string, string> = {
    orders:
      '{ collection: orders, foreignKey: customerId, dependents: [{ collection: items, foreignKey: orderId }] }',
    reviews: '{ collection: reviews, foreignKey: customerId }',
    sessions: '{ collection: sessions, foreignKey: customerId }',
    liveSessions:
      "{ collection: sessions, foreignKey: customerId, query: { expiresAt: { $gt: { $date: '2022-01-01T00:00:00Z' } } } }",
  };
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: churned-customers
reason: A script deleted customers.
source: { database: ${production.databaseName}, path: ./dump }
collections:
  - collection: customers
    query: ${query}
    dependents:
${dependents.map((name) => `      - ${texts[name]}`).join('\n')}
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${staging.databaseName} }
  production: { uri: "\${PRODUCTION_MONGODB_URI}", database: ${production.databaseName} }
`,
  );
}

const env = () => ({ STAGING_MONGODB_URI: lab.staging.uri, PRODUCTION_MONGODB_URI: lab.production.uri });

async function plan(exitCode: number, ...args: string[]): Promise<PlanRun> {
  const ran = await runPlan(args, { cwd: folder.path, env: env() });
  assert.is(ran.exitCode, exitCode, `plan ${args.join(' ')}\n${ran.stdout}\n${ran.stderr}`);
  return ran;
}

function resultOf(run: PlanRun, type: string): Record<string, unknown> {
  const found = jsonLines(run.stdout).find((line) => line['type'] === type);
  assert.ok(found, run.stdout);
  return found;
}

const sumOf = (counts: readonly Record<string, unknown>[], key: string): number =>
  counts.reduce((sum, each) => sum + Number(each[key]), 0);

test(
  'three runs of one plan, two of them with something in the way, are taken back from the ledgers alone',
  async () => {
    const before = [await takeSnapshot(staging), await takeSnapshot(production)];
    const toStaging = ['apply', 'plan.yaml', '--target', 'staging'];
    const toProduction = [
      'apply',
      'plan.yaml',
      '--target',
      'production',
      '--confirm',
      production.databaseName,
    ];

    writePlan('{ churned: true }', ['orders', 'reviews', 'sessions']);
    await plan(0, 'dry-run', 'plan.yaml');
    const first = resultOf(await plan(14, ...toStaging, '--json'), 'apply');
    const counts = first['collections'] as Record<string, unknown>[];
    assert.is(sumOf(counts, 'conflict'), 1, 'the e-mail is taken');
    assert.is(sumOf(counts, 'refused'), EXPIRED_SESSIONS);
    assert.is(sumOf(counts, 'kept'), RECREATED_DIFFERENTLY.length);
    assert.is(sumOf(counts, 'identical'), RECREATED_ALIKE.length);
    await plan(18, ...toProduction);

    const inTheWay = [...RECREATED_DIFFERENTLY, EMAIL_TAKEN].map((place) => lostCustomers(all)[place]?._id);
    const narrower = `{ churned: true, _id: { $nin: [${inTheWay.map((id) => `{ $oid: ${id} }`).join(', ')}] } }`;
    writePlan(narrower, ['orders', 'reviews', 'liveSessions']);
    const staged = resultOf(await plan(0, ...toStaging, '--json'), 'apply');
    assert.is(
      sumOf(staged['collections'] as Record<string, unknown>[], 'inserted'),
      0,
      'all are there already',
    );
    const applied = resultOf(await plan(0, ...toProduction, '--json'), 'apply');
    const wanted = (DELETED - inTheWay.length) * DOCUMENTS_PER_CUSTOMER - EXPIRED_SESSIONS;
    const inserted = applied['collections'] as Record<string, unknown>[];
    assert.is(sumOf(inserted, 'inserted'), wanted - RECREATED_ALIKE.length);

    writePlan(narrower, ['liveSessions', 'reviews', 'orders']);
    await plan(0, ...toStaging);
    await plan(0, ...toProduction);
    await plan(0, 'status', 'plan.yaml');

    // From another machine, with nothing but the target.
    const elsewhere = temporaryFolder('elsewhere');
    try {
      for (const [variable, database] of [
        ['STAGING_MONGODB_URI', staging.databaseName],
        ['PRODUCTION_MONGODB_URI', production.databaseName],
      ] as const) {
        const place = ['--plan-name', 'churned-customers', '--uri-env', variable, '--database', database];
        const run = () =>
          runPlan(['revert', ...place, '--confirm', database, '--json'], { cwd: elsewhere.path, env: env() });
        const reverted = await run();
        assert.is(reverted.exitCode, 0, reverted.stderr);
        assert.is((resultOf(reverted, 'revert')['untouched'] as unknown[]).length, 0);
        assert.equal(resultOf(await run(), 'revert')['runs'], [], 'a second one finds nothing');
      }
    } finally {
      elsewhere.remove();
    }
    for (const [i, database] of [staging, production].entries()) {
      const { missing, added, changed } = compareSnapshots(before[i]!, await takeSnapshot(database));
      assert.equal([missing.length, added.length, changed.length], [0, 0, 0], database.databaseName);
    }
  },
  { deadlineMs: 240_000 },
);

test.run();
