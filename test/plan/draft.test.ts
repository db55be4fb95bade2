/** Whatever is typed into a new plan, the file reads back as that. */
import * as assert from 'uvu/assert';
import { draftText } from '../../src/plan/draft.ts';
import { planTextOf } from '../../src/plan/extends.ts';
import { plainValue } from '../../src/plan/nodes.ts';
import { parsePlanText } from '../../src/plan/yaml/read-yaml.ts';
import { test } from '../harness.ts';

interface Typed {
  readonly name: string;
  readonly path: string;
  readonly query: string;
}

function readBack({ name, path, query }: Typed): unknown {
  const nothing = { reason: undefined, at: undefined, database: undefined, stagingDatabase: undefined };
  const location = { kind: 'path', path, timezone: undefined } as const;
  const collections = [{ collection: 'artworks', query }];
  const draft = { ...nothing, name, location, collections, known: [], production: undefined };
  const reading = planTextOf('plan.yaml', Buffer.from(draftText(draft, 'schema.json')));
  assert.ok('text' in reading);
  const { root, faults } = parsePlanText(reading.text);
  assert.equal(faults, []);
  const plan =
    root && (plainValue(root) as { name: string; source: { path: string }; collections: unknown[] });
  return plan && { name: plan.name, path: plan.source.path, query: (plan.collections[0] as Typed).query };
}

for (const typed of [
  { name: 'incident-4711', path: './dump', query: '{ partner_id: ObjectId("57d17993a09a6759d8000d9e") }' },
  { name: '.5e3', path: 'a #b', query: "{ name: /it's/ }" },
  { name: 'true', path: 'C: x', query: '{\n  a: 1,\n\n  b: "# no comment"\n}' },
  { name: '~', path: '- a', query: '{ a: "\u0007" }' },
]) {
  test(`${JSON.stringify(typed)} comes back`, () => assert.equal(readBack(typed), typed));
}

test.run();
