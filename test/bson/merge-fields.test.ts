import { type Document, Double, deserialize, Int32, serialize } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { buildDocument } from '../../src/bson/document-builder.ts';
import { elements, keyOf } from '../../src/bson/elements.ts';
import { MergeFields } from '../../src/bson/merge-fields.ts';
import { BSON } from '../../src/bson/types.ts';
import { test } from '../harness.ts';

const raw = (document: Document): Buffer => Buffer.from(serialize(document, { ignoreUndefined: false }));
const merged = (fields: string[], into: Document, from: Document): Document =>
  deserialize(new MergeFields(fields).merged(raw(into), raw(from)), { promoteValues: false });

const CASES: readonly [what: string, fields: string[], into: Document, from: Document, is: Document][] = [
  ['a field keeps its place', ['b'], { a: 1, b: 2, c: 3 }, { b: 9, a: 8 }, { a: 1, b: 9, c: 3 }],
  ['a missing field comes last', ['b'], { a: 1, c: 3 }, { b: 9 }, { a: 1, c: 3, b: 9 }],
  ['several come in the backup’s order', ['a', 'b'], { z: 0 }, { b: 1, a: 2 }, { z: 0, b: 1, a: 2 }],
  ['a field that the backup lacks goes', ['b'], { a: 1, b: 2 }, { a: 5 }, { a: 1 }],
  [
    'a nested one keeps its place',
    ['p.b'],
    { p: { a: 1, b: 2, c: 3 } },
    { p: { b: 9 } },
    { p: { a: 1, b: 9, c: 3 } },
  ],
  [
    'a missing parent is made',
    ['p.q.b'],
    { a: 1 },
    { p: { x: 1, q: { y: 1, b: 9 } } },
    { a: 1, p: { q: { b: 9 } } },
  ],
  ['and not without need', ['p.q.b'], { a: 1 }, { p: { q: { y: 1 } } }, { a: 1 }],
  ['an emptied parent stays', ['p.b'], { p: { b: 1 }, a: 1 }, { a: 2 }, { p: {}, a: 1 }],
  ['a parent that is no document stays where nothing is to be in it', ['p.b'], { p: 4 }, { a: 1 }, { p: 4 }],
  [
    'whole arrays and documents are values',
    ['v'],
    { v: [1], a: 1 },
    { v: { x: [2] } },
    { v: { x: [2] }, a: 1 },
  ],
];

for (const [what, fields, into, from, is] of CASES) {
  test(what, () => {
    const expected = deserialize(raw(is), { promoteValues: false });
    assert.equal(JSON.stringify(merged(fields, into, from)), JSON.stringify(expected));
  });
}

test('types, repeated names and odd array keys stay as they are in the backup', () => {
  const source = buildDocument((builder) => {
    for (const n of [1, 2]) {
      builder.element(BSON.DOUBLE, 'v');
      builder.double(n);
    }
    builder.element(BSON.ARRAY, 'list');
    builder.embed((list) => {
      for (const key of ['7', '0', '7']) {
        list.element(BSON.INT32, key);
        list.int32(1);
      }
    });
  });
  const into = raw({ _id: 1, v: new Int32(1), list: [1, 2], w: 2 });
  const fields = new MergeFields(['v', 'list']);
  const result = fields.merged(into, source);
  assert.ok(fields.image(result).equals(fields.image(source)));
  assert.equal([...elements(result)].map(keyOf), ['_id', 'v', 'v', 'list', 'w']);
  const back = fields.merged(result, into);
  assert.ok(back.equals(into), 'and back');
});

test('what is no document on the way to a field is refused by name', () => {
  const fields = new MergeFields(['p.q.a', 'b']);
  const source = raw({ p: { q: { a: 1 } } });
  assert.is(fields.refusal(raw({ p: { q: {} } }), source), undefined);
  assert.match(
    fields.refusal(raw({ p: { q: [1] } }), source) ?? '',
    'its p.q is not a document in the target',
  );
  assert.is(fields.refusal(raw({ p: [] }), raw({ b: 1 })), undefined, 'nothing is to be in it');
  assert.match(fields.refusal(raw({}), raw({ p: 1 })) ?? '', 'in the backup');
});

const NAMES = ['a', 'b', 'p', '0', '1'];
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: 0, max: 3 }).map((n) => new Int32(n)),
    fc.constantFrom(new Double(1), 'text', null),
    fc.array(tie('value'), { maxLength: 2 }),
    tie('document'),
  ),
  document: fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { maxKeys: 4, noNullPrototype: true }),
}));
const PATHS = ['a', 'b', 'p.a', 'p.p.b', 'p.0', '1'];

test('a path into an array is never taken for restored, unless the whole array is', () => {
  const fields = new MergeFields(['tags.0']);
  const held = (document: Document, source: Document): boolean => fields.holds(raw(document), raw(source));
  assert.is(held({ tags: [9] }, { tags: [1] }), false);
  assert.is(held({ tags: 'text' }, { tags: [1] }), false);
  assert.is(held({}, { tags: [1] }), false);
  assert.match(fields.refusal(raw({ tags: [9] }), raw({ tags: [1] })) ?? '', /^its tags is not a document/);
  assert.is(held({ a: 1, tags: [1] }, { a: 2, tags: [1] }), true);
  assert.is(held({ tags: [9] }, {}), true);
});

test('whatever the documents: the fields are the backup’s afterwards, and nothing else has changed', () => {
  const paths = fc.subarray(PATHS, { minLength: 1 });
  const document = value.document as fc.Arbitrary<Document>;
  fc.assert(
    fc.property(document, document, paths, (into, from, chosen) => {
      const fields = new MergeFields(chosen);
      const [before, source] = [raw(into), raw(from)];
      if (fields.refusal(before, source) !== undefined) return;
      const after = fields.merged(before, source);
      assert.ok(fields.image(after).equals(fields.image(source)), 'the fields');
      const others = PATHS.filter((path) => !chosen.includes(path));
      if (others.length > 0) {
        const rest = new MergeFields(others);
        assert.ok(rest.image(after).equals(rest.image(before)), 'the others');
      }
      assert.ok(fields.merged(after, source).equals(after), 'once more changes nothing');
    }),
    { numRuns: 3_000 },
  );
});

test.run();
