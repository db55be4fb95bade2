/**
 * Children that were deleted just before their parents, as `dependent: destroy` does it: the entry of the parents that `plan history` prints
 * begins behind their losses. What was lost is known here, because the test deletes it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { mongodump } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';

const ACCOUNTS = 300;
const LINES = 1_800;
const INVOICES = 600;
let production: ReplicaSet;
let target: ReplicaSet;
let folder: TemporaryFolder;
let began: Date;
/** The `deleted` of the accounts, as `plan history` says it. */
let pasted: { readonly from: string; readonly until: string };

const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const shop = () => production.client.db('shop');
const numbered = (count: number, name: string, make: (i: number) => Document): Document[] =>
  Array.from({ length: count }, (_, i) => ({ _id: `${name}-${100_000 + i}` as never, ...make(i) }));
const account = (i: number): string => `account-${100_000 + (i % ACCOUNTS)}`;

test.before(
  async () => {
    folder = temporaryFolder('lost-before');
    [production, target] = await Promise.all([startReplicaSet(), startReplicaSet()]);
    const db = shop();
    await db.collection('accounts').insertMany(numbered(ACCOUNTS + 5, 'account', (i) => ({ n: i })));
    await db
      .collection('invoices')
      .insertMany(numbered(INVOICES, 'invoice', (i) => ({ account_id: account(i) })));
    await db
      .collection('lines')
      .insertMany(numbered(LINES, 'line', (i) => ({ invoice_id: `invoice-${100_000 + (i % INVOICES)}` })));
    await db.collection('notes').insertMany(numbered(50, 'note', (i) => ({ account_id: account(i) })));
    await db.collection('visits').insertMany(numbered(70, 'visit', (i) => ({ account_id: account(i) })));
    await pause(1_100);
    await mongodump(production.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    // What was lost long before is none of it.
    await db.collection('visits').deleteMany({ _id: { $lt: 'visit-100020' as never } });
    await db.collection('accounts').deleteOne({ _id: `account-${100_000 + ACCOUNTS + 4}` as never });
    await pause(6_500);
    began = new Date();
    await destroy();
    await pause(1_100);
    await db.collection('quiet').insertOne({});
    const { runs } = checkedStream((await run('history', '--collection', 'accounts', '--json')).stdout).find(
      ({ type }) => type === 'history',
    ) as Document;
    pasted = runs.find(({ kind, count }: Document) => kind === 'deletes' && count >= ACCOUNTS).entry.deleted;
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await Promise.all([production.stop(), target.stop()]);
  folder.remove();
});

/** Children first, in two steps; an account by itself between them; what an event makes of it comes last. */
async function destroy(): Promise<void> {
  const db = shop();
  await db.collection('lines').deleteMany({});
  await pause(5);
  await db.collection('accounts').deleteOne({ _id: `account-${100_000 + ACCOUNTS}` as never });
  await db.collection('invoices').deleteMany({});
  await pause(5);
  await db.collection('notes').deleteMany({});
  await pause(5);
  await db.collection('accounts').deleteMany({ n: { $lt: ACCOUNTS } });
  await pause(5);
  await db.collection('visits').deleteMany({});
}

function writePlan(
  collections: string,
  oplog = `mongodb: { uri: "\${PRODUCTION_URI}" }`,
  path = './dump',
): void {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: lost
reason: Accounts were destroyed.
source:
  database: shop
  path: ${path}
  oplog: { ${oplog} }
collections:
${collections}
targets:
  staging: { uri: "\${STAGING_URI}", database: staging }
`,
  );
}

async function run(...args: string[]): Promise<PlanRun> {
  if (args[0] === 'history') writePlan('  - collection: accounts');
  const env = { PRODUCTION_URI: production.uri, STAGING_URI: target.uri };
  return callPlan([args[0] as string, 'plan.yaml', ...args.slice(1)], { cwd: folder.path, env });
}

const entryOf = ({ from, until }: { from: string; until: string }, dependents: string): string =>
  `  - collection: accounts\n    deleted: { from: ${from}, until: ${until} }\n    dependents: ${dependents}`;

/** The block that stands for `dependents: auto`, as it is copied. */
function blockIn(page: string): string {
  const lines = page.split('\n');
  const start = lines.indexOf('  - collection: accounts');
  assert.ok(start >= 0, page);
  const end = lines.findIndex((line, i) => i > start && !line.startsWith('  '));
  return lines.slice(start, end).join('\n');
}

async function counts(): Promise<Record<string, number>> {
  const { stdout, stderr, exitCode } = await run('select', '--json');
  assert.is(exitCode, 0, stderr);
  const { selection } = checkedStream(stdout).find(({ type }) => type === 'select') as Document;
  return Object.fromEntries(
    selection.collections.map(({ collection, selected }: Document) => [collection, selected]),
  );
}

const ALL = { lines: LINES, invoices: INVOICES, notes: 50, visits: 50 };

test(
  'dependents: auto finds what was lost just before and after the span, and its block gives all of it back',
  async () => {
    writePlan(entryOf(pasted, 'auto'));
    const dry = await run('dry-run', '--report', './lost.json');
    assert.match(
      dry.stderr,
      /Next, once the plan says what comes back in the place of `dependents: auto`:\n {2}plan dry-run plan\.yaml\n/,
    );
    assert.is(dry.exitCode, 0, dry.stderr);
    const said = unwrapped(dry.stdout);
    assert.match(
      said,
      /lines: 1800 documents were lost in the same run as those of accounts, the first at \S+Z, before its `from`; invoice_id leads to invoices in 1800 of them/,
    );
    assert.match(said, /visits: 50 documents were lost .*, the last at \S+Z, not before its `until`/);
    assert.not.match(said, /no other collection/);
    const block = blockIn(dry.stdout);
    assert.match(block, /# Wider than it was: .* before \S+ and after \S+, too\./);
    assert.match(block, /# With that, up to 1 more document of accounts may be chosen\./);
    assert.match(block, /- collection: lines\n +foreignKey: invoice_id # in 1800 of 1800/);
    const reported = JSON.parse(readFileSync(join(folder.path, 'lost.json'), 'utf8')).proposed[0].lines;
    assert.is(reported.join('\n').trimEnd(), block.trimEnd());
    const refused = await run('apply', '--target', 'staging');
    assert.is(refused.exitCode, 10, refused.stderr);

    writePlan(block);
    assert.equal(await counts(), { accounts: ACCOUNTS + 1, ...ALL });
    const accepted = await run('dry-run');
    assert.match(accepted.stderr, /Next, when this is what you want:\n {2}plan apply /);
    assert.not.match(accepted.stdout, /only those deleted/);
    const applied = await run('apply', '--target', 'staging');
    assert.is(applied.exitCode, 0, applied.stderr);
    for (const [name, count] of Object.entries(ALL))
      assert.is(await target.client.db('staging').collection(name).countDocuments(), count, name);
  },
  { deadlineMs: 180_000 },
);

test(
  'dependents: auto: a span that begins amid the losses of a collection counts all of them',
  async () => {
    const oplog = production.client.db('local').collection('oplog.rs');
    const entries = await oplog
      .find({ wall: { $gte: began }, 'o.applyOps.ns': 'shop.lines' })
      .sort({ $natural: 1 })
      .toArray();
    const from = ((entries.at(-1) as Document)['wall'] as Date).toISOString();
    writePlan(entryOf({ ...pasted, from }, 'auto'));
    const said = unwrapped((await run('dry-run')).stdout);
    assert.match(said, /lines: 1800 documents were lost .* in 1800 of them/);
  },
  { deadlineMs: 120_000 },
);

test('dependents that were deleted beside the span are not chosen, and the warning names the span that has them', async () => {
  const list =
    '[{ collection: invoices, foreignKey: account_id }, { collection: visits, foreignKey: account_id }]';
  writePlan(entryOf(pasted, list));
  const { stdout, stderr, exitCode } = await run('dry-run');
  assert.is(exitCode, 0, stderr);
  const page = unwrapped(stdout);
  const [, from] =
    /invoices: only those deleted from \S+ until \S+ are looked at; 600 documents were deleted in the 5 s\w* before that, the first at \S+: `from: (\S+)` looks at them, too/.exec(
      page,
    ) ?? [];
  const [, until] =
    /visits: only those deleted .*? 50 documents were deleted in the 5 s\w* after that, the last at \S+: `until: (\S+)` looks at them, too/.exec(
      page,
    ) ?? [];
  assert.ok(from !== undefined && until !== undefined, page);
  writePlan(entryOf({ from, until }, list));
  const { accounts, ...children } = await counts();
  assert.equal(children, { invoices: INVOICES, visits: 50 });
  assert.ok((accounts as number) >= ACCOUNTS);
});

test(
  'dependents: auto: where the oplog begins within the seconds before the span, that is said, and apply waits',
  async () => {
    const db = shop();
    await db.collection('late').insertMany(numbered(3, 'late', (i) => ({ i })));
    await pause(1_100);
    await mongodump(production.uri, ['--oplog', '--out', join(folder.path, 'dump2')]);
    const from = new Date().toISOString();
    await db.collection('late').deleteMany({});
    await pause(1_100);
    const until = new Date().toISOString();
    await db.collection('quiet').insertOne({});
    const entry = entryOf({ from, until }, 'auto').replace('accounts', 'late');
    // Saved from the last write before the dump on, a moment before the losses.
    const oplog = production.client.db('local').collection('oplog.rs');
    const made = await oplog.findOne({ $or: [{ ns: 'shop.late' }, { 'o.applyOps.ns': 'shop.late' }] });
    const { high: t, low: i } = (made as Document)['ts'];
    const query = JSON.stringify({ ts: { $gte: { $timestamp: { t, i } } } });
    const out = join(folder.path, 'late');
    await mongodump(production.uri, ['-d', 'local', '-c', 'oplog.rs', '-q', query, '--out', out]);
    writePlan(entry, 'path: ./late/local/oplog.rs.bson', './dump2');
    const dry = await run('dry-run');
    assert.match(
      unwrapped(dry.stdout),
      /what else was lost in the same run as documents of late is not known: .*oplog\.rs\.bson begins at \S+, so that it does not hold all/,
      dry.stderr,
    );
    assert.not.match(dry.stdout, /no other collection/);
    assert.is((await run('apply', '--target', 'staging')).exitCode, 10);
  },
  { deadlineMs: 120_000 },
);

test.run();
