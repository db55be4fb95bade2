/** Conditional writes and the identities of writes, on a replica set with access control and on a standalone. */

import { Binary, Decimal128, type Document, deserialize, serialize } from 'bson';
import { type Collection, MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { BSON } from '../../src/bson/types.ts';
import {
  accessTo,
  type Target,
  type TargetCollection,
  type TargetWriter,
  type WriteIdentity,
} from '../../src/target/target.ts';
import { failure, numbered } from '../apply/documents.ts';
import { type OwnServers, ownServers } from '../faults/own-servers.ts';
import { PLAIN, raceEverywhere } from '../faults/race-campaign.ts';
import { until } from '../follow-ups/until.ts';
import { test } from '../harness.ts';
import { setFailPoint, withFailPoint } from '../lab/failpoint.ts';
import { startStandalone } from '../lab/mongod.ts';
import { build } from './every-type.ts';
import { ALL_WRITTEN, insertRaw } from './insert-raw.ts';
import { checkOpenTransaction, checkWhoseInserts, connectTo, idsOf } from './write-checks.ts';

let servers: OwnServers;
let database: string;
let target: Target;
let writer: TargetWriter;
test.before(async () => {
  servers = await ownServers();
  database = servers.databaseName('exact');
  target = await connectTo({ uri: servers.set.uri, database });
  writer = accessTo(target).writer;
});
test.after(async () => {
  await target.close();
  await servers.stop();
});

const theirs = (name: string): Collection<Document> => servers.set.client.db(database).collection(name);
const options = async () => ({ identity: await writer.newIdentity() });
const NOTHING_LEFT = { leftAlone: new Map(), faults: [] };

/** A collection that holds these documents. */
async function filled(name: string, documents: readonly Buffer[]): Promise<TargetCollection> {
  await insertRaw(writer, name, documents);
  const collection = await target.reader.collection(name);
  assert.ok(collection);
  return collection;
}

async function bytesIn(name: string): Promise<Buffer[]> {
  const found = await theirs(name)
    .find({}, { raw: true, sort: { _id: 1 } })
    .toArray();
  return found as unknown as Buffer[];
}

test(
  'rivals that change type, scale, case or order alone lose nothing',
  async () => {
    const sum = await raceEverywhere(servers.set, PLAIN, { documents: 240, database: 'races' });
    assert.is(sum.lost, 0);
    assert.ok(sum.acknowledged > 0 && sum.written > 0, JSON.stringify(sum));
  },
  { deadlineMs: 180_000 },
);

test('what differs in bytes alone is left alone, removed or replaced', async () => {
  const nan = (payload: string): Buffer =>
    build((b) => {
      b.element(BSON.INT32, '_id');
      b.int32(0);
      b.element(BSON.DOUBLE, 'value');
      b.raw(Buffer.from(payload, 'hex'));
    });
  const [seen, there] = [nan('010000000000f87f'), nan('020000000000f87f')];
  const collection = await filled('payload', [there]);
  const changed = { leftAlone: new Map([[0, 'changed']]), faults: [] };
  assert.equal(await writer.remove(collection, [seen], await options()), changed);
  const replacement = { seen, after: numbered(0, 1)[0] as Buffer };
  assert.equal(await writer.replace(collection, [replacement], await options()), changed);
  assert.ok((await bytesIn('payload'))[0]?.equals(there));
});

test('of an _id that another one has taken under a collation, neither is touched', async () => {
  const db = servers.set.client.db(database);
  await db.createCollection('caseless', { collation: { locale: 'en', strength: 2 } });
  const collection = await filled('caseless', [Buffer.from(serialize({ _id: 'ABC' }))]);
  const outcome = await writer.remove(collection, [Buffer.from(serialize({ _id: 'abc' }))], await options());
  assert.equal(outcome, { leftAlone: new Map([[0, 'changed']]), faults: [] });
  assert.is(await theirs('caseless').countDocuments(), 1);
});

test('documents that a validator refuses do not keep the others out', async () => {
  const seen = numbered(0, 300);
  const collection = await filled('validated', seen);
  await servers.set.client
    .db(database)
    .command({ collMod: 'validated', validator: { n: { $exists: true } } });
  const after = (i: number): Document => (i % 3 === 0 ? { _id: i } : { _id: i, n: 1 });
  const outcome = await writer.replace(
    collection,
    seen.map((each, i) => ({ seen: each, after: Buffer.from(serialize(after(i))) })),
    await options(),
  );
  const refused = outcome.faults.map(({ index }) => index).sort((a, b) => a - b);
  assert.equal(
    refused,
    Array.from({ length: 100 }, (_, i) => 3 * i),
  );
  assert.ok(outcome.faults.every(({ code }) => code === 121));
  assert.is(outcome.leftAlone.size, 0);
  assert.is(await theirs('validated').countDocuments({ n: 1 }), 200);
});

test('a replacement that the server does not take keeps no other out', async () => {
  const seen = numbered(0, 6);
  const collection = await filled('names', seen);
  const deep = (levels: number): Document => (levels === 0 ? {} : { a: deep(levels - 1) });
  const odd = new Map<number, Document>([
    [1, { $set: 1 }],
    [4, deep(190)],
  ]);
  const after = seen.map((_, _id) => Buffer.from(serialize({ _id, ...odd.get(_id) })));
  const outcome = await writer.replace(
    collection,
    seen.map((each, i) => ({ seen: each, after: after[i] as Buffer })),
    await options(),
  );
  const refused = outcome.faults.map(({ index }) => index).sort((a, b) => a - b);
  assert.equal(refused, [1, 4], JSON.stringify(outcome.faults));
  assert.is(outcome.leftAlone.size, 0);
  assert.is(await theirs('names').countDocuments({ text: { $exists: true } }), 2);
});

test('a document that somebody holds in a transaction is waited for, and keeps no other waiting', async () => {
  const seen = numbered(0, 20);
  const collection = await filled('held', seen);
  const session = servers.set.client.startSession();
  session.startTransaction();
  await theirs('held').updateOne({ _id: 7 as never }, { $set: { text: 'held' } }, { session });
  const removing = writer.remove(collection, seen, await options());
  await until(async () => (await theirs('held').countDocuments()) === 1);
  await session.abortTransaction();
  await session.endSession();
  assert.equal(await removing, NOTHING_LEFT);
  assert.equal(await bytesIn('held'), []);
});

test('of documents that somebody holds, none is lost when the connection breaks while they are waited for', async () => {
  const seen = numbered(0, 20);
  const collection = await filled('held-long', seen);
  const session = servers.set.client.startSession();
  session.startTransaction();
  await theirs('held-long').updateMany(
    { _id: { $in: [3, 7] as never[] } },
    { $set: { text: 'held' } },
    { session },
  );
  const removing = writer.remove(collection, seen, await options());
  await until(async () => (await theirs('held-long').countDocuments()) === 2);
  const data = { failCommands: ['find'], appName: 'restore-plan', closeConnection: true };
  const setting = { name: 'failCommand', mode: { times: 1 }, data } as const;
  const fault = await setFailPoint(servers.set.client, setting);
  await until(async () => (await fault.timesFired()) > 0);
  await fault.off();
  await session.abortTransaction();
  await session.endSession();
  assert.equal(await removing, NOTHING_LEFT);
  assert.equal(await bytesIn('held-long'), []);
});

test('a document of 16 MiB is written, or refused by name where the cache is too small for the transaction', async () => {
  const large = (n: number): Buffer =>
    Buffer.from(serialize({ _id: n, bytes: new Binary(Buffer.alloc(16 * 1024 * 1024 - 64, n)) }));
  const collection = await filled('large', [large(1)]);
  const small = { seen: large(1), after: Buffer.from(serialize({ _id: 1, bytes: 'small' })) };
  const outcome = await writer.replace(collection, [small], await options());
  const codes = outcome.faults.map(({ code }) => code);
  assert.ok(codes.length === 0 || (codes.length === 1 && codes[0] === 388), codes.join());
  assert.is(await theirs('large').countDocuments({ bytes: 'small' }), codes.length === 0 ? 1 : 0);
});

for (const [what, data, isLost] of [
  ['the connection breaks', { closeConnection: true }, true],
  ['the majority is late', { writeConcernError: { code: 64, errmsg: 'late' } }, false],
] as const) {
  test(`a commit whose answer is not clean (${what}) is asked for again, and settled exactly`, async () => {
    const name = isLost ? 'broken' : 'late';
    const seen = numbered(0, 3);
    const collection = await filled(name, seen);
    const data2 = { failCommands: ['commitTransaction'], appName: 'restore-plan', ...data };
    const setting = { name: 'failCommand', mode: { times: 1 }, data: data2 } as const;
    let outcome: unknown;
    const fired = await withFailPoint(servers.set.client, setting, async () => {
      outcome = await writer.remove(collection, seen, await options());
    });
    assert.ok(fired > 0);
    assert.equal(outcome, NOTHING_LEFT);
    assert.equal(await bytesIn(name), []);
  });
}

test('the lock is asked for before each attempt, and its loss ends the transaction', async () => {
  const seen = numbered(0, 3);
  const collection = await filled('locked', seen);
  let asked = 0;
  const beforeAttempt = async (): Promise<void> => {
    if (++asked > 1) throw new Error('lost');
  };
  const data = { failCommands: ['commitTransaction'], appName: 'restore-plan', errorCode: 91 };
  const setting = { name: 'failCommand', mode: { times: 1 }, data } as const;
  const fired = await withFailPoint(servers.set.client, setting, async () => {
    const error = await writer
      .remove(collection, seen, { ...(await options()), beforeAttempt })
      .catch((e) => e as Error);
    assert.is((error as Error).message, 'lost');
  });
  assert.ok(fired > 0);
  await theirs('locked').updateOne({ _id: 0 as never }, { $set: { text: 'free' } }, { maxTimeMS: 5_000 });
  assert.is(await theirs('locked').countDocuments(), 3);
});

test('killed inside a transaction: a new connection frees the documents at once', async () => {
  await checkOpenTransaction(
    { uri: servers.set.uri, client: servers.set.client, database, collection: 'open' },
    'aborted',
  );
});

test('what became of a write can be asked afterwards', async () => {
  const collection = await filled('settled', numbered(0, 3));
  const identity = (await writer.newIdentity()) as WriteIdentity;
  assert.is(await writer.settleTransaction('settled', identity), 'aborted', 'nothing was begun');
  await writer.remove(collection, numbered(0, 2), { identity });
  assert.is(await writer.settleTransaction('settled', identity), 'committed');
  assert.is(await writer.settleTransaction('settled', identity), 'committed', 'it may be asked again');
  const long = { ...identity, lsid: Buffer.alloc(16, 1), at: identity.at - 30 * 60_000 };
  assert.is(await writer.settleTransaction('settled', long), 'unknown', 'a server forgets');
  assert.is(await writer.settleTransaction('settled', { ...identity, user: 'somebody@admin' }), 'unknown');
});

test('of a batch of several transactions it is not said that all of it was written', async () => {
  const text = 'x'.repeat(1024 * 1024);
  const seen = numbered(0, 6, text);
  const collection = await filled('parts', seen);
  const identity = (await writer.newIdentity()) as WriteIdentity;
  await writer.remove(collection, seen, { identity });
  assert.equal(await bytesIn('parts'), []);
  for (const _ of ['once', 'again']) {
    assert.is(await writer.settleTransaction('parts', identity), 'unknown');
  }
});

test('killed after its inserts: a new connection finds out which were its own', async () => {
  await checkWhoseInserts({
    uri: servers.set.uri,
    client: servers.set.client,
    database,
    collection: 'whose',
  });
});

test('an insert runs in the session that was noted, and not in one of the driver', async () => {
  const identity = (await writer.newIdentity()) as WriteIdentity;
  await insertRaw(writer, 'noted', numbered(0, 2), { identity });
  const id = new Binary(identity.lsid, Binary.SUBTYPE_UUID);
  const kept = await servers.set.client.db('config').collection('transactions').findOne({ '_id.id': id });
  assert.is(Number(kept?.['txnNum']), identity.txnNumber);
  const ids = idsOf(numbered(0, 9));
  assert.equal(await writer.executedStatements('noted', identity, ids), new Set([0, 1]));
});

test('an insert that is sent again writes only what did not arrive, and all of it counts as written', async () => {
  const identity = (await writer.newIdentity()) as WriteIdentity;
  const documents = numbered(0, 4);
  await insertRaw(writer, 'again', documents.slice(0, 2), { identity });
  await theirs('again').deleteOne({ _id: 0 as never });
  const outcome = await insertRaw(writer, 'again', documents, { identity });
  assert.equal(outcome, ALL_WRITTEN);
  assert.equal(
    (await bytesIn('again')).map((each) => deserialize(each)['_id']),
    [1, 2, 3],
  );
});

test('whose an insert was is unknown to another user, and after the time that a server remembers', async () => {
  const identity = (await writer.newIdentity()) as WriteIdentity;
  await insertRaw(writer, 'forgotten', numbered(0, 2), { identity });
  const ids = idsOf(numbered(0, 2));
  const long = { ...identity, at: identity.at - 26 * 60_000 };
  assert.is(await writer.executedStatements('forgotten', long, ids), 'unknown');
  const admin = servers.set.client.db('admin');
  await admin.command({ createUser: 'other', pwd: 'canary-other', roles: ['readWriteAnyDatabase'] });
  const uri = servers.set.uri.replace(/\/\/[^@]*@/, '//other:canary-other@');
  const other = await connectTo({ uri, database });
  try {
    const asked = accessTo(other).writer;
    assert.is(await asked.executedStatements('forgotten', identity, ids), 'unknown');
    assert.is(await asked.settleTransaction('forgotten', identity), 'unknown');
  } finally {
    await other.close();
  }
});

test('--exclusive is wrong on a replica set', async () => {
  const collection = await filled('exclusive', numbered(0, 1));
  const refusal = await failure(
    writer.remove(collection, numbered(0, 1), { identity: undefined, exclusive: true }),
  );
  assert.is(refusal.code, 'USAGE');
  assert.match(refusal.message, 'transactions');
});

test('a standalone wants the word that nobody else writes, and then compares bytes', async () => {
  const standalone = await startStandalone();
  const place = { uri: standalone.uri, database };
  const there = await connectTo(place);
  const client = await new MongoClient(standalone.uri, { appName: 'lab' }).connect();
  try {
    const alone = accessTo(there).writer;
    assert.is(await alone.newIdentity(), undefined);
    const text = (value: string): Buffer =>
      Buffer.from(serialize({ _id: 0, text: value, price: Decimal128.fromString('1.5') }));
    await insertRaw(alone, 'a', [text('seen'), ...numbered(1, 4)]);
    const a = (await there.reader.collection('a')) as TargetCollection;
    const refusal = await failure(alone.remove(a, numbered(1, 4), { identity: undefined }));
    assert.is(refusal.code, 'TARGET');
    assert.match(refusal.hint ?? '', 'exclusive: true');
    const exclusive = { identity: undefined, exclusive: true };
    await client
      .db(database)
      .collection('a')
      .updateOne({ _id: 0 as never }, { $set: { price: Decimal128.fromString('1.50') } });
    const outcome = await alone.remove(a, [text('seen'), ...numbered(1, 5)], exclusive);
    const left = new Map([
      [0, 'changed'],
      [4, 'deleted'],
    ]);
    assert.equal(outcome, { leftAlone: left, faults: [] });
    const large = (n: number): Buffer =>
      Buffer.from(serialize({ _id: 9, n, bytes: new Binary(Buffer.alloc(9 * 1024 * 1024, n)) }));
    await insertRaw(alone, 'a', [large(1)]);
    const replacement = [{ seen: large(1), after: large(2) }];
    assert.equal(await alone.replace(a, replacement, exclusive), NOTHING_LEFT);
    // A server before 5.0 has no variables in an update; then sizes are compared.
    const data = { failCommands: ['update'], errorCode: 40415, appName: 'restore-plan' };
    const fault = await setFailPoint(client, { name: 'failCommand', mode: { times: 2 }, data });
    assert.equal(await alone.replace(a, [{ seen: large(2), after: large(3) }], exclusive), NOTHING_LEFT);
    assert.is(await fault.timesFired(), 2);
    const identity = { lsid: Buffer.alloc(16), txnNumber: 1, user: '', at: Date.now() };
    assert.is(await alone.executedStatements('a', identity, idsOf(numbered(0, 1))), 'unknown');
  } finally {
    await client.close();
    await there.close();
    await standalone.stop();
  }
});

test.run();
