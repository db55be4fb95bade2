/** Runs one test file in a process of its own and says how it went, also when it hangs, crashes or forgets to run. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapping } from 'node:module';
import { join } from 'node:path';
import { startDeadline } from '../lab/deadline.ts';
import { guardProcess } from '../lab/guard.ts';
import { BUILT_TESTS, builtPath, PACK } from '../lab/script.ts';

export interface FileRun {
  /** Tests that passed. */
  readonly passed: number;
  /** Tests that failed, and one more for each fault of the file as a whole. */
  readonly failed: number;
  readonly skipped: readonly string[];
  /** What is wrong with the file as a whole: no tests, a hang, a crash. */
  readonly faults: readonly string[];
  /** Everything it printed. */
  readonly output: string;
  readonly durationMs: number;
  /** Of the process and its children; 0 if it was killed. */
  readonly cpuSeconds: number;
}

export interface FileRunOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The process is killed when it has not ended after this time. */
  readonly deadlineMs: number;
  /** Time between the results and the end of the process; longer means that something was left open. */
  readonly graceMs: number;
}

/**
 * A selection asks for 16 MB of which it touches little. The C library of Linux gives such a piece untouched the first time, and from
 * then on from what was freed, which has to be zeroed: 7 ms instead of 1, for each selection.
 */
const ALLOCATION = { MALLOC_MMAP_THRESHOLD_: String(8 * 1024 * 1024) };

/** The last lines that uvu prints. */
const CPU = /^cpu: ([\d.]+) s\n/m;
const RESULTS = /^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/m;

export function runFile(file: string, options: FileRunOptions): Promise<FileRun> {
  const started = performance.now();
  const folder = options.env[BUILT_TESTS];
  const node =
    folder === undefined ? ['--import', import.meta.resolve('tsx'), file] : [builtPath(folder, file)];
  const child = spawn(process.execPath, node, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...ALLOCATION, ...options.env, NO_COLOR: '1', FORCE_COLOR: undefined },
  });
  guardProcess(child);
  let output = '';
  let running = '';
  let killed = '';
  const kill = (why: string): void => {
    killed ||= why;
    child.kill('SIGKILL');
  };
  const ends = [
    startDeadline(options.deadlineMs, () => kill(`did not end within ${options.deadlineMs / 1000} s`)),
  ];
  child.on('message', (message: { running?: string }) => {
    running = message.running ?? running;
  });
  let grace = false;
  const listen = (chunk: Buffer): void => {
    output += chunk.toString('utf8');
    if (grace || !RESULTS.test(output)) return;
    grace = true;
    ends.push(
      startDeadline(options.graceMs, () =>
        kill('did not end after its tests: a server, a connection or a timer was left open'),
      ),
    );
  };
  child.stdout?.on('data', listen);
  child.stderr?.on('data', listen);
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      for (const end of ends) end();
      const results = RESULTS.exec(output);
      const total = Number(results?.[1] ?? 0);
      const passed = Number(results?.[2] ?? 0);
      const declared = total + Number(results?.[3] ?? 0);
      const faults = faultsOf({ killed, running, hasResults: results !== null, declared });
      if (faults.length === 0 && total === passed && code !== 0)
        faults.push(`ended with ${signal ?? `exit code ${code}`} although every test passed`);
      resolve({
        passed,
        failed: total - passed + faults.length,
        skipped: [...output.matchAll(/^skipped: (.*)$/gm)].map((match) => match[1] as string),
        faults,
        output: bySources(output.replace(CPU, ''), folder),
        durationMs: performance.now() - started,
        cpuSeconds: Number(CPU.exec(output)?.[1] ?? 0),
      });
    });
  });
}

/** Has stack traces say places in the sources; only now, because reading the map of all that is packed takes long. */
function bySources(output: string, folder: string | undefined): string {
  if (folder === undefined) return output;
  const pack = join(folder, PACK);
  if (!output.includes(pack)) return output;
  const map = new SourceMap(JSON.parse(readFileSync(`${pack}.map`, 'utf8')));
  return output.replaceAll(/([^\s()]+)\/pack\.cjs:(\d+):(\d+)/g, (place, at, line, column) => {
    const {
      originalSource,
      originalLine = 0,
      originalColumn = 0,
    }: Partial<SourceMapping> = at === folder ? map.findEntry(Number(line) - 1, Number(column) - 1) : {};
    if (originalSource === undefined) return place;
    return `${join(folder, originalSource)}:${originalLine + 1}:${originalColumn + 1}`;
  });
}

interface Ending {
  readonly killed: string;
  readonly running: string;
  readonly hasResults: boolean;
  /** Tests of the file, skipped ones included: each skip says why. */
  readonly declared: number;
}

function faultsOf({ killed, running, hasResults, declared }: Ending): string[] {
  if (killed !== '')
    return [!hasResults && running !== '' ? `${killed}; it was running “${running}”` : killed];
  if (!hasResults)
    return [running === '' ? 'ended without running any test' : `ended while running “${running}”`];
  return declared === 0 ? ['has no tests: is `.run()` missing at its end?'] : [];
}
