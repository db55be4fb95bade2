/** The oplog of a running replica set: what of it travels, what it covers, who may read it. */
import type { Binary, Document, FindCursor } from 'mongodb';
import * as assert from 'uvu/assert';
import { RestorePlanError } from '../../src/errors.ts';
import { asBuffer, takeFetched } from '../../src/mongo/raw-messages.ts';
import { type Cut, compareTimestamps, isBehind, type Moment, OplogEntry } from '../../src/oplog/entry.ts';
import { Replay } from '../../src/oplog/replay.ts';
import type { EntryRange } from '../../src/oplog/sources/entry-source.ts';
import { LiveOplog } from '../../src/oplog/sources/live-oplog.ts';
import { runIn } from '../../src/run.ts';
import { Secret } from '../../src/secret.ts';
import { test } from '../harness.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import { startStandalone } from '../lab/mongod.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { startShardedCluster } from '../lab/sharded-cluster.ts';
import { rolled } from './by-hand.ts';

const run = runIn('/nowhere');
let set: ReplicaSet;
test.before(async () => {
  set = await startReplicaSet({ user: { name: 'root', password: CANARY_PASSWORD } });
});
test.after(() => set.stop());

const uriOf = (user: string): Secret =>
  new Secret(set.uri.replace(/\/\/[^@]*@/, `//${user}:${CANARY_PASSWORD}@`));

async function withOplog<T>(uri: Secret, work: (oplog: LiveOplog) => Promise<T>): Promise<T> {
  const oplog = await LiveOplog.open(run, uri);
  try {
    return await work(oplog);
  } finally {
    await oplog.close();
  }
}

async function refusal(work: Promise<unknown>): Promise<RestorePlanError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, RestorePlanError);
  const { message, hint, code } = error as RestorePlanError;
  assert.is(code, 'BACKUP');
  assert.not.match(`${message} ${hint}`, new RegExp(CANARY_PASSWORD));
  return error as RestorePlanError;
}

async function countOf(oplog: LiveOplog, range: EntryRange): Promise<number> {
  let sum = 0;
  for await (const { count } of oplog.entries(range)) sum += count;
  return sum;
}

async function reaches(oplog: LiveOplog, range: EntryRange): Promise<boolean> {
  const entry = new OplogEntry();
  for await (const { bytes, starts, count } of oplog.entries(range))
    for (let i = 0; i < count; i++)
      if (isBehind(entry.read(bytes, starts[i] as number), range.cut as Exclude<Cut, 'end'>)) return true;
  return false;
}

test('only entries that matter travel, and a user with nothing but find on the oplog suffices', async () => {
  const db = set.client.db('shop');
  const collection = await db.createCollection('a');
  await set.client.db('admin').command({
    createRole: 'oplogReader',
    privileges: [{ resource: { db: 'local', collection: 'oplog.rs' }, actions: ['find'] }],
    roles: [],
  });
  await set.client
    .db('admin')
    .command({ createUser: 'reader', pwd: CANARY_PASSWORD, roles: ['oplogReader'] });
  const [info] = await db.listCollections({ name: 'a' }).toArray();
  const uuid = ((info as Document)['info'].uuid as Binary).toString('hex');
  const collections = [{ collection: 'a', namespace: 'shop.a', uuid }];
  await withOplog(uriOf('reader'), async (oplog) => {
    const begin = await oplog.last();
    await collection.insertMany(Array.from({ length: 50 }, (_, i) => ({ _id: i as never })));
    await collection.deleteMany({ _id: { $lt: 20 as never } });
    await db.collection('elsewhere').insertMany(
      Array.from({ length: 500 }, () => ({})),
      { ordered: true },
    );
    for (let i = 0; i < 50; i++) await db.collection('elsewhere').insertOne({});
    await set.client.withSession((session) =>
      session.withTransaction(() => collection.insertOne({ _id: 'in a transaction' as never }, { session })),
    );
    const before = await oplog.last();
    await collection.insertOne({ _id: 'too late' as never });
    const cut = { ts: { ...before, ordinal: before.ordinal + 1 } };
    const replay = new Replay({ collections, begin, cut, spillPath: '/nowhere/' });
    const entry = new OplogEntry();
    let begins: Moment | undefined;
    for await (const { bytes, starts, count } of oplog.entries({ from: begin, cut, collections })) {
      begins ??= { ...entry.read(bytes, starts[0] as number) };
      for (let i = 0; i < count; i++) if (!replay.entry(bytes, starts[i] as number)) break;
      if (replay.cutAt !== undefined) break;
    }
    assert.ok(replay.entriesRead < 20, `${replay.entriesRead} entries travelled`);
    assert.is(rolled(replay.finish(), []).length, 31);
    // By the entry that it begins with, an oplog is known.
    assert.equal([begins?.seconds, begins?.ordinal], [begin.seconds, begin.ordinal]);
    const upTo = (cut: Cut): Promise<boolean> => reaches(oplog, { from: begin, cut, collections });
    assert.ok(await upTo({ wall: before.wall }));
    assert.not.ok(await upTo({ wall: Date.now() + 60_000 }));
    assert.not.ok(await upTo({ ts: { seconds: before.seconds + 60, ordinal: 1 } }));
  });
});

test('what a cursor has fetched is taken as it lies in the reply, and is what the driver gives', async () => {
  const find = (): FindCursor =>
    set.client
      .db('local')
      .collection('oplog.rs')
      .find({}, { raw: true, batchSize: 7, limit: 20, sort: { $natural: 1 } });
  const [ours, drivers] = [find(), find()];
  let count = 0;
  while (await ours.hasNext()) {
    assert.ok(await drivers.hasNext());
    const fetched = takeFetched(ours);
    assert.ok(fetched, 'the driver keeps its replies in another way');
    const { bytes, offsets } = fetched;
    const taken = offsets.map((start) => bytes.subarray(start, start + bytes.readInt32LE(start)));
    assert.equal(taken, (drivers.readBufferedDocuments() as unknown[]).map(asBuffer));
    assert.is(ours.bufferedCount(), 0);
    count += taken.length;
  }
  assert.is(count, 20);
  assert.is(takeFetched({}), undefined);
});

test('of a server that nobody writes to, the entry behind a moment that has passed is waited for', async () => {
  await set.client.db('shop').collection('quiet').insertOne({});
  await withOplog(uriOf('root'), async (oplog) => {
    const from = await oplog.last();
    const cut = { wall: from.wall + 1 };
    const behind = await reaches(oplog, { from, cut, collections: [] });
    assert.ok(behind, 'its next entry comes within twenty seconds');
  });
});

test('a beginning that the oplog has lost is refused with what it covers', async () => {
  await withOplog(uriOf('root'), async (oplog) => {
    const oldest = await oplog.first();
    const error = await refusal(
      countOf(oplog, {
        from: { seconds: oldest.seconds - 60, ordinal: 1 },
        cut: 'end',
        collections: undefined,
      }),
    );
    assert.match(
      error.message,
      /^the oplog of 127\.0\.0\.1:\d+: it begins at \d+,\d+ \(.*Z\), and is needed from /,
    );
    assert.match(error.hint ?? '', /Another member may have a longer oplog/);
  });
});

test('a user without the right is told which one is missing', async () => {
  await set.client.db('admin').command({
    createUser: 'shopper',
    pwd: CANARY_PASSWORD,
    roles: [{ role: 'readWrite', db: 'shop' }],
  });
  const error = await refusal(withOplog(uriOf('shopper'), (oplog) => oplog.first()));
  assert.match(error.message, /may not read the oplog/);
  assert.match(error.hint ?? '', /collection: "oplog\.rs" \}, actions: \["find"\]/);
});

test('a connection string that is not set, wrong, or of nobody is refused', async () => {
  assert.match((await refusal(LiveOplog.open(run, undefined))).message, /source\.oplog\.mongodb is not set/);
  assert.match(
    (await refusal(LiveOplog.open(run, new Secret('nonsense')))).message,
    /source\.oplog\.mongodb\.uri is not a valid/,
  );
  const wrong = new Secret(set.uri.replace(CANARY_PASSWORD, 'x'));
  assert.match(
    (await refusal(LiveOplog.open(run, wrong))).message,
    /^source\.oplog\.mongodb: the server refused the user/,
  );
});

test('a mongos, a shard and a server without an oplog are refused by name', async () => {
  const cluster = await startShardedCluster({ shards: 1 });
  const alone = await startStandalone();
  try {
    for (const [uri, message] of [
      [cluster.uri, /names a mongos, which has no oplog/],
      [cluster.shards[0]?.uri ?? '', /names a shard of a sharded cluster \(shard0\)/],
      [alone.uri, /no member of a replica set, and has no oplog/],
    ] as const)
      assert.match((await refusal(LiveOplog.open(run, new Secret(uri)))).message, message);
  } finally {
    await Promise.all([cluster.stop(), alone.stop()]);
  }
});

test('an oplog that is overwritten while it is read, or was before, gives nothing', async () => {
  // Nothing is overwritten that the server would need for starting again: it has to keep its data often.
  const small = await startReplicaSet({ arguments: ['--oplogSize', '5', '--syncdelay', '1'] });
  const oplog = await LiveOplog.open(run, new Secret(small.uri));
  try {
    const collection = small.client.db('shop').collection<{ _id: number; n: number }>('a');
    await collection.insertMany(Array.from({ length: 12_000 }, (_, i) => ({ _id: i, n: 0 })));
    const from = await oplog.last();
    await collection.updateMany({}, { $inc: { n: 1 } });
    const range = { from, cut: 'end', collections: undefined } as const;
    const batches = oplog.entries(range)[Symbol.asyncIterator]();
    assert.ok(!(await batches.next()).done);
    const text = 'x'.repeat(1024 * 1024);
    for (let i = 0; compareTimestamps(await oplog.first(), from) <= 0; i++) {
      assert.ok(i < 300, 'the server overwrites nothing');
      await small.client.db('shop').collection('other').insertOne({ text });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const rest = async (): Promise<void> => {
      while (!(await batches.next()).done);
    };
    const during = await refusal(rest());
    assert.match(
      during.message,
      /overwrote entries while they were read|it begins at \d+,\d+ .*, and is needed from/,
    );
    const before = await refusal(countOf(oplog, range));
    assert.match(before.message, /it begins at \d+,\d+ \(\S+Z\), and is needed from \d+,\d+ on/);
    assert.match(before.hint ?? '', /take a newer backup/);
  } finally {
    await oplog.close();
    await small.stop();
  }
});

test.run();
