import { ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { BsonFault } from '../../src/bson/elements.ts';
import { KeySet } from '../../src/bson/key-set.ts';
import { ParentLookup } from '../../src/selection/chooser.ts';
import { KeyPath } from '../../src/selection/routes.ts';
import { test } from '../harness.ts';

/** Enough that answers are looked up together. */
const PARENTS = 30_000;
const parentId = (n: number): ObjectId => new ObjectId((n * 7919 + 1).toString(16).padStart(24, '0'));

function keysOfParents(): KeySet {
  const keys = new KeySet();
  const path = new KeyPath('_id', 'local');
  for (let n = 0; n < PARENTS; n++) {
    path.some(Buffer.from(serialize({ _id: parentId(n) })), 0, (value) => {
      keys.collect(value);
      return false;
    });
  }
  return keys;
}

const lookupBy = (foreignKey: string, keys = keysOfParents()): ParentLookup =>
  new ParentLookup({ collection: 'parents', foreignKey, path: new KeyPath(foreignKey, 'foreign'), keys });

/** Back to back, and where each starts. */
function together(documents: readonly object[]): { bytes: Buffer; starts: number[] } {
  const made = documents.map((document) => Buffer.from(serialize(document)));
  const starts = made.map((_, i) => made.slice(0, i).reduce((sum, { length }) => sum + length, 0));
  return { bytes: Buffer.concat(made), starts };
}

const CHILDREN = [
  { parent: parentId(0) },
  { parent: parentId(PARENTS) },
  { other: 1 },
  { parent: [parentId(PARENTS), parentId(5)] },
  { parent: [] },
  { parent: null },
  { parent: 'text', other: parentId(1) },
  { parent: parentId(PARENTS - 1) },
];
const REFERS = [true, false, false, true, false, false, false, true];

test('children are told from strangers, looked up ahead or not, in any order', () => {
  const lookup = lookupBy('parent');
  const { bytes, starts } = together(CHILDREN);
  const answers = (): boolean[] => starts.map((start) => lookup.refers(bytes, start));
  assert.equal(answers(), REFERS);
  lookup.lookAhead(bytes, starts, starts.length);
  assert.equal(answers(), REFERS);
  assert.equal(answers(), REFERS, 'asked twice');
  lookup.lookAhead(bytes, starts, starts.length);
  assert.equal(
    [...starts].reverse().map((start) => lookup.refers(bytes, start)),
    [...REFERS].reverse(),
  );
});

test('what was looked up for one buffer says nothing about another', () => {
  const lookup = lookupBy('parent');
  const strangers = together(CHILDREN.map(() => ({ parent: parentId(PARENTS) })));
  lookup.lookAhead(strangers.bytes, strangers.starts, strangers.starts.length);
  const { bytes, starts } = together(CHILDREN);
  assert.equal(
    starts.map((start) => lookup.refers(bytes, start)),
    REFERS,
  );
});

test('a parent that came after the looking up is found', () => {
  const keys = keysOfParents();
  const lookup = lookupBy('parent', keys);
  const { bytes, starts } = together(CHILDREN);
  lookup.lookAhead(bytes, starts, starts.length);
  new KeyPath('_id', 'local').some(Buffer.from(serialize({ _id: parentId(PARENTS) })), 0, (value) => {
    keys.collect(value);
    return false;
  });
  assert.ok(lookup.refers(bytes, starts[1] as number));
});

test('a damaged document is a fault when it is asked about, not before', () => {
  const lookup = lookupBy('parent');
  const { bytes, starts } = together(CHILDREN);
  bytes[(starts[2] as number) + 4] = 0x55;
  lookup.lookAhead(bytes, starts, starts.length);
  assert.equal([lookup.refers(bytes, 0), lookup.refers(bytes, starts[1] as number)], REFERS.slice(0, 2));
  assert.throws(
    () => lookup.refers(bytes, starts[2] as number),
    (error: unknown) => error instanceof BsonFault,
  );
});

test.run();
