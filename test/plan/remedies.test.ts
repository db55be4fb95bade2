/** What a fault says to write instead leads out: put in its place, it gives a plan that selects what was meant. */
import { type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { PlanFault } from '../../src/plan/fault.ts';
import { readPlan } from '../../src/plan/read-plan.ts';
import { compileQuery } from '../../src/query/compile-query.ts';
import { suite } from '../harness.ts';
import { PlanFolder } from './plan-folder.ts';

const test = suite('remedies of plan faults');
const folder = new PlanFolder();
test.after(() => folder.remove());

function planWith(query: string): string {
  return `version: 1
name: test
source: { database: gravity, path: ./dump }
collections: [{ collection: x, query: ${query} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`;
}

/** The plan as the fault says to write it: a value in the place of the value, or `key: value` in the place of both. */
function corrected(text: string, { line, column, endColumn, expected = '' }: PlanFault): string {
  const lines = text.split('\n');
  const wrong = lines[line - 1] as string;
  const remedy = expected.replace(/, or quotes if it is text$/, '');
  const before = wrong.slice(0, column - 1);
  const kept = /^\$?\w+: /.test(remedy) ? before.replace(/\$?\w+: $/, '') : before;
  lines[line - 1] = kept + remedy + wrong.slice(endColumn - 1);
  return lines.join('\n');
}

async function faultsOf(text: string): Promise<readonly PlanFault[]> {
  return (await readPlan(folder.write('plan.yaml', text), { env: {} })).faults ?? [];
}

async function chooses(text: string, document: Document): Promise<boolean> {
  const { plan, faults } = await readPlan(folder.write('plan.yaml', text), { env: {} });
  assert.ok(plan, JSON.stringify(faults));
  return compileQuery(plan.collections[0]?.query as Buffer)(Buffer.from(serialize(document)), 0);
}

const MISREAD: readonly (readonly [query: string, chosen: Document, left: Document])[] = [
  ['{ deleted: { $ne: yes } }', { deleted: false }, { deleted: true }],
  ['{ deleted: { $nin: [Y] } }', { deleted: false }, { deleted: true }],
  ['{ deleted: off }', { deleted: false }, { deleted: 'off' }],
  ['{ name: { $ne: /^J/ } }', { name: 'K' }, { name: 'J' }],
  ['{ name: { $not: /^j/i } }', { name: 'K' }, { name: 'J' }],
  ["{ name: /it's \\d/ }", { name: "it's 5" }, { name: 'its 5' }],
  ['{ name: { $nin: [/^J/] } }', { name: 'K' }, { name: 'J' }],
  ['{ name: { $eq: /^J/ } }', { name: 'J' }, { name: 'K' }],
  ['{ name: { $regex: /^j/i } }', { name: 'J' }, { name: '/^j/i' }],
  ['{ name: { $regularExpression: { pattern: /^J/, options: "" } } }', { name: 'J' }, { name: 'K' }],
  ['{ at: { $ne: nil } }', { at: 1 }, { at: null }],
  ['{ n: { $gt: 1_000 } }', { n: 1001 }, { n: 1000 }],
  ['{ n: { $lt: Infinity } }', { n: 5 }, { n: Number.POSITIVE_INFINITY }],
];

for (const [query, chosen, left] of MISREAD) {
  test(`${query}: the remedy selects what was meant`, async () => {
    const text = planWith(query);
    const [fault, ...more] = await faultsOf(text);
    assert.ok(fault, 'the query was accepted');
    assert.is(more.length, 0);
    const better = corrected(text, fault);
    assert.ok(await chooses(better, chosen), better);
    assert.not(await chooses(better, left), better);
  });
}

test('a text in quotes is what it says', async () => {
  for (const word of ['yes', 'NO', 'nil', '/^J/', '1_000', 'Infinity', '2016-09-13']) {
    for (const quoted of [`"${word}"`, `'${word}'`]) {
      assert.ok(await chooses(planWith(`{ name: ${quoted} }`), { name: word }), quoted);
    }
  }
});

test('an unquoted text that is no literal elsewhere needs no quotes', async () => {
  for (const word of ['sold', '/var/log/', '/', '//', 'a/b/c', 'yesterday', 'nothing', 'offer', '10_a']) {
    assert.ok(await chooses(planWith(`{ name: ${word} }`), { name: word }), word);
  }
});

test('the parts of a reference are field paths, but not of the document itself', async () => {
  const withKey = (key: string) =>
    planWith(
      `{}, dependents: [{ collection: y, foreignKey: ${key}, references: [{ field: ${key}, collection: z }] }]`,
    );
  for (const key of ['partner.$id', 'lots.partner.$id', 'partner.$ref', 'partner.$db'])
    assert.equal(await faultsOf(withKey(key)), [], key);
  for (const key of ['$id', '$id.a', 'partner.$oid', 'partner.$']) {
    const faults = await faultsOf(withKey(key));
    assert.is(faults.length, 2, key);
    assert.match(faults[0]?.expected ?? '', 'partner.$id of a reference (DBRef)');
  }
});

test.run();
