/** Names as mongodump escapes them; the examples were read off real dumps. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { collectionOf, fileNameOf } from '../../../src/backup/layout/dump-paths.ts';
import { test } from '../../harness.ts';

const NAMES = [
  ['artworks', 'artworks'],
  ['fs.files', 'fs.files'],
  ['a b', 'a+b'],
  ['a+b', 'a%2Bb'],
  ['a/b', 'a%2Fb'],
  ['a%b', 'a%25b'],
  ['a:b', 'a%3Ab'],
  ["x!*'()", 'x%21%2A%27%28%29'],
  ['ünï', '%C3%BCn%C3%AF'],
  ['$cmd', '%24cmd'],
  ['a-b_c~d', 'a-b_c~d'],
] as const;

for (const [name, escaped] of NAMES) {
  test(`${name} is written as ${escaped}`, () => {
    assert.is(fileNameOf(name), escaped);
    assert.is(collectionOf(escaped), name);
  });
}

test('a name that would be too long is cut and hashed, and can only be recognised', () => {
  const escaped = fileNameOf('é'.repeat(60));
  assert.is(escaped, `${'%C3%A9'.repeat(34)}%C3%24nJ9iCe9c7v7ujFyejfPU1plbvZs`.replace('%C3%24', '%C3%%24'));
  assert.is(escaped.length, 238);
  assert.is(collectionOf(escaped), undefined);
  assert.is(fileNameOf('L'.repeat(238)).length, 238);
});

test('a name that is not escaped at all, as old tools wrote it, stands for itself', () => {
  assert.is(collectionOf('100%'), '100%');
});

test('every name that is not cut comes back', () => {
  const names = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    .filter((name) => fileNameOf(name).length < 238);
  fc.assert(
    fc.property(names, (name) => collectionOf(fileNameOf(name)) === name),
    { seed: 1 },
  );
});

test.run();
