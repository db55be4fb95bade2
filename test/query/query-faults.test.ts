/** All that is wrong with a query at once, and nothing that only follows from another fault. */
import * as assert from 'uvu/assert';
import { queryFaults } from '../../src/query/query-faults.ts';
import { test } from '../harness.ts';

const CASES: readonly (readonly [query: string, paths: readonly string[]])[] = [
  ['{}', []],
  ['{ a: 1, b: { $gt: 2 } }', []],
  ['{ a: { $gtt: 1, $ltt: 2 }, b: { $foo: 1 } }', ['a.$gtt', 'a.$ltt', 'b.$foo']],
  ['{ $where: "x", a: { $not: { $bar: 1 } } }', ['$where', 'a.$not.$bar']],
  ['{ $or: [{ $baz: 1 }, { b: { $bar: 1 } }] }', ['$or.0.$baz', '$or.1.b.$bar']],
  ['{ a: { $regex: "(", $options: "i" } }', ['a.$regex']],
  ['{ "a.b": { $x: 1 }, c: { $size: "a" } }', ['a.b.$x', 'c.$size']],
  ['{ a: { $type: 255 }, b: { $type: -1 } }', ['a.$type']],
  ['{ a: ', ['']],
];

for (const [query, paths] of CASES) {
  test(`${query} has ${paths.length} faults`, () => {
    assert.equal(
      queryFaults(query).map(({ path }) => path),
      paths,
    );
  });
}

test('a query with a thousand faults ends', () => {
  const fields = Array.from({ length: 1_000 }, (_, index) => [`f${index}`, new Map([['$no', 1]])] as const);
  assert.is(queryFaults(new Map(fields)).length, 20);
});

test.run();
