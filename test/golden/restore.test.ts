/** What every command says in the course of one restore, from the first dry-run to the last revert, as pages and as JSON. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, serialize } from 'bson';
import type { Db } from 'mongodb';
import { suite } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { golden } from './golden.ts';
import { as, transcript } from './program.ts';

const test = suite('golden: a restore');
const STAGING = 'golden-shop-staging';
const PRODUCTION = 'golden-shop';

const day = (of: number): Date => new Date(Date.UTC(2024, 2, of));
const CUSTOMERS: readonly Document[] = Array.from({ length: 12 }, (_, i) => ({
  _id: `customer-${i}`,
  email: `customer-${i}@example.com`,
  churned: true,
  notes: `note ${i} of some length, with a \u001b[31mred\u001b[0m word`,
  updated_at: day(1),
}));
const ORDERS: readonly Document[] = CUSTOMERS.flatMap(({ _id }, i) => [
  { _id: 2 * i, customerId: _id, total: i, sale: i % 5 },
  { _id: 2 * i + 1, customerId: _id, total: 2 * i, sale: 99 },
]);

/** What is in both targets before anything is restored: some alike, some changed, some in the way. */
const PRESENT: Readonly<Record<string, readonly Document[]>> = {
  customers: [
    CUSTOMERS[0]!,
    { ...CUSTOMERS[1], notes: 'changed' },
    { ...CUSTOMERS[2], notes: 'newer', updated_at: day(9) },
    { ...CUSTOMERS[3], deleted: true },
    { _id: 'somebody', email: 'customer-4@example.com' },
  ],
  orders: [ORDERS[0]!, { ...ORDERS[2], total: -1 }],
  sales: [{ _id: 0 }, { _id: 1 }],
};

const PLAN = `version: 1
name: golden-shop
reason: The night script removed churned customers.
source: { database: shop, path: ./dump }
collections:
  - collection: customers
    query: { churned: true }
    updatedAt: updated_at
    softDelete: { deleted: true }
    dependents:
      - { collection: orders, foreignKey: customerId, references: [{ field: sale, collection: sales }] }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${STAGING} }
  production: { uri: "\${PRODUCTION_MONGODB_URI}", database: ${PRODUCTION}, gate: { approvals: 1, approvalsBy: os-user } }
followUps:
  - { name: Clear the caches, on: both, run: [echo, cleared] }
  - { name: Tell the partner, on: both, manual: Mail the partner manager., needs: [Clear the caches] }
`;

let lab: Lab;
let folder: TemporaryFolder;
test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('golden');
  const dump = join(folder.path, 'dump', 'shop');
  mkdirSync(dump, { recursive: true });
  for (const [name, documents] of Object.entries({ customers: CUSTOMERS, orders: ORDERS })) {
    writeFileSync(join(dump, `${name}.bson`), Buffer.concat(documents.map((each) => serialize(each))));
    writeFileSync(join(dump, `${name}.metadata.json`), '{"indexes":[],"options":{}}');
  }
  writeFileSync(join(folder.path, 'plan.yaml'), PLAN);
  await Promise.all([lab.staging.client.db(STAGING), lab.production.client.db(PRODUCTION)].map(fill));
});
test.after(async () => {
  folder.remove();
  await lab.staging.client.db(STAGING).dropDatabase();
  await lab.production.client.db(PRODUCTION).dropDatabase();
  await lab.close();
});

async function fill(database: Db): Promise<void> {
  await database.dropDatabase();
  for (const [name, documents] of Object.entries(PRESENT))
    await database.collection(name).insertMany([...documents]);
  await database.collection('customers').createIndex({ email: 1 }, { unique: true });
  const orders = { collMod: 'orders', validator: { total: { $lt: 20 } } };
  await database.command(orders);
}

/** What differs from run to run gets a name; how often progress is told, and which collection a revert meets first, depend on time. */
function steady(said: string): string {
  return said
    .replaceAll(folder.path, '/golden')
    .replace(/^\{"type":"[a-z]+-progress".*\n/gm, '')
    .replace(/(?<=(?:staging|production)\/)[0-9a-f]{24}/g, 'REPLICA-SET')
    .replace(/\bfiles:[0-9a-f]{64}/g, 'files:OF-THIS-FOLDER')
    .replace(/(?<=selections\/golden-shop-)[0-9a-f]{16}/g, 'OF-THIS-FOLDER')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z/g, 'INSTANT')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d(?= UTC)/g, 'MINUTE')
    .replace(/(?<="modified":)\d+/g, 'MODIFIED')
    .replace(/\b\d+(?:\.\d+)? (?:ms|s)\b/g, 'TIME')
    .replace(/(?:^\w+: −.*\n){2}/gm, (lines) => `${lines.trimEnd().split('\n').sort().join('\n')}\n`)
    .replace(/(?<="runs":\[\{"selection":.*"collections":\[)(\{.*?\}),(\{.*?\})(?=\])/g, (_, a, b) =>
      [a, b].sort().join(','),
    );
}

async function say(name: string, ...runs: readonly (readonly string[])[]): Promise<void> {
  const env = { STAGING_MONGODB_URI: lab.staging.uri, PRODUCTION_MONGODB_URI: lab.production.uri };
  let said = '';
  for (const args of runs)
    said += await transcript(args, { cwd: folder.path, env: { ...env, PATH: process.env['PATH'] ?? '' } });
  golden(`restore/${name}.txt`, steady(said));
}

const P = 'plan.yaml';
const staging = ['--target', 'staging'];
const production = ['--target', 'production'];
const toStaging = ['--confirm', STAGING];
const toProduction = ['--confirm', PRODUCTION];
const both = (args: readonly string[]): readonly (readonly string[])[] => [args, [...args, '--json']];

test('the night, command by command', theNight, { deadlineMs: 300_000 });

async function theNight(): Promise<void> {
  as('alice', 'ops-1');
  await say('01-status', ...both(['status', P]));
  await say('02-backups', ...both(['backups', P]));
  await say('03-dry-run', ['dry-run', P], ['dry-run', P, '--json'], ['dry-run', P, '--full', ...staging]);
  await say('04-reports', ['dry-run', P, '--quiet', '--report', 'out.md', '--report', 'out.json']);
  for (const kind of ['md', 'json'])
    golden(`restore/04-report.${kind}.txt`, steady(readFileSync(join(folder.path, `out.${kind}`), 'utf8')));
  await say('05-revert', ...both(['revert', P, ...staging, '--dry-run']), ['verify', P, ...staging]);
  await say('06-apply', ['apply', P, ...production, ...toProduction], ['apply', P, ...staging, ...toStaging]);
  await say('07-status', ...both(['status', P]), ['verify', P, ...staging]);
  const accept = ['accept', P, ...staging, '--reason', 'by hand', ...toStaging];
  await say('08-accept', ['accept', P, ...staging, '--reason', 'by hand'], accept, [...accept, '--json']);
  await say('09-apply', ['apply', P, ...staging, ...toStaging, '--json'], ['apply', P, ...staging]);
  await say('10-verify', ...both(['verify', P, ...staging]), ['verify', P, ...production]);
  await say('11-follow-ups', ...both(['follow-up', 'list', P]), [
    'follow-up',
    'done',
    P,
    'Tell the partner',
    ...staging,
  ]);
  await say(
    '12-gate',
    ['apply', P, ...production, ...toProduction],
    ['approve', P],
    ['approve', P, ...toProduction],
  );
  as('bob', 'ops-2');
  await say(
    '13-approve',
    ['approve', P],
    ['approve', P, ...toProduction],
    ['approve', P, ...toProduction, '--json'],
  );
  await say('14-status', ...both(['status', P]), ['dry-run', P]);
  await say('15-production', ['apply', P, ...production], ['apply', P, ...production, '--confirm', 'shop']);
  await say('16-production', ['accept', P, ...production, '--reason', 'by hand', ...toProduction]);
  as('carol', 'ops-3');
  await say('17-production', ['approve', P, ...production, ...toProduction]);
  await say('18-production', ['apply', P, ...production, ...toProduction, '--json'], ['status', P]);
  await say('19-unlock', ['unlock', P, ...staging, '--holder', 'nobody@nowhere:1']);
  await say('20-revert-staging', ...both(['revert', P, ...staging, '--dry-run']), ['revert', P, ...staging]);
  await say(
    '21-revert-production',
    ['revert', P, ...production],
    ['revert', P, ...production, ...toProduction, '--json'],
  );
  await say('22-status', ...both(['status', P]), ['accept', P, ...staging, '--withdraw', ...toStaging]);
}

test.run();
