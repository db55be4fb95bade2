/** `plan validate` as a person, an editor and a pull-request check use it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import * as assert from 'uvu/assert';
import type { validationObject } from '../../../src/cli/views/validate.ts';
import { readPlan } from '../../../src/plan/read-plan.ts';
import { suite } from '../../harness.ts';
import { callPlan } from '../../lab/call-plan.ts';
import { jsonLines } from '../../lab/plan-command.ts';
import { PlanFolder } from '../../plan/plan-folder.ts';

const test = suite('plan validate');
const ROOT = join(import.meta.dirname, '../../..');
const SCHEMA = join(ROOT, 'schemas/validate.schema.json');

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

const BROKEN = `version: 1
name: broken
source: { database: gravity, path: ./dump }
colections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "\${STAGING}", database: "100%, or: more" } }
`;

test('every example is valid, starts with the modeline of its schema, and none is overlooked', async () => {
  const folderOfExamples = join(ROOT, 'plans/examples');
  const names = readdirSync(folderOfExamples).filter((name) => name.endsWith('.yaml'));
  assert.ok(names.length >= 5);
  for (const name of names) {
    const schema = name.endsWith('.base.yaml') ? 'restore-plan-base.schema.json' : 'restore-plan.schema.json';
    const [modeline] = readFileSync(join(folderOfExamples, name), 'utf8').split('\n', 1);
    assert.is(modeline, `# yaml-language-server: $schema=../../schemas/${schema}`, name);
  }
  const { exitCode, stdout } = await callPlan(
    ['validate', ...names.map((name) => join('plans/examples', name))],
    {
      cwd: ROOT,
    },
  );
  assert.is(exitCode, 0, stdout);
  assert.is(stdout.match(/^✓ /gm)?.length, names.length);
});

test('the plan that the README explains is valid, and the page of faults that it shows is real', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const plan = /```yaml\n(# yaml-language-server[\s\S]*?)```/.exec(readme)?.[1] ?? '';
  folder.write('plan.yaml', plan);
  const { exitCode, stdout } = await callPlan(['validate', 'plan.yaml'], { cwd: folder.path });
  assert.is(exitCode, 0, stdout);

  const page = /```\n(incident-4711\.yaml:[\s\S]*?)```/.exec(readme)?.[1] ?? '';
  const head = '#\n'.repeat(6) + BROKEN.replace(/colections.*\n/, '').replace('100%, or: more', 'staging');
  const broken = `${head}collections:\n  - collection: artworks\n    query: { sold: true }\n    when_matched: replace\n\n`;
  folder.write('incident-4711.yaml', broken);
  const run = await callPlan(['validate', 'incident-4711.yaml'], {
    cwd: folder.path,
    env: { STAGING: 'mongodb://a' },
  });
  assert.match(run.stdout, page);
});

test('with --require-env, the examples name each variable that they need', async () => {
  const { exitCode, stdout } = await callPlan(
    ['validate', '--require-env', 'plans/examples/partner-artworks.yaml'],
    {
      cwd: ROOT,
    },
  );
  assert.is(exitCode, 10);
  for (const name of ['STAGING_MONGODB_URI', 'PRODUCTION_MONGODB_URI', 'INCIDENT_WEBHOOK_URL']) {
    assert.match(stdout, new RegExp(`error: the variable ${name} is not set`));
  }
});

test('--env-file gives variables', async () => {
  folder.write(
    'vars.env',
    'STAGING_MONGODB_URI=mongodb://a\nPRODUCTION_MONGODB_URI=mongodb://b\nINCIDENT_WEBHOOK_URL=https://c\n',
  );
  const args = ['validate', '--require-env', '--env-file', join(folder.path, 'vars.env')];
  const { exitCode, stdout } = await callPlan([...args, 'plans/examples/partner-artworks.yaml'], {
    cwd: ROOT,
  });
  assert.is(stdout, '✓ plans/examples/partner-artworks.yaml: partner-57d17993-artworks is valid\n');
  assert.is(exitCode, 0);
});

test(
  'a plan from stdin: the files it names lie relative to the working directory',
  async () => {
    folder.write('base/source.base.yaml', 'source: { database: gravity, path: ./dump }\n');
    const plan = (more = '') => `version: 1
name: piped
extends: ./base/source.base.yaml
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
${more}`;
    const good = await callPlan(['validate', '-'], { cwd: folder.path, input: plan() });
    assert.is(good.stdout, '✓ -: piped is valid\n');
    const faulty = await callPlan(['explain', '-'], { cwd: folder.path, input: plan('x: 1\n') });
    assert.is(faulty.exitCode, 10);
    assert.match(faulty.stderr, '-:6:1: error: a plan has no key "x"');
    const twice = await callPlan(['validate', '-', '-'], { cwd: folder.path, input: plan() });
    assert.is(twice.exitCode, 11);
    assert.match(twice.stderr, 'stdin (-) is named twice');
  },
  { deadlineMs: 120_000 },
);

test('a moment that is still to come is a note', async () => {
  const at = (text: string) => `version: 1
name: future
source: { database: gravity, path: "./{time:yyyy-MM-dd}.tar", timezone: UTC, at: ${text} }
collections: [{ collection: artworks, query: {} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`;
  const file = folder.write('future.yaml', at('2999-01-01T00:00:00Z'));
  const { exitCode, stdout } = await callPlan(['validate', 'future.yaml'], { cwd: folder.path });
  assert.is(exitCode, 0);
  assert.match(stdout, /future\.yaml:3:\d+: note: source\.at 2999-01-01T00:00:00Z is still to come/);
  const noted = async (now: string) => {
    const { faults, notes } = await readPlan(file, { env: {}, now: Date.parse(now), refuseFuture: true });
    return (faults ?? notes).map(({ severity }) => severity);
  };
  assert.equal(await noted('2998-12-31T23:54:00Z'), ['error']);
  assert.equal(await noted('2998-12-31T23:56:00Z'), []);
});

test('so is a window that ends later than now, and a fault where the plan is used', async () => {
  const windows = (until: string) => `version: 1
name: future
source: { database: gravity, oplog: { mongodb: { uri: "mongodb://localhost" } } }
collections:
  - { collection: artworks, deleted: { from: 2020-01-01T00:00:00Z, until: ${until} } }
  - { collection: bids, changed: { from: 2020-01-01T00:00:00Z, until: ${until} }, whenMatched: replace }
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`;
  const file = folder.write('window.yaml', windows('2020-02-02T00:10:00Z'));
  const found = async (now: string, refuseFuture: boolean) => {
    const { faults, notes } = await readPlan(file, { env: {}, now: Date.parse(now), refuseFuture });
    return (faults ?? notes).flatMap(({ severity, message }) =>
      message.includes('still to come') ? [`${severity}: ${message}`] : [],
    );
  };
  const [deleted, changed, ...others] = await found('2020-02-02T00:00:00Z', true);
  assert.match(
    deleted ?? '',
    /error: collections\[0\]\.deleted ends at 2020-02-02T00:10:00Z, which is still to come: nobody knows/,
  );
  assert.match(changed ?? '', /error: collections\[1\]\.changed ends at/);
  assert.equal(others, []);
  assert.match((await found('2020-02-02T00:00:00Z', false)).join(), /^note: .*note: /);
  assert.equal(await found('2020-02-02T00:06:00Z', true), [], 'clocks may differ so much');
});

test('text: faults with frames, notes in a line, a verdict', async () => {
  folder.write('broken.yaml', BROKEN);
  const { exitCode, stdout, stderr } = await callPlan(['validate', 'broken.yaml'], { cwd: folder.path });
  assert.is(exitCode, 10);
  assert.is(stderr, '');
  assert.fixture(
    stdout,
    `broken.yaml:4:1: error: a plan has no key "colections"
  expected: one of reason, extends, collections, followUps, mask, report
  did you mean "collections"?
    2 | name: broken
    3 | source: { database: gravity, path: ./dump }
  > 4 | colections: [{ collection: artworks, query: {} }]
      | ^^^^^^^^^^
    5 | targets: { staging: { uri: "\${STAGING}", database: "100%, or: more" } }

broken.yaml:5:52: error: a database name cannot hold a space
  expected: letters, digits, - and _
    3 | source: { database: gravity, path: ./dump }
    4 | colections: [{ collection: artworks, query: {} }]
  > 5 | targets: { staging: { uri: "\${STAGING}", database: "100%, or: more" } }
      |                                                    ^^^^^^^^^^^^^^^^

broken.yaml:5:29: note: the variable STAGING is not set
✗ broken.yaml: 2 faults, 1 note
`,
  );
});

test('github: one annotation per fault, escaped', async () => {
  folder.write('a,b.yaml', BROKEN);
  const { exitCode, stdout } = await callPlan(['validate', '--format', 'github', 'a,b.yaml'], {
    cwd: folder.path,
  });
  assert.is(exitCode, 10);
  assert.fixture(
    stdout,
    `::error file=a%2Cb.yaml,line=4,endLine=4,col=1,endColumn=11,title=restore plan%3A unknown-key::a plan has no key "colections"%0AExpected: one of reason, extends, collections, followUps, mask, report%0ADid you mean "collections"?
::error file=a%2Cb.yaml,line=5,endLine=5,col=52,endColumn=68,title=restore plan%3A namespace::a database name cannot hold a space%0AExpected: letters, digits, - and _
::notice file=a%2Cb.yaml,line=5,endLine=5,col=29,endColumn=39,title=restore plan%3A variable::the variable STAGING is not set
`,
  );
});

test('github: a key of the plan cannot smuggle a command into the log', async () => {
  folder.write('broken.yaml', `${BROKEN}"x\\n::error::boo%0A": 1\n`);
  const { stdout } = await callPlan(['validate', '--format', 'github', 'broken.yaml'], { cwd: folder.path });
  for (const line of stdout.trimEnd().split('\n'))
    assert.match(line, /^::(error|notice) file=broken\.yaml,line=/);
  assert.match(stdout, /boo%250A/);
});

test('text: control characters, bidi marks and commands in a plan are neutral', async () => {
  folder.write(
    'broken.yaml',
    `${BROKEN}"\\e[31m\\u202e::error::": 1\n# raw \u202e and \u001b[2J\nx: "::set-output name=a::b"\n`,
  );
  const { stdout } = await callPlan(['validate', 'broken.yaml'], { cwd: folder.path });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for them is the purpose
  assert.not.match(stdout, /[\u001b\u202e]|^\s*::/m);
});

test('json and --json: the same object, as its schema says', async () => {
  folder.write('broken.yaml', BROKEN);
  folder.write('good.yaml', BROKEN.replace('colections', 'collections').replace('100%, or: more', 'staging'));
  const args = ['validate', 'broken.yaml', 'good.yaml'];
  const page = (await callPlan([...args, '--format', 'json'], { cwd: folder.path })).stdout;
  const printed = JSON.parse(page) as ReturnType<typeof validationObject>;
  const validate = new Ajv({ strict: true }).compile(JSON.parse(readFileSync(SCHEMA, 'utf8')));
  assert.ok(validate(JSON.parse(page)), JSON.stringify(validate.errors));
  assert.is(printed.valid, false);
  assert.equal(
    printed.plans.map((plan) => plan.valid),
    [false, true],
  );
  assert.match(printed.plans[1]?.digest ?? '', /^[0-9a-f]{64}$/);
  assert.is(printed.plans[0]?.faults[0]?.suggestion, 'collections');

  const lines = jsonLines((await callPlan([...args, '--json'], { cwd: folder.path })).stdout);
  assert.equal(
    lines.map((line) => line['type']),
    ['version', 'validate', 'exit'],
  );
  assert.equal(lines[1], printed);
});

test('sarif: a result per fault with its rule and region', async () => {
  folder.write('my plans/broken.yaml', BROKEN);
  const { stdout } = await callPlan(['validate', '--format', 'sarif', 'my plans/broken.yaml'], {
    cwd: folder.path,
  });
  const log = JSON.parse(stdout);
  assert.is(log.version, '2.1.0');
  const [run] = log.runs;
  assert.is(run.results.length, 3);
  const [first] = run.results;
  assert.is(run.tool.driver.rules[first.ruleIndex].id, first.ruleId);
  assert.is(first.level, 'error');
  assert.equal(first.locations[0].physicalLocation, {
    artifactLocation: { uri: 'my%20plans/broken.yaml' },
    region: { startLine: 4, startColumn: 1, endLine: 4, endColumn: 11 },
  });
  assert.is(run.results[2].level, 'note');
});

test('sarif and github of a valid plan are empty, not missing', async () => {
  folder.write('good.yaml', BROKEN.replace('colections', 'collections').replace('100%, or: more', 'staging'));
  const env = { STAGING: 'mongodb://a' };
  const github = await callPlan(['validate', '--format', 'github', 'good.yaml'], { cwd: folder.path, env });
  assert.is(github.stdout, '');
  const sarif = await callPlan(['validate', '--format', 'sarif', 'good.yaml'], { cwd: folder.path, env });
  assert.equal(JSON.parse(sarif.stdout).runs[0].results, []);
});

test('a base is checked for what it says, not for what it lacks', async () => {
  folder.write('a.base.yaml', 'version: 1\nsource: { maxAge: 26h }\n');
  folder.write('b.base.yml', 'source: { maxAge: 26 hours, colour: blue }\n');
  const { exitCode, stdout } = await callPlan(['validate', 'a.base.yaml', 'b.base.yml'], {
    cwd: folder.path,
  });
  assert.is(exitCode, 10);
  assert.match(stdout, /✓ a\.base\.yaml: the base is valid/);
  assert.match(stdout, /✗ b\.base\.yml: 2 faults/);
});

test.run();
