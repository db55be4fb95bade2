/** Every broken plan gives exactly the page that its family file shows. */
import * as assert from 'uvu/assert';
import { suite } from '../../harness.ts';
import { families, pageFor } from './cases.ts';

const test = suite('broken plans');

for (const family of families()) {
  for (const broken of family.cases) {
    test(`${family.name}: ${broken.title}`, async () => {
      assert.fixture((await pageFor(broken)) ?? 'NOTHING FOUND', broken.expected);
    });
  }
}

test('there are at least 200 of them, and each shows a place', () => {
  const all = families().flatMap((family) => family.cases);
  assert.ok(all.length >= 200, `${all.length}`);
  for (const { title, expected } of all) assert.match(expected, /^[\w./-]+:\d+:\d+: error: /, title);
});

test('no page holds a credential or the value of a variable', () => {
  for (const { cases } of families()) {
    for (const { title, expected } of cases) assert.not.match(expected, /hunter|secret-canary|wJalr/, title);
  }
});

test.run();
