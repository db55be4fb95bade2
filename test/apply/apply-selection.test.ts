import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize } from 'bson';
import { MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { storedForm } from '../../src/bson/documents.ts';
import { BSON } from '../../src/bson/types.ts';
import { TargetMemory } from '../../src/comparison/target-memory.ts';
import { JOURNAL } from '../../src/ledger/layout.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startStandalone } from '../lab/mongod.ts';
import { mongodump } from '../lab/tools.ts';
import { build, everyIdDocuments, everyTypeDocuments, nested } from '../target/every-type.ts';
import { failure, numbered } from './documents.ts';
import { openWorkbench, type Workbench, withWorkbench } from './workbench.ts';

let lab: Lab;
let bench: Workbench;

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  bench = openWorkbench(lab);
});
test.after.each(() => bench.close());
test.after(() => lab.close());

test('documents of every type: mongodump of the target gives the files of the backup', async () => {
  const types = everyTypeDocuments();
  const ids = everyIdDocuments();
  const selection = bench.selection([
    { collection: 'types', documents: types },
    { collection: 'ids', documents: ids },
  ]);
  const result = await bench.apply(selection, 'staging');
  assert.ok(result.verified);
  await bench.expectRestored('staging', selection, { types, ids });
  const folder = temporaryFolder('dump');
  await mongodump(lab.staging.uri, ['--db', bench.plan.targets.staging.database, '--out', folder.path]);
  const dumped = readFileSync(join(folder.path, bench.plan.targets.staging.database, 'types.bson'));
  assert.ok(dumped.equals(Buffer.concat(types)), 'the dump of types is the backup, byte for byte');
  folder.remove();
});

test('a missing collection is created with the options and indexes of the backup, fields of an index in order', async () => {
  const metadata =
    '{"options":{"collation":{"locale":"fr","strength":{"$numberInt":"2"}},"validator":{"n":{"$exists":true}},"validationLevel":"moderate"},' +
    '"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_","collation":{"locale":"fr","strength":{"$numberInt":"2"}}},' +
    '{"v":{"$numberInt":"2"},"unique":true,"key":{"b":{"$numberInt":"1"},"2":{"$numberInt":"-1"},"1":{"$numberInt":"1"}},"name":"b_2_1"}],' +
    '"uuid":"bfca7a6a9dd44cb5bd4a5e4d8c8e5c4e","collectionName":"artworks","type":"collection"}';
  const documents = [
    build((b) => {
      b.element(BSON.INT32, '_id');
      b.int32(1);
      b.element(BSON.INT32, 'n');
      b.int32(1);
    }),
  ];
  const selection = bench.selection([{ collection: 'artworks', documents, metadata }]);
  await bench.apply(selection, 'staging');
  const { reader, close } = await bench.connect('staging');
  const made = await reader.collection('artworks');
  assert.ok(made?.collated);
  assert.ok(made?.validator);
  assert.equal(
    made?.indexes.map(({ key, unique }) => ({ key, unique })),
    [
      { key: [['_id', 1]], unique: false },
      {
        key: [
          ['b', 1],
          ['2', -1],
          ['1', 1],
        ],
        unique: true,
      },
    ],
  );
  assert.ok(bench.events.some((event) => event.type === 'collection-created' && event.indexes === 2));
  await close();
});

test('a collection that somebody makes after its creation was cut off keeps the indexes it has', async () => {
  const metadata =
    '{"options":{},"indexes":[{"v":{"$numberInt":"2"},"unique":true,"key":{"slug":{"$numberInt":"1"}},"name":"slug_1"}],' +
    '"collectionName":"a","type":"collection"}';
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 5), metadata }]);
  const cutOff = await bench
    .apply(selection, 'staging', {
      checkpoint: async (name) => {
        if (name === 'collection-intended') throw new Error('cut off');
      },
    })
    .catch((error: Error) => error.message);
  assert.is(cutOff, 'cut off');
  const a = (await bench.db('staging')).collection('a');
  await a.insertMany([{ _id: 98 as never }, { _id: 99 as never }]);
  assert.ok((await bench.apply(selection, 'staging')).verified);
  assert.is((await a.indexes()).length, 1);
  assert.ok(bench.events.some((event) => event.type === 'warning' && event.message.includes('cut off')));
});

test('T6 what is there already stays: identical documents, and others of the same _id', async () => {
  const documents = numbered(0, 10);
  const db = lab.staging.client.db(bench.plan.targets.staging.database);
  await db.collection('a').insertMany([
    { _id: 3 as never, text: 'as in the backup' },
    { _id: 4 as never, text: 'written by the application' },
    { _id: 99 as never, text: 'not in the selection' },
  ]);
  const selection = bench.selection([{ collection: 'a', documents }]);
  const result = await bench.apply(selection, 'staging');
  const [counts] = result.collections;
  assert.equal(counts, {
    collection: 'a',
    into: 'a',
    inserted: 8,
    identical: 1,
    replaced: 0,
    kept: 1,
    conflict: 0,
    refused: 0,
    ...{ heldBack: 0, excepted: 0, doubtful: 0 },
  });
  assert.ok(result.verified);
  const changed = numbered(4, 5, 'written by the application');
  const other = numbered(99, 100, 'not in the selection');
  await bench.expectRestored('staging', selection, {
    a: [...documents.slice(0, 4), ...changed, ...documents.slice(5), ...other],
  });
});

test('an _id that a selection repeats is restored once and verified; production opens where the copies are alike', async () => {
  // `plan` leaves repeated documents out when it selects; a caller's own selection may hold them.
  const documents = numbered(0, 4);
  const [first, second] = documents as [Buffer, Buffer];
  const [otherFirst] = numbered(0, 1, 'the same _id with another content') as [Buffer];
  const selection = bench.selection([
    { collection: 'a', documents: [...documents, first, second, otherFirst] },
  ]);
  const result = await bench.apply(selection, 'staging');
  const [counts] = result.collections;
  assert.equal([counts?.inserted, counts?.identical, counts?.kept], [4, 2, 1]);
  assert.ok(result.verified);
  const again = await bench.apply(selection, 'staging');
  assert.equal([again.collections[0]?.inserted, again.collections[0]?.kept, again.verified], [0, 1, true]);
  const refusal = await failure(bench.apply(selection, 'production'));
  assert.match(refusal.message, '1 document of the selection differs on staging');

  const alike = bench.selection([{ collection: 'a', documents: [...documents, first, second] }]);
  await bench.apply(alike, 'staging');
  await bench.apply(alike, 'production');
  assert.equal(await bench.documents('production', 'a'), documents);
});

test('a second run finds everything there and changes nothing', async () => {
  const documents = numbered(0, 500);
  const selection = bench.selection([{ collection: 'a', documents }]);
  await bench.apply(selection, 'staging');
  const [before] = await bench.runs('staging');
  const again = await bench.apply(selection, 'staging');
  assert.is(again.collections[0]?.inserted, 0);
  assert.is(again.collections[0]?.identical, 500);
  await bench.expectRestored('staging', selection, { a: documents });
  const [after] = await bench.runs('staging');
  assert.is(after?.collections[0]?.inserted, 500, 'the ledger still knows that they were ours');
  assert.equal(after?.verifiedAt, before?.verifiedAt, 'what nobody touched stays verified since then');
});

test('a run that stops early leaves the counts of the run before it, unless that was taken back', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 30) }]);
  const stopEarly = async (): Promise<void> => {
    const stopped = new AbortController();
    const checkpoint = async (name: string): Promise<void> => void (name === 'run-begun' && stopped.abort());
    const refusal = await failure(bench.apply(selection, 'staging', { signal: stopped.signal, checkpoint }));
    assert.is(refusal.code, 'INCOMPLETE');
  };
  const inserted = async () => (await bench.runs('staging'))[0]?.collections[0]?.inserted;
  await bench.apply(selection, 'staging');
  await stopEarly();
  assert.is(await inserted(), 30);
  await bench.revert(selection, 'staging');
  await stopEarly();
  assert.is(await inserted(), 0);
});

test('production opens after staging was verified, and not before', async () => {
  const documents = numbered(0, 20);
  const selection = bench.selection([{ collection: 'a', documents }]);
  const refusal = await failure(bench.apply(selection, 'production'));
  assert.is(refusal.code, 'GATE');
  assert.equal(await bench.documents('production', 'a'), []);
  await bench.apply(selection, 'staging');
  await bench.apply(selection, 'production');
  await bench.expectRestored('production', selection, { a: documents });
});

test('whenMatched: replace puts the backup in the place of what differs, and keeps before-images', async () => {
  const documents = numbered(0, 10);
  const db = lab.staging.client.db(bench.plan.targets.staging.database);
  await db.collection('a').insertMany([{ _id: 4 as never, text: 'written by the application' }]);
  const selection = bench.selection([{ collection: 'a', documents, whenMatched: 'replace' }]);
  const result = await bench.apply(selection, 'staging');
  assert.is(result.collections[0]?.replaced, 1);
  assert.is(result.collections[0]?.inserted, 9);
  await bench.expectRestored('staging', selection, { a: documents });
});

test('documents are replaced in batches that fit one transaction, each with an entry of its own', async () => {
  const sized = (fill: string) =>
    Array.from({ length: 9 }, (_, i) => numbered(i, i + 1, fill.repeat(700_000))[0] as Buffer);
  const db = await bench.db('staging');
  const others = sized('o').map((raw) => deserialize(raw));
  await db.collection('a').insertMany(others);
  const documents = sized('b');
  const selection = bench.selection([{ collection: 'a', documents, whenMatched: 'replace' }]);
  await bench.apply(selection, 'staging');
  await bench.expectRestored('staging', selection, { a: documents });
  const entries = await db.collection(JOURNAL).find({ action: 'replace' }).toArray();
  // Two documents of 0.7 MB each, as seen and as they shall be, are 2.8 MB.
  assert.is(entries.length, 5);
  await bench.revert(selection, 'staging');
  const back = await db.collection('a').find().sort({ _id: 1 }).toArray();
  assert.ok(back.every(({ text }) => text === 'o'.repeat(700_000)));
});

test('on a standalone documents are replaced on the word that nobody else writes, which is recorded', async () => {
  const alone = await startStandalone();
  const client = await new MongoClient(alone.uri).connect();
  try {
    await withWorkbench({ ...lab, staging: { uri: alone.uri, client } }, async (there) => {
      const db = await there.db('staging');
      await db.collection('a').insertOne({ _id: 4 as never, text: 'written by the application' });
      const documents = numbered(0, 10);
      const selection = there.selection([{ collection: 'a', documents, whenMatched: 'replace' }]);
      const refusal = await failure(there.apply(selection, 'staging'));
      assert.is(refusal.code, 'TARGET');
      assert.match(refusal.hint ?? '', 'exclusive: true');
      assert.equal(await there.runs('staging'), [], 'nothing was written');
      await there.apply(selection, 'staging', { exclusive: true });
      await there.expectRestored('staging', selection, { a: documents });
      await there.revert(selection, 'staging', { exclusive: true });
      const [run] = await there.runs('staging');
      assert.is(run?.exclusive?.length, 2, 'of the apply and of the revert');
    });
  } finally {
    await client.close();
    await alone.stop();
  }
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 1) }]);
  assert.is((await failure(bench.apply(selection, 'staging', { exclusive: true }))).code, 'USAGE');
});

test('T8 whenMatched: replace leaves a document alone that is another one than the dry-run saw', async () => {
  const db = await bench.db('staging');
  await db.collection('a').insertMany([
    { _id: 3 as never, text: 'seen' },
    { _id: 4 as never, text: 'seen' },
  ]);
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, 10), whenMatched: 'replace' },
  ]);
  const memory = TargetMemory.empty(selection.manifest, 0);
  const [third, fourth] = (await bench.documents('staging', 'a')) as [Buffer, Buffer];
  memory.remember('a', 3, third);
  memory.remember('a', 4, fourth);
  await db.collection('a').updateOne({ _id: 4 as never }, { $set: { text: 'changed since the dry-run' } });
  const result = await bench.apply(selection, 'staging', { memory });
  assert.is(result.collections[0]?.replaced, 1);
  assert.is(result.collections[0]?.conflict, 1);
  assert.match(result.notices[0]?.reason ?? '', 'dry-run');
  const changed = numbered(4, 5, 'changed since the dry-run')[0] as Buffer;
  assert.ok((await bench.documents('staging', 'a'))[4]?.equals(changed));
});

test('a memory of a dry-run is read back, and one that is damaged is none', async () => {
  const { manifest } = bench.selection([{ collection: 'a', documents: numbered(0, 3) }]);
  const { reader } = await bench.target('staging');
  const memory = TargetMemory.empty(manifest, 7);
  memory.remember('a', 1, 'absent');
  await memory.save(bench.workDirectory, reader);
  const loaded = await TargetMemory.load(bench.workDirectory, manifest, reader);
  assert.is(loaded?.seenAt, 7);
  assert.is(loaded?.changeOf('a', 1, 'same'), 'appeared');
  const [file] = readdirSync(join(bench.workDirectory, 'seen'));
  const path = join(bench.workDirectory, 'seen', file as string);
  const whole = readFileSync(path);
  for (const damaged of [
    Buffer.from('null\n'),
    Buffer.from('[]\n'),
    whole.subarray(0, -1),
    Buffer.alloc(0),
  ]) {
    writeFileSync(path, damaged);
    assert.is(await TargetMemory.load(bench.workDirectory, manifest, reader), undefined);
  }
});

test('whenMatched: fail writes nothing when one document differs', async () => {
  const db = lab.staging.client.db(bench.plan.targets.staging.database);
  await db.collection('b').insertMany([{ _id: 4 as never, text: 'written by the application' }]);
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, 10) },
    { collection: 'b', documents: numbered(0, 10), whenMatched: 'fail' },
  ]);
  const refusal = await failure(bench.apply(selection, 'staging'));
  assert.is(refusal.code, 'CONFLICTS');
  assert.match(refusal.message, 'b {"$numberInt":"4"}');
  assert.equal(await bench.documents('staging', 'a'), []);
  assert.is((await bench.documents('staging', 'b')).length, 1);
});

test('whenMatched: fail leaves the record of an earlier run as it is', async () => {
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, 10), whenMatched: 'fail' },
    { collection: 'b', documents: numbered(0, 10) },
  ]);
  await bench.apply(selection, 'staging');
  const before = await bench.runs('staging');
  const db = lab.staging.client.db(bench.plan.targets.staging.database);
  await db.collection('a').updateOne({ _id: 4 as never }, { $set: { text: 'changed since the restore' } });
  assert.is((await failure(bench.apply(selection, 'staging'))).code, 'CONFLICTS');
  assert.equal(await bench.runs('staging'), before);
});

test('a run that is stopped before it holds the lock leaves nothing behind', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 10) }]);
  const stopped = new AbortController();
  const reason = new Error('stopped by the test');
  const confirm = async (): Promise<void> => stopped.abort(reason);
  await bench.apply(selection, 'staging', { confirm, signal: stopped.signal }).then(
    () => assert.unreachable('it went on'),
    (error: unknown) => assert.is(error, reason),
  );
  const db = lab.staging.client.db(bench.plan.targets.staging.database);
  assert.equal(await db.listCollections().toArray(), []);
});

test('a run that is stopped while the gate is checked looks for no further documents', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 10) }]);
  await bench.apply(selection, 'staging');
  const reason = new Error('stopped by the test');
  const signal = AbortSignal.abort(reason);
  await bench.apply(selection, 'production', { signal }).then(
    () => assert.unreachable('it went on'),
    (error: unknown) => assert.is(error, reason),
  );
  assert.not(bench.events.some(({ type }) => type === 'gate-opened'));
});

test('T6 T7 a unique key held by another document is a conflict, a document the validator refuses is refused, the rest goes in', async () => {
  const db = lab.staging.client.db(bench.plan.targets.staging.database);
  await db.createCollection('a', { validator: { text: { $ne: 'forbidden' } } });
  await db.collection('a').createIndex({ slug: 1 }, { unique: true, sparse: true });
  await db.collection('a').insertOne({ _id: 99 as never, slug: 'taken' });
  const withSlug = build((b) => {
    b.element(BSON.INT32, '_id');
    b.int32(50);
    b.element(BSON.STRING, 'slug');
    b.string('taken');
  });
  const documents = [...numbered(0, 10), withSlug, ...numbered(60, 61, 'forbidden')];
  const selection = bench.selection([{ collection: 'a', documents }]);
  const result = await bench.apply(selection, 'staging');
  assert.is(result.verified, false);
  assert.is(result.collections[0]?.inserted, 10);
  assert.is(result.collections[0]?.conflict, 1);
  assert.is(result.collections[0]?.refused, 1);
  assert.equal(
    result.notices.map(({ id, outcome }) => [id, outcome]),
    [
      ['{"$numberInt":"50"}', 'conflict'],
      ['{"$numberInt":"60"}', 'refused'],
    ],
  );
  assert.match(result.notices[0]?.reason ?? '', 'slug');
  const [run] = await bench.runs('staging');
  assert.is(run?.status, 'incomplete');
});

test('documents that no server would take are refused by name, and do not keep the rest out', async () => {
  const good = numbered(0, 3);
  const bad = [
    build((b) => {
      b.element(BSON.INT32, 'n');
      b.int32(1);
    }),
    build((b) => {
      b.element(BSON.ARRAY, '_id');
      b.raw(build(() => undefined));
    }),
    build((b) => {
      b.element(BSON.REGEX, '_id');
      b.raw(Buffer.from('a\0\0'));
    }),
    build((b) => {
      b.element(BSON.UNDEFINED, '_id');
    }),
    build((b) => {
      b.element(BSON.INT32, '_id');
      b.int32(7);
      b.element(BSON.OBJECT, 'deep');
      b.raw(nested(181));
    }),
  ];
  const selection = bench.selection([{ collection: 'a', documents: [...bad, ...good] }]);
  const result = await bench.apply(selection, 'staging');
  assert.is(result.collections[0]?.refused, 5);
  assert.is(result.collections[0]?.inserted, 3);
  assert.is(result.notices.length, 5);
});

test('an _id that is not first is moved to the front, and said', async () => {
  const odd = build((b) => {
    b.element(BSON.INT32, 'n');
    b.int32(1);
    b.element(BSON.INT32, '_id');
    b.int32(5);
  });
  const selection = bench.selection([{ collection: 'a', documents: [odd] }]);
  assert.ok((await bench.apply(selection, 'staging')).verified);
  assert.ok((await bench.apply(selection, 'staging')).verified);
  await bench.expectRestored('staging', selection, { a: [storedForm(odd)] });
  assert.ok(bench.events.some((event) => event.type === 'warning' && event.message.includes('_id')));
});

test.run();
