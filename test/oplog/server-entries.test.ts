/** What a server of today writes into its oplog, followed: transactions in parts, deletes and inserts of many, commands on collections. */
import { deserialize, serialize } from 'bson';
import { Binary, type Collection, type Document, Long, type MongoClient, Timestamp } from 'mongodb';
import * as assert from 'uvu/assert';
import { findId } from '../../src/bson/documents.ts';
import { showDocument } from '../../src/bson/show.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { rawDocument } from '../../src/mongo/raw-messages.ts';
import { CannotRoll } from '../../src/oplog/faults.ts';
import { Replay, type ReplayResult, type ReplayScope } from '../../src/oplog/replay.ts';
import { RawConnection } from '../differential/raw-connection.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { rolled } from './by-hand.ts';

let set: ReplicaSet;
let client: MongoClient;
test.before(async () => {
  // Transactions of more than two operations come in parts, as those of more than 16 MB do.
  set = await startReplicaSet({
    parameters: { maxNumberOfTransactionOperationsInSingleOplogEntry: 2, ttlMonitorSleepSecs: 1 },
  });
  client = set.client;
});
test.after(() => set.stop());

let counter = 0;

/** A collection with some documents, and its state. */
class World {
  readonly collection: Collection;
  readonly #uuid: string;
  readonly #begin: Timestamp;
  readonly #base: readonly Buffer[];

  private constructor(collection: Collection, uuid: string, begin: Timestamp, base: readonly Buffer[]) {
    this.collection = collection;
    this.#uuid = uuid;
    this.#begin = begin;
    this.#base = base;
  }

  static async make(count = 20, options: Document = {}): Promise<World> {
    const db = client.db(`entries${counter++}`);
    const collection = await db.createCollection('a', options);
    if (count > 0)
      await collection.insertMany(
        Array.from({ length: count }, (_, i) => ({ _id: i as never, n: i, text: 'x'.repeat(30) })),
      );
    const [info] = await db.listCollections({ name: 'a' }).toArray();
    const uuid = ((info as Document)['info'].uuid as Binary).toString('hex');
    return new World(collection, uuid, await newestTs(), await raw(collection));
  }

  async follow(scope: Partial<ReplayScope> = {}): Promise<ReplayResult> {
    const replay = new Replay({
      collections: [{ collection: 'a', namespace: this.collection.namespace, uuid: this.#uuid }],
      begin: undefined,
      cut: 'end',
      spillPath: '/nowhere/',
      ...scope,
    });
    for (const entry of await this.entries()) if (!replay.entry(entry, 0)) break;
    return replay.finish();
  }

  /** The state of the collection now is what the entries before `cut` give, whatever came later. */
  async agreesAt(cut: Timestamp, then: readonly Buffer[]): Promise<ReplayResult> {
    const ts = { seconds: cut.getHighBits(), ordinal: cut.getLowBits() + 1 };
    const result = await this.follow({ cut: { ts }, looksOn: true });
    const shown = (documents: readonly Buffer[]): string[] =>
      documents.map((each) => showDocument(each)).sort();
    assert.equal(shown(rolled(result, this.#base)), shown(then));
    return result;
  }

  async entries(): Promise<Buffer[]> {
    return raw(client.db('local').collection('oplog.rs'), { ts: { $gt: this.#begin } });
  }

  /** How many entries of this kind there are now, so that a test knows what it tests. */
  async count(filter: Document): Promise<number> {
    return client
      .db('local')
      .collection('oplog.rs')
      .countDocuments({ ts: { $gt: this.#begin }, ...filter });
  }

  /** The oplog gives what the server has, byte for byte. */
  async agrees(
    collection: Collection = this.collection,
    scope: Partial<ReplayScope> = {},
  ): Promise<ReplayResult> {
    const result = await this.follow(scope);
    const byText = (documents: readonly Buffer[]): string[] =>
      documents.map((each) => each.toString('latin1')).sort();
    const server = await raw(collection);
    const ours = rolled(result, this.#base);
    assert.equal(
      ours.map((each) => showDocument(each)).sort(),
      server.map((each) => showDocument(each)).sort(),
    );
    assert.equal(byText(ours), byText(server));
    return result;
  }

  async refuses(message: RegExp): Promise<void> {
    await this.follow().then(
      () => assert.unreachable('it was followed'),
      (fault: Error) => assert.match(fault.message, message),
    );
  }
}

async function raw(collection: Collection, filter: Document = {}): Promise<Buffer[]> {
  const documents = await collection.find(filter, { raw: true, batchSize: 10_000 }).toArray();
  return documents.map((each) => Buffer.from(each as unknown as Uint8Array));
}

async function newestTs(): Promise<Timestamp> {
  const [entry] = await client
    .db('local')
    .collection('oplog.rs')
    .find()
    .sort({ $natural: -1 })
    .limit(1)
    .toArray();
  return entry?.['ts'] as Timestamp;
}

test('deletes of many documents hide in applyOps', async () => {
  const world = await World.make(300);
  await world.collection.deleteMany({ n: { $lt: 200 } });
  assert.ok((await world.count({ 'o.applyOps.op': 'd' })) > 0);
  await world.agrees();
});

test('so do inserts of many', async () => {
  const world = await World.make();
  await world.collection.insertMany(Array.from({ length: 300 }, (_, i) => ({ n: i })));
  assert.ok((await world.count({ multiOpType: 1 })) > 0);
  await world.agrees();
});

test('one document by each command that writes', async () => {
  const world = await World.make();
  const { collection } = world;
  await collection.updateOne({ _id: 1 as never }, { $set: { 'deep.er': [1, { x: 2 }] } });
  await collection.findOneAndUpdate({ _id: 1 as never }, { $push: { 'deep.er': 5 } as never });
  await collection.findOneAndReplace({ _id: 2 as never }, { whole: 'new' });
  await collection.findOneAndDelete({ _id: 3 as never });
  await collection.deleteOne({ _id: 4 as never });
  await collection.updateOne({ _id: 100 as never }, { $set: { made: true } }, { upsert: true });
  await collection.replaceOne({ _id: 101 as never }, { made: true }, { upsert: true });
  await collection.updateMany({ n: { $gt: 10 } }, [
    { $set: { twice: { $multiply: ['$n', 2] } } },
    { $unset: 'text' },
  ]);
  await collection.insertOne({ empty: Timestamp.fromBits(0, 0), when: new Date() });
  await collection.bulkWrite([
    { deleteMany: { filter: { n: { $in: [5, 6] } } } },
    { insertOne: { document: { bulk: 1 } } },
    { updateMany: { filter: { n: 7 }, update: { $inc: { n: 100 } } } },
  ]);
  await world.agrees();
});

test('a transaction in several parts, beside one that is aborted', async () => {
  const world = await World.make();
  const { collection } = world;
  await client.withSession((session) =>
    session.withTransaction(async () => {
      for (let i = 0; i < 7; i++)
        await collection.updateOne({ _id: i as never }, { $set: { inTransaction: i } }, { session });
      await collection.insertMany([{ a: 1 }, { a: 2 }, { a: 3 }], { session });
      await collection.deleteOne({ _id: 15 as never }, { session });
    }),
  );
  await client.withSession(async (session) => {
    session.startTransaction();
    for (let i = 0; i < 7; i++) await collection.deleteOne({ _id: i as never }, { session });
    await session.abortTransaction();
  });
  assert.ok((await world.count({ 'o.partialTxn': true })) >= 4);
  await world.agrees();
});

test('transactions with parts elsewhere are told', async () => {
  const world = await World.make();
  const { collection } = world;
  const other = client.db(collection.dbName).collection('bids');
  await other.insertOne({});
  await client.withSession((session) =>
    session.withTransaction(async () => {
      await collection.deleteOne({ _id: 1 as never }, { session });
      await other.insertOne({}, { session });
    }),
  );
  const { notes } = await world.agrees();
  assert.match(notes.join(), new RegExp(`also changed ${collection.dbName}\\.bids, which is not part`));
});

test('prepared transactions, committed and aborted', async () => {
  const world = await World.make();
  const { collection } = world;
  // The driver has sessions of its own.
  const connection = await RawConnection.open((await set.primary()).port);
  const prepared = async (id: number, end: 'commit' | 'abort'): Promise<void> => {
    const lsid = { id: new Binary(Buffer.alloc(16, id), 4) };
    const run = async (command: Document, $db = 'admin'): Promise<Document> => {
      const session = { lsid, txnNumber: Long.fromNumber(1), autocommit: false, $db };
      const reply = deserialize(await connection.send(Buffer.from(serialize({ ...command, ...session }))));
      assert.is(reply['ok'], 1, JSON.stringify(reply));
      return reply;
    };
    const updates = [{ q: { _id: id }, u: { $set: { prepared: id } } }];
    await run({ update: 'a', updates, startTransaction: true }, collection.dbName);
    const { prepareTimestamp } = await run({ prepareTransaction: 1, writeConcern: { w: 'majority' } });
    if (end === 'commit') await run({ commitTransaction: 1, commitTimestamp: prepareTimestamp });
    else await run({ abortTransaction: 1 });
  };
  await prepared(1, 'commit');
  await prepared(2, 'abort');
  connection.close();
  assert.is(await world.count({ 'o.prepare': true }), 2);
  await world.agrees();
});

test('a rename is followed, also where another collection takes the old name', async () => {
  const world = await World.make();
  const db = client.db(world.collection.dbName);
  const renamed = await world.collection.rename('z');
  await renamed.deleteOne({ _id: 1 as never });
  await db.collection('a').insertOne({ another: true });
  const { notes } = await world.agrees(renamed);
  assert.match(notes.join(), /was renamed to entries\d+\.z/);
});

test('a drop is refused, with the number of documents that were lost', async () => {
  const world = await World.make();
  await world.collection.drop();
  await client.db(world.collection.dbName).collection('a').insertOne({ again: true });
  await world.refuses(/a was dropped with 20 documents at /);
});

test('so is the drop of its database', async () => {
  const world = await World.make();
  await client.db(world.collection.dbName).dropDatabase();
  await world.refuses(/a was dropped with 20 documents at /);
});

test('so is what replaces all documents', async () => {
  const out = await World.make();
  await out.collection.aggregate([{ $match: { n: 1 } }, { $out: 'a' }]).toArray();
  await out.refuses(/a was replaced by /);
  const target = await World.make();
  const other = client.db(target.collection.dbName).collection('other');
  await other.insertOne({});
  await other.rename('a', { dropTarget: true });
  await target.refuses(/a was replaced by entries\d+\.other/);
  const capped = await World.make();
  await client.db(capped.collection.dbName).command({ convertToCapped: 'a', size: 4096 });
  await capped.refuses(/a was (replaced|emptied)/);
});

test('a rename to another database is a new collection there, and the drop of this one', async () => {
  const world = await World.make();
  await client
    .db('admin')
    .command({ renameCollection: world.collection.namespace, to: `elsewhere${counter}.a` });
  await world.refuses(/a was dropped/);
});

test('a transaction that makes a collection', async () => {
  const world = await World.make();
  const { collection } = world;
  const db = client.db(collection.dbName);
  await client.withSession((session) =>
    session.withTransaction(async () => {
      await db.createCollection('made', { session });
      await db.collection('made').insertOne({ n: 1 }, { session });
      await collection.deleteOne({ _id: 1 as never }, { session });
    }),
  );
  assert.ok((await world.count({ 'o.applyOps.o.create': 'made' })) > 0);
  await world.agrees();
});

test('entries that an administrator applies, nested ones too', async () => {
  const world = await World.make();
  const ns = world.collection.namespace;
  const nested = { op: 'c', ns: 'admin.$cmd', o: { applyOps: [{ op: 'd', ns, o: { _id: 2 } }] } };
  const applyOps = [{ op: 'i', ns, o: { _id: 100, n: 1 } }, { op: 'd', ns, o: { _id: 1 } }, nested];
  await client.db('admin').command({ applyOps });
  await world.agrees();
});

test('a collection in the order of its _id, and a capped copy of it', async () => {
  const world = await World.make(20, { clusteredIndex: { key: { _id: 1 }, unique: true } });
  await world.collection.deleteOne({ _id: 1 as never });
  await world.collection.updateMany({ n: { $gt: 10 } }, { $inc: { n: 1 } });
  await world.agrees();
  const copied = await World.make();
  const db = client.db(copied.collection.dbName);
  await db.command({ cloneCollectionAsCapped: 'a', toCollection: 'copy', size: 4096 });
  await copied.collection.deleteOne({ _id: 1 as never });
  await copied.agrees();
});

test('an entry that is larger than the largest document', async () => {
  const world = await World.make();
  const place = temporaryFolder('large-entry');
  const empty = Buffer.from(serialize({ _id: 100, text: '' })).length;
  const text = 'x'.repeat(16 * 1024 * 1024 - empty);
  await world.collection.insertOne({ _id: 100 as never, text });
  await world.collection.updateOne({ _id: 100 as never }, { $set: { text: `y${text.slice(1)}` } });
  const largest = Math.max(...(await world.entries()).map(({ length }) => length));
  assert.ok(largest > 16 * 1024 * 1024, `${largest}`);
  await world.agrees(world.collection, { spillPath: `${place.path}/` });
  place.remove();
});

test('two fields of one name, and odd keys of an array: refused where a diff names them; others go on', async () => {
  const world = await World.make();
  const { collection } = world;
  const twice = Buffer.from(serialize({ _id: 100, x: 1, y: 2 }));
  const odd = Buffer.from(serialize({ _id: 101, r: [1, 2] }));
  twice[twice.indexOf('\x10y\0', 'latin1') + 1] = 'x'.charCodeAt(0);
  odd[odd.indexOf('\x101\0', 'latin1') + 1] = '7'.charCodeAt(0);
  await client.db(collection.dbName).command({ insert: 'a', documents: [twice, odd].map(rawDocument) });
  await collection.updateOne({ _id: 100 as never }, { $set: { other: 1 } });
  await collection.updateOne({ _id: 101 as never }, { $set: { other: 1 } });
  await collection.deleteOne({ _id: 1 as never });
  await world.agrees();
  await collection.updateOne({ _id: 100 as never }, { $set: { x: 9 } });
  await collection.updateOne({ _id: 101 as never }, { $set: { 'r.0': 9 } });
  const result = await world.follow();
  const [touched] = result.touched;
  for (const [id, message] of [
    [100, /two fields of the name "x"/],
    [101, /keys are not 0, 1, 2/],
  ] as const) {
    const number = touched?.find(findId(Buffer.from(serialize({ _id: id }))) as RawValue) as number;
    assert.throws(
      () => touched?.roll(number, undefined, 0, () => undefined),
      (fault: unknown) => fault instanceof CannotRoll && message.test(fault.message),
    );
  }
});

test('indexes and options change no document; options are told', async () => {
  const world = await World.make();
  await world.collection.createIndex({ n: 1 });
  await world.collection.dropIndex('n_1');
  await world.collection.updateMany({ n: { $in: [1, 2] } }, { $set: { same: 1 } });
  await world.collection.createIndex({ same: 1 }, { unique: true }).then(
    () => assert.unreachable('two documents have one key'),
    () => undefined,
  );
  await client.db(world.collection.dbName).command({ dbCheck: 'a' });
  for (const name of ['startIndexBuild', 'abortIndexBuild', 'commitIndexBuild', 'dropIndexes'])
    assert.ok((await world.count({ [`o.${name}`]: 'a' })) > 0, name);
  await client.db(world.collection.dbName).command({ collMod: 'a', validator: { n: { $exists: true } } });
  const { notes } = await world.agrees();
  assert.match(notes.join(), /was given other options \(collMod\)/);
  assert.is(notes.join().match(/a was given other indexes/g)?.length, 1);
});

test('what expires, and what a capped collection overruns, is deleted', async () => {
  const world = await World.make();
  await world.collection.insertOne({ when: new Date(0) });
  await world.collection.createIndex({ when: 1 }, { expireAfterSeconds: 1 });
  for (let i = 0; i < 100 && (await world.collection.countDocuments({ when: { $exists: true } })) > 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  await world.agrees();
  const capped = await World.make(5, { capped: true, size: 100_000, max: 8 });
  for (let i = 0; i < 10; i++) await capped.collection.insertOne({ n: i });
  await capped.agrees();
});

test('an earlier incarnation before the backup does not count', async () => {
  const world = await World.make();
  const db = client.db(world.collection.dbName);
  const begin = await newestTs();
  await world.collection.drop();
  const again = await db.createCollection('a');
  await again.insertMany([{ n: 1 }, { n: 2 }]);
  const [info] = await db.listCollections({ name: 'a' }).toArray();
  const uuid = ((info as Document)['info'].uuid as Binary).toString('hex');
  const replay = new Replay({
    collections: [{ collection: 'a', namespace: again.namespace, uuid }],
    begin: undefined,
    cut: 'end',
    spillPath: '/nowhere/',
  });
  for (const entry of await raw(client.db('local').collection('oplog.rs'), { ts: { $gt: begin } }))
    replay.entry(entry, 0);
  assert.is(rolled(replay.finish(), []).length, 2);
});

/** What happened to `_id` behind the cut. */
function laterOf({ later }: ReplayResult, id: number) {
  const bytes = Buffer.from(serialize({ _id: id }));
  return later[0]?.of(findId(bytes) as RawValue);
}

test('behind the cut: what happened to each document later, and nothing of it in what is restored', async () => {
  const world = await World.make(40);
  const { collection } = world;
  await collection.updateMany({ n: { $lt: 10 } }, { $inc: { n: 100 } });
  const session = client.startSession();
  // Begun before the cut, committed behind it, in several entries.
  session.startTransaction();
  for (const id of [30, 31, 32, 33])
    await collection.updateOne({ _id: id as never }, { $set: { late: 1 } }, { session });
  const then = await raw(collection);
  const cut = await newestTs();
  const began = Date.now();
  await session.commitTransaction();
  await session.endSession();
  await collection.deleteMany({ _id: { $lt: 20 as never } });
  await collection.insertOne({ _id: 3 as never, again: true });
  await collection.insertOne({ _id: 4 as never, again: true });
  await collection.updateOne({ _id: 4 as never }, { $set: { more: 1 } });
  await collection.insertOne({ _id: 5 as never, again: true });
  await collection.deleteOne({ _id: 5 as never });
  for (let i = 0; i < 3; i++) await collection.updateOne({ _id: 25 as never }, { $inc: { n: 1 } });
  await collection.replaceOne({ _id: 26 as never }, { whole: true });
  await client.withSession((aborting) =>
    aborting
      .withTransaction(async () => {
        await collection.deleteOne({ _id: 35 as never }, { session: aborting });
        throw new Error('no');
      })
      .catch(() => undefined),
  );
  const result = await world.agreesAt(cut, then);
  const found = (id: number): unknown => {
    const { end, changes } = laterOf(result, id) ?? {};
    return [end, changes];
  };
  assert.equal(found(2), ['deleted', 1]);
  assert.equal(found(3), ['insertedAgain', 2]);
  assert.equal(found(4), ['insertedAgain', 3]);
  assert.equal(found(5), ['deletedAgain', 3]);
  assert.equal(found(25), ['changed', 3]);
  assert.equal(found(26), ['changed', 1]);
  assert.equal(found(33), ['changed', 1]);
  assert.equal(found(35), [undefined, undefined]);
  assert.equal(found(27), [undefined, undefined]);
  const { first = 0, last = 0 } = laterOf(result, 4) ?? {};
  assert.ok(first >= began - 50 && last >= first && last <= Date.now() + 50, `${began} ${first} ${last}`);
  assert.is(result.laterFault, undefined);
});

test('behind the cut a dropped collection is told, and is no fault', async () => {
  const world = await World.make(7);
  await world.collection.updateOne({ _id: 1 as never }, { $set: { n: 5 } });
  const then = await raw(world.collection);
  const cut = await newestTs();
  await world.collection.deleteOne({ _id: 2 as never });
  await world.collection.drop();
  await world.collection.insertOne({ _id: 2 as never });
  const result = await world.agreesAt(cut, then);
  assert.is(laterOf(result, 2)?.end, 'deleted');
  assert.match(result.laterFault as string, /was dropped with 6 documents at /);
});

test.run();
