/** The page's own side-by-side difference (src/report/html/page/difference.js), run without a browser. */
import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';

interface Pair {
  readonly left: string | undefined;
  readonly right: string | undefined;
  readonly same: boolean;
}

interface DifferenceScript {
  layOut(text: string): string[];
  sideBySide(left: readonly string[], right: readonly string[]): Pair[];
}

const SCRIPT = new URL('../../src/report/html/page/difference.js', import.meta.url);
const { layOut, sideBySide }: DifferenceScript = runInNewContext(
  `${readFileSync(SCRIPT, 'utf8')}; ({ layOut, sideBySide })`,
);

const SEED = { seed: 20160913 };

test('a document is laid out one field a line, wrapped values and empty ones on one', () => {
  const text =
    '{"_id":{"$oid":"57"},"a":[1,{"b":[]}],"at":{"$date":{"$numberLong":"1"}},"s":"x, {y}: \\"z\\""}';
  assert.equal(
    [...layOut(text)],
    [
      ...['{', '  "_id": {"$oid": "57"},', '  "a": [', '    1,', '    {', '      "b": []', '    }', '  ],'],
      ...['  "at": {"$date": {"$numberLong": "1"}},', '  "s": "x, {y}: \\"z\\""', '}'],
    ],
  );
});

test('laying out changes nothing but space, wherever the text was cut', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (text, at) => {
      const cut = `${text.slice(0, at % (text.length + 1))}…`;
      const bare = (all: string): string => all.replace(/\s+/g, '');
      assert.is(bare(layOut(cut).join('')), bare(cut));
    }),
    SEED,
  );
});

test('each side keeps its lines in order, and lines called the same are', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 });
  fc.assert(
    fc.property(lines, lines, (left, right) => {
      const pairs = sideBySide(left, right);
      const side = (name: 'left' | 'right'): string[] =>
        [...pairs].map((pair) => pair[name]).filter((line) => line !== undefined);
      assert.equal(side('left'), left);
      assert.equal(side('right'), right);
      for (const pair of pairs) if (pair.same) assert.is(pair.left, pair.right);
    }),
    SEED,
  );
});

test('a line inserted among many leaves the others the same', () => {
  const left = Array.from({ length: 200 }, (_, index) => `line ${index}`);
  const pairs = sideBySide(left, [...left.slice(0, 70), 'new', ...left.slice(70, 150), ...left.slice(151)]);
  assert.equal(
    [...pairs].filter(({ same }) => !same).map(({ left, right }) => [left, right]),
    [
      [undefined, 'new'],
      ['line 150', undefined],
    ],
  );
});

test('two texts too large to compare are paired by position, at once', () => {
  const left = Array.from({ length: 5000 }, (_, index) => `l${index}`);
  const start = performance.now();
  const pairs = sideBySide(
    left,
    left.map((line) => `${line}!`),
  );
  assert.is(pairs.length, 5000);
  assert.ok(performance.now() - start < 10_000);
});

test.run();
