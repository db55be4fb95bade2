/** Conflicts on unique indexes: what the comparison foretells is what the server then does. */

import { type Document, Double, Long, ObjectId } from 'bson';
import type { CreateIndexesOptions, IndexSpecification } from 'mongodb';
import * as assert from 'uvu/assert';
import { SharedKeys } from '../../src/comparison/shared-keys.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import type { TargetCollection } from '../../src/target/target.ts';
import { numbered } from '../apply/documents.ts';
import { madeSelection } from '../apply/made-selection.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import { QUIET } from '../quiet-run.ts';
import { compare } from './comparing.ts';

let lab: Lab;
test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

const PREPARED = 'an index that is being made unique';
const INDEXES: readonly (readonly [string, IndexSpecification, CreateIndexesOptions])[] = [
  ['one field', { a: 1 }, {}],
  ['two fields', { a: 1, b: -1 }, {}],
  ['a dotted path', { 'a.b': 1 }, {}],
  ['two paths through one array', { 'a.b': 1, 'a.c': 1 }, {}],
  ['a sparse index', { a: 1 }, { sparse: true }],
  ['a sparse compound index', { a: 1, b: 1 }, { sparse: true }],
  ['a partial index', { a: 1 }, { partialFilterExpression: { b: { $gte: 1 } } }],
  ['a collated index', { a: 1 }, { collation: { locale: 'en', strength: 2 } }],
  ['a position in an array', { 'a.0': 1 }, {}],
  [PREPARED, { a: 1 }, {}],
];

for (const [name, key, options] of INDEXES) {
  test(`conflicts on ${name} are the server's`, async () => {
    const database = lab.database('unique');
    const collection = database.collection<{ _id: number }>('things');
    await collection.createIndex(key, { ...options, unique: name !== PREPARED });
    if (name === PREPARED)
      await database.command({ collMod: 'things', index: { keyPattern: key, prepareUnique: true } });
    const random = seededRandom(4711);
    const documentOf = (_id: number): Document => randomDocument(_id, random);
    for (let id = 0; id < 12; id++)
      await collection.insertOne(documentOf(id) as never).catch(() => undefined);

    const candidates = Array.from({ length: 120 }, (_, index) => documentOf(1000 + index)).filter(
      hasOneArray,
    );
    const { first } = await compare({
      uri: lab.staging.uri,
      database: database.databaseName,
      show: 1000,
      collections: { things: { documents: candidates } },
    });
    const foretold = first.documents
      .filter((document) => document.class === 'conflict')
      .map(({ index }) => candidates[index]?._id);
    const refused: number[] = [];
    for (const candidate of candidates) {
      const code = await collection.insertOne(candidate as never).then(
        () => undefined,
        (error) => error.code,
      );
      if (code !== undefined) {
        assert.is(code, 11000);
        refused.push(candidate['_id']);
      }
    }
    assert.ok(refused.length > 0, 'some candidates conflict');
    assert.ok(refused.length < candidates.length, 'some do not');
    assert.equal(foretold.sort(), refused.sort());
  });
}

test('the holder is named, also of a document that would be replaced', async () => {
  const database = lab.database('unique');
  const collection = database.collection<{ _id: number; slug: string }>('artworks');
  await collection.createIndex({ slug: 1 }, { unique: true });
  await collection.insertMany([
    { _id: 1, slug: 'own' },
    { _id: 2, slug: 'taken' },
  ]);
  const { first } = await compare({
    uri: lab.staging.uri,
    database: database.databaseName,
    collections: {
      artworks: {
        documents: [
          { _id: 1, slug: 'own', title: 'changed' },
          { _id: 2, slug: 'own' },
          { _id: 3, slug: 'taken' },
        ],
        settings: { whenMatched: 'replace' },
      },
    },
  });
  const said = (id: number) =>
    `unique index slug_1 { slug: 1 }: its key is held by _id {"$numberInt":"${id}"}`;
  assert.equal(
    first.documents.map((document) => [document.index, document.class, document.reason]),
    [
      [1, 'conflict', said(1)],
      [2, 'conflict', said(2)],
      [0, 'different', ''],
    ],
  );
});

/** Values that collide across types, cases, arrays and absence; few of them, so that they do. */
const VALUES = [
  1,
  new Double(1),
  Long.fromNumber(2),
  2.5,
  'x',
  'X',
  'y',
  null,
  undefined,
  [],
  [1, 'x'],
  [[1]],
  { b: 1 },
  { b: new Double(1), c: 2 },
  [{ b: 1, c: 2 }, { b: 3 }],
  [{ b: 1 }, { c: 2 }],
  [{ b: 5, c: 2 }, 7],
  /x/,
  new Date(0),
  new ObjectId('57d17993a09a6759d8000d9e'),
];

function randomDocument(_id: number, random: Random): Document {
  const document: Document = { _id };
  for (const field of ['a', 'b']) {
    if (random.chance(0.9)) document[field] = random.pick(VALUES);
    if (random.chance(0.2)) document[field] = { b: `unique-${_id}` };
    if (random.chance(0.2)) document[field] = [`unique-${_id}`, { c: _id }];
  }
  return document;
}

/** The server refuses two arrays in one compound index for another reason than the one tested here. */
function hasOneArray(document: Document): boolean {
  return !(Array.isArray(document['a']) && Array.isArray(document['b']));
}

test('the search for shared keys ends when it is told to', async () => {
  const database = lab.database('unique');
  await database.collection('things').createIndex({ a: 1 }, { unique: true });
  const folder = temporaryFolder('shared-keys');
  const gate = { soakMs: 0, approvals: 0 };
  const plan = { uri: new Secret(lab.staging.uri), database: database.databaseName, gate };
  const target = await connectTarget(QUIET, 'staging', plan);
  const reason = new Error('stopped by the test');
  const searching = SharedKeys.find({
    selection: madeSelection(folder.path, [{ collection: 'things', documents: numbered(0, 10) }]),
    name: 'things',
    reader: target.reader,
    collection: (await target.reader.collection('things')) as TargetCollection,
    showId: () => '',
    warn: () => undefined,
    signal: AbortSignal.abort(reason),
  });
  const thrown = await searching.then(
    () => assert.unreachable('it went on'),
    (error: unknown) => error,
  );
  assert.is(thrown, reason);
  await target.close();
  folder.remove();
});

test.run();
