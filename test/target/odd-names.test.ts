/** `_id`s that look like operators and names that start with `$`: foretold as the server answers, and refused alone. */

import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  EJSON,
  Long,
  MaxKey,
  MinKey,
  serialize,
  Timestamp,
  UUID,
} from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { BSON } from '../../src/bson/types.ts';
import { accessTo } from '../../src/target/target.ts';
import { openWorkbench, withWorkbench } from '../apply/workbench.ts';
import { compare } from '../comparison/comparing.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { insertRaw } from './insert-raw.ts';

let lab: Lab;
test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

/** Names in the server's language of queries and references, alone and in company, outermost and within. */
const OPERATORS =
  '$a $in $eq $ne $exists $regex $where $expr $type $not $and $elemMatch $comment $geoWithin $oid $date $db $id $ $$';
const ODD_IDS: readonly unknown[] = [
  ...OPERATORS.split(' ').flatMap((name) => [
    { [name]: 1 },
    { [name]: [1] },
    { a: 1, [name]: 1 },
    { a: { [name]: 1 } },
  ]),
  { $ref: 'a', $id: 1 },
  { $ref: 'a', $id: 1, $db: 'd' },
  { $ref: 'a', $id: 1, $db: 1 },
  { $ref: 'a', $id: 1, $other: 1 },
  { $ref: 'a', $id: 1, $db: 'd', $other: 1 },
  { $ref: 'a', $id: 1, more: 1 },
  { $ref: 'a', $id: { $a: 1 } },
  { $ref: 'a', $id: 1, $db: 'd', more: { $a: 1 } },
  { $ref: 'a' },
  { $ref: 1, $id: 1 },
  { $id: 1, $ref: 'a' },
  { first: 1, $ref: 'a', $id: 1 },
  { a: { $ref: 'a', $id: 1 } },
  { a: [{ $ref: 'a', $id: 1 }] },
  { a: [{ $b: 1 }] },
  { a: [[{ $b: 1 }]] },
  { 'a.b': 1 },
  { 'a.$b': 1 },
  { '.': 1 },
  { '': 1 },
  { '': { '': 1 } },
  {},
  { a: [1, 2] },
  { a: new BSONRegExp('x') },
  { a: new Timestamp(Long.ZERO) },
  { a: new Code('x', { $a: 1 }) },
  new Code('f'),
  new Code('f', { $a: 1 }),
  new BSONSymbol('x'),
  new BSONRegExp('a'),
  new Timestamp(Long.ZERO),
  new MinKey(),
  new MaxKey(),
  new UUID(),
  new Binary(Buffer.from('x'), 6),
  null,
  Number.NaN,
  '',
  '$a',
  'a\0b',
  true,
  [],
  [1],
];

const UNDEFINED_ID = Buffer.concat([Buffer.from([10, 0, 0, 0, BSON.UNDEFINED]), Buffer.from('_id\0\0')]);

function withId(_id: unknown, more: Document = {}): Buffer {
  return Buffer.from(serialize({ _id, ...more }));
}

test('each odd _id is taken or refused by the server as the dry-run says, and never keeps the others out', async () => {
  const documents = [
    ...ODD_IDS.map((id) => withId(id, { v: 1 })),
    UNDEFINED_ID,
    withId('plain'),
    withId('last'),
  ];
  await withWorkbench(lab, async (bench) => {
    const { database } = (await bench.target('staging')).reader;
    const collection = (await bench.db('staging')).collection('odd');
    const { writer } = accessTo(await bench.target('staging'));
    const takes: boolean[] = [];
    for (const document of documents)
      takes.push((await insertRaw(writer, 'odd', [document])).faults.length === 0);
    assert.ok(takes.includes(false));
    await collection.drop();

    const dryRun = async (): Promise<string[]> => {
      const stage = { uri: lab.staging.uri, database, show: 1_000, collections: { odd: { documents } } };
      const { documents: compared } = (await compare(stage)).first;
      assert.is(new Set(compared.map(({ id }) => id)).size, documents.length, 'each is named by its _id');
      return [...compared].sort((a, b) => a.index - b.index).map(({ class: documentClass }) => documentClass);
    };
    await (await bench.db('staging')).createCollection('odd');
    await collection.insertOne({ _id: 'somebody else’s' } as never);
    const foretold = await dryRun();
    const otherwise = takes.flatMap((taken, i) =>
      foretold[i] === (taken ? 'insert' : 'refused')
        ? []
        : [`${foretold[i]}: ${EJSON.stringify(ODD_IDS[i])}`],
    );
    assert.equal(otherwise, []);
    const selection = bench.selection([{ collection: 'odd', documents }]);
    const counts = async (): Promise<unknown[]> => {
      const [result] = (await bench.apply(selection, 'staging')).collections;
      return [result?.inserted, result?.identical, result?.refused];
    };
    const [taken, refused] = [takes.filter(Boolean).length, takes.filter((each) => !each).length];
    assert.equal(await counts(), [taken, 0, refused]);
    assert.equal(
      await dryRun(),
      takes.map((each) => (each ? 'identical' : 'refused')),
    );
    assert.equal(await counts(), [0, taken, refused]);
    await bench.revert(selection, 'staging');
    assert.is(await collection.countDocuments(), 1);
  });
});

/** Fields that an insert takes at the top level, where a replacement does not, or only in an order. */
const ODD_FIELDS: readonly Document[] = [
  { $a: 1 },
  { $set: { a: 1 } },
  { $ref: 'a', $id: 1 },
  { $ref: 'a', $id: 1, $db: 'd' },
  { $ref: 'a', $id: 1, $db: 1 },
  { $ref: 1, $id: 1 },
  { $ref: 'a' },
  { $id: 1 },
  { $db: 'd' },
  { a: 1, $ref: 'a', $id: 1 },
  { $ref: 'a', a: 1, $id: 1 },
  { a: { $b: 1 } },
  { a: { $ref: 1 } },
  { 'a.b': 1 },
  { '': 1 },
];

test('odd names are inserted, and refused in a replacement as the dry-run says', async () => {
  const bench = openWorkbench(lab);
  try {
    const documents = [...ODD_FIELDS, { plain: 1 }].map((fields, _id) => withId(_id, { z: 1, ...fields }));
    const { database } = (await bench.target('staging')).reader;
    const inserted = bench.selection([{ collection: 'odd', documents }]);
    assert.is((await bench.apply(inserted, 'staging')).collections[0]?.inserted, documents.length);
    await (await bench.db('staging')).collection('odd').updateMany({}, { $set: { z: 2 } });

    const stage = { uri: lab.staging.uri, database, show: 1_000 };
    const odd = { documents, settings: { whenMatched: 'replace' as const } };
    const { counts } = (await compare({ ...stage, collections: { odd } })).first;
    assert.ok(counts.refused > 0 && counts.different > 0);
    const replacing = bench.selection([{ collection: 'odd', documents, whenMatched: 'replace' }]);
    const [result] = (await bench.apply(replacing, 'staging')).collections;
    assert.equal([result?.replaced, result?.refused], [counts.different, counts.refused]);
    const refused: number[] = [];
    for (const [_id, fields] of ODD_FIELDS.entries()) {
      const reply = await (await bench.db('staging')).command(
        { update: 'odd', updates: [{ q: { _id }, u: { _id, z: 3, ...fields } }] },
        { checkKeys: false },
      );
      if (reply['writeErrors'] !== undefined) refused.push(_id);
    }
    assert.is(refused.length, counts.refused);
  } finally {
    await bench.close();
  }
});

const COLLATION = { locale: 'en', strength: 2, numericOrdering: true } as const;

test('a document found under another _id by a collation is in conflict whatever whenMatched says, as foretold', async () => {
  const bench = openWorkbench(lab);
  try {
    const { database } = (await bench.target('staging')).reader;
    const there = (await bench.db('staging')).collection<{ _id: string }>('collated');
    await (await bench.db('staging')).createCollection('collated', { collation: COLLATION });
    await there.insertMany([{ _id: 'ABC' }, { _id: '01' }, { _id: 'same' }]);
    const documents = ['abc', '1', 'same'].map((id) => Buffer.from(serialize({ _id: id, price: 1 })));
    const merge = { fields: ['price'], whenNotMatched: 'insert' } as const;
    for (const whenMatched of ['keepExisting', 'replace', 'merge', 'fail'] as const) {
      const settings = { whenMatched, ...(whenMatched === 'merge' && { merge }) };
      const collections = { collated: { documents, settings } };
      const { counts, documents: shown } = (await compare({ uri: lab.staging.uri, database, collections }))
        .first;
      assert.is(counts.conflict, 2, whenMatched);
      const selection = bench.selection([{ collection: 'collated', documents, ...settings }]);
      const { collections: applied, notices } = await bench.apply(selection, 'staging');
      assert.is(applied[0]?.conflict, 2, whenMatched);
      for (const { reason } of [...notices, ...shown.filter((each) => each.class === 'conflict')])
        assert.match(reason, 'of another _id that its collation takes for the same');
    }
    const merging = bench.selection([
      {
        collection: 'collated',
        documents,
        whenMatched: 'merge',
        merge: { ...merge, whenNotMatched: 'discard' },
      },
    ]);
    assert.is((await bench.apply(merging, 'staging')).verified, true);
    assert.equal(await there.find().sort({ _id: 1 }).toArray(), [
      { _id: '01' },
      { _id: 'ABC' },
      { _id: 'same', price: 1 },
    ]);
  } finally {
    await bench.close();
  }
});

/** The second, fourth and sixth of them have the `_id` of the one before, to the collation. */
const EQUAL_IDS: readonly unknown[] = ['abc', 'ABC', { k: ['x'] }, { k: ['X'] }, '1', '01', 'alone', 7];
const ENTRY = { references: [], skipIndexes: [], dependents: [] };

for (const whenMatched of ['keepExisting', 'replace', 'merge'] as const) {
  test(`${whenMatched}: of selected _ids that a collation takes for the same the first is written, and the way out ends verified`, async () => {
    await withWorkbench(lab, async (bench) => {
      const documents = EQUAL_IDS.map((_id) => Buffer.from(serialize({ _id, price: 1 })));
      const clusteredIndex = { key: { _id: 1 }, unique: true, name: '_id_' };
      const metadata = (options: Document): string =>
        JSON.stringify({ indexes: [{ v: 2, key: { _id: 1 }, name: '_id_' }], options });
      const merge = { fields: ['price'], whenNotMatched: 'insert' } as const;
      const settings = { whenMatched, ...(whenMatched === 'merge' && { merge }) };
      const made = {
        created: { documents, metadata: metadata({ collation: COLLATION }) },
        clustered: { documents, metadata: metadata({ collation: COLLATION, clusteredIndex }) },
        holdsOne: { documents },
      };
      for (const target of ['staging', 'production'] as const) {
        const db = await bench.db(target);
        const holdsOne = await db.createCollection<{ _id: string }>('holdsOne', { collation: COLLATION });
        // Another content would be kept, and kept documents have an exception of their own.
        const price = whenMatched === 'keepExisting' ? 1 : 2;
        await holdsOne.insertOne({ _id: 'abc', price } as never);
      }
      const { database } = (await bench.target('staging')).reader;
      const collections = Object.fromEntries(
        Object.entries(made).map(([name, each]) => [name, { ...each, settings }]),
      );
      const selection = bench.selection(
        Object.entries(made).map(([collection, each]) => ({ collection, ...each, ...settings })),
      );
      const foretold = async (): Promise<unknown[]> =>
        (await compare({ uri: lab.staging.uri, database, collections })).collections.map((each) => [
          each.warnings,
          each.documents.filter((one) => one.class === 'conflict').map(({ index }) => index),
        ]);
      const CONFLICTS = [[], [1, 3, 5]];
      assert.equal(await foretold(), [CONFLICTS, CONFLICTS, CONFLICTS]);

      for (const isRerun of [false, true]) {
        const applied = await bench.apply(selection, 'staging');
        assert.equal(
          applied.collections.map((each) => [each.inserted, each.conflict]),
          isRerun
            ? [
                [0, 3],
                [0, 3],
                [0, 3],
              ]
            : [
                [5, 3],
                [5, 3],
                [4, 3],
              ],
        );
        assert.equal([applied.verified, applied.verification.failures], [false, 0]);
        const refused = EQUAL_IDS.filter((_, index) => [1, 3, 5].includes(index));
        for (const id of refused) {
          const shown = JSON.stringify(id);
          assert.is(applied.notices.filter((each) => each.id === shown).length, 3, shown);
        }
        assert.equal(await foretold(), [CONFLICTS, CONFLICTS, CONFLICTS]);
      }

      const exceptions = [{ class: 'conflict', reason: 'of no use beside the first' }];
      const plan = {
        ...bench.plan,
        collections: Object.keys(made).map((collection) => ({ ...ENTRY, collection, exceptions }) as never),
      };
      for (const target of ['staging', 'production'] as const) {
        const { verified, collections: excepted } = await bench.apply(selection, target, { plan });
        assert.equal([verified, excepted.map((each) => each.excepted)], [true, [3, 3, 3]]);
      }
    });
  });
}

test.run();
