/** Every class of a document, against a real server. */
import { Binary, Decimal128, Double, Int32, Long, ObjectId } from 'bson';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { compare, toBytes } from './comparing.ts';

let lab: Lab;
let target: Db;
let where: { uri: string; database: string };

test.before(async () => {
  lab = await openLab();
});
test.before.each(() => {
  target = lab.database('comparison');
  where = { uri: lab.staging.uri, database: target.databaseName };
});
test.after(() => lab.close());

test('a collection the target lacks would be created, all its documents inserted', async () => {
  const metadata = '{"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}]}';
  const documents = [{ _id: 1 }, { _id: 2 }];
  const { first } = await compare({ ...where, collections: { artworks: { documents, metadata } } });
  assert.equal(first.wouldCreate, { indexes: 1 });
  assert.is(first.counts.insert, 2);
});

test('documents are told apart by bytes: 1 is not 1.0', async () => {
  const id = new ObjectId();
  await target.collection('artworks').insertOne({ _id: id, price: new Double(1), same: 'x', gone: 1 });
  const { first } = await compare({
    ...where,
    collections: {
      artworks: {
        documents: [{ _id: id, price: new Int32(1), same: 'x', added: [1] }, { _id: new ObjectId() }],
      },
    },
  });
  assert.is(first.counts.different, 1);
  assert.is(first.counts.insert, 1);
  const [different] = first.documents;
  assert.equal(different?.differences, [
    { path: 'price', backup: '1', target: '1.0', backupType: 'int', targetType: 'double' },
    { path: 'added', backup: '[1]', target: undefined, backupType: undefined, targetType: undefined },
    { path: 'gone', backup: undefined, target: '1', backupType: undefined, targetType: undefined },
  ]);
});

test('a document whose _id is not first is identical to what the server made of it', async () => {
  await target.collection('artworks').insertOne({ _id: 7, title: 'x' } as never);
  const { first } = await compare({
    ...where,
    collections: { artworks: { documents: [{ title: 'x', _id: 7 }] } },
  });
  assert.is(first.counts.identical, 1);
});

test('a softDelete that compares text is warned of where the collection compares text by a collation', async () => {
  await target.createCollection('artworks', { collation: { locale: 'en', strength: 2 } });
  await target.collection('artworks').insertOne({ _id: 1, state: 'Deleted' } as never);
  const warningsWith = async (softDelete: object): Promise<readonly string[]> => {
    const artworks = { documents: [{ _id: 1 }], settings: { softDelete: toBytes(softDelete) } };
    return (await compare({ ...where, collections: { artworks } })).first.warnings;
  };
  assert.match((await warningsWith({ state: 'deleted' })).join(), /softDelete byte by byte/);
  assert.equal(await warningsWith({ deleted: true }), []);
});

test('documents that are far larger in the target come in the order of the backup, refused ones among them', async () => {
  const large = new Binary(Buffer.alloc(1024 * 1024));
  for (let _id = 0; _id < 40; _id++)
    await target.collection('artworks').insertOne({ _id: _id as never, large });
  const documents = Array.from({ length: 42 }, (_, _id) => (_id % 10 === 9 ? { text: 'no _id' } : { _id }));
  const order: number[] = [];
  const { first } = await compare({
    ...where,
    collections: { artworks: { documents } },
    each: ({ index }) => order.push(index),
  });
  assert.equal(order, [...documents.keys()]);
  assert.equal([first.counts.different, first.counts.refused, first.counts.insert], [36, 4, 2]);
});

test('numbers of other types are the same _id', async () => {
  const ids = [new Double(1), Long.fromNumber(2), Decimal128.fromString('3.00'), { a: new Double(4) }];
  await target.collection('artworks').insertMany(ids.map((_id) => ({ _id })) as never);
  const documents = [1, 2, 3, { a: 4 }].map((_id) => ({ _id }));
  const { first } = await compare({ ...where, collections: { artworks: { documents } } });
  assert.is(first.counts.insert, 0);
  assert.is(first.counts.different, 4);
});

test('T9 in a collated collection the server says which _id is the same', async () => {
  await target.createCollection('partners', { collation: { locale: 'en', strength: 2 } });
  await target.collection('partners').insertMany([{ _id: 'ABC' }, { _id: 'kept' }] as never);
  const documents = ['abc', 'kept', 'new'].map((_id) => ({ _id }));
  const { first } = await compare({ ...where, collections: { partners: { documents } } });
  assert.equal([first.counts.conflict, first.counts.identical, first.counts.insert], [1, 1, 1]);
});

test('soft-deleted and stale documents are called so, and the newer date is named', async () => {
  await target.collection<{ _id: number }>('artworks').insertMany([
    { _id: 1, deleted: true, updated_at: new Date('2016-09-14') },
    { _id: 2, updated_at: new Date('2016-09-15'), title: 'new' },
    { _id: 3, updated_at: new Date('2016-09-01'), title: 'other' },
  ] as never);
  const documents = [1, 2, 3].map((_id) => ({ _id, updated_at: new Date('2016-09-12'), title: 'old' }));
  const { first } = await compare({
    ...where,
    collections: {
      artworks: { documents, settings: { updatedAt: 'updated_at', softDelete: toBytes({ deleted: true }) } },
    },
  });
  assert.equal([first.counts.softDeleted, first.counts.stale, first.counts.different], [1, 1, 1]);
  const stale = first.documents.find((document) => document.class === 'stale');
  assert.is(stale?.reason, 'updated_at is newer in the target');
  assert.is(stale?.reasonValues, '2016-09-15T00:00:00Z there, 2016-09-12T00:00:00Z in the backup');
});

test('what no server stores is refused: no _id, an array or a regular expression as _id, too deep, too large', async () => {
  const documents = [
    { title: 'no id' },
    { _id: [1] },
    { _id: /x/ },
    nested(182),
    nested(181),
    tooLarge(16 * 1024 * 1024 + 1),
    tooLarge(16 * 1024 * 1024),
  ];
  const { first } = await compare({ ...where, collections: { artworks: { documents } } });
  assert.equal(
    first.documents
      .filter((document) => document.class === 'refused')
      .map(({ index, reason }) => [index, reason]),
    [
      [0, 'it has no _id'],
      [1, 'its _id is an array, which the server does not take'],
      [2, 'its _id is a regular expression, which the server does not take'],
      [3, 'it is nested deeper than 181 levels'],
      [5, 'it has 16777217 bytes; the server stores at most 16 MiB'],
    ],
  );
  assert.is(first.counts.insert, 2);
});

test('the server itself stores and refuses at the same limits', async () => {
  const collection = target.collection('limits');
  await collection.insertOne(nested(181) as never);
  const refused = await collection.insertOne(nested(182) as never).catch((error) => error.code);
  assert.is(refused, 15);
});

test('T7 documents that the validator refuses are found without storing them', async () => {
  await target.createCollection('artworks', { validator: { price: { $type: 'number', $gte: 0 } } });
  const documents = [
    { _id: 1, price: 10 },
    { _id: 2, price: -1 },
    { _id: 3, price: 'ten' },
  ];
  const { first } = await compare({ ...where, collections: { artworks: { documents } } });
  assert.equal([first.counts.insert, first.counts.refused], [1, 2]);
  assert.is(await target.collection('artworks').countDocuments(), 0);
});

test('a JSON Schema validator of the collection to be created is asked too', async () => {
  const options = { validator: { $jsonSchema: { required: ['title'] } } };
  const metadata = JSON.stringify({ options, indexes: [] });
  const documents = [{ _id: 1 }, { _id: 2, title: 'x' }];
  const { first } = await compare({ ...where, collections: { artworks: { documents, metadata } } });
  assert.equal([first.counts.insert, first.counts.refused], [1, 1]);
});

test('a deep document does not keep its neighbours from the validator', async () => {
  await target.createCollection('artworks', { validator: { price: { $gte: 0 } } });
  const documents = [
    { ...nested(181), price: 1 },
    { _id: 2, price: -1 },
    { _id: 3, price: 1 },
  ];
  const { first } = await compare({ ...where, collections: { artworks: { documents } } });
  assert.equal([first.counts.insert, first.counts.refused], [2, 1]);
});

test('T5 documents that a TTL index would delete within minutes are refused', async () => {
  await target.collection('sessions').createIndex({ seen: 1 }, { expireAfterSeconds: 3600 });
  const documents = [
    { _id: 1, seen: new Date(Date.now() - 3 * 3600_000) },
    { _id: 2, seen: new Date() },
    { _id: 3, seen: 'never' },
    { _id: 4, seen: [new Date(), new Date(0)] },
  ];
  const { first } = await compare({ ...where, collections: { sessions: { documents } } });
  assert.equal([first.counts.insert, first.counts.refused], [2, 2]);
  assert.match(first.documents[0]?.reason ?? '', /TTL index seen_1 would delete it/);
});

test('a field with very many dates expires with the earliest of them', async () => {
  await target.collection('sessions').createIndex({ seen: 1 }, { expireAfterSeconds: 3600 });
  const seen = Array.from({ length: 200_000 }, () => new Date());
  const documents = [
    { _id: 1, seen },
    { _id: 2, seen: [...seen, new Date(0)] },
  ];
  const { first } = await compare({ ...where, collections: { sessions: { documents } } });
  assert.equal([first.counts.insert, first.counts.refused], [1, 1]);
});

test('T9 views, time series and capped collections are refused by name', async () => {
  await target.createCollection('real');
  await target.createCollection('view', { viewOn: 'real', pipeline: [] });
  await target.createCollection('series', { timeseries: { timeField: 'at' } });
  await target.createCollection('capped', { capped: true, size: 4096 });
  for (const [name, words] of [
    ['view', /is a view/],
    ['series', /is a time series/],
    ['capped', /is capped/],
  ] as const) {
    const error = await compare({ ...where, collections: { [name]: { documents: [{ _id: 1 }] } } }).catch(
      (thrown) => thrown,
    );
    assert.is(error.code, 'TARGET');
    assert.match(error.message, words);
  }
});

test('T9 a missing collection that was capped in the backup is refused, as an apply would refuse it', async () => {
  const metadata = '{"options":{"capped":true,"size":{"$numberInt":"4096"}},"indexes":[]}';
  const documents = [{ _id: 1 }];
  const comparing = compare({ ...where, collections: { missing: { documents, metadata } } });
  const error = await comparing.catch((thrown) => thrown);
  assert.is(error.code, 'TARGET');
  assert.match(error.message, 'missing is missing, and was capped in the backup');
});

test('metadata that cannot be read is said to be the backup’s fault', async () => {
  const index = '"v":{"$numberInt":"2"},"name":"a"';
  for (const metadata of [
    '{"options":{"size":{"$numberInt":"many"}},"indexes":[]}',
    '{"options":"capped","indexes":[]}',
    '{"options":[],"indexes":[]}',
    '{"indexes":{"$numberInt":"1"}}',
    `{"indexes":{"0":{${index},"key":{"a":{"$numberInt":"1"}}}}}`,
    '{"indexes":[{"$numberInt":"1"}]}',
    `{"indexes":[{${index}}]}`,
    '{"indexes":[{"key":{"a":{"$numberInt":"1"}}}]}',
  ]) {
    const documents = [{ _id: 1 }];
    const comparing = compare({ ...where, collections: { missing: { documents, metadata } } });
    const error = await comparing.catch((thrown) => thrown);
    assert.is(error.code, 'BACKUP', metadata);
    assert.match(error.message, 'metadata of missing cannot be read');
  }
});

test('a reference dangles when its parent is neither selected nor in the target', async () => {
  await target.collection('sales').insertOne({ _id: 'there' } as never);
  const { collections } = await compare({
    ...where,
    collections: {
      artworks: { documents: [{ _id: 1 }] },
      sale_artworks: {
        documents: [
          { _id: 1, sale_id: 'there', artwork_id: 1 },
          { _id: 2, sale_id: 'gone', artwork_id: 1 },
          { _id: 3, sale_id: null, artwork_id: new Double(1) },
          { _id: 4, sale_id: ['there', 'lost'], artwork_id: 2 },
        ],
        settings: {
          references: [
            { field: 'sale_id', collection: 'sales' },
            { field: 'artwork_id', collection: 'artworks' },
          ],
        },
      },
    },
  });
  assert.equal(collections[1]?.dangling, [
    { id: '{"$numberInt":"2"}', field: 'sale_id', collection: 'sales', missing: '"gone"' },
    { id: '{"$numberInt":"4"}', field: 'sale_id', collection: 'sales', missing: '"lost"' },
    { id: '{"$numberInt":"4"}', field: 'artwork_id', collection: 'artworks', missing: '{"$numberInt":"2"}' },
  ]);
});

test('masked fields are hidden, at any depth and inside arrays, also where they differ', async () => {
  await target
    .collection('partners')
    .insertOne({ _id: 1, email: 'a@b.c', people: [{ phone: '1' }] } as never);
  const { first } = await compare({
    ...where,
    mask: ['email', 'people.phone'],
    collections: {
      partners: { documents: [{ _id: 1, email: 'x@y.z', people: [{ phone: '2', name: 'n' }] }] },
    },
  });
  const [document] = first.documents;
  assert.not.match(JSON.stringify(first), /a@b|x@y|"1"|\\"2\\"/);
  assert.equal(
    document?.differences.map(({ path }) => path),
    ['email', 'people.0.phone', 'people.0.name'],
  );
});

test('a mask hides keys with dots, keys that are numbers, and ids, wherever they are told', async () => {
  await target.collection('partners').createIndex({ slug: 1 }, { unique: true });
  await target.collection('partners').insertMany([
    { _id: 'a@b.c', slug: 'one' },
    { _id: 'same', 'contact.phone': '555-1', prices: { 7: '555-2' }, slug: 'two' },
  ] as never);
  const { first } = await compare({
    ...where,
    mask: ['contact.phone', 'prices.7', '_id', 'sale_id'],
    collections: {
      partners: {
        documents: [
          { _id: 'same', 'contact.phone': '555-3', prices: { 7: '555-4' }, slug: 'two' },
          { _id: 'x@y.z', slug: 'one', sale_id: 'q@r.s' },
        ],
        settings: { references: [{ field: 'sale_id', collection: 'sales' }] },
      },
    },
  });
  assert.equal(
    first.documents.map((document) => document.class),
    ['conflict', 'different'],
  );
  assert.not.match(JSON.stringify(first), /555-|@/);
  assert.match(first.documents[0]?.reason ?? '', /its key is held by _id "\[masked\]"/);
  assert.is(first.dangling[0]?.missing, '"[masked]"');
});

test('documents that share a unique key with each other: the first is inserted, the others conflict', async () => {
  await target.collection('partners').createIndex({ slug: 1, kind: 1 }, { unique: true });
  const filler = Array.from({ length: 9_000 }, (_, index) => ({ _id: index, slug: index, kind: 0 }));
  const { first } = await compare({
    ...where,
    collections: {
      partners: {
        documents: [
          { _id: 'a', slug: 'x', kind: 1 },
          { _id: 'b', slug: 'x', kind: 2 },
          ...filler,
          { _id: 'c', slug: 'x', kind: new Double(1) },
        ],
      },
    },
  });
  assert.equal([first.counts.insert, first.counts.conflict], [9_002, 1]);
  assert.is(first.documents[0]?.id, '"c"');
  assert.is(
    first.documents[0]?.reason,
    'unique index slug_1_kind_1 { slug: 1, kind: 1 }: its key is also that of _id "a", which is selected too',
  );
});

test('counts cover everything, details only the first few, and each hands on all', async () => {
  const documents = Array.from({ length: 25_000 }, (_, index) => ({
    _id: index,
    data: new Binary(Buffer.alloc(300)),
  }));
  await target.collection('artworks').insertMany(documents.slice(0, 9_000) as never);
  const seen: number[] = [];
  const { first, events } = await compare({
    ...where,
    show: 3,
    collections: { artworks: { documents } },
    each: ({ index }) => seen.push(index),
  });
  assert.equal([first.counts.insert, first.counts.identical], [16_000, 9_000]);
  assert.is(first.documents.length, 6);
  assert.equal(
    seen,
    documents.map(({ _id }) => _id),
  );
  assert.equal(events.at(-1), { type: 'comparison-finished', target: 'staging' });
});

/** `levels` levels of documents, the outer one included. */
function nested(levels: number): { _id: number } {
  let inner = {};
  for (let level = 1; level < levels; level++) inner = { a: inner };
  return { _id: levels, ...inner };
}

function tooLarge(bytes: number): Buffer {
  const document = toBytes({ _id: bytes, data: new Binary(Buffer.alloc(bytes - 40)) });
  const rest = bytes - document.length;
  return toBytes({ _id: bytes, data: new Binary(Buffer.alloc(bytes - 40 + rest)) });
}

test.run();
