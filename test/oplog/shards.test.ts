/**
 * A sharded cluster that is written to while its shards are dumped and chunks move: rolled forward, it is at every moment what a snapshot read of
 * the cluster says of it.
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, deserialize, EJSON, Timestamp } from 'bson';
import type { ClientSession, Collection } from 'mongodb';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { showDocument } from '../../src/bson/show.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { RolledForward, RollOrder } from '../../src/oplog/roll-forward.ts';
import type { Source } from '../../src/plan/plan.ts';
import type { ShardOplogs } from '../../src/plan/sources/oplog.ts';
import type { Window } from '../../src/plan/windows.ts';
import { Secret } from '../../src/secret.ts';
import { useCredentials } from '../backup/reading.ts';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { setFailPoint } from '../lab/failpoint.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import type { ReplicaSet } from '../lab/replica-set.ts';
import { createBucket, s3Client, startS3Server } from '../lab/s3.ts';
import { type ShardedCluster, startShardedCluster } from '../lab/sharded-cluster.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump, program } from '../lab/tools.ts';
import { checkedStream } from '../scenarios/json-stream.ts';
import {
  cleanAtOnce,
  instant,
  isExactly,
  liveOplogs,
  nothingLeftBehind,
  now,
  readTogether,
  rolledShards,
  type State,
  stateAt,
  until,
} from './shards-together.ts';

const DATABASE = 'shop';
/** Both are sharded by `k`; of `late` the second shard has nothing while it is dumped. */
const NAMES = ['a', 'late'] as const;
const COLLECTIONS = { database: DATABASE, names: NAMES };
const DOCUMENTS = Number(process.env['SHARD_DOCUMENTS'] ?? 400);
const SEED = Number(process.env['SHARD_SEED'] ?? 11);

const DUPLICATE_KEY = 11_000;

let cluster: ShardedCluster;
let folder: TemporaryFolder;
/** States of the cluster by snapshot read, at moments after every dump had ended. */
const moments: { readonly at: Timestamp; readonly state: State }[] = [];
/** A moment by the clock, and what the cluster had then. */
let quiet: { readonly at: Date; readonly state: State };
let begins: Date;
/** When documents were deleted amid other writes and migrations, and when all were changed wrongly. */
let deleting: { readonly from: Date; readonly until: Date; readonly since: Timestamp };
let changing: { readonly from: Date; readonly until: Date; readonly state: State };
/** What the cluster had when nothing was written. */
let still: State;
/** The commit timestamps of transactions on both shards. */
const committed: Timestamp[] = [];
const TRANSACTIONS = 5;

const admin = (command: Document): Promise<Document> => cluster.client.db('admin').command(command);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const path = (...names: string[]): string => join(folder.path, ...names);
const shard = (number: number): ReplicaSet => cluster.shards[number] as ReplicaSet;

test.before(
  async () => {
    folder = temporaryFolder('oplog-shards');
    cluster = await startShardedCluster();
    await cleanAtOnce(cluster);
    await admin({ balancerStop: 1 });
    await admin({ enableSharding: DATABASE, primaryShard: 'shard0' });
    for (const name of NAMES) {
      await admin({ shardCollection: `${DATABASE}.${name}`, key: { k: 1 } });
      const keep = { collMod: name, changeStreamPreAndPostImages: { enabled: true } };
      await cluster.client.db(DATABASE).command(keep);
      const documents = Array.from({ length: DOCUMENTS }, (_, i) => ({ _id: i as never, k: i, n: 0 }));
      await cluster.client.db(DATABASE).collection(name).insertMany(documents);
    }
    for (const min of [100, 200, 300]) await admin({ split: `${DATABASE}.a`, middle: { k: min } });
    await move('a', 300, 'shard1', true);
    await pause(2100);
    begins = new Date();
    await pause(1100);
    still = await stateNow();
    for (const { uri, name } of cluster.shards)
      await mongodump(uri, ['--oplog', '--out', path('still', name)]);
    await dumpApart();
    const random = seededRandom(SEED);
    let isOver = false;
    const writing = (async () => {
      while (!isOver)
        await writeSome(random).catch((error: unknown) => {
          // A document may not go to a shard that still has an orphan of it.
          if ((error as { code?: unknown }).code !== DUPLICATE_KEY) throw error;
        });
    })();
    await Promise.all(
      cluster.shards.map(async ({ uri, name }) => {
        await mongodump(uri, ['--oplog', '--out', path('cluster', name)]);
        await mongodump(uri, ['--db', DATABASE, '--out', path('plain', name)]);
      }),
    );
    // A chunk that comes back, one that goes for good, and two whose copies stay behind.
    await move('a', 300, 'shard0', true);
    await moment();
    await move('a', 0, 'shard1', true);
    await moment();
    const keeps = await setFailPoint(shard(0).client, { name: 'suspendRangeDeletion', mode: 'alwaysOn' });
    await move('a', 100, 'shard1', false);
    await moment();
    await move('late', 50, 'shard1', false);
    await moment();
    await pause(500);
    await moment();
    isOver = true;
    await writing;
    await acrossBoth();
    await pause(1100);
    quiet = { at: new Date(), state: await stateNow() };
    // No document can come back to a shard that still has a copy of it.
    await keeps.off();
    await nothingLeftBehind(shard(0));
    await pause(200);
    await deleteSome(seededRandom(SEED + 1));
    await changeAll();
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await cluster?.stop();
  folder.remove();
});

/** Another dump of the second shard, with something that was written to it after that of the first. */
async function dumpApart(): Promise<void> {
  const [first, second] = cluster.shards as [ReplicaSet, ReplicaSet];
  cpSync(path('still', first.name), path('apart', first.name), { recursive: true });
  await pause(1100);
  await cluster.client
    .db(DATABASE)
    .collection('a')
    .updateOne({ k: 350 }, { $set: { apart: true } });
  await mongodump(second.uri, ['--oplog', '--out', path('apart', second.name)]);
}

/** Somebody deletes many documents while the application writes and chunks move, and some come back and are deleted again. */
async function deleteSome(random: Random): Promise<void> {
  const a = cluster.client.db(DATABASE).collection<Document>('a');
  const since = await now(cluster);
  const from = new Date();
  await pause(50);
  let isOver = false;
  const writing = (async () => {
    while (!isOver) await writeSome(random).catch(() => pause(20));
  })();
  try {
    await deleteAmidMoves(a);
  } finally {
    isOver = true;
    await writing;
  }
  await pause(50);
  deleting = { from, until: new Date(), since };
}

async function deleteAmidMoves(a: Collection<Document>): Promise<void> {
  await Promise.all([
    move('a', 200, 'shard1', true),
    a.deleteMany({ k: { $gte: 60, $lt: 280 }, _id: { $mod: [3, 0] } as never }),
  ]);
  const again = Array.from({ length: 10 }, (_, i) => ({ _id: 60 + 3 * i, k: 60 + 3 * i, again: i }));
  // Some are there under another shard key, on the other shard.
  const there = await a.distinct('_id', { _id: { $in: again.map(({ _id }) => _id) as never[] } });
  await a.insertMany(again.filter(({ _id }) => !there.includes(_id as never)) as never[]);
  await Promise.all([move('a', 0, 'shard0', true), a.deleteMany({ again: { $gte: 3 } })]);
  const late = cluster.client.db(DATABASE).collection<Document>('late');
  await late.insertOne({ _id: 'lost' as never, k: 5 });
  await late.deleteOne({ _id: 'lost' as never });
  // Back on the other shard, and deleted there once more.
  await a.deleteOne({ _id: 'across 150' as never });
  await a.insertOne({ _id: 'across 150' as never, k: 399, other: 'shard' });
  await a.deleteOne({ _id: 'across 150' as never });
}

/** A wrong update of every document, while a chunk moves. */
async function changeAll(): Promise<void> {
  await pause(50);
  const state = await stateNow();
  const from = new Date();
  await Promise.all([
    move('a', 300, 'shard1', true),
    cluster.client
      .db(DATABASE)
      .collection('a')
      .updateMany({}, { $set: { wrong: true } }),
  ]);
  await cluster.client
    .db(DATABASE)
    .collection('a')
    .updateMany({}, { $set: { wrong: 'again' } });
  await pause(50);
  changing = { from, until: new Date(), state };
  await pause(1100);
  await cluster.client.db(DATABASE).collection('a').deleteOne({ k: 7 });
}

/** Moves the chunk that begins at `min`. */
async function move(name: string, min: number, to: string, waits: boolean): Promise<void> {
  const namespace = `${DATABASE}.${name}`;
  if (name === 'late') await admin({ split: namespace, middle: { k: min } });
  for (let attempt = 1; ; attempt++) {
    try {
      await admin({ moveRange: namespace, min: { k: min }, toShard: to, waitForDelete: waits });
      return;
    } catch (error) {
      // A transaction held it up, or moved a document to where it was.
      if (attempt === 20) throw error;
      await pause(100);
    }
  }
}

/** Writes of every kind, one or a few. */
async function writeSome(random: Random): Promise<void> {
  const name = random.pick(NAMES);
  const collection = cluster.client.db(DATABASE).collection<Document>(name);
  const k = random.integer(0, DOCUMENTS - 1);
  const kind = random.integer(0, 9);
  if (kind < 5)
    await collection.updateOne({ k }, { $inc: { n: 1 }, $push: { list: random.integer(0, 9) } as never });
  else if (kind === 5) await collection.deleteOne({ k });
  else if (kind === 6) await collection.insertOne({ k, made: true });
  else if (kind === 7) await collection.updateMany({ k: { $lt: k, $gt: k - 10 } }, { $set: { many: k } });
  else if (kind === 8) await collection.deleteMany({ made: true, k: { $gt: k } });
  else
    await transaction(async (session) => {
      await collection.updateOne({ k }, { $set: { together: k } }, { session });
      // To another shard key, mostly on the other shard.
      const other = await collection.findOne({ k: DOCUMENTS - 1 - k }, { session });
      if (other !== null)
        await collection.updateOne(
          { _id: other['_id'], k: other['k'] },
          { $set: { k: random.integer(0, DOCUMENTS - 1), moved: true } },
          { session },
        );
    });
}

async function transaction(work: (session: ClientSession) => Promise<void>): Promise<void> {
  await cluster.client.withSession((session) => session.withTransaction(() => work(session)));
}

/** Keeps what the cluster has now. */
async function moment(): Promise<void> {
  await pause(150);
  const at = await now(cluster);
  moments.push({ at, state: await stateAt(cluster, COLLECTIONS, at) });
}

/** Transactions on both shards, each with its commit timestamp. */
async function acrossBoth(): Promise<void> {
  const collection = cluster.client.db(DATABASE).collection<Document>('a');
  const keys = [150, 250];
  for (const k of keys) await collection.insertOne({ _id: `across ${k}` as never, k });
  for (let number = 1; number <= TRANSACTIONS; number++) {
    await transaction(async (session) => {
      for (const k of keys)
        await collection.updateOne(
          { _id: `across ${k}` as never, k },
          { $set: { across: number } },
          { session },
        );
    });
    const prepared = { 'o.prepare': true, 'o.applyOps.o.diff.u.across': number };
    const inserted = { 'o.prepare': true, 'o.applyOps.o.diff.i.across': number };
    const oplog = shard(0).client.db('local').collection<Document>('oplog.rs');
    const begun = await oplog.findOne({ $or: [prepared, inserted] });
    const { lsid, txnNumber } = begun as Document;
    const commit = await oplog.findOne({ 'o.commitTransaction': 1, 'lsid.id': lsid.id, txnNumber });
    committed.push((commit as Document)['o'].commitTimestamp as Timestamp);
  }
}

function rolled<T>(
  name: string,
  order: {
    readonly oplog: ShardOplogs;
    readonly at?: Source['at'];
    readonly windows?: RollOrder['windows'];
  },
  look: (rolled: RolledForward) => Promise<T>,
): Promise<T> {
  const of = { path: path(name), database: DATABASE, names: NAMES, spillPath: path('spill-') };
  return rolledShards({ ...of, ...order }, look);
}

const documentsOf = async (backup: Backup): Promise<State> => (await readTogether(backup, NAMES)).state;
const stateNow = async (): Promise<State> => stateAt(cluster, COLLECTIONS, await now(cluster));

test("with the dumps' own beginning, at every moment, whatever was moving", async () => {
  for (const { at, state } of moments)
    await rolled('cluster', { oplog: liveOplogs(cluster), at: until(at) }, async (result) => {
      assert.is(result.record.beginSaid, 'dump');
      isExactly(await documentsOf(result.backup), state);
    });
});

test('plain dumps, from where the plan says that they began, up to a moment by the clock', async () => {
  await tarFolder(path('plain'), path('plain.tar'));
  await program('gzip', ['--keep', path('plain.tar')]);
  for (const name of ['plain', 'plain.tar', 'plain.tar.gz'])
    await rolled(name, { oplog: liveOplogs(cluster, begins), at: instant(quiet.at) }, async (result) => {
      assert.is(result.record.beginSaid, 'plan');
      assert.equal(
        result.record.shards?.map(({ folder }) => folder),
        ['shard0', 'shard1'],
      );
      isExactly(await documentsOf(result.backup), quiet.state);
    });
});

test('a transaction on both shards counts whole or not at all', async () => {
  const across = async (at: Source['at']): Promise<unknown[]> =>
    rolled('cluster', { oplog: liveOplogs(cluster), at }, async ({ backup }) => {
      const all = [...((await documentsOf(backup)).get('a') as Map<string, Buffer>).values()];
      const ours = all.map((each) => deserialize(each)).filter(({ _id }) => String(_id).startsWith('across'));
      return ours.map((each) => each['across'] ?? 0);
    });
  for (const [i, time] of committed.entries()) {
    assert.equal(await across(until(new Timestamp({ t: time.t, i: time.i - 1 }))), [i, i]);
    // The entries that commit it are written later than it counts, on each shard at another time.
    assert.equal(await across(until(time)), [i + 1, i + 1]);
  }
});

const OWN = (): ShardOplogs => ({
  kind: 'shards',
  shards: cluster.shards.map(({ name }) => ({ folder: name, oplog: { kind: 'backup', begins: undefined } })),
});

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, RestorePlanError);
  assert.is((error as RestorePlanError).code, 'BACKUP');
  return `${(error as RestorePlanError).message} ${(error as RestorePlanError).hint}`;
}

test('the own oplogs of dumps are of one moment only where nothing was written between their ends', async () => {
  await rolled('still', { oplog: OWN() }, async ({ backup }) => isExactly(await documentsOf(backup), still));
  assert.match(
    await refusal(rolled('apart', { oplog: OWN() }, async () => undefined)),
    /documents were written between, so the dumps are not of one moment/,
  );
});

test('shards that are mistaken for each other, missing or too many are refused by name', async () => {
  const of = (...named: readonly [folder: string, shard: number][]): ShardOplogs => ({
    kind: 'shards',
    shards: named.map(([folder, number]) => ({
      folder,
      oplog: { kind: 'mongodb', uri: new Secret(shard(number).uri), begins: instant(begins) },
    })),
  });
  const at = instant(quiet.at);
  const refused = (oplog: ShardOplogs, name = 'plain'): Promise<string> =>
    refusal(rolled(name, { oplog, at }, async ({ backup }) => documentsOf(backup)));
  assert.match(
    await refused(of(['shard0', 0])),
    /no oplog for plain\/shard1 .* add source\.oplog\.shards\.shard1/,
  );
  assert.match(await refused(of(['shard0', 0]), 'plain.tar.gz'), /no oplog for .*shard1/);
  assert.match(
    await refused(of(['shard0', 0], ['shard1', 1], ['shard2', 1])),
    /has no folder shard2, .* plain\/shard0, plain\/shard1/,
  );
  assert.match(
    await refused(of(['shard0', 1], ['shard1', 0])),
    /replica set shard1, named for shard0 as well as for shard1/,
  );
  assert.match(await refused(of(['shard0', 0], ['shard1', 0])), /replica set shard0, named for/);
});

/** What each document was just before somebody deleted it last, as the cluster's own change stream tells it. */
async function deletedByStream(): Promise<Map<string, string>> {
  const stream = cluster.client.db(DATABASE).watch([], {
    ...{ startAtOperationTime: deleting.since, fullDocumentBeforeChange: 'required' },
    ...{ promoteValues: false, promoteLongs: false },
  });
  const found = new Map<string, string>();
  /** What was inserted, and what was found before a deletion, by the document and the transaction that did it. */
  const inserted = new Set<string>();
  const before = new Map<string, string | undefined>();
  try {
    for (;;) {
      const event = (await stream.next()) as unknown as Document;
      const wall = Number(event['wallTime']);
      if (wall >= changing.from.getTime()) break;
      if (wall < deleting.from.getTime() || wall >= deleting.until.getTime()) continue;
      const { operationType, ns, documentKey, lsid, txnNumber } = event;
      if (!['insert', 'delete'].includes(String(operationType))) continue;
      const key = `${ns.coll} ${EJSON.stringify(documentKey._id)}`;
      // Of what a transaction moves, either may come first, and their times differ.
      const done = lsid === undefined ? undefined : `${key} ${EJSON.stringify([lsid, txnNumber])}`;
      if (operationType === 'insert') {
        if (done === undefined) continue;
        inserted.add(done);
        const image = before.get(done);
        if (image !== undefined) found.set(key, image);
        else if (before.has(done)) found.delete(key);
      } else if (done === undefined || !inserted.has(done)) {
        if (done !== undefined) before.set(done, found.get(key));
        found.set(key, EJSON.stringify(event['fullDocumentBeforeChange'], { relaxed: false }));
      }
    }
  } finally {
    await stream.close();
  }
  return found;
}

/** What a window gives of both collections. */
async function inWindow(window: Window): Promise<State> {
  const views = new Map(NAMES.map((name) => [name, { isAt: false, windows: [window] }]));
  const at = window.from;
  const windows = { views, until: window.until };
  return rolled('plain', { oplog: liveOplogs(cluster, begins), at, windows }, ({ backup }) =>
    documentsOf(backup),
  );
}

test('deleted amid migrations: all and only what somebody deleted, each as it was just before, byte for byte', async () => {
  const { from, until } = deleting;
  const wanted = await deletedByStream();
  const ours = await inWindow({ kind: 'deleted', from: instant(from), until: instant(until) });
  const given = new Map<string, string>();
  for (const [name, documents] of ours)
    for (const bytes of documents.values()) {
      const document = deserialize(bytes, { promoteValues: false, promoteLongs: false });
      given.set(`${name} ${EJSON.stringify(document['_id'])}`, EJSON.stringify(document, { relaxed: false }));
    }
  assert.ok(wanted.size >= 60, `${wanted.size}`);
  const lines = (all: Map<string, string>): string[] => [...all].map((pair) => pair.join(': ')).sort();
  assert.equal(lines(given), lines(wanted));
  assert.match(given.get('a "across 150"') ?? '', /other.*shard/);
});

test('changed amid a migration: every document as it was before the first wrong update', async () => {
  const { from, until, state } = changing;
  const ours = await inWindow({
    ...{ kind: 'changed', fields: ['wrong'] },
    ...{ from: instant(from), until: instant(until) },
  });
  const shown = (documents: Map<string, Buffer> | undefined): string[] =>
    [...(documents?.values() ?? [])].map((each) => showDocument(each)).sort();
  assert.ok((state.get('a')?.size ?? 0) > 100);
  assert.equal(shown(ours.get('a')), shown(state.get('a')));
  assert.is(ours.get('late')?.size, 0);
});

const env = (): Record<string, string> => ({
  SHARD0: shard(0).uri,
  SHARD1: shard(1).uri,
  STAGING_URI: shard(1).uri,
});

function writePlan(oplog: string, entry = 'query: {}'): void {
  writeFileSync(
    path('plan.yaml'),
    `version: 1
name: sharded
reason: an update went wrong
source:
  database: ${DATABASE}
  path: ./plain
  at: ${quiet.at.toISOString()}
  oplog:
    ${oplog}
collections:
  - { collection: a, ${entry} }
  - { collection: late, ${entry} }
targets:
  staging: { uri: "\${STAGING_URI}", database: staging }
`,
  );
}

const LIVE_SHARDS = (): string => `shards:
      shard0: { mongodb: { uri: "\${SHARD0}" }, begins: ${begins.toISOString()} }
      shard1: { mongodb: { uri: "\${SHARD1}" }, begins: ${begins.toISOString()} }`;

test('through whole commands: checked, saved, restored from either, and told of each shard', async () => {
  const run = (...args: string[]) => callPlan(args, { cwd: folder.path, env: env() });
  writePlan(LIVE_SHARDS());
  const checked = await run('oplog', 'check', 'plan.yaml');
  assert.is(checked.exitCode, 0, checked.stderr);
  assert.match(checked.stdout, /shard {7}shard0[\s\S]*shard {7}shard1/);
  const digests: unknown[] = [];
  const select = async (): Promise<void> => {
    const { exitCode, stdout, stderr } = await run('dry-run', 'plan.yaml', '--json');
    assert.is(exitCode, 0, stderr);
    const summary = checkedStream(stdout).find(({ type }) => type === 'dry-run') as Document;
    digests.push(summary['selection']?.digest);
    assert.equal(
      summary['backup'].oplog.shards.map((each: Document) => each['folder']),
      ['shard0', 'shard1'],
    );
  };
  await select();
  const saved = await run('oplog', 'save', 'plan.yaml', '--to', 'saved');
  assert.is(saved.exitCode, 0, saved.stderr);
  assert.match(saved.stdout, /shards:\n {6}"shard0": \{ path: "saved\/shard0\.bson" \}/);
  rmSync(path('.restore-plan'), { recursive: true, force: true });
  writePlan(`shards:
      shard0: { path: saved/shard0.bson, begins: ${begins.toISOString()} }
      shard1: { path: saved/shard1.bson, begins: ${begins.toISOString()} }`);
  await select();
  const s3 = await startS3Server();
  const client = s3Client(s3);
  try {
    const bucket = await createBucket(client, 'saves');
    useCredentials(s3);
    process.env['AWS_ENDPOINT_URL_S3'] = s3.endpoint;
    writePlan(LIVE_SHARDS());
    const toBucket = await run('oplog', 'save', 'plan.yaml', '--to', `s3://${bucket.name}/cluster`);
    assert.is(toBucket.exitCode, 0, toBucket.stderr);
    const at = (shard: string): string =>
      `s3: { bucket: ${bucket.name}, key: cluster/${shard}/, endpoint: "${s3.endpoint}", forcePathStyle: true }`;
    rmSync(path('.restore-plan'), { recursive: true, force: true });
    writePlan(`shards:
      shard0: { ${at('shard0')}, begins: ${begins.toISOString()} }
      shard1: { ${at('shard1')}, begins: ${begins.toISOString()} }`);
    await select();
  } finally {
    client.destroy();
    await s3.stop();
  }
  assert.equal(digests, [digests[0], digests[0], digests[0]]);
  writePlan(LIVE_SHARDS());
  assert.match((await run('explain', 'plan.yaml')).stdout, /oplogs of the shards shard0, shard1/);
  const { from, until } = deleting;
  const span = `deleted: { from: ${from.toISOString()}, until: ${until.toISOString()} }`;
  writePlan(LIVE_SHARDS(), span);
  const lost = await run('select', 'plan.yaml', '--json');
  assert.is(lost.exitCode, 0, lost.stderr);
  const { selection } = checkedStream(lost.stdout).find(({ type }) => type === 'select') as Document;
  const given = await inWindow({ kind: 'deleted', from: instant(from), until: instant(until) });
  assert.equal(
    selection.collections.map(({ collection, selected }: Document) => [collection, selected]),
    NAMES.map((name) => [name, given.get(name)?.size]),
  );
  writePlan(LIVE_SHARDS());
  assert.match((await run('dry-run', 'plan.yaml')).stdout, /those of 2 shards, all up to/);
});

test.run();
