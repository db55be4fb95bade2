/** A replica set as it was: what was deleted, changed and dropped since comes back byte for byte, or the reading is refused. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Db, Document, Timestamp } from 'mongodb';
import * as assert from 'uvu/assert';
import { field } from '../../../src/backup/live/live-backup.ts';
import { changeEvents } from '../../../src/backup/live/pre-images.ts';
import { openBackup } from '../../../src/backup/open-backup.ts';
import { type Instant, parseInstant } from '../../../src/plan/instant.ts';
import type { Source } from '../../../src/plan/plan.ts';
import { Secret } from '../../../src/secret.ts';
import { test } from '../../harness.ts';
import { callPlan } from '../../lab/call-plan.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { startMongod } from '../../lab/mongod.ts';
import { type ReplicaSet, startReplicaSet } from '../../lab/replica-set.ts';
import { startShardedCluster } from '../../lab/sharded-cluster.ts';
import { QUIET } from '../../quiet-run.ts';
import { readBackup, refusal, sourceAt } from '../reading.ts';

const PASSWORD = 'root-secret';
/** More than one batch. */
const MANY = 10_500;

let set: ReplicaSet;
let db: Db;
let admin: Db;
let reader: string;

test.before(async () => {
  set = await startReplicaSet({ user: { name: 'root', password: PASSWORD } });
  db = set.client.db('gravity');
  admin = set.client.db('admin');
  await admin.command({ createUser: 'reader', pwd: PASSWORD, roles: [{ role: 'read', db: 'gravity' }] });
  reader = set.uri.replace('root:', 'reader:');
});
test.after(async () => {
  await set.stop();
});

function instant(epochMs: number): Instant {
  const reading = parseInstant(new Date(epochMs).toISOString());
  if (!('instant' in reading)) throw new Error(reading.message);
  return reading.instant;
}

function snapshot(at: Instant, uri = set.uri, more: Partial<Source> = {}): Source {
  return sourceAt({ kind: 'snapshot', uri: new Secret(uri) }, { at, ...more });
}

/** All documents of a collection in the order of `_id`, as they are on the wire. */
async function stored(from: Db, collection: string): Promise<Buffer> {
  const documents: unknown[] = await from
    .collection(collection)
    .find({}, { raw: true, sort: { _id: 1 } })
    .toArray();
  return Buffer.concat(documents as Buffer[]);
}

/** A moment with nothing written within a second and a half before or after it, and what was stored at it. */
async function goodMoment(
  from: Db,
  names: readonly string[],
): Promise<{ at: Instant; before: ReadonlyMap<string, Buffer> }> {
  await sleep(1500);
  const before = new Map<string, Buffer>();
  for (const name of names) before.set(name, await stored(from, name));
  const at = instant(Date.now());
  await sleep(1500);
  return { at, before };
}

async function fill(into: Db, names: readonly string[], count = MANY): Promise<void> {
  for (const name of names)
    await into
      .collection(name)
      .insertMany(
        Array.from({ length: count }, (_, i): Document => ({ _id: i, name: `${name} ${i}`, price: i / 3 })),
      );
}

const NAMES = ['artworks', 'dropped', 'renamed', 'remade'];

test('deleted, changed, dropped, renamed: byte for byte as of source.at, with plain read on the database', async () => {
  await fill(db, ['artworks', 'dropped']);
  await fill(db, ['renamed', 'remade'], 600);
  await db.createCollection('options', { capped: true, size: 4096 });
  await db.collection('options').insertOne({ _id: 1 as never });
  await db.collection('dropped').createIndex({ name: 1 }, { unique: true });
  const names = [...NAMES, 'options'];
  const described = await describedNow(names);
  const { at, before } = await goodMoment(db, names);
  await db.collection('artworks').deleteMany({ _id: { $lt: 3000 as never } });
  await db.collection('artworks').updateMany({}, { $set: { price: 0 } });
  await db.collection('artworks').insertOne({ _id: -1 as never });
  await db.dropCollection('dropped');
  await db.renameCollection('renamed', 'elsewhere');
  await db.dropCollection('remade');
  await db.collection('remade').insertOne({ _id: 1 as never, other: true });
  await db.dropCollection('options');

  for (const uri of [set.uri, reader]) {
    const { documents, metadata, kind, summary } = await readBackup(snapshot(at, uri), [
      ...names,
      'elsewhere',
    ]);
    assert.is(kind, 'snapshot');
    for (const name of names) {
      assert.is(Buffer.compare(documents.get(name) as Buffer, before.get(name) as Buffer), 0, name);
      assert.is(metadata.get(name)?.text, described.get(name), name);
    }
    assert.is(documents.has('elsewhere'), false, 'it had another name then');
    assert.is(summary.warnings.length, uri === reader ? 1 : 0);
    if (uri === reader)
      assert.match(summary.warnings[0] ?? '', /may not read the oplog.*beginning of the second/);
  }
});

/** Their metadata, read from the live database. */
async function describedNow(names: readonly string[]): Promise<ReadonlyMap<string, string | undefined>> {
  const live = sourceAt({ kind: 'mongodb', uri: new Secret(set.uri) });
  const { metadata } = await readBackup(live, names);
  return new Map([...metadata].map(([name, { text }]) => [name, text]));
}

test('a whole database that was dropped', async () => {
  const gone = set.client.db('gone');
  await gone.collection('things').insertOne({ _id: 1 as never });
  const { at, before } = await goodMoment(gone, ['things']);
  await gone.dropDatabase();
  const { documents } = await readBackup(snapshot(at, set.uri, { database: 'gone' }), ['things', 'never']);
  assert.equal(documents.get('things'), before.get('things'));
  assert.is(documents.has('never'), false);
});

test('to the millisecond by the oplog, and to the entry by a timestamp', async () => {
  const close = db.collection('close');
  for (let i = 0; i < 40; i++) {
    await close.insertOne({ _id: i as never });
    await sleep(5);
  }
  const entries = await set.client
    .db('local')
    .collection('oplog.rs')
    .find({ ns: 'gravity.close', op: 'i' }, { sort: { $natural: 1 } })
    .toArray();
  const middle = entries[20] as Document;
  const wall = (middle['wall'] as Date).getTime();
  const expected = entries.filter((entry) => (entry['wall'] as Date).getTime() < wall).length;
  const byWall = await readBackup(snapshot(instant(wall)), ['close']);
  assert.is(countOf(byWall.documents.get('close')), expected);
  const ts = middle['ts'] as Timestamp;
  const at = { epochMs: ts.t * 1000, text: `${ts.t},${ts.i}`, ts: { seconds: ts.t, ordinal: ts.i } };
  const byEntry = await readBackup(snapshot(at, reader), ['close']);
  assert.is(countOf(byEntry.documents.get('close')), 20);
  assert.equal(byEntry.summary.warnings, []);
});

function countOf(documents: Buffer = Buffer.alloc(0)): number {
  let count = 0;
  for (let at = 0; at < documents.length; at += documents.readInt32LE(at)) count++;
  return count;
}

test('a moment to come, a user without the right, no connection string: refused', async () => {
  await refusal(
    readBackup(snapshot(instant(Date.now() + 60_000)), ['artworks']),
    /still to come by the clock/,
  );
  const ts = { seconds: Math.floor(Date.now() / 1000) + 60, ordinal: 1 };
  const future = { epochMs: ts.seconds * 1000, text: `${ts.seconds},1`, ts };
  await refusal(readBackup(snapshot(future), ['artworks']), /still to come by the clock/);
  const elsewhere = snapshot(instant(Date.now() - 1000), reader, { database: 'gone' });
  const { hint } = await refusal(
    readBackup(elsewhere, ['things']),
    /user of source\.snapshot may not read it/,
  );
  assert.match(String(hint), /role "read"/);
  const unset = sourceAt({ kind: 'snapshot', uri: undefined }, { at: instant(Date.now()) });
  await refusal(readBackup(unset, ['artworks']), /connection string of source\.snapshot is not set/);
});

test('a server without a replica set is refused by name', async () => {
  const alone = await startMongod();
  try {
    const source = snapshot(instant(Date.now() - 1000), `mongodb://${alone.address}/`);
    await refusal(readBackup(source, ['artworks']), /no member of a replica set/);
  } finally {
    await alone.stop();
  }
});

test('beyond the window: exit 12; a selection that was made in time is used', async () => {
  const late = set.client.db('late');
  await late.collection('things').insertMany([{ _id: 1 as never }, { _id: 2 as never }]);
  const { at } = await goodMoment(late, ['things']);
  await late.collection('things').deleteMany({});
  const folder = temporaryFolder('snapshot');
  try {
    const file = join(folder.path, 'plan.yaml');
    writeFileSync(
      file,
      `version: 1
name: late
source: { at: ${at.text}, database: late, snapshot: { uri: "\${SOURCE}" } }
collections: [{ collection: things, query: {} }]
targets: { staging: { uri: "\${SOURCE}", database: late-staging } }
`,
    );
    const run = (work: string): ReturnType<typeof callPlan> =>
      callPlan(['dry-run', file, '--work-dir', `${folder.path}/${work}`], { env: { SOURCE: set.uri } });
    const first = await run('one');
    assert.is(first.exitCode, 0, first.stderr);
    await outlive(at);
    const again = await run('one');
    assert.is(again.exitCode, 0, again.stderr);
    const other = await run('two');
    assert.is(other.exitCode, 12, other.stderr);
    assert.match(other.stderr, /SnapshotTooOld/);
    assert.match(other.stderr, /keeps history for 1 s/);
    assert.match(other.stderr, /source\.oplog/);
    const { message } = await refusal(
      readBackup(snapshot(at, reader, { database: 'late' }), ['things']),
      /./,
    );
    assert.match(message, /may not read it/);
  } finally {
    await admin.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 300 });
    folder.remove();
  }
});

/** Writes on with a window of a second until the server no longer knows the moment. */
async function outlive(at: Instant): Promise<void> {
  await admin.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 1 });
  for (let i = 0; i < 60; i++) {
    await db.collection('ticks').insertOne({});
    await sleep(500);
    const backup = await openBackup(QUIET, snapshot(at), { wanted: new Set(['artworks']) });
    const known = await backup.collections();
    await backup.close();
    if (known === undefined) return;
  }
  throw new Error('the server still knows');
}

/** How many deletions a change stream tells since then, with the documents as they were. */
async function preImagesOf(uri: string, since: Instant): Promise<number> {
  const range = { database: 'gravity', collections: ['artworks'], from: since.epochMs, until: Date.now() };
  let count = 0;
  for await (const events of changeEvents(QUIET, new Secret(uri), range))
    for (const event of events) if (field(event, 'fullDocumentBeforeChange') !== undefined) count++;
  return count;
}

test('a sharded cluster: both shards as of source.at; what was dropped is refused', async () => {
  const cluster = await startShardedCluster();
  try {
    const { client, uri } = cluster;
    const sharded = client.db('gravity');
    await client.db('admin').command({ enableSharding: 'gravity', primaryShard: 'shard0' });
    await client.db('admin').command({ shardCollection: 'gravity.artworks', key: { _id: 'hashed' } });
    await fill(sharded, ['artworks', 'plain', 'dropped', 'remade']);
    const { at, before } = await goodMoment(sharded, ['artworks', 'plain']);
    await sharded.command({ collMod: 'artworks', changeStreamPreAndPostImages: { enabled: true } });
    for (const name of ['artworks', 'plain']) await sharded.collection(name).deleteMany({});
    assert.is(await preImagesOf(uri, at), MANY, 'pre-images of both shards');
    const { documents, summary } = await readBackup(snapshot(at, uri), ['artworks', 'plain']);
    for (const [name, bytes] of before)
      assert.is(Buffer.compare(documents.get(name) as Buffer, bytes), 0, name);
    assert.match(summary.warnings[0] ?? '', /a mongos has no oplog/);
    for (const name of ['dropped', 'remade']) await sharded.dropCollection(name);
    await sharded.collection('remade').insertOne({});
    for (const name of ['dropped', 'remade'])
      await refusal(readBackup(snapshot(at, uri), [name]), /dropped.* a mongos no longer finds/);
    const others = await readBackup(snapshot(at, uri), ['plain']);
    assert.equal(others.documents.get('plain'), before.get('plain'), 'what others lost is no matter');
    const [shard] = cluster.shards;
    await refusal(readBackup(snapshot(at, shard?.uri), ['plain']), /a shard of a sharded cluster/);
  } finally {
    await cluster.stop();
  }
});

test.run();
