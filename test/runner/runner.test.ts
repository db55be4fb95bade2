import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { BUILT_TESTS } from '../lab/script.ts';
import { program } from '../lab/tools.ts';
import { type FileRun, runFile } from './file-run.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const fixture = (name: string): string => join(import.meta.dirname, 'fixtures', `${name}.ts`);

/** On a busy machine a process takes seconds to start, and seconds to end. */
const run = (name: string, { deadlineMs = 50_000, graceMs = 20_000 } = {}): Promise<FileRun> =>
  runFile(fixture(name), { env: { [BUILT_TESTS]: process.env[BUILT_TESTS] }, deadlineMs, graceMs });

test('a file whose tests pass is counted, with its skips and their reasons', async () => {
  const { passed, failed, skipped, faults } = await run('passing');
  assert.equal(
    { passed, failed, skipped, faults },
    { passed: 2, failed: 0, skipped: ['is left out: there is a reason'], faults: [] },
  );
});

test('a file whose every test is skipped, with a reason, is no failure', async () => {
  const { passed, failed, skipped } = await run('only-skips');
  assert.equal(
    { passed, failed, skipped },
    { passed: 0, failed: 0, skipped: ['needs what this machine lacks: there is a reason'] },
  );
});

test('a failing test is counted and its message kept whole', async () => {
  const { passed, failed, output } = await run('failing');
  assert.equal({ passed, failed }, { passed: 1, failed: 1 });
  assert.match(output, 'does not add up');
  assert.match(output, 'test/runner/fixtures/failing.ts:5:');
});

test('a file that forgets `.run()` fails', async () => {
  const { failed, faults } = await run('without-run');
  assert.equal({ failed, faults }, { failed: 1, faults: ['ended without running any test'] });
});

test('a test past its deadline fails, and the next one still runs', async () => {
  const { passed, failed, output } = await run('past-its-deadline');
  assert.equal({ passed, failed }, { passed: 1, failed: 1 });
  assert.match(output, 'did not end within 50 ms');
});

test('a file that blocks is killed, and the running test is named', async () => {
  const { failed, faults } = await run('endless-loop', { deadlineMs: 6_000 });
  assert.equal(
    { failed, faults },
    { failed: 1, faults: ['did not end within 6 s; it was running “blocks the process”'] },
  );
});

test('a file that leaves something open is killed and fails', async () => {
  const { passed, failed, faults } = await run('leaked-handle', { graceMs: 300 });
  assert.equal({ passed, failed }, { passed: 1, failed: 1 });
  assert.match(faults[0] ?? '', 'was left open');
});

test('a failing hook fails the file', async () => {
  const { failed, output } = await run('failing-before-hook');
  assert.is(failed, 1);
  assert.match(output, 'the hook failed');
});

test('a run ends with the sums and a telling exit code', async () => {
  const runner = join(import.meta.dirname, '..', 'run.ts');
  const node = ['--import', import.meta.resolve('tsx'), runner];
  const good = await program(process.execPath, [...node, fixture('passing')]);
  assert.match(good.stdout.toString(), /\n2 passed, 0 failed\n$/);
  const bad = await program(process.execPath, [...node, fixture('failing')]).catch((error) => error);
  assert.instance(bad, Error);
  assert.match(bad.message, 'exited with 1');
});

test('a script says how it is used, and what it does not understand, before it does anything', async () => {
  const start = (file: string, ...args: string[]) =>
    program(process.execPath, ['--import', import.meta.resolve('tsx'), join(ROOT, file), ...args]);
  assert.match((await start('test/run.ts', '--help')).stdout.toString(), /^npm test -- \[words\]/);
  const wrong = async (file: string, ...args: string[]): Promise<string> => {
    const error = await start(file, ...args).catch((fault) => fault);
    assert.instance(error, Error);
    assert.match(error.message, 'exited with 11');
    return error.message;
  };
  const option = await wrong('test/run.ts', '--raise-the-floor');
  assert.match(option, "Unknown option '--raise-the-floor'");
  assert.match(option, 'npm test -- [words]');
  assert.match(
    await wrong('test/faults/campaign.ts', '--kills', 'many'),
    "Option '--kills' takes a whole number, not 'many'",
  );
});

test.run();
