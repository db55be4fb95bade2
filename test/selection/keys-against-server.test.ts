/** What refers to what: dependents chosen by the product against the same question put to mongod (`distinct`, then `$in`). */
import { Decimal128, type Document, Double, Int32, Long, ObjectId, serialize } from 'bson';
import * as fc from 'fast-check';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { KeySet } from '../../src/bson/key-set.ts';
import { KeyPath } from '../../src/selection/routes.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';

let lab: Lab;
let db: Db;
test.before(async () => {
  lab = await openLab();
  db = lab.database('keys');
  for (const name of ['parents', 'children']) await db.collection(name).createIndex({ run: 1 });
});
test.after(() => lab.close());

/** Without positions in arrays: there `distinct` takes `a.0` for the position alone, while a query means the field `0` as well. */
const LOCAL_PATHS = ['k', 'a.k', '0.k'] as const;
const FOREIGN_PATHS = [...LOCAL_PATHS, 'a.0', 'a.1.k', 'a.k.0', 'a.0.0'] as const;

const number = fc.integer({ min: 0, max: 3 });
const key = fc.oneof(
  number.map((n) => new Int32(n)),
  number.map((n) => new Double(n)),
  number.map((n) => Long.fromNumber(n)),
  number.map((n) => Decimal128.fromString(`${n}.0`)),
  fc.constantFrom('0', 'k', null, true),
  number.map((n) => new ObjectId(n.toString(16).padStart(24, '0'))),
);
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    key,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.record({ k: tie('value'), 0: tie('value') }, { requiredKeys: [] }),
  ),
})).value;
const documents = fc.array(fc.record({ k: value, a: value, 0: value }, { requiredKeys: [] }), {
  minLength: 1,
  maxLength: 12,
});

const bson = (document: Document): Buffer => Buffer.from(serialize(document));

/** The product's way: keys of all parents in a set, children asked one by one. */
function refersByPaths(
  parents: readonly Buffer[],
  children: readonly Buffer[],
  [local, foreign]: readonly [string, string],
): number[] {
  const keys = new KeySet();
  const localPath = new KeyPath(local, 'local');
  for (const parent of parents) {
    localPath.some(parent, 0, (value) => {
      keys.add(value);
      return false;
    });
  }
  const foreignPath = new KeyPath(foreign, 'foreign');
  return children.flatMap((child, i) => (foreignPath.some(child, 0, (value) => keys.has(value)) ? [i] : []));
}

test(
  'dependents are those that mongod finds by the distinct keys of their parents',
  async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        documents,
        documents,
        fc.tuple(fc.constantFrom(...LOCAL_PATHS), fc.constantFrom(...FOREIGN_PATHS)),
        async (parents, children, paths) => {
          run++;
          const numbered = (made: readonly Document[]): Document[] =>
            made.map((each, i) => ({ _id: 100 * run + i, run, ...each }));
          const [up, down] = [numbered(parents), numbered(children)];
          await db.collection('parents').insertMany(up as never[]);
          await db.collection('children').insertMany(down as never[]);
          // Raw numbers, so that a key goes back to the server with the type it has.
          const distinct = await db.command(
            { distinct: 'parents', key: paths[0], query: { run } },
            { promoteValues: false },
          );
          const keys = (distinct['values'] as unknown[]).filter((each) => each !== null);
          const found = await db
            .collection('children')
            .find({ run, [paths[1]]: { $in: keys } } as never, { projection: { _id: 1 } })
            .toArray();
          assert.equal(
            refersByPaths(up.map(bson), down.map(bson), paths),
            found.map(({ _id }) => Number(_id) - 100 * run).sort((a, b) => a - b),
          );
        },
      ),
      { numRuns: 300, seed: 11 },
    );
  },
  { deadlineMs: 60_000 },
);

test.run();
