/** `plan explain`: the prose says what the plan says, and nothing that must not be seen. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { explainPlan } from '../../../src/cli/views/explain.ts';
import { suite } from '../../harness.ts';
import { callPlan } from '../../lab/call-plan.ts';
import { jsonLines } from '../../lab/plan-command.ts';
import { PlanFolder } from '../../plan/plan-folder.ts';

const test = suite('plan explain');
const ROOT = join(import.meta.dirname, '../../..');

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

const PLAN = `version: 1
name: small
source: { database: gravity, path: /backups/db.tar }
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "\${STAGING}", database: gravity-staging } }
`;

const ALL = /path: .*\n.*/;
const OPLOG = `path: /b, oplog: { path: /o.bson, begins: 2026-01-01T00:00:00Z } }
collections: [{ collection: artworks,`;
const DELETED = 'deleted: { from: 2026-01-02T00:00:00Z, until: 2026-01-03T00:00:00Z }';

async function explained(text: string, columns = 100): Promise<string> {
  folder.write('plan.yaml', text);
  return explainPlan(await folder.plan('plan.yaml', { STAGING: 'mongodb://u:canary-1@h' }), columns);
}

/** As one line, so that a sentence can be looked for wherever it wraps. */
const unwrapped = (text: string): string => text.replace(/\s+/g, ' ');

test('a small plan, word for word', async () => {
  assert.fixture(
    await explained(PLAN),
    `small: no reason is given.

Where the documents come from
  The backup at /backups/db.tar. From it, the database gravity is read. It is used only if it is
  undamaged to its end.

What is restored
  - artworks: every document.
  A document that a target holds with other content is kept there.
  Documents are restored byte for byte. Nothing in a target is deleted, and no index or option of a
  collection that is there is changed.

Where they go
  - Staging, database gravity-staging. Every document is read back and compared.
  - This plan has no production target.

What comes afterwards
  - Nothing that the plan knows of.
`,
  );
});

test('what differs from the ordinary is said', async () => {
  const cases: readonly (readonly [from: string | RegExp, to: string, sentence: string])[] = [
    ['query: {}', 'query: {}, whenMatched: replace', 'is replaced; plan revert can put it back'],
    ['query: {}', 'query: {}, whenMatched: fail', 'nothing is written'],
    ['query: {}', 'query: {}, into: other', 'They go into other.'],
    ['query: {}', 'query: { a: 1 }', 'the documents that match {"a":1}'],
    ['/backups/db.tar', '/b.tar, integrity: needed', 'damage behind it is not noticed'],
    [/$/, 'followUps: [{ name: x, on: staging, run: [./x.sh, a b, ""] }]', "./x.sh 'a b' '' is run"],
    [/path: .* }/, 'mongodb: { uri: mongodb://x } }', 'The live database gravity'],
    [/path: .* }/, 'jsonl: { path: /x.jsonl } }', 'Extended JSON'],
    [/path: .* }/, 's3: { bucket: b, key: k } }', 's3://b/k'],
    [
      ALL,
      `${OPLOG} ${DELETED} } ]`,
      'artworks: the documents that were deleted from 2026-01-02T00:00:00Z until',
    ],
    [ALL, `${OPLOG} ${DELETED} } ]`, 'rolls its documents forward to just before what happened to each.'],
    [ALL, `${OPLOG} ${DELETED}, query: { a: 1 } } ]`, 'until 2026-01-03T00:00:00Z and that match {"a":1}.'],
    [
      ALL,
      `${OPLOG} ${DELETED}, dependents: [{ collection: bids, foreignKey: a }] } ]`,
      'bids: those that were deleted in the same time whose a is the _id of one of these artworks.',
    ],
    [
      ALL,
      `${OPLOG} changed: { from: 2026-01-02T00:00:00Z, until: 2026-01-03T00:00:00Z, fields: [b] }, whenMatched: merge } ]`,
      'as it was just before its first change of b in that time. Of a document that the target holds, b is set',
    ],
  ];
  for (const [from, to, sentence] of cases) {
    assert.match(unwrapped(await explained(PLAN.replace(from, to))), sentence);
  }
});

test('an age is promised only where the time of the backup is known', async () => {
  const aged = (path: string) =>
    explained(
      PLAN.replace('/backups/db.tar', `${path}, at: 2016-09-13T09:00:00Z, maxAge: 26h, timezone: UTC`),
    );
  assert.match(unwrapped(await aged("'/backups/{time:yyyy-MM-dd}.tar'")), /begun more than .* is refused/);
  assert.not.match(unwrapped(await aged('/backups/db.tar')), 'is refused');
});

test('no line is longer than the terminal, unless a word is', async () => {
  for (const columns of [20, 40, 60, 80, 200]) {
    const limit = Math.max(40, Math.min(columns, 100));
    for (const line of (await explained(PLAN, columns)).split('\n')) assert.ok(line.length <= limit, line);
  }
});

test('neither addresses nor control characters get out', async () => {
  const text = await explained(
    PLAN.replace('name: small', 'name: small\nreason: "\\e[31m::error::x \\u202e"'),
  );
  assert.not.match(text, /canary/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for them is the purpose
  assert.not.match(text, /[\u001b\u202e]/);
});

test('every example can be explained, as text and as JSON', async () => {
  for (const name of [
    'partner-artworks',
    'users-from-disk',
    'settings-from-live-copy',
    'bids-of-a-sale',
    'report-lines',
  ]) {
    const run = await callPlan(['explain', `plans/examples/${name}.yaml`], { cwd: ROOT });
    assert.is(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /^[\w-]+: .*\n[\s\S]*What is restored\n[\s\S]*Not set in this environment/);
  }
  const run = await callPlan(['explain', '--json', 'plans/examples/users-from-disk.yaml'], { cwd: ROOT });
  assert.match(
    String(jsonLines(run.stdout)[1]?.['text']),
    /api_keys: those whose owner is the login of one of these users/,
  );
});

test('a plan with faults is not explained: exit 10 with the faults', async () => {
  folder.write('plan.yaml', 'version: 1\n');
  const { exitCode, stderr } = await callPlan(['explain', 'plan.yaml'], { cwd: folder.path });
  assert.is(exitCode, 10);
  assert.match(stderr, /the plan has 4 faults/);
  assert.match(stderr, /plan\.yaml:1:1: error: the plan has no `name`/);
});

test.run();
