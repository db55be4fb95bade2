/** Commands of follow-ups, run for real. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type CommandEnd, type CommandRun, runCommand } from '../../src/plan/follow-ups/run.ts';
import { Secret } from '../../src/secret.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { until } from './until.ts';

let folder: TemporaryFolder;
test.before.each(() => {
  folder = temporaryFolder('run-command');
  writeFileSync(join(folder.path, 'ids'), '{"_id":1}\n{"_id":2}\n');
});
test.after.each(() => folder.remove());

const at = (name: string): string => join(folder.path, name);

function script(text: string): string {
  writeFileSync(at('script.sh'), `#!/bin/sh\n${text}\n`);
  chmodSync(at('script.sh'), 0o755);
  return './script.sh';
}

function run(command: readonly string[], more: Partial<CommandRun> = {}): Promise<CommandEnd> {
  return runCommand({
    command,
    directory: folder.path,
    env: { PATH: process.env['PATH'] ?? '' },
    input: at('ids'),
    timeoutMs: 10_000,
    graceMs: 500,
    signal: new AbortController().signal,
    ...more,
  });
}

test('a command gets the ids on stdin, its arguments as they are, and nothing is read by a shell', async () => {
  const end = await run([script('cat; printf "%s|" "$@"; pwd'), '$HOME', 'two words', '; rm -rf x', '*']);
  assert.equal(end, {
    succeeded: true,
    detail: 'exit code 0',
    output: `{"_id":1}\n{"_id":2}\n$HOME|two words|; rm -rf x|*|${folder.path}\n`,
  });
});

test('its environment is the one it is given, and nothing else', async () => {
  const end = await run(['env'], {
    env: { PATH: process.env['PATH'] ?? '', RESTORE_PLAN_TARGET: 'staging' },
  });
  assert.match(end.output, /^RESTORE_PLAN_TARGET=staging$/m);
  assert.not.match(end.output, /^HOME=/m);
});

test('another exit code than 0 is a failure, shown with the end of what it printed', async () => {
  const end = await run([script('echo on stdout; echo on stderr >&2; exit 3')]);
  assert.is(end.succeeded, false);
  assert.is(end.detail, 'exit code 3');
  assert.match(end.output, /on stdout/);
  assert.match(end.output, /on stderr/);
});

test('a program that cannot be started, and a folder that is not there, are failures', async () => {
  assert.equal(await run(['./no-such-program']), {
    succeeded: false,
    detail: 'cannot be started: there is no such program, or not the interpreter that its first line names',
    output: '',
  });
  assert.is((await run([at('.')])).detail, 'cannot be started: it is not an executable file');
  const elsewhere = await run(['true'], { directory: at('nowhere') });
  assert.is(elsewhere.succeeded, false);
});

test('a command that the system refuses before it starts is a failure like any other', async () => {
  const longArgument = await run(['true', 'x'.repeat(300_000)]);
  assert.equal(longArgument, { succeeded: false, detail: 'cannot be started: E2BIG', output: '' });
  const insideFile = await run([`${at('ids')}/program`]);
  assert.equal(insideFile, { succeeded: false, detail: 'cannot be started: ENOTDIR', output: '' });
});

test('only the end of its output is kept', async () => {
  const end = await run([script('i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done')]);
  assert.ok(end.succeeded);
  assert.ok(end.output.length <= 16 * 1024, `${end.output.length}`);
  assert.ok(end.output.endsWith('line 19999\n'));
});

test('a command that does not read its stdin is no failure', async () => {
  writeFileSync(at('ids'), '{"_id":1}\n'.repeat(200_000));
  assert.ok((await run(['true'])).succeeded);
});

test('secrets are struck out of its output', async () => {
  new Secret('a-secret-of-the-plan');
  const end = await run(['echo', 'token a-secret-of-the-plan and mongodb://user:word@host/']);
  assert.is(end.output, 'token [redacted] and mongodb://[redacted]@host/\n');
});

test('a command that takes too long is ended, with everything it started', async () => {
  const command = script(`sh -c 'echo $$ > ${at('child')}; sleep 600' & wait`);
  const end = await run([command], { timeoutMs: 300 });
  assert.equal([end.succeeded, end.detail], [false, 'stopped after 0.3 s']);
  const child = Number(readFileSync(at('child'), 'utf8'));
  await until(() => !isAlive(child));
});

test('a command that ignores being asked is killed', async () => {
  const started = performance.now();
  const end = await run([script(`trap '' TERM; touch ${at('ready')}; while true; do sleep 1; done`)], {
    timeoutMs: 300,
  });
  assert.ok(existsSync(at('ready')));
  assert.is(end.succeeded, false);
  assert.ok(performance.now() - started < 40_000);
});

test('a run that is stopped stops its command', async () => {
  const controller = new AbortController();
  const running = run([script(`touch ${at('ready')}; sleep 600`)], { signal: controller.signal });
  await until(() => existsSync(at('ready')));
  controller.abort();
  assert.equal(await running, { succeeded: false, detail: 'stopped with this run', output: '' });
});

test('what a command leaves in the background does not keep the run from ending', async () => {
  const end = await run([script('sleep 90 & echo done')]);
  assert.equal([end.succeeded, end.output], [true, 'done\n']);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.run();
