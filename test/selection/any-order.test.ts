/** Random plans over random documents, in every order a backup can hand them out, against a naive reading of the plan. */
import { type Document, Double } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type ChunkedBackup, type Chunking, chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf, type RootSketch } from './plans.ts';
import { idsOf, refusal, select } from './selecting.ts';

let folder: TemporaryFolder;
test.before.each(() => {
  folder = temporaryFolder('any-order');
});
test.after.each(() => folder.remove());

// A plan over three collections of few distinct keys, so that references hit, miss, repeat and form trees and loops.
const KEY = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 5 }).map((n) => new Double(n)),
  fc.constantFrom('a', 'b', null),
);
const DOCUMENT = fc.record(
  { up: fc.oneof(KEY, fc.array(KEY, { maxLength: 3 })), side: KEY, pad: fc.string({ maxLength: 30 }) },
  { requiredKeys: [] },
);
const COLLECTIONS = ['one', 'two', 'three'] as const;
const PLANS: readonly RootSketch[] = [
  { collection: 'one', query: {}, dependents: [{ collection: 'two', foreignKey: 'up' }] },
  {
    collection: 'one',
    query: { side: 1 },
    dependents: [
      { collection: 'one', foreignKey: 'up' },
      {
        collection: 'two',
        foreignKey: 'up',
        localKey: 'side',
        dependents: [{ collection: 'three', foreignKey: 'up' }],
      },
      { collection: 'three', foreignKey: 'side', localKey: 'up', query: { side: { $gte: 1 } } },
    ],
  },
  {
    collection: 'two',
    query: { side: { $exists: true } },
    dependents: [
      {
        collection: 'one',
        foreignKey: '_id',
        localKey: 'up',
        dependents: [
          {
            collection: 'three',
            foreignKey: 'side',
            dependents: [{ collection: 'one', foreignKey: 'side' }],
          },
        ],
      },
    ],
  },
];

/** Where a document lies: the folder of one of three shards, and perhaps that of the next one too. */
interface Place {
  readonly shard: number;
  readonly isCopied: boolean;
}
const PLACE: fc.Arbitrary<Place> = fc.record({ shard: fc.nat({ max: 2 }), isCopied: fc.boolean() });

const CUTTING = fc.record({
  lengths: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
  turns: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 20 }),
});

function cutting({
  lengths,
  turns,
}: {
  lengths: number[];
  turns: number[];
}): Required<Pick<Chunking, 'nextLength' | 'nextMember'>> {
  let length = 0;
  let turn = 0;
  return {
    nextLength: () => lengths[length++ % lengths.length] as number,
    nextMember: () => turns[turn++ % turns.length] as number,
  };
}

async function assertSelects(
  sketch: RootSketch,
  data: ReadonlyMap<string, readonly Document[]>,
  { backup, shards, spareBytes }: { backup: ChunkedBackup; shards: Shards; spareBytes?: number },
): Promise<void> {
  const expected = naiveSelection(sketch, data);
  const selecting = select(planOf(sketch), {
    ...{ backup, folder: folder.path },
    ...(spareBytes === undefined ? {} : { spareBytes }),
  });
  if (expected.get(sketch.collection)?.size === 0) {
    assert.is((await refusal(selecting)).code, 'BACKUP');
    return;
  }
  const selection = await selecting;
  for (const [collection, ids] of expected) {
    const inOrder = shards.flatMap((shard) => shard.get(collection) ?? []).map(({ _id }) => _id as number);
    assert.equal(
      await idsOf(selection, collection),
      [...new Set(inOrder)].filter((id) => ids.has(id)),
      collection,
    );
  }
  if (spareBytes !== undefined) return;
  assert.ok(
    [...backup.reads.values()].every((reads) => reads === 1),
    'each member is read once',
  );
}

/** The documents of each collection that a shard's folder holds. */
type Shards = readonly ReadonlyMap<string, readonly Document[]>[];

const DATA = fc
  .tuple(...COLLECTIONS.map(() => fc.array(fc.tuple(DOCUMENT, PLACE), { maxLength: 12 })))
  .map((collections) => {
    const placed = new Map(
      COLLECTIONS.map((name, i) => [
        name as string,
        (collections[i] ?? []).map(([document, place], _id) => ({ document: { _id, ...document }, place })),
      ]),
    );
    const those = (wanted: (place: Place) => boolean) =>
      new Map(
        [...placed].map(([name, all]) => [
          name,
          all.filter(({ place }) => wanted(place)).map(({ document }) => document as Document),
        ]),
      );
    return {
      all: those(() => true),
      shards: [0, 1, 2].map((shard) =>
        those(({ shard: home, isCopied }) => home === shard || (isCopied && (home + 1) % 3 === shard)),
      ),
    };
  });

test(
  'a selection is what a naive reading of the plan gives, however the backup is cut and ordered',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PLANS),
        DATA,
        fc.record({
          access: fc.constantFrom('random' as const, 'interleaved' as const),
          order: fc.shuffledSubarray([...COLLECTIONS], { minLength: 3 }),
          cuts: CUTTING,
        }),
        async (sketch, { all }, { access, order, cuts }) => {
          const members = order.map((name) => memberOf(name, all.get(name) ?? []));
          const backup = chunkedBackup({ access, members, ...cutting(cuts) });
          await assertSelects(sketch, all, { backup, shards: [all] });
        },
      ),
      { numRuns: 100, seed: 3 },
    );
  },
  { deadlineMs: 60_000 },
);

test(
  'and so it is from the folders of three shards in any order, with or without space to keep what may be needed',
  async () => {
    const folders = [0, 1, 2].flatMap((shard) => COLLECTIONS.map((name) => ({ shard, name })));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PLANS),
        DATA,
        fc.record({
          access: fc.constantFrom('random' as const, 'sequential' as const),
          order: fc.shuffledSubarray(folders, { minLength: folders.length }),
          cuts: CUTTING,
          spareBytes: fc.constantFrom(undefined, undefined, 0, 300),
        }),
        async (sketch, { all, shards }, { access, order, cuts, spareBytes }) => {
          const members = order.map(({ shard, name }) =>
            memberOf(name, shards[shard]?.get(name) ?? [], `c${shard}/gravity/${name}.bson`),
          );
          const { nextLength } = cutting(cuts);
          const backup = chunkedBackup({ access, members, nextLength });
          await assertSelects(sketch, all, {
            backup,
            shards,
            ...(spareBytes !== undefined && { spareBytes }),
          });
        },
      ),
      { numRuns: 150, seed: 4 },
    );
  },
  { deadlineMs: 60_000 },
);

/** The plan read literally: routes are followed until nothing new is found. Values are compared as JavaScript numbers and strings. */
function naiveSelection(
  root: RootSketch,
  data: ReadonlyMap<string, readonly Document[]>,
): Map<string, Set<number>> {
  const chosen = new Map<string, Set<number>>();
  const plain = (value: unknown): unknown => (value instanceof Double ? value.value : value);
  const values = (document: Document, path: string): unknown[] =>
    [document[path]]
      .flat()
      .map(plain)
      .filter((value) => value !== null && value !== undefined);
  const passes = (document: Document, query: Document): boolean =>
    Object.entries(query).every(([field, wanted]) => {
      const value = plain(document[field]);
      if (wanted.$exists === true) return field in document;
      if (wanted.$gte !== undefined) return typeof value === 'number' && value >= wanted.$gte;
      return value === wanted;
    });
  type Sketch = Omit<RootSketch, 'query'> & { query?: Document; foreignKey?: string; localKey?: string };
  const follow = (sketch: Sketch, parents: readonly Document[]): void => {
    const own = (data.get(sketch.collection) ?? []).filter(
      (document) =>
        passes(document, sketch.query ?? {}) &&
        (sketch.foreignKey === undefined ||
          parents.some((parent) =>
            values(parent, sketch.localKey ?? '_id').some((key) =>
              values(document, sketch.foreignKey as string).includes(key),
            ),
          )),
    );
    const ids = chosen.get(sketch.collection) ?? new Set();
    for (const { _id } of own) ids.add(_id as number);
    chosen.set(sketch.collection, ids);
    for (const dependent of sketch.dependents ?? []) {
      if (dependent.collection !== sketch.collection) continue;
      // A tree: its members are parents as those above them are.
      for (let size = -1; size < own.length; ) {
        size = own.length;
        const more = (data.get(sketch.collection) ?? []).filter(
          (document) =>
            !own.includes(document) &&
            own.some((parent) =>
              values(parent, dependent.localKey ?? '_id').some((key) =>
                values(document, dependent.foreignKey).includes(key),
              ),
            ),
        );
        own.push(...more);
        for (const { _id } of more) ids.add(_id as number);
      }
    }
    for (const dependent of sketch.dependents ?? []) {
      if (dependent.collection !== sketch.collection) follow(dependent, own);
    }
  };
  follow(root, []);
  return chosen;
}

test.run();
