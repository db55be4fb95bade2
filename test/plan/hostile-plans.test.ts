/** Plans written to keep the check busy: small files that must not take long. Whoever opens a pull request can write one. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { readPlan } from '../../src/plan/read-plan.ts';
import { suite } from '../harness.ts';
import { PlanFolder } from './plan-folder.ts';

const test = suite('hostile plans');
const folder = new PlanFolder();
test.after(() => folder.remove());

/** Each takes a second or two; before, minutes or years. */
const LONGEST_MS = 20_000;

const PLAN = `version: 1
name: busy
source: { path: ./dump, database: gallery }
targets: { staging: { uri: mongodb://localhost, database: staging } }
collections: [{ collection: artworks, query: {} }]
`;

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('');

const followUp = (name: string, needs: readonly string[]): string =>
  `  - { name: ${name}, on: staging, manual: x, needs: [${needs.join(', ')}] }\n`;

const CASES: readonly (readonly [name: string, text: string])[] = [
  ['half a scheme of an address, again and again', `${PLAN}# ${'a.'.repeat(300_000)}`],
  ['addresses that nothing parts, none with a password', `${PLAN}# ${'mongodb://:x/'.repeat(50_000)}`],
  ['30,000 words that look like secrets', `${PLAN}# ${'token:a, '.repeat(30_000)}`],
  ['20,000 unknown keys', `${PLAN}${lines(20_000, (i) => `k${i}: 1\n`)}`],
  ['unknown keys between secrets', `${PLAN}${lines(5_000, (i) => `k${i}: 1 # token: ${i}\n`)}`],
  [
    'a decimal of 300,000 digits that ends as none',
    PLAN.replace('{}', `{ price: { $numberDecimal: "${'9'.repeat(300_000)}x" } }`),
  ],
  ['a double of as many', PLAN.replace('{}', `{ price: { $numberDouble: "${'9'.repeat(300_000)}x" } }`)],
  [
    'follow-ups that each need all before them',
    `${PLAN}followUps:\n${lines(40, (i) =>
      followUp(
        `f${i}`,
        Array.from({ length: i }, (_, j) => `f${j}`),
      ),
    )}`,
  ],
  [
    'a long chain of follow-ups',
    `${PLAN}followUps:\n${lines(1_000, (i) => followUp(`f${i}`, [`f${i + 1}`]))}`,
  ],
];

for (const [name, text] of CASES) {
  test(
    name,
    async () => {
      const file = folder.write('plan.yaml', text);
      const start = performance.now();
      await readPlan(file, { env: {} });
      assert.ok(performance.now() - start < LONGEST_MS);
    },
    { deadlineMs: 10 * LONGEST_MS },
  );
}

test('a name or a number of any length is shown shortened', async () => {
  const long = '1'.repeat(100_000);
  for (const query of [`{ a: ${long} }`, `{ a: { $x${long}: 1 } }`, `!x${long} {}`, `{ a: *x${long} }`]) {
    const { faults = [] } = await readPlan(folder.write('plan.yaml', PLAN.replace('{}', query)), { env: {} });
    assert.is(faults.length, 1);
    assert.ok(JSON.stringify(faults).length < 5_000, query.slice(0, 20));
  }
});

test('a link with the name of a plan shows nothing of a file of another kind', async () => {
  const file = folder.write('credentials', 'aws_secret_access: key\n');
  const link = join(folder.path, 'link.yaml');
  symlinkSync(file, link);
  const extending = folder.write('extending.yaml', `extends: ./link.yaml\n${PLAN}`);
  for (const [plan, message] of [
    [link, /^the file is a link to a file of another kind$/],
    [extending, /^the base "\.\/link\.yaml" is a link to a file of another kind$/],
  ] as const) {
    const { faults = [] } = await readPlan(plan, { env: {} });
    assert.is(faults.length, 1);
    assert.match(faults[0]?.message ?? '', message);
    assert.not.match(JSON.stringify(faults), 'aws_secret');
  }
});

test('a link to a plan is read, whatever the link is called', async () => {
  const file = folder.write('..data/plan.yml', PLAN);
  for (const name of ['mounted.yaml', 'current']) {
    symlinkSync(file, join(folder.path, name));
    const { faults } = await readPlan(join(folder.path, name), { env: {} });
    assert.is(faults, undefined);
  }
});

test.run();
