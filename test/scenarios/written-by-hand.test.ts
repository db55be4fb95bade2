/** Whole commands with what people bring along: an export in its default form. Each refusal's remedy is taken, and leads out. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EJSON, Long } from 'bson';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';

let lab: Lab;
let folder: TemporaryFolder;
let database: string;

test.before(async () => {
  lab = await openLab();
});
test.before.each(() => {
  folder = temporaryFolder('by-hand');
  database = lab.databaseName('by-hand');
});
test.after.each(() => folder.remove());
test.after(() => lab.close());

function planOf(parts: { readonly source: string; readonly collections: string }): string {
  return `version: 1
name: by-hand
source: ${parts.source}
collections:
${parts.collections}
targets: { staging: { uri: "\${STAGING}", database: ${database} } }
`;
}

function run(args: readonly string[], plan: string): Promise<PlanRun> {
  writeFileSync(join(folder.path, 'plan.yaml'), plan);
  return callPlan(args, { cwd: folder.path, env: { STAGING: lab.staging.uri } });
}

const APPLY = ['apply', 'plan.yaml', '--target', 'staging'];
/** Each test runs several commands. */
const SLOW = { deadlineMs: 240_000 };
const LOST = /relaxed export; int64 and double may have been lost/;

test(
  'a relaxed export is shown by the dry-run and its report, and restored once the plan accepts its types',
  async () => {
    const document = { _id: 1, long: Long.fromNumber(5), title: 'x' };
    writeFileSync(join(folder.path, 'relaxed.json'), `${EJSON.stringify(document, { relaxed: true })}\n`);
    const collections = '  - { collection: x, query: {} }';
    const silent = planOf({ source: '{ database: d, jsonl: { path: relaxed.json } }', collections });

    const shown = await run(['dry-run', 'plan.yaml'], silent);
    assert.is(shown.exitCode, 0, shown.stderr);
    assert.match(shown.stdout.replace(/\s+/g, ' '), LOST);
    const refused = await run(APPLY, silent);
    assert.is(refused.exitCode, 12);
    assert.match(refused.stderr.replace(/\s+/g, ' '), LOST.source.slice(LOST.source.indexOf(';') + 2));
    assert.match(refused.stderr, /source\.jsonl\.relaxed: accept/);
    assert.match(refused.stderr, /--jsonFormat=canonical/);
    assert.is(await lab.staging.client.db(database).collection('x').countDocuments(), 0);

    const accepted = silent.replace('relaxed.json', 'relaxed.json, relaxed: accept');
    const applied = await run(APPLY, accepted);
    assert.is(applied.exitCode, 0, applied.stderr);
    assert.match(applied.stderr.replace(/\s+/g, ' '), LOST);
    const verified = await run(['verify', 'plan.yaml', '--target', 'staging'], accepted);
    assert.match(verified.stdout.replace(/\s+/g, ' '), LOST);
    const reports = ['report.md', 'report.html', 'report.json'];
    const again = await run(
      ['dry-run', 'plan.yaml', ...reports.flatMap((file) => ['--report', file])],
      accepted,
    );
    assert.is(again.exitCode, 0, again.stderr);
    for (const file of reports) assert.match(readFileSync(join(folder.path, file), 'utf8'), LOST);
  },
  SLOW,
);

test(
  'a canonical export says every type: nothing is said, and nothing to accept',
  async () => {
    const document = { _id: 1, long: Long.fromNumber(5), double: 5.5, at: new Date(0) };
    writeFileSync(join(folder.path, 'canonical.json'), `${EJSON.stringify(document, { relaxed: false })}\n`);
    const collections = '  - { collection: x, query: {} }';
    const plan = planOf({ source: '{ database: d, jsonl: { path: canonical.json } }', collections });
    const applied = await run(APPLY, plan);
    assert.is(applied.exitCode, 0, applied.stderr);
    assert.not.match(applied.stderr, 'relaxed');
    assert.match(applied.stderr, 'every byte as in the backup');
  },
  SLOW,
);

test.run();
