/** `plan apply` without a target: the whole runbook, on a terminal. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { createIncident, type Incident } from './incident.ts';

const FOLLOW_UPS = `followUps:
  - { name: Clear caches, on: both, run: [sh, -c, "echo $RESTORE_PLAN_TARGET >> cleared"] }
`;

let lab: Lab;
let incident: Incident;
test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  incident = await createIncident(lab);
  incident.writePlan((usual) => usual + FOLLOW_UPS);
});
test.after.each(() => incident.close());
test.after(() => lab.close());

const isBack = async (db: Incident['staging']): Promise<boolean> =>
  (await db.collection('partners').countDocuments({ _id: LOST_PARTNER })) === 1;
const cleared = (): string => readFileSync(join(incident.folder, 'cleared'), 'utf8');

test(
  'staging, a pause to look, the word, production, and the follow-ups of both',
  async () => {
    const walk = incident.start(['apply', 'plan.yaml'], { terminal: { columns: 120 }, typing: true });
    await walk.untilOutput(/Press Enter to go on with production/);
    assert.ok(await isBack(incident.staging));
    assert.not(await isBack(incident.production));
    assert.is(cleared(), 'staging\n');
    walk.type('\n');
    await walk.untilOutput(/Type the name of the database/);
    walk.type(`${incident.production.databaseName}\n`);
    const { exitCode, stdout } = await walk.ended;
    assert.is(exitCode, 0, stdout);
    assert.ok(await isBack(incident.production));
    assert.is(cleared(), 'staging\nproduction\n');
    assert.match(stdout, /plan verify plan\.yaml --target staging/);
    assert.match(
      stdout,
      /db\.getCollection\("artworks"\)\.find\(\{\s+_id: \{ \$in: EJSON\.deserialize\(\[\s+\{"\$oid":/,
    );
    assert.not.ok(stdout.includes(CANARY_PASSWORD));
  },
  { deadlineMs: 120_000 },
);

test(
  'whoever does not like what staging shows stops there',
  async () => {
    const walk = incident.start(['apply', 'plan.yaml'], { terminal: { columns: 80 }, typing: true });
    await walk.untilOutput(/Press Enter to go on with production/);
    walk.type('no\n');
    const { exitCode, stdout } = await walk.ended;
    assert.is(exitCode, 0);
    assert.match(stdout, /Stopped before production\. To go on: `plan apply plan\.yaml --target production`/);
    assert.not(await isBack(incident.production));
  },
  { deadlineMs: 120_000 },
);

test(
  'a gate that is known to be shut is no invitation: what it still wants is said',
  async () => {
    incident.writePlan((usual) =>
      usual.replace(/( {2}production:[\s\S]*)$/, '$1    gate: { approvals: 2 }\n'),
    );
    const walk = await incident.run(['apply', 'plan.yaml'], { terminal: { columns: 80 } });
    assert.is(walk.exitCode, 18, walk.stdout);
    assert.not.match(walk.stdout, /Press Enter/);
    assert.match(walk.stdout, /The production gate is shut \(1 reason\):/);
    assert.match(walk.stdout, /0 of 2 approvals are given/);
    assert.match(walk.stdout, /Once the gate is open: `plan apply plan\.yaml --target production`/);
    assert.ok(await isBack(incident.staging));
    assert.not(await isBack(incident.production));
  },
  { deadlineMs: 120_000 },
);

test(
  'a staging run that does not end well ends the walk',
  async () => {
    incident.writePlan((usual) => `${usual}followUps:\n  - { name: Fail, on: staging, run: ['false'] }\n`);
    const walk = await incident.run(['apply', 'plan.yaml'], { terminal: { columns: 80 } });
    assert.is(walk.exitCode, 15);
    assert.not.match(walk.stdout, /Press Enter/);
    assert.not(await isBack(incident.production));
  },
  { deadlineMs: 120_000 },
);

test(
  'a plan without production ends after staging',
  async () => {
    incident.writePlan((usual) => usual.replace(/ {2}production:[\s\S]*$/, ''));
    const walk = await incident.run(['apply', 'plan.yaml'], { terminal: { columns: 80 } });
    assert.is(walk.exitCode, 0, walk.stdout);
    assert.ok(await isBack(incident.staging));
  },
  { deadlineMs: 120_000 },
);

test(
  'where nobody can be asked, the target must be named',
  async () => {
    for (const args of [
      ['apply', 'plan.yaml'],
      ['apply', 'plan.yaml', '--json'],
    ]) {
      const { exitCode, stderr } = await incident.call(args);
      assert.is(exitCode, 11);
      assert.match(stderr, /say which target to apply to/);
    }
    assert.not(await isBack(incident.staging));
  },
  { deadlineMs: 120_000 },
);

test.run();
