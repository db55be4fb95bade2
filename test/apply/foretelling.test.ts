/** What a dry-run says of a target, apply does: index by index, of collections that are there and of those that would be made. */

import { Binary, BSONSymbol, type Document, EJSON } from 'bson';
import * as assert from 'uvu/assert';
import { compareWithTarget } from '../../src/comparison/compare-with-target.ts';
import type { ComparedCollection } from '../../src/comparison/comparison.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { runForetellingCampaign } from '../differential/foretelling-campaign.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { bytes, failure } from './documents.ts';
import { type Workbench, withWorkbench } from './workbench.ts';

let lab: Lab;
test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

const ID_INDEX = { v: 2, key: { _id: 1 }, name: '_id_' };

function metadataOf(indexes: readonly Document[], options: Document = {}): string {
  return EJSON.stringify({ options, indexes: [ID_INDEX, ...indexes] }, { relaxed: false });
}

async function dryRun(
  bench: Workbench,
  selection: Selection,
  plan = bench.plan,
): Promise<ComparedCollection> {
  const { collections } = await compareWithTarget(QUIET, {
    plan,
    selection,
    reader: (await bench.target('staging')).reader,
    show: 100,
  });
  return collections[0] as ComparedCollection;
}

/** The plan of the bench with indexes of `x` left out. */
function skipping({ plan }: Workbench, skipIndexes: readonly string[]): Plan {
  const entry = { collection: 'x', into: 'x', whenMatched: 'keepExisting' as const, updatedAt: undefined };
  const rest = {
    softDelete: undefined,
    references: [],
    exceptions: [],
    dependents: [],
    where: '',
    query: bytes([{}])[0] as Buffer,
  };
  return { ...plan, collections: [{ ...entry, ...rest, skipIndexes }] };
}

/** Key and options of an index, one document that it does not hold, and what both commands say of that. */
const INDEXES: readonly (readonly [key: Document, options: Document, odd: Document, reason: RegExp])[] = [
  [
    { loc: '2dsphere' },
    {},
    { loc: 'Berlin' },
    /index i \{ loc: "2dsphere" \} cannot hold it: .* \(server code 16755\)/,
  ],
  [
    { loc: '2d' },
    {},
    { loc: [1000, 3] },
    /pair of coordinates within the bounds of the index \(server code 13027\)/,
  ],
  [
    { a: 'hashed' },
    {},
    { a: [1] },
    /index i \{ a: "hashed" \} cannot hold it: .*an array \(server code 16766\)/,
  ],
  [
    { a: 1, b: 1 },
    {},
    { a: [1], b: [2] },
    /index i \{ a: 1, b: 1 \} cannot hold it: two of its fields .* 171\)/,
  ],
  [{ 'a.0': 1 }, {}, { a: [{ 0: 1 }] }, /both a position in an array and a name in it \(server code 16746\)/],
  [{ b: 1, 'a.$**': 1 }, {}, { b: [1] }, /beside the wildcard .* 7246301\)/],
  [
    { t: 'text' },
    {},
    { t: 'x', language: 'klingon' },
    /language is none that the server knows \(server code 17262\)/,
  ],
  [{ b: 1, t: 'text' }, {}, { t: 'x', b: [1] }, /the server can make no key of it \(server code 201\)/],
  [
    { a: 1 },
    { collation: { locale: 'en' } },
    { a: new BSONSymbol('x') },
    /make no key of it \(server code 201\)/,
  ],
  [{ a: 1, b: 1 }, { partialFilterExpression: { c: 1 } }, { a: [1], b: [1], c: 1 }, /two of its fields/],
];

for (const [key, options, odd, reason] of INDEXES) {
  for (const isThere of [true, false]) {
    test(`what ${JSON.stringify(key)} does not hold is named, in a collection that ${isThere ? 'is there' : 'would be made'}`, async () => {
      await withWorkbench(lab, async (bench) => {
        const db = await bench.db('staging');
        await db.collection('x').createIndex(key as never, { ...options, name: 'i' });
        const indexes = await db.collection('x').listIndexes().toArray();
        if (!isThere) await db.collection('x').drop();
        const documents = bytes([
          { _id: 1, plain: true },
          { _id: 2, ...odd },
          { _id: 3, c: 2 },
        ]);
        const metadata = metadataOf(indexes.filter(({ name }) => name === 'i'));
        const selection = bench.selection([{ collection: 'x', documents, metadata }]);
        const { counts, documents: shown, warnings } = await dryRun(bench, selection);
        assert.equal([counts.insert, counts.refused, warnings], [2, 1, []]);
        assert.match(shown.find((each) => each.class === 'refused')?.reason ?? '', reason);
        const { collections, notices } = await bench.apply(selection, 'staging');
        assert.equal([collections[0]?.inserted, collections[0]?.refused], [2, 1]);
        assert.match(notices[0]?.reason ?? '', reason);
      });
    });
  }
}

/** Indexes that a server of today does not create, and what it says. */
const REFUSED: readonly (readonly [index: Document, reason: RegExp])[] = [
  [
    { v: 2, key: { pos: 'geoHaystack', type: 1 }, name: 'pos_hay', bucketSize: 1 },
    /GeoHaystack indexes cannot be created/,
  ],
  [{ v: 2, key: { at: 1 }, name: 'at_1', expireAfterSeconds: '3600' }, /expireAfterSeconds is not a number/],
  [
    { v: 1, key: { a: 1 }, name: 'a_1', unique: null, sparse: 1, background: 1 },
    /unique.* not convertible to bool/,
  ],
  [{ v: 1, key: { a: 1 }, name: '', ns: 'd.x' }, /an index needs a name/],
  [{ v: 2, key: { a: 'foo' }, name: 'a_foo' }, /Unknown index plugin 'foo'/],
  [
    { v: 2, key: { a: 1 }, name: 'both', sparse: true, partialFilterExpression: { a: 1 } },
    /both sparse and partial/,
  ],
];

test('indexes that the server no longer takes are named before anything is written; both ways out lead out', async () => {
  for (const [index, reason] of REFUSED) {
    await withWorkbench(lab, async (bench) => {
      const db = await bench.db('staging');
      const documents = bytes([{ _id: 1 }]);
      const good = { v: 2, key: { email: 1 }, name: 'email_1', unique: true };
      const selection = bench.selection([
        { collection: 'x', documents, metadata: metadataOf([good, index]) },
      ]);
      for (const act of [() => dryRun(bench, selection), () => bench.apply(selection, 'staging')]) {
        const { code, message, hint = '' } = await failure(act());
        assert.is(code, 'TARGET');
        assert.match(message, reason);
        assert.match(message, JSON.stringify(index['name']).slice(1, -1));
        assert.match(hint, `indexes: { skip: [${JSON.stringify(index['name'])}] }`);
      }
      assert.equal(await db.listCollections().toArray(), [], 'nothing was written');

      const plan = skipping(bench, [index['name']]);
      assert.equal((await dryRun(bench, selection, plan)).wouldCreate, { indexes: 2 });
      await bench.apply(selection, 'staging', { plan });
      assert.equal(
        (await db.collection('x').indexes()).map(({ name }) => name),
        ['_id_', 'email_1'],
      );

      await db.dropDatabase();
      await db.createCollection('x');
      assert.is((await dryRun(bench, selection)).wouldCreate, undefined);
      assert.ok((await bench.apply(selection, 'staging')).verified);
      assert.equal(
        (await db.collection('x').indexes()).map(({ name }) => name),
        ['_id_'],
        'used as it is',
      );
    });
  }
});

test('legacy forms that mongorestore converts are converted, and said', async () => {
  await withWorkbench(lab, async (bench) => {
    const indexes = [
      { v: 0, key: { a: true }, name: 'a_true', keepInBackground: 1, background: true, dropDups: true },
      { v: 1, key: { b: 0, c: '' }, name: 'b_c', ns: 'd.x', storageEngine: { mmapv1: {} } },
    ];
    const options = {
      create: 'x',
      capped: false,
      size: 4096,
      usePowerOf2Sizes: true,
      storageEngine: { mmapv1: {} },
    };
    const metadata = metadataOf(indexes, options);
    const selection = bench.selection([{ collection: 'x', documents: bytes([{ _id: 1 }]), metadata }]);
    const { warnings } = await dryRun(bench, selection);
    for (const word of [
      'a is ascending',
      'b is ascending',
      'c is ascending',
      'version 2 instead of 0',
      'keepInBackground',
      'usePowerOf2Sizes',
      'storage engine',
    ]) {
      assert.ok(
        warnings.some((warning) => warning.includes(word)),
        `${word}: ${warnings.join('\n')}`,
      );
    }
    await bench.apply(selection, 'staging');
    const made = await (await bench.db('staging')).collection('x').indexes();
    assert.equal(
      made.map(({ v, key }) => [v, key]),
      [
        [2, { _id: 1 }],
        [2, { a: 1 }],
        [2, { b: 1, c: 1 }],
      ],
    );
  });
});

test('an index without a collation stays without one in a collection that has one', async () => {
  await withWorkbench(lab, async (bench) => {
    const collation = { locale: 'en', strength: 2 };
    const metadata = metadataOf([{ v: 2, key: { a: 1 }, name: 'a_1', unique: true }], { collation });
    const documents = bytes([
      { _id: 1, a: 'x' },
      { _id: 2, a: 'X' },
    ]);
    const selection = bench.selection([{ collection: 'x', documents, metadata }]);
    assert.is((await dryRun(bench, selection)).counts.insert, 2);
    assert.is((await bench.apply(selection, 'staging')).collections[0]?.inserted, 2);
  });
});

const PLACES = { v: 2, key: { loc: '2dsphere' }, name: 'places' } as const;

test('an index as a file describes it is asked about as the server would make it', async () => {
  await withWorkbench(lab, async (bench) => {
    // Without its version, which `createIndexes` adds: the newest one takes null and empty places.
    const metadata = metadataOf([PLACES]);
    const documents = bytes([
      { _id: 1, loc: null },
      { _id: 2, loc: [] },
      { _id: 3, loc: {} },
      { _id: 4, loc: 'x' },
    ]);
    const selection = bench.selection([{ collection: 'x', documents, metadata }]);
    const { counts } = await dryRun(bench, selection);
    const [applied] = (await bench.apply(selection, 'staging')).collections;
    assert.equal([counts.insert, counts.refused], [applied?.inserted, applied?.refused]);
    assert.is(applied?.refused, 1);
  });
});

test('of two indexes in the way of a document the first one is named, as the server does', async () => {
  await withWorkbench(lab, async (bench) => {
    const unique = { v: 2, key: { a: 1 }, name: 'first', unique: true };
    const documents = bytes([
      { _id: 1, a: 1 },
      { _id: 2, a: 1, loc: 'x' },
      { _id: 3, a: 2, loc: 'x' },
    ]);
    for (const [indexes, conflict, refused] of [
      [[unique, PLACES], 1, 1],
      [[PLACES, unique], 0, 2],
    ] as const) {
      const collection = `x${conflict}`;
      const selection = bench.selection([{ collection, documents, metadata: metadataOf([...indexes]) }]);
      const { counts } = await dryRun(bench, selection);
      assert.equal([counts.conflict, counts.refused], [conflict, refused]);
      const [applied] = (await bench.apply(selection, 'staging')).collections;
      assert.equal([applied?.conflict, applied?.refused], [conflict, refused]);
    }
  });
});

test('keys that only the server makes are said not to be looked at, and keep no document back', async () => {
  await withWorkbench(lab, async (bench) => {
    const metadata = metadataOf([{ v: 2, key: { loc: '2d', b: 1 }, name: 'i', unique: true }]);
    const documents = bytes([{ _id: 1 }, { _id: 2 }, { _id: 3, loc: [1, 2] }, { _id: 4, loc: [1, 2] }]);
    const selection = bench.selection([{ collection: 'x', documents, metadata }]);
    const { counts, warnings } = await dryRun(bench, selection);
    assert.equal([counts.insert, counts.conflict], [4, 0]);
    assert.match(warnings.join(), 'was not looked at, because of its kind');
    const [applied] = (await bench.apply(selection, 'staging')).collections;
    assert.equal([applied?.inserted, applied?.conflict], [3, 1], 'without a place they are not in the index');
  });
});

test('a hidden unique index is asked about without naming it, and what that leaves open is said', async () => {
  await withWorkbench(lab, async (bench) => {
    const x = (await bench.db('staging')).collection('x');
    await x.createIndex({ 'a.b': 1 }, { unique: true, hidden: true });
    await x.insertMany([
      { _id: 8 as never, a: { b: 1 } },
      { _id: 9 as never, a: [7] },
    ]);
    const selection = bench.selection([
      { collection: 'x', documents: bytes([{ _id: 1, a: { b: 1 } }, { _id: 2 }]) },
    ]);
    const { counts, warnings } = await dryRun(bench, selection);
    assert.is(counts.conflict, 1);
    assert.match(warnings.join(), 'was not looked at, because it is hidden');
  });
});

test('documents with symbols go into a clustered collection that has a collation', async () => {
  await withWorkbench(lab, async (bench) => {
    const clusteredIndex = { v: 2, key: { _id: 1 }, name: '_id_', unique: true };
    const db = await bench.db('staging');
    await db.createCollection('x', { clusteredIndex, collation: { locale: 'de', strength: 1 } } as never);
    const documents = bytes([{ _id: 1, a: new BSONSymbol('x') }]);
    const selection = bench.selection([{ collection: 'x', documents }]);
    const { counts } = await dryRun(bench, selection);
    assert.is(counts.insert, 1);
    assert.is((await bench.apply(selection, 'staging')).collections[0]?.inserted, 1);
  });
});

test('what creating the collection brings with it is foretold: its validator, and that it expires', async () => {
  await withWorkbench(lab, async (bench) => {
    const clusteredIndex = { v: 2, key: { _id: 1 }, name: '_id_', unique: true };
    const metadata = metadataOf([], {
      clusteredIndex,
      expireAfterSeconds: 3600,
      validator: { a: { $exists: true } },
    });
    const documents = bytes([
      { _id: 1, a: 1 },
      { _id: 2 },
      { _id: new Date(0), a: 1 },
      { _id: new Date(Date.now() + 86_400_000), a: 1 },
    ]);
    const selection = bench.selection([{ collection: 'x', documents, metadata }]);
    const { counts, documents: shown } = await dryRun(bench, selection);
    assert.equal([counts.insert, counts.refused], [2, 2]);
    assert.match(shown.map(({ reason }) => reason).join(), /the clustered collection would delete it/);
    const [applied] = (await bench.apply(selection, 'staging')).collections;
    assert.equal([applied?.inserted, applied?.refused], [2, 2]);
  });
});

test('a partial TTL index expires only what it covers', async () => {
  await withWorkbench(lab, async (bench) => {
    const index = {
      v: 2,
      key: { at: 1 },
      name: 'at_1',
      expireAfterSeconds: 60,
      partialFilterExpression: { done: true },
    };
    const at = new Date(0);
    const documents = bytes([
      { _id: 1, at, done: true },
      { _id: 2, at, done: false },
    ]);
    const selection = bench.selection([{ collection: 'x', documents, metadata: metadataOf([index]) }]);
    assert.equal([(await dryRun(bench, selection)).counts.refused], [1]);
    assert.is((await bench.apply(selection, 'staging')).collections[0]?.inserted, 1);
  });
});

test('Queryable Encryption is refused by name before anything is written; what a client encrypted is bytes', async () => {
  await withWorkbench(lab, async (bench) => {
    const db = await bench.db('staging');
    const field = {
      keyId: new Binary(Buffer.alloc(16, 7), 4),
      path: 'ssn',
      bsonType: 'string',
      queries: { queryType: 'equality' },
    };
    const cipher = Buffer.concat([
      Buffer.from([2]),
      Buffer.alloc(16, 7),
      Buffer.from([2]),
      Buffer.alloc(32, 1),
    ]);
    const documents = bytes([{ _id: 1, ssn: new Binary(cipher, 6) }]);
    const metadata = metadataOf([], { encryptedFields: { fields: [field] } });
    const selection = bench.selection([{ collection: 'x', documents, metadata }]);
    const refused = async (): Promise<void> => {
      for (const act of [() => dryRun(bench, selection), () => bench.apply(selection, 'staging')]) {
        const { code, message, hint } = await failure(act());
        assert.is(code, 'TARGET');
        assert.match(message, 'Queryable Encryption');
        assert.match(hint ?? '', 'keys');
      }
    };
    await refused();
    await db.createCollection('x', { encryptedFields: { fields: [field] } });
    await refused();
    assert.is(await db.collection('x').countDocuments(), 0);

    const encrypt = {
      bsonType: 'string',
      algorithm: 'AEAD_AES_256_CBC_HMAC_SHA_512-Random',
      keyId: [field.keyId],
    };
    const validator = { $jsonSchema: { bsonType: 'object', properties: { ssn: { encrypt } } } };
    const own = [{ collection: 'y', documents, metadata: metadataOf([], { validator }) }];
    assert.is((await bench.apply(bench.selection(own), 'staging')).collections[0]?.inserted, 1);
  });
});

test('a run that was cut off leaves a collection alone that was made by hand since', async () => {
  await withWorkbench(lab, async (bench) => {
    const db = await bench.db('staging');
    const metadata = metadataOf([{ v: 2, key: { a: 1 }, name: 'a_1' }]);
    const selection = bench.selection([{ collection: 'x', documents: bytes([{ _id: 1 }]), metadata }]);
    const checkpoint = async (name: string): Promise<void> => {
      if (name === 'indexes-created') throw new Error('cut off');
    };
    await bench.apply(selection, 'staging', { checkpoint }).then(
      () => assert.unreachable(),
      () => undefined,
    );
    assert.is((await db.collection('x').indexes()).length, 2);
    await db.collection('x').drop();
    await db.createCollection('x');
    await bench.apply(selection, 'staging');
    assert.is((await db.collection('x').indexes()).length, 1);
  });
});

test('random collections: what the dry-run says of each document is what apply does', async () => {
  const { mismatches, documents, classes } = await runForetellingCampaign(lab, { seed: 7, collections: 50 });
  assert.equal(mismatches, []);
  assert.ok(documents > 200 && (classes['refused'] ?? 0) > 20 && (classes['insert'] ?? 0) > 100);
});

test.run();
