/**
 * Runs the tests; how is said in `USAGE`.
 *
 * Each file runs in its own process under a deadline, four at a time, the longest first, on one lab, and packed with all that it uses. A file that
 * is run alone starts its own lab and is not packed. The last line is `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { StartedLab } from './lab/lab.ts';
import { BUILT_PROGRAM } from './lab/plan-command.ts';
import { BUILT_TESTS, LAB_VARIABLE } from './lab/script.ts';
import { scriptOptions } from './lab/script-options.ts';
import type { BuiltTests } from './runner/build-tests.ts';
import { type FileRun, runFile } from './runner/file-run.ts';

const ROOT = join(import.meta.dirname, '..');
const FLOOR = join(import.meta.dirname, 'floor.json');
const PROGRAM = join(ROOT, 'dist', 'main.cjs');
/** More than the two cores that are meant: a file that waits for a server leaves its core to others. With three the cores were idle for a fifth of the time. */
const AT_A_TIME = 4;
const FILE_DEADLINE_MS = 600_000;
const GRACE_MS = 10_000;

/** What takes longest, dearest first; begun last, one of them would run on alone. The durations stand in the last run's output. */
const LONGEST = [
  ...['faults/', 'scenarios/', 'backup/every-layout', 'backup/s3-faults', 'report/html-report', 'demo/'],
  ...['follow-ups/follow-ups', 'differential.test', 'oplog/', 'backup/live/'],
];

const say = (text: string): boolean => process.stdout.write(`${text}\n`);

function testFiles(): string[] {
  return readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules'))
    .map((path) => join(ROOT, 'test', path))
    .sort()
    .sort((a, b) => turnOf(a) - turnOf(b));
}

/** What is not among the longest comes behind them, by name. */
function turnOf(file: string): number {
  const turn = LONGEST.findIndex((place) => relative(ROOT, file).startsWith(`test/${place}`));
  return turn < 0 ? LONGEST.length : turn;
}

/** A word that is the path of a file stands for that file, whatever its name. */
function chosenFiles(words: readonly string[]): string[] {
  const all = testFiles();
  if (words.length === 0) return all;
  const chosen = words.flatMap((word) =>
    existsSync(word) && word.endsWith('.ts')
      ? [resolve(word)]
      : all.filter((file) => relative(ROOT, file).includes(word)),
  );
  return [...new Set(chosen)];
}

function report(file: string, run: FileRun): void {
  const verdict = run.failed === 0 ? 'ok  ' : 'FAIL';
  const seconds = (run.durationMs / 1000).toFixed(1);
  const cpu = run.cpuSeconds.toFixed(1);
  const name = relative(ROOT, file).padEnd(48);
  say(`${verdict} ${name} ${String(run.passed).padStart(4)} passed ${seconds} s (CPU ${cpu} s)`);
  for (const reason of run.skipped) say(`     skipped: ${reason}`);
  if (run.failed > 0) say(`${run.output.trimEnd()}\n`);
  for (const fault of run.faults) say(`     ${relative(ROOT, file)} ${fault}\n`);
}

/** Runs the files a few at a time; results are reported as they come. */
async function runAll(files: readonly string[], env: Readonly<Record<string, string>>): Promise<FileRun[]> {
  const waiting = [...files];
  const runs: FileRun[] = [];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const run = await runFile(file, { env, deadlineMs: FILE_DEADLINE_MS, graceMs: GRACE_MS });
      report(file, run);
      runs.push(run);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return runs;
}

/** What is wrong with the number of tests of a whole run. */
function floorFault(total: number): string | undefined {
  const floor = JSON.parse(readFileSync(FLOOR, 'utf8')).tests as number;
  if (total >= floor) return undefined;
  return `only ${total} tests ran, fewer than the ${floor} of test/floor.json: were some lost, or is an \`.only\` left in?`;
}

/** Builds the program; a failure ends the run, with the last line that a run always has. */
function build(): void {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
  if (status === 0) return;
  say('the build failed\n0 passed, 1 failed');
  process.exit(1);
}

/** Loaded when they are needed, as the lab is: a file that is run alone needs neither. */
const buildAll = async (): Promise<BuiltTests> => (await import('./runner/build-tests.ts')).buildTests(files);

const startShared = async (): Promise<StartedLab> => (await import('./lab/lab.ts')).startLab();

const USAGE = `npm test -- [words] [--raise-floor]
  words           only the files whose path holds one of them; the path of a file stands for that file; none for all
  --raise-floor   after a whole run, writes the number of tests to test/floor.json, under which a whole run fails
  --build         given by \`npm test\`: builds first, and lets the tests run the built program instead of the sources`;

const { values: options, words } = scriptOptions({
  usage: USAGE,
  defaults: { 'raise-floor': false, build: false },
  takesWords: true,
});
if (options.build) build();
const files = chosenFiles(words);
const [built, lab] = files.length > 1 ? await Promise.all([buildAll(), startShared()]) : [];
const runs = await runAll(files, {
  ...(lab === undefined ? {} : { [LAB_VARIABLE]: JSON.stringify(lab.addresses) }),
  ...(built === undefined ? {} : { [BUILT_TESTS]: built.folder }),
  ...(options.build ? { [BUILT_PROGRAM]: PROGRAM } : {}),
}).finally(async () => {
  built?.remove();
  await lab?.stop();
});

const sum = (count: (run: FileRun) => number): number => runs.reduce((total, run) => total + count(run), 0);
const passed = sum((run) => run.passed);
const faults = files.length === 0 ? [`no test file matches ${words.join(' ')}`] : [];
if (words.length === 0) {
  if (options['raise-floor']) writeFileSync(FLOOR, `${JSON.stringify({ tests: passed }, null, 2)}\n`);
  const fault = floorFault(passed + sum((run) => run.failed));
  if (fault !== undefined) faults.push(fault);
}
for (const fault of faults) say(fault);
const failed = sum((run) => run.failed) + faults.length;
process.exitCode = failed === 0 ? 0 : 1;
say(`${passed} passed, ${failed} failed`);
