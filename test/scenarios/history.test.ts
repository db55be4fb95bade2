/** What happened: a night on a real server, told by its oplog alone. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { checkedStream } from './json-stream.ts';

const user = { name: 'root', password: CANARY_PASSWORD };
let production: ReplicaSet;
let folder: TemporaryFolder;
let env: Record<string, string>;
/** Behind the first inserts, before anything else. */
let since: Date;
const outputs: PlanRun[] = [];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const numbered = (count: number, more: Document = {}): Document[] =>
  Array.from({ length: count }, (_, i) => ({ _id: i as never, n: i, ...more }));

test.before(
  async () => {
    folder = temporaryFolder('history');
    production = await startReplicaSet({ user, parameters: { ttlMonitorSleepSecs: 1 } });
    const admin = production.client.db('admin');
    await admin.command({ createUser: 'writer', pwd: CANARY_PASSWORD, roles: ['readWriteAnyDatabase'] });
    const find = { resource: { db: 'local', collection: 'oplog.rs' }, actions: ['find'] };
    await admin.command({ createRole: 'oplogReader', privileges: [find], roles: [] });
    await admin.command({ createUser: 'reader', pwd: CANARY_PASSWORD, roles: ['oplogReader'] });
    const uriOf = (name: string): string => production.uri.replace('root:', `${name}:`);
    env = { OPLOG_URI: production.uri, READER_URI: uriOf('reader') };
    const writer = await new MongoClient(uriOf('writer')).connect();
    try {
      await theNight(writer);
    } finally {
      await writer.close();
    }
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await production.stop();
  folder.remove();
});

/** What this program keeps in a target. */
const LEDGER = ['restore_plan.lock', 'restore_plan.runs', 'restore_plan.journal'];

async function theNight(writer: MongoClient): Promise<void> {
  const db = writer.db('gravity');
  const artworks = db.collection('artworks');
  await artworks.insertMany(numbered(300, { price: 5, deep: { er: 1, list: [1, 2] } }));
  await db.collection('sessions').insertMany([{ _id: 'old' as never, at: new Date(Date.now() - 3_600_000) }]);
  await db.createCollection('log', { capped: true, size: 100_000, max: 5 });
  await db.collection('totals').insertMany(numbered(7));
  await db.collection('gone').insertMany(numbered(11));
  for (const name of LEDGER) await db.collection(name).insertMany(numbered(2));
  await pause(3_100);
  since = new Date();
  await artworks.updateMany({ n: { $lt: 40 } }, { $set: { price: 6, 'deep.er': 2, 'deep.list.0': 9 } });
  await artworks.replaceOne({ _id: 7 as never }, { whole: true });
  await artworks.deleteMany({ n: { $gte: 100, $lt: 150 } });
  await artworks.insertMany([{ _id: 100 as never }, { _id: 101 as never }, { _id: 102 as never }]);
  await artworks.deleteOne({ _id: 160 as never });
  await writer.withSession((session) =>
    session.withTransaction(async () => {
      for (const id of [200, 201]) await artworks.deleteOne({ _id: id as never }, { session });
    }),
  );
  // One whose date the oplog does not hold in the window, one that it holds, and one that somebody deletes before its time.
  await db.collection('sessions').createIndex({ at: 1 }, { expireAfterSeconds: 60 });
  await db.collection('sessions').insertOne({ _id: 'new' as never, at: new Date(Date.now() - 3_600_000) });
  await db.collection('sessions').insertOne({ _id: 'kept' as never, at: new Date() });
  while ((await db.collection('sessions').countDocuments()) > 1) await pause(100);
  await db.collection('sessions').deleteMany({ _id: 'kept' as never });
  for (let i = 0; i < 9; i++) await db.collection('log').insertOne({ i });
  await db
    .collection('artworks')
    .aggregate([{ $match: { n: 1 } }, { $out: 'totals' }])
    .toArray();
  await db.collection('gone').drop();
  for (const name of LEDGER) await db.collection(name).deleteMany({});
  await db.collection('restore_plan.lock').drop();
  await db.collection('totals').rename('sums');
}

async function run(...args: string[]): Promise<PlanRun> {
  const ran = await callPlan(args, { cwd: folder.path, env });
  outputs.push(ran);
  return ran;
}

const OF_DATABASE = ['--uri-env', 'OPLOG_URI', '--database', 'gravity'];

async function historyOf(...args: string[]): Promise<Document> {
  const { stdout, stderr } = await run('history', ...args, '--json');
  const found = checkedStream(stdout).find(({ type }) => type === 'history');
  assert.ok(found, stderr);
  return found as Document;
}

test('each kind of what happened is a run of its own, with count, fields, ids and who', async () => {
  const { runs, notes } = await historyOf(
    ...OF_DATABASE,
    '--since',
    since.toISOString(),
    '--users',
    'writer@admin',
  );
  assert.equal(notes, []);
  const found = (collection: string, kind: string, more: Document = {}): Document => {
    const those = (runs as Document[]).filter(
      (each) =>
        each['namespace'] === `gravity.${collection}` &&
        each['kind'] === kind &&
        Object.entries(more).every(([key, value]) => each[key] === value),
    );
    assert.is(those.length, 1, `${collection} ${kind}: ${JSON.stringify(runs)}`);
    return those[0] as Document;
  };
  const updates = found('artworks', 'updates');
  assert.is(updates['count'], 40);
  assert.equal(updates['fields'], { price: 40, 'deep.er': 40, 'deep.list': 40 });
  assert.is(found('artworks', 'replacements')['user'], 'writer@admin');
  const deletes = found('artworks', 'deletes', { how: 'many' });
  assert.is(deletes['count'], 50);
  assert.is(deletes['cameBack'], 3);
  assert.is(deletes['origin'], 'user');
  assert.is(deletes['user'], undefined);
  assert.is(deletes['ids'].length, 5);
  assert.ok(Date.parse(deletes['first']) >= since.getTime());
  const one = found('artworks', 'deletes', { how: 'one' });
  assert.is(one['count'], 1);
  assert.is(one['user'], 'writer@admin');
  assert.is(found('artworks', 'deletes', { how: 'transaction' })['count'], 2);
  assert.is(found('sessions', 'deletes', { origin: 'maybeExpired' })['count'], 1);
  assert.is(found('sessions', 'deletes', { origin: 'expired' })['count'], 1);
  assert.equal(found('sessions', 'deletes', { origin: 'user' })['ids'], ['"kept"']);
  assert.is(found('log', 'deletes', { origin: 'overrun' })['count'], 4);
  assert.is(found('gone', 'drop')['count'], 11);
  assert.match(found('totals', '$out')['detail'], /which was there and is gone/);
  assert.is(found('sums', 'rename')['detail'], 'gravity.totals was renamed to gravity.sums');
  for (const each of runs as Document[])
    if (each['namespace'].includes('tmp.agg_out')) assert.is(each['origin'], 'internal');
});

test('the page shows it, and a window, a collection and a plan narrow it', async () => {
  const page = await run('history', ...OF_DATABASE, '--since', since.toISOString());
  assert.is(page.exitCode, 0, page.stderr);
  const text = page.stdout.replaceAll(/\s+/g, ' ');
  assert.match(text, /gravity\.artworks 50 documents: deletes, many at once _id \{"\$numberInt":"100"\}, /);
  assert.match(text, /3 of them are there again/);
  assert.match(text, /before it: source\.at: 20\S+Z/);
  assert.match(text, /gravity\.gone was dropped with 11 documents/);
  assert.match(text, /by a user with the hash [0-9a-f]{12}/);
  assert.match(page.stdout, /gravity\.artworks {8} {2}.*[▁-█]/);
  const none = await historyOf(...OF_DATABASE, '--until', '2020-01-01T00:00:00Z');
  assert.equal(none['runs'], []);
  const only = await historyOf(...OF_DATABASE, '--collection', 'gone', '--since', since.toISOString());
  assert.equal(
    (only['runs'] as Document[]).map(({ kind }) => kind),
    ['drop'],
  );
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: what
source:
  database: gravity
  path: ./not-there
  at: 2026-01-01T00:00:00Z
  oplog: { mongodb: { uri: "\${READER_URI}" } }
collections:
  - collection: log
`,
  );
  const ofPlan = await historyOf('plan.yaml');
  assert.ok((ofPlan['runs'] as Document[]).every(({ namespace }) => namespace === 'gravity.log'));
  // The least rights are enough, and what they leave open is said.
  assert.match(ofPlan['notes'].join(), /capped is not known/);
  const wrong = await run('history', ...OF_DATABASE, '--since', 'yesterday');
  assert.is(wrong.exitCode, 11);
});

test('of a whole database, the ledger of this program is told only to whoever names it', async () => {
  const named = ({ runs }: Document): string[] => [
    ...new Set((runs as Document[]).map(({ namespace }) => namespace as string)),
  ];
  const all = named(await historyOf(...OF_DATABASE));
  assert.ok(all.includes('gravity.artworks'));
  assert.equal(
    all.filter((each) => each.includes('restore_plan')),
    [],
  );
  const asked = await historyOf(...OF_DATABASE, '--collection', 'restore_plan.runs');
  assert.equal(named(asked), ['gravity.restore_plan.runs']);
});

test('a time in which nothing can have happened is refused, and does not look quiet', async () => {
  const far = await run('history', ...OF_DATABASE, '--since', '9999-01-01T00:00:00Z');
  assert.is(far.exitCode, 11);
  assert.match(far.stderr, /--since 9999-01-01T00:00:00Z is still to come/);
  const now = since.toISOString();
  const none = await run('history', ...OF_DATABASE, '--since', now, '--until', now);
  assert.is(none.exitCode, 11);
  assert.match(none.stderr, /--until \S+ is not later than --since/);
});

test('a saved oplog tells the same', async () => {
  const saved = await run('oplog', 'save', ...OF_DATABASE, '--to', 'all.bson');
  assert.is(saved.exitCode, 0, saved.stderr);
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: what
source:
  database: gravity
  path: ./not-there
  at: 2026-01-01T00:00:00Z
  oplog: { path: ./all.bson }
collections:
  - collection: artworks
`,
  );
  const args = ['--since', since.toISOString()];
  const live = await historyOf(...OF_DATABASE, '--collection', 'artworks', ...args);
  const file = await historyOf('plan.yaml', ...args);
  assert.equal(file['runs'], live['runs']);
});

test('no output holds a password', () => {
  for (const { stdout, stderr } of outputs) assert.not.match(stdout + stderr, new RegExp(CANARY_PASSWORD));
});

test.run();
