/**
 * The night ends without what cannot be written: what the first dry-run says at its end is pasted into the plan, what differs is accepted,
 * and staging, production and the way back are as if the rest had been all there was.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Db, Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareSnapshots, takeSnapshot } from '../demo/snapshot.ts';
import { suite } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { mongodump } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';
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

const test = suite('a night that ends with exceptions');
const CUSTOMERS = 120;
const DELETED = 12;

let lab: Lab;
let folder: TemporaryFolder;
let all: Shop;
let staging: Db;
let production: Db;

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('exceptions');
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

/** `exceptions`: by collection, as the dry-run prints them. */
function writePlan(exceptions: Readonly<Record<string, string>> = {}): void {
  const of = (name: string): string =>
    exceptions[name] === undefined ? '' : `, exceptions: ${exceptions[name]}`;
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: churned-customers
source: { database: ${production.databaseName}, path: ./dump }
collections:
  - collection: customers
    query: { churned: true }${exceptions['customers'] === undefined ? '' : `\n    exceptions: ${exceptions['customers']}`}
    dependents:
      - collection: orders
        foreignKey: customerId
        dependents: [{ collection: items, foreignKey: orderId${of('items')} }]
      - { collection: reviews, foreignKey: customerId${of('reviews')} }
      - { collection: sessions, foreignKey: customerId${of('sessions')} }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${staging.databaseName} }
  production: { uri: "\${PRODUCTION_MONGODB_URI}", database: ${production.databaseName} }
`,
  );
}

async function plan(exitCode: number, ...args: string[]): Promise<PlanRun> {
  const env = { STAGING_MONGODB_URI: lab.staging.uri, PRODUCTION_MONGODB_URI: lab.production.uri };
  const ran = await callPlan(args, { cwd: folder.path, env });
  assert.is(ran.exitCode, exitCode, `plan ${args.join(' ')}\n${ran.stdout}\n${ran.stderr}`);
  return ran;
}

function resultOf(run: PlanRun, type: string): Document {
  const found = checkedStream(run.stdout).find((line) => line['type'] === type);
  assert.ok(found, run.stdout);
  return found;
}

const sumOf = (result: Document, key: string): number =>
  (result['collections'] as Document[]).reduce((sum, each) => sum + Number(each[key]), 0);

const OF_EMAIL = DOCUMENTS_PER_CUSTOMER;
const EXCEPTED = OF_EMAIL + EXPIRED_SESSIONS;
const INSERTED =
  DELETED * DOCUMENTS_PER_CUSTOMER - EXCEPTED - RECREATED_ALIKE.length - RECREATED_DIFFERENTLY.length;

test(
  'what a dry-run foretells is excepted by what it prints, and what differs by plan accept',
  async () => {
    const before = [await takeSnapshot(staging), await takeSnapshot(production)];
    writePlan();
    const first = await plan(0, 'dry-run', 'plan.yaml');
    const page = first.stdout.replace(/\s+/g, ' ');
    assert.match(
      page,
      /1 of customers, 3 of orders, 2 of reviews, 10 of sessions and 6 of items cannot be written/,
    );
    assert.match(page, /this run cannot end verified and production will stay shut/);
    assert.match(page, /14 held back/);
    const applied = resultOf(await plan(14, 'apply', 'plan.yaml', '--target', 'staging', '--json'), 'apply');
    assert.equal(
      ['conflict', 'refused', 'heldBack', 'kept'].map((key) => sumOf(applied, key)),
      [1, EXPIRED_SESSIONS, OF_EMAIL - 1, RECREATED_DIFFERENTLY.length],
    );

    // The block as it is printed.
    const blocks = [...first.stdout.matchAll(/- collection: (\w+)\n\s+exceptions: (\[.*\])/g)];
    assert.equal(
      blocks.map(([, name]) => name),
      ['customers', 'sessions'],
    );
    writePlan(Object.fromEntries(blocks.map(([, name, list]) => [name as string, list as string])));
    const second = await plan(0, 'dry-run', 'plan.yaml', '--json');
    assert.ok(
      checkedStream(second.stdout).some(({ type }) => type === 'selection-reused'),
      'accepting something does not read the backup again',
    );
    assert.not.match((await plan(0, 'dry-run', 'plan.yaml')).stdout, /cannot be written/);
    await plan(0, 'explain', 'plan.yaml');
    const staged = await plan(0, 'apply', 'plan.yaml', '--target', 'staging');
    assert.match(staged.stdout.replace(/\s+/g, ' '), new RegExp(`with ${EXCEPTED} exceptions`));
    assert.match((await plan(0, 'status', 'plan.yaml')).stdout, new RegExp(`with ${EXCEPTED} exceptions`));
    await plan(0, 'verify', 'plan.yaml', '--target', 'staging');

    // Three customers differ on staging: production opens for what somebody accepted by name.
    const toProduction = [
      'apply',
      'plan.yaml',
      '--target',
      'production',
      '--confirm',
      production.databaseName,
    ];
    const shut = await plan(18, ...toProduction);
    assert.match(shut.stderr.replace(/\s+/g, ' '), '`plan accept plan.yaml --target staging`');
    const accept = ['accept', 'plan.yaml', '--target', 'staging'];
    await plan(11, ...accept);
    await plan(11, ...accept, '--reason', 'they came back by themselves');
    const given = [...accept, '--reason', 'they came back by themselves', '--confirm', staging.databaseName];
    const accepted = resultOf(await plan(0, ...given, '--json'), 'accept');
    assert.equal(
      [accepted['accepted'], sumOf(accepted, 'different'), sumOf(accepted, 'conflict')],
      [RECREATED_DIFFERENTLY.length, RECREATED_DIFFERENTLY.length, 0],
    );
    assert.match((await plan(0, ...given)).stdout, /Nothing to accept/);
    const inProduction = resultOf(await plan(0, ...toProduction, '--json'), 'apply');
    assert.equal(
      ['inserted', 'excepted', 'kept'].map((key) => sumOf(inProduction, key)),
      [INSERTED, EXCEPTED, RECREATED_DIFFERENTLY.length],
      'what was accepted on staging is none of production’s exceptions',
    );
    const taken = lostCustomers(all)[EMAIL_TAKEN]?.['_id'];
    assert.is(await production.collection('orders').countDocuments({ customerId: taken }), 0, 'no orphan');
    const withdrawn = await plan(0, ...accept, '--withdraw', '--confirm', staging.databaseName);
    assert.match(withdrawn.stdout, 'Next: `plan apply plan.yaml --target staging`');

    for (const [name, database] of [
      ['staging', staging],
      ['production', production],
    ] as const)
      await plan(0, 'revert', 'plan.yaml', '--target', name, '--confirm', database.databaseName);
    for (const [i, database] of [staging, production].entries()) {
      const { missing, added, changed } = compareSnapshots(before[i]!, await takeSnapshot(database));
      assert.equal([missing.length, added.length, changed.length], [0, 0, 0], database.databaseName);
    }
  },
  { deadlineMs: 360_000 },
);

test.run();
