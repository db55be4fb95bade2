/** How a run ends when it is told to: SIGINT and SIGTERM once and twice, and a bug. */

import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { until } from '../follow-ups/until.ts';
import { test } from '../harness.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { jsonLines } from '../lab/plan-command.ts';
import { createIncident, type Incident } from './incident.ts';

let lab: Lab;
let incident: Incident;
/** Takes connections and never answers. */
let silent: Server;
let silentUri: string;

test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
  silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  silentUri = `mongodb://restore:${CANARY_PASSWORD}@127.0.0.1:${port}/`;
});
test.after(async () => {
  silent.close();
  incident.close();
  await lab.close();
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`L2: ${signal} ends a run that waits for a silent server with ${code}`, async () => {
    const env = { STAGING_MONGODB_URI: silentUri };
    const running = incident.start(['dry-run', 'plan.yaml', '--json', '--target', 'staging'], { env });
    await running.untilOutput(/selection-(finished|reused)/);
    const sent = performance.now();
    running.signal(signal);
    const { exitCode, stdout, stderr } = await running.ended;
    assert.is(exitCode, code, stderr);
    assert.ok(performance.now() - sent < 5_000, `took ${performance.now() - sent} ms`);
    assert.match(stderr, new RegExp(`${signal}: finishing the batch in hand`));
    assert.equal(jsonLines(stdout).at(-1), { type: 'exit', code, name: signal });
  });
}

test('SIGUSR1 opens no inspector, and ends nothing', async () => {
  const env = { STAGING_MONGODB_URI: silentUri };
  const running = incident.start(['dry-run', 'plan.yaml', '--json', '--target', 'staging'], { env });
  await running.untilOutput(/selection-(finished|reused)/);
  for (let i = 0; i < 3; i++) running.signal('SIGUSR1');
  running.signal('SIGTERM');
  const { exitCode, stderr } = await running.ended;
  assert.is(exitCode, 143, stderr);
  assert.not.match(stderr, /debugger|inspector|ws:/i);
});

test('L2: SIGINT ends a run whose regular expression finds no end', async () => {
  const endless = "foreignKey: partner_id\n        query: { description: { $regex: '^(.+)+!!' } }";
  incident.writePlan((text) => text.replace('foreignKey: partner_id', endless));
  const running = incident.start(['dry-run', 'plan.yaml', '--json', '--target', 'staging']);
  await running.untilOutput(/selection-started/);
  // The first document keeps it busy from then on. A signal in the instant before has nobody to hear it for half a minute.
  const before = cpuSeconds(running.pid);
  await until(() => cpuSeconds(running.pid) > before + 1.5);
  const sent = performance.now();
  running.signal('SIGINT');
  const { exitCode, stdout, stderr } = await running.ended;
  assert.is(exitCode, 130, stderr);
  assert.ok(performance.now() - sent < 5_000, `took ${performance.now() - sent} ms`);
  assert.match(stderr, /stopped by SIGINT/);
  assert.equal(jsonLines(stdout).at(-1), { type: 'exit', code: 130, name: 'SIGINT' });
  incident.writePlan();
});

/** Processor time that a process has used, in user mode. */
function cpuSeconds(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  return Number(rest.split(' ')[11]) / 100;
}

test('L2: the second signal ends the process at once', async () => {
  const env = { STAGING_MONGODB_URI: silentUri };
  const running = incident.start(['dry-run', 'plan.yaml', '--target', 'staging'], { env });
  await running.untilOutput(/Selected|already here/);
  running.signal('SIGTERM');
  await running.untilOutput(/Once more to stop at once/);
  const sent = performance.now();
  running.signal('SIGTERM');
  const { exitCode } = await running.ended;
  assert.is(exitCode, 143);
  assert.ok(performance.now() - sent < 3_000);
});

test('L2: on a terminal the task list does not turn SIGINT into exit 127', async () => {
  const env = { STAGING_MONGODB_URI: silentUri };
  const running = incident.start(['dry-run', 'plan.yaml', '--target', 'staging'], {
    env,
    terminal: { columns: 80 },
    input: undefined as never,
  });
  await running.untilOutput(/Selected|already here/);
  const [pid] = readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8').trim().split(' ');
  process.kill(Number(pid), 'SIGINT');
  assert.is((await running.ended).exitCode, 130);
});

test('L2: a run that is stopped in its follow-ups still says what it restored', async () => {
  incident.writePlan((text) => `${text}followUps:\n  - { name: Wait, on: staging, run: [sleep, "60"] }\n`);
  const running = incident.start(['apply', 'plan.yaml', '--json', '--target', 'staging']);
  await running.untilOutput(/"follow-up".*"started"/);
  running.signal('SIGINT');
  const { exitCode, stdout, stderr } = await running.ended;
  assert.is(exitCode, 130, stderr);
  const result = jsonLines(stdout).find(({ type }) => type === 'apply');
  assert.is(result?.['verified'], true);
  incident.writePlan();
});

test('L11: a bug leaves a note without secrets and exits 70', async () => {
  // The one way to a bug that needs no bug: a built-in that fails where nobody expects it.
  const sabotage =
    'data:text/javascript,String.prototype.trimEnd=()=>{throw new TypeError("sabotage "+process.env.STAGING_MONGODB_URI)}';
  for (const [words, where] of [
    [[], '.restore-plan'],
    [['--work-dir', 'elsewhere'], 'elsewhere'],
    [['--work-dir=there/too'], 'there/too'],
  ] as const) {
    const { exitCode, stderr } = await incident.run(
      ['dry-run', 'plan.yaml', '--target', 'staging', ...words],
      { nodeArguments: ['--import', sabotage] },
    );
    assert.is(exitCode, 70, stderr);
    assert.match(stderr, /internal error: sabotage/);
    assert.match(stderr, /Please report it/);
    const folder = join(incident.folder, where);
    const [note] = readdirSync(folder).filter((name) => name.startsWith('crash-'));
    const text = readFileSync(join(folder, note as string), 'utf8');
    assert.match(text, /command: plan dry-run plan.yaml/);
    assert.not.ok(`${text}${stderr}`.includes(CANARY_PASSWORD));
  }
});

test.run();
