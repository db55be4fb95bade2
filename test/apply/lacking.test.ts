/** A collection that is there keeps its indexes and options. What it lacks of the backup's is said, once, and refuses nothing. */

import { type Document, EJSON } from 'bson';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { type CompareRequest, compareWithTarget } from '../../src/comparison/compare-with-target.ts';
import type { ComparedCollection } from '../../src/comparison/comparison.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { bytes } from './documents.ts';
import { type Workbench, withWorkbench } from './workbench.ts';

let lab: Lab;
test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

const DOCUMENTS = bytes([{ _id: 1, k: 'a' }]);
const VALIDATOR = { k: { $type: 'string' }, n: { $not: { $gt: 5 } } };

type Index = readonly [key: Document, options?: Document];

/** One of each kind, as people make them. */
const INDEXES: readonly Index[] = [
  [{ k: 1 }, { unique: true, partialFilterExpression: { k: { $exists: true }, n: { $gt: 1 } } }],
  [{ expires: 1 }, { expireAfterSeconds: 3600 }],
  [
    { title: 'text', body: 'text', n: -1 },
    { weights: { body: 5 }, default_language: 'french' },
  ],
  [{ h: 'hashed' }],
  [{ name: 1 }, { sparse: true, collation: { locale: 'de', strength: 2 } }],
  [{ place: '2dsphere', kind: 1 }],
  [{ 'data.$**': 1 }],
];
/** And in a collection of its own what may not stand beside them. */
const OTHERS: readonly Index[] = [
  [{ flat: '2d' }, { bits: 20 }],
  [{ '$**': 1 }, { wildcardProjection: { secret: 0 } }],
  [{ a: 1, b: -1 }, { collation: { locale: 'fr_CA' } }],
  [
    { a: 1, b: -1 },
    { name: 'simple', hidden: true },
  ],
];

async function make(db: Db, name: string, indexes: readonly Index[], options: Document = {}): Promise<void> {
  await db.createCollection(name, options);
  for (const [key, more] of indexes) await db.collection(name).createIndex(key as never, more);
}

/** As mongodump writes it. */
async function metadataOf(db: Db, name: string): Promise<string> {
  const [listed] = (await db.listCollections({ name }).toArray()) as { options?: Document }[];
  const indexes = await db.collection(name).listIndexes().toArray();
  return EJSON.stringify({ options: listed?.options ?? {}, indexes }, { relaxed: false });
}

async function dryRun(
  bench: Workbench,
  selection: Selection,
  more: Partial<CompareRequest> = {},
): Promise<ComparedCollection> {
  const { reader } = await bench.target('staging');
  const request = { plan: bench.plan, selection, reader, show: 100, ...more };
  const { collections } = await compareWithTarget(QUIET, request);
  return collections[0] as ComparedCollection;
}

const lacksIn = (messages: readonly string[]): string[] =>
  messages.filter((message) => /exists without|lacks indexes/.test(message));

/** Applies, and returns what was said of lacks; all of it is in. */
async function appliedWith(
  bench: Workbench,
  selection: Selection,
  more: Parameters<Workbench['apply']>[2] = {},
): Promise<string[]> {
  const before = bench.events.length;
  assert.ok((await bench.apply(selection, 'staging', more)).verified);
  const events = bench.events.slice(before);
  return lacksIn(events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])));
}

/** A selection of `things`, dropped from the target after it was made there as given. */
async function lost(bench: Workbench, indexes: readonly Index[], options: Document = {}): Promise<Selection> {
  const db = await bench.db('staging');
  await make(db, 'things', indexes, options);
  const metadata = await metadataOf(db, 'things');
  await db.collection('things').drop();
  return bench.selection([{ collection: 'things', documents: DOCUMENTS, metadata }]);
}

test('a dropped collection that the application made again, bare, between dry-run and apply', async () => {
  await withWorkbench(lab, async (bench) => {
    const selection = await lost(bench, INDEXES, { validator: VALIDATOR });
    const foretold = await dryRun(bench, selection);
    assert.equal(foretold.wouldCreate, { indexes: 8 });
    assert.equal(foretold.warnings, []);

    const things = (await bench.db('staging')).collection('things');
    await things.insertOne({ _id: 99 as never });
    const { wouldCreate, warnings } = await dryRun(bench, selection);
    assert.is(wouldCreate, undefined);
    assert.is(warnings.length, 1);
    const [warning = ''] = warnings;
    assert.match(
      warning,
      "exists without the backup's validator and 7 of its 8 indexes: k_1 unique partial, expires_1 TTL, ",
    );
    assert.match(warning, 'title_text_body_text_n_-1 text');
    assert.match(warning, 'h_hashed hashed');
    assert.match(warning, 'a collection that is there keeps what it has');
    assert.match(warning, 'apply then creates it whole');

    assert.equal(await appliedWith(bench, selection), [`staging.things: ${warning}`]);
    assert.is((await things.indexes()).length, 1);

    await things.drop();
    assert.equal(await appliedWith(bench, selection), []);
    assert.is((await things.indexes()).length, 8);
  });
});

test('nothing is said where all is there, under whatever names, nor of what apply itself created', async () => {
  for (const indexes of [INDEXES, OTHERS]) {
    await withWorkbench(lab, async (bench) => {
      const options = { validator: VALIDATOR, changeStreamPreAndPostImages: { enabled: true } };
      const selection = await lost(bench, indexes, options);
      const renamed = indexes.map(([key, more], place): Index => [key, { ...more, name: `own_${place}` }]);
      const { k, n } = VALIDATOR;
      await make(await bench.db('staging'), 'things', [...renamed, [{ further: 1 }]], {
        ...options,
        validator: { n, k },
      });
      assert.equal((await dryRun(bench, selection)).warnings, []);
      assert.equal(await appliedWith(bench, selection), []);

      await (await bench.db('staging')).collection('things').drop();
      assert.equal(await appliedWith(bench, selection), []);
      assert.equal((await dryRun(bench, selection)).warnings, []);
    });
  }
});

test('the same key with other options is not the index of the backup, whatever its name', async () => {
  const cases: readonly (readonly [backup: Index, there: Index])[] = [
    [[{ k: 1 }, { unique: true }], [{ k: 1 }]],
    [[{ k: 1 }, { sparse: true }], [{ k: 1 }]],
    [
      [{ k: 1 }, { expireAfterSeconds: 60 }],
      [{ k: 1 }, { expireAfterSeconds: 61 }],
    ],
    [
      [{ k: 1 }, { unique: true }],
      [{ k: 1 }, { unique: true, partialFilterExpression: { k: 1 } }],
    ],
    [
      [{ k: 1 }, { unique: true, collation: { locale: 'en' } }],
      [{ k: 1 }, { unique: true }],
    ],
    [[{ k: 'text' }, { weights: { k: 2 } }], [{ k: 'text' }]],
  ];
  for (const [backup, there] of cases) {
    await withWorkbench(lab, async (bench) => {
      const selection = await lost(bench, [backup]);
      const db = await bench.db('staging');
      await make(db, 'things', [there]);
      const [warning = '', ...rest] = (await dryRun(bench, selection)).warnings;
      assert.match(
        warning,
        /^exists without 1 of the backup's 2 indexes: k_\w+ .*\(there with other options\);/,
      );
      assert.equal(rest, []);
    });
  }
  await withWorkbench(lab, async (bench) => {
    const selection = await lost(bench, [[{ a: 1, b: 1 }]]);
    await make(await bench.db('staging'), 'things', [[{ b: 1, a: 1 }], [{ a: 1, b: -1 }]]);
    assert.match((await dryRun(bench, selection)).warnings.join(), /2 indexes: a_1_b_1;/);
  });
});

test('options that guard documents: gone, another, weaker, stronger', async () => {
  const cases: readonly (readonly [backup: Document, there: Document, said: string | undefined])[] = [
    [{ validator: VALIDATOR }, { validator: { n: 1 } }, "the backup's validator (it has another one);"],
    [{ validator: VALIDATOR }, { validator: VALIDATOR, validationAction: 'warn' }, 'weaker level or action'],
    [{ validator: VALIDATOR, validationLevel: 'moderate' }, { validator: VALIDATOR }, undefined],
    [{ validator: VALIDATOR, validationLevel: 'off' }, {}, undefined],
    [{ collation: { locale: 'en', strength: 2 } }, {}, "without the backup's collation;"],
    [{ collation: { locale: 'en', strength: 2 } }, { collation: { locale: 'en', strength: 2 } }, undefined],
    [
      { validator: VALIDATOR, changeStreamPreAndPostImages: { enabled: true } },
      {},
      "the backup's validator and its changeStreamPreAndPostImages;",
    ],
    [{}, { validator: { k: 'a' }, collation: { locale: 'en' } }, undefined],
  ];
  for (const [backup, there, said] of cases) {
    await withWorkbench(lab, async (bench) => {
      const selection = await lost(bench, [], backup);
      await make(await bench.db('staging'), 'things', [], there);
      const lacks = lacksIn((await dryRun(bench, selection)).warnings);
      assert.is(lacks.length, said === undefined ? 0 : 1, JSON.stringify([backup, there]));
      if (said !== undefined) assert.match(lacks[0] ?? '', said);
    });
  }
});

test('very many and very long names: the warning fits into a report, the unique ones come first', async () => {
  await withWorkbench(lab, async (bench) => {
    const many = Array.from({ length: 40 }, (_, place): Index => [{ [`f${place}`]: 1 }]);
    const unique: Index = [{ slug: 1 }, { unique: true }];
    const selection = await lost(bench, [...many, unique], { validator: VALIDATOR });
    await make(await bench.db('staging'), 'things', []);
    const [warning = ''] = (await dryRun(bench, selection)).warnings;
    assert.match(warning, 'its 42 indexes: slug_1 unique, f0_1, f1_1, ');
    assert.match(warning, 'f8_1 and 31 more;');
  });
  await withWorkbench(lab, async (bench) => {
    const long = Array.from(
      { length: 20 },
      (_, place): Index => [{ [`g${place}`]: 1 }, { name: 'x'.repeat(100) + place }],
    );
    const longer = await lost(bench, long, { validator: VALIDATOR });
    await make(await bench.db('staging'), 'things', []);
    const [cut = ''] = (await dryRun(bench, longer)).warnings;
    assert.ok(cut.length < 1_000, `${cut.length} characters`);
    assert.match(cut, / and \d+ more;/);
    assert.match(cut, 'apply then creates it whole');
  });
});

test('without metadata nothing is said; metadata that cannot be read refuse nothing', async () => {
  await withWorkbench(lab, async (bench) => {
    await make(await bench.db('staging'), 'things', []);
    const bare = bench.selection([{ collection: 'things', documents: DOCUMENTS }]);
    assert.equal((await dryRun(bench, bare)).warnings, []);
    assert.equal(await appliedWith(bench, bare), []);
    const odd = bench.selection([{ collection: 'things', documents: DOCUMENTS, metadata: '{"indexes":' }]);
    const said =
      "whether it lacks indexes or options of the backup is not known: the backup's metadata of things";
    assert.match((await dryRun(bench, odd)).warnings.join(), said);
    assert.match((await appliedWith(bench, odd)).join(), `staging.things: ${said}`);
  });
});

test('a collection that somebody makes in the very moment of its creation lacks the validator, and that is said', async () => {
  await withWorkbench(lab, async (bench) => {
    const selection = await lost(bench, [[{ k: 1 }, { unique: true }]], { validator: VALIDATOR });
    const db = await bench.db('staging');
    const checkpoint = async (name: string): Promise<void> => {
      if (name === 'collection-intended') await db.createCollection('things');
    };
    const lacks = await appliedWith(bench, selection, { checkpoint });
    assert.is(lacks.length, 1);
    assert.match(lacks[0] ?? '', "staging.things: exists without the backup's validator;");
  });
});

test('what a run that was cut off began to make, and the next one completes, is not said to lack anything', async () => {
  await withWorkbench(lab, async (bench) => {
    const selection = await lost(bench, INDEXES, { validator: VALIDATOR });
    const checkpoint = async (name: string): Promise<void> => {
      if (name === 'collection-created') throw new Error('cut off');
    };
    await bench.apply(selection, 'staging', { checkpoint }).then(
      () => assert.unreachable(),
      () => undefined,
    );
    const things = (await bench.db('staging')).collection('things');
    assert.is((await things.indexes()).length, 1);
    const { reader } = await bench.target('staging');
    const uuid = (await reader.collection('things'))?.uuid?.toString('hex');
    const begun = new Map([['things', uuid]]);
    assert.equal((await dryRun(bench, selection, { begun })).warnings, []);
    const ofAnother = new Map([['things', '0'.repeat(32)]]);
    assert.is((await dryRun(bench, selection, { begun: ofAnother })).warnings.length, 1);
    assert.equal(await appliedWith(bench, selection), []);
    assert.is((await things.indexes()).length, 8);
  });
});

test.run();
