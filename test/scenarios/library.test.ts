/** The library entry: the same steps as the commands, and the same gate. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { openRestore, RestorePlanError, type RunEvent } from '../../src/index.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { createIncident, type Incident } from './incident.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = join(ROOT, 'test/library/example.ts');

let lab: Lab;
let incident: Incident;
test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  incident = await createIncident(lab);
});
test.after.each(() => incident.close());
test.after(() => lab.close());

test('the example of the README restores to staging, then to production', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  assert.ok(
    readme.includes(`\`\`\`ts\n${readFileSync(EXAMPLE, 'utf8')}\`\`\``),
    'the README shows it as it is',
  );
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', EXAMPLE, join(incident.folder, 'plan.yaml'), join(incident.folder, 'work')],
    { cwd: ROOT, env: { ...process.env, ...incident.env } },
  );
  assert.match(stdout, /^artworks: 100 to insert$/m);
  assert.match(stdout, /^production: verified\ndocuments missing or different: 0$/m);
  assert.ok(stderr.split('\n').includes('gate-opened'));
});

test('production stays shut until staging is verified; what was restored can be looked at and taken back', async () => {
  const events: RunEvent[] = [];
  const restore = await openRestore('plan.yaml', {
    cwd: incident.folder,
    env: incident.env,
    workDirectory: 'work',
    emit: (event) => events.push(event),
  });
  try {
    const refused = await restore.apply('production').catch((error: unknown) => error);
    assert.ok(refused instanceof RestorePlanError);
    assert.is(refused.code, 'GATE');
    assert.is((await restore.gate()).open, false);

    assert.is((await restore.apply('staging')).verified, true);
    assert.is((await restore.status('staging')).run?.status, 'verified');
    assert.is((await restore.gate()).open, true);
    assert.is(events.filter(({ type }) => type === 'selection-finished').length, 1);

    const { runs } = await restore.previewRevert('staging');
    assert.ok(runs[0]?.collections.some(({ counts }) => counts.remove > 0));
    await restore.revert('staging');
    assert.is((await restore.status('staging')).run?.status, 'reverted');
    assert.is((await restore.gate()).open, false);
  } finally {
    await restore.close();
  }
});

test('a plan with faults is one error with all of them', async () => {
  incident.writePlan((text) => text.replace('version: 1', 'versoin: 1').replace('targets:', 'tragets:'));
  const failure = await openRestore(join(incident.folder, 'plan.yaml'), {
    env: incident.env,
    workDirectory: incident.folder,
  }).catch((error: unknown) => error);
  assert.ok(failure instanceof RestorePlanError);
  assert.is(failure.code, 'PLAN_INVALID');
  assert.is((failure.facts['faults'] as unknown[]).length, 2);
});

test.run();
