/** Trees and loops are followed to their end, however deep and in whatever order their documents lie. */
import { type Document, Double, Long, ObjectId, serialize } from 'bson';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { Plan } from '../../src/plan/plan.ts';
import { Chooser } from '../../src/selection/chooser.ts';
import { collectionRoutes } from '../../src/selection/routes.ts';
import { WaitingReferences, type WaitingSpace } from '../../src/selection/waiting-references.ts';
import { test } from '../harness.ts';
import { chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { idsOf, selectingAnew } from './selecting.ts';

const { select } = selectingAnew(test);

const ROOMY: WaitingSpace = { slots: 1 << 12, blocks: 2, words: 1 << 14 };

interface Side {
  readonly collection: string;
  readonly documents: readonly Document[];
}

/** Readings of all documents until no key is new, or one was complete; and how many they were. */
function closeOver(plan: Plan, sides: readonly Side[], space: WaitingSpace) {
  const routes = collectionRoutes(plan);
  const choosers = new Map(routes.map((each) => [each.collection, new Chooser(each)]));
  const raw = sides.map(({ collection, documents }) => ({
    chooser: choosers.get(collection) as Chooser,
    documents: documents.map((document) => Buffer.from(serialize(document))),
  }));
  const waiting = new WaitingReferences(
    routes.flatMap((each) => each.routes),
    space,
  );
  const keys = (): number => raw.reduce((sum, { chooser }) => sum + chooser.keysKnown, 0);
  let readings = 0;
  for (let before = -1; before < keys() && !(readings > 0 && waiting.isComplete); readings++) {
    before = keys();
    waiting.begin();
    for (const { chooser, documents } of raw)
      for (const document of documents) chooser.choosesOrWaits(document, 0, waiting);
  }
  const chosen = raw.map(({ chooser, documents }) =>
    documents.map((document) => chooser.chooses(document, 0)),
  );
  return { chosen, readings, isComplete: waiting.isComplete };
}

/** The plain way: again and again until nothing changes. */
function closeOverPlainly(plan: Plan, sides: readonly Side[]): boolean[][] {
  const choosers = new Map(collectionRoutes(plan).map((each) => [each.collection, new Chooser(each)]));
  for (let before = '', after = ' '; ; before = after) {
    const chosen = sides.map(({ collection, documents }) =>
      documents.map((each) => choosers.get(collection)?.chooses(Buffer.from(serialize(each)), 0) ?? false),
    );
    after = JSON.stringify([chosen, [...choosers.values()].map(({ keysKnown }) => keysKnown)]);
    if (after === before) return chosen;
  }
}

const id = (number: number): ObjectId => new ObjectId(number.toString(16).padStart(24, '0'));
/** One number of few as values that are equal in several types, or as other keys. */
const key = fc
  .tuple(fc.nat(14), fc.nat(5))
  .map(([number, form]) =>
    form === 0 ? new Double(number) : form === 1 ? Long.fromNumber(number) : form === 2 ? id(number) : number,
  );
const parents = fc.oneof(key, fc.constant(null), fc.array(key, { maxLength: 3 }));
const documents = fc.array(fc.record({ _id: key, parent: parents, other: parents, isOpen: fc.boolean() }), {
  maxLength: 30,
});

const TREE = planOf({
  collection: 'comments',
  query: { _id: 1 },
  dependents: [{ collection: 'comments', foreignKey: 'parent', query: { isOpen: true } }],
});
const LOOP = planOf({
  collection: 'sales',
  query: { _id: 1 },
  dependents: [
    {
      collection: 'lots',
      foreignKey: 'parent',
      dependents: [{ collection: 'sales', foreignKey: 'other', localKey: 'parent' }],
    },
    { collection: 'sales', foreignKey: 'parent', localKey: 'other' },
  ],
});
const ALSO_LOTS = planOf(
  { collection: 'sales', query: { _id: 2 }, dependents: [{ collection: 'lots', foreignKey: 'other' }] },
  {
    collection: 'lots',
    query: { _id: 3 },
    dependents: [
      { collection: 'sales', foreignKey: 'parent' },
      { collection: 'lots', foreignKey: 'parent' },
    ],
  },
);

test('what waits for its parents is chosen as if it were read again and again, with much room and with little', () => {
  const space = fc.constantFrom(
    ROOMY,
    { ...ROOMY, slots: 8 },
    { ...ROOMY, words: 40 },
    { ...ROOMY, words: 8 },
    { ...ROOMY, blocks: 0 },
  );
  const plan = fc.constantFrom(TREE, LOOP, ALSO_LOTS);
  fc.assert(
    fc.property(plan, documents, documents, space, (each, first, second, room) => {
      const sides =
        each === TREE
          ? [{ collection: 'comments', documents: first }]
          : [
              { collection: 'sales', documents: first },
              { collection: 'lots', documents: second },
            ];
      const { chosen, readings, isComplete } = closeOver(each, sides, room);
      assert.equal(chosen, closeOverPlainly(each, sides));
      if (room === ROOMY) {
        assert.is(readings, 1);
        assert.ok(isComplete);
      }
    }),
    { numRuns: 2_000, seed: 9 },
  );
});

test('where not all can wait at once, each has its turn', () => {
  const count = 60;
  const chain = Array.from({ length: count }, (_, i) => ({ _id: i, parent: i - 1, isOpen: true })).reverse();
  const sides = [{ collection: 'comments', documents: chain }];
  assert.is(closeOver(TREE, sides, ROOMY).readings, 1);
  const { chosen, readings } = closeOver(TREE, sides, { ...ROOMY, words: 60 });
  assert.is(chosen[0]?.filter((each) => each).length, count - 1);
  assert.ok(readings < 20, `${readings} readings`);
});

test('a document without an answer to its query is no fault while nobody wants it', () => {
  const plan = planOf({
    collection: 'comments',
    query: { _id: 1 },
    dependents: [
      {
        collection: 'comments',
        foreignKey: 'parent',
        query: { $expr: { $gt: [{ $add: ['$price', 1] }, 0] } },
      },
    ],
  });
  const wanted = { _id: 3, parent: 2, price: 'none' };
  const others = [{ _id: 5, parent: 4, price: 'none' }, { _id: 2, parent: 1, price: 1 }, { _id: 1 }];
  const chosenOf = (all: readonly Document[]) =>
    closeOver(plan, [{ collection: 'comments', documents: all }], ROOMY).chosen;
  assert.equal(chosenOf(others), [[false, true, true]]);
  assert.throws(() => chosenOf([wanted, ...others]), /price|\$add/);
});

const MEDIAN_OF = 3;

async function msPerDocument(depth: number, chains: number): Promise<number> {
  const comments = Array.from({ length: depth * chains }, (_, i) => ({
    _id: id(i + 1),
    parentId: i % depth === 0 ? null : id(i),
    text: 'x'.repeat(100),
  }));
  const plan = planOf({
    collection: 'comments',
    query: { parentId: null },
    dependents: [{ collection: 'comments', foreignKey: 'parentId' }],
  });
  // Children before their parents: each look at all of them finds one more level of a chain.
  const members = [memberOf('comments', comments.reverse())];
  const times: number[] = [];
  for (let i = 0; i < MEDIAN_OF; i++) {
    const began = performance.now();
    const selection = await select(plan, chunkedBackup({ access: 'random', members }));
    times.push((performance.now() - began) / comments.length);
    if (i === 0) assert.is((await idsOf(selection, 'comments')).length, depth * chains);
  }
  return times.sort((a, b) => a - b)[1] as number;
}

test('a chain 8,000 deep costs about as much per document as one 80 deep', async () => {
  await msPerDocument(80, 100);
  const shallow = await msPerDocument(80, 100);
  const deep = await msPerDocument(8_000, 1);
  assert.ok(deep < 4 * shallow, `${deep} ms per document, against ${shallow}`);
});

test.run();
