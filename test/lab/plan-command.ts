/**
 * Runs the product's own command line as a child process, as an operator would: `dist/main.cjs` when the test runner has just
 * built it, else `src/main.ts` through tsx.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDeadline } from './deadline.ts';
import { guardProcess } from './guard.ts';
import { scriptArguments } from './script.ts';
import { describeAtDeadline, processTree } from './still-running.ts';

export const ROOT = join(import.meta.dirname, '..', '..');

/** Names the built program; set by the test runner. */
export const BUILT_PROGRAM = 'RESTORE_PLAN_TEST_PROGRAM';

export interface PlanCommandOptions {
  /** The whole environment of the program apart from PATH, HOME and TMPDIR. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Ends it as if by `kill -9` at this checkpoint of an apply or a revert: `batch-written`, `batch-written*3` at the third time. */
  readonly dieAt?: string;
  /** Killed and reported as an error after this time; default 60 s, more on a busy machine. */
  readonly deadlineMs?: number;
  /** Text typed or piped into its stdin, which then ends. */
  readonly input?: string;
  /** Keeps its stdin open, for `type()`. */
  readonly typing?: boolean;
  /** Gives it a pseudo-terminal of this width; stdout and stderr then arrive together in `stdout`. */
  readonly terminal?: { readonly columns: number };
  /** A line of shell that runs the program as `"$@"`, for instance `exec "$@" > /dev/full`. Not with `terminal`. */
  readonly through?: string;
  /** Arguments of node itself, for instance `['--max-old-space-size=64']`. */
  readonly nodeArguments?: readonly string[];
}

export interface PlanRun {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

export interface RunningPlan {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly ended: Promise<PlanRun>;
  signal(name: NodeJS.Signals): void;
  /** Types into its stdin (with `typing`). */
  type(text: string): void;
  /** Resolves when stdout or stderr has matched; fails when the program ends without. */
  untilOutput(pattern: RegExp): Promise<void>;
}

/** Runs `plan` with these arguments to its end, whatever its exit code. */
export function runPlan(args: readonly string[], options: PlanCommandOptions = {}): Promise<PlanRun> {
  return startPlan(args, options).ended;
}

/** Starts `plan` and leaves it running, for tests that send signals or cut connections. */
export function startPlan(args: readonly string[], options: PlanCommandOptions = {}): RunningPlan {
  const started = performance.now();
  const node = [...(options.nodeArguments ?? []), ...programArguments(options.dieAt !== undefined), ...args];
  const [command, commandArguments] =
    options.terminal === undefined
      ? options.through === undefined
        ? [process.execPath, node]
        : ['sh', ['-c', options.through, 'sh', process.execPath, ...node]]
      : ['script', terminalArguments([process.execPath, ...node], options.terminal.columns)];
  const child = spawn(command, commandArguments, {
    cwd: options.cwd ?? ROOT,
    env: environment({ RESTORE_PLAN_DIE_AT: options.dieAt, ...options.env }),
    stdio: [options.input === undefined && options.typing !== true ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  guardProcess(child);
  child.stdin?.on('error', () => undefined);
  if (options.input !== undefined) child.stdin?.end(options.input);
  const output = { stdout: collect(child.stdout), stderr: collect(child.stderr) };
  let isOver = false;
  const describe = (): string => {
    const said = `${output.stdout()}\n${output.stderr()}`.slice(-4000);
    return `plan ${args.join(' ')}\n${processTree(child.pid ?? -1)}its screen:\n${said}`;
  };
  const forget = describeAtDeadline(describe);
  const ended = new Promise<PlanRun>((resolve, reject) => {
    const deadlineMs = options.deadlineMs ?? 60_000;
    const end = startDeadline(deadlineMs, () => {
      const state = describe();
      child.kill('SIGKILL');
      reject(new Error(`did not end within ${deadlineMs} ms: ${state}`));
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      end();
      forget();
      isOver = true;
      resolve({
        exitCode: code ?? undefined,
        signal: signal ?? undefined,
        stdout: output.stdout(),
        stderr: output.stderr(),
        durationMs: performance.now() - started,
      });
    });
  });
  // A test may watch the output first and look at the end later; a failure in between must not crash it.
  ended.catch(() => undefined);
  return {
    pid: child.pid ?? -1,
    child,
    ended,
    type: (text) => {
      child.stdin?.write(text);
    },
    signal: (name) => {
      child.kill(name);
    },
    untilOutput: async (pattern) => {
      while (!pattern.test(output.stdout()) && !pattern.test(output.stderr())) {
        if (isOver) {
          throw new Error(
            `plan ended before it said ${pattern}:\n${output.stdout()}\n${output.stderr()}`.slice(0, 8000),
          );
        }
        await sleep(5);
      }
    },
  };
}

/** Parses the NDJSON that `--json` writes. */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function programArguments(isToDie = false): string[] {
  const built = process.env[BUILT_PROGRAM];
  // The built program holds nothing of a test: a main of the tests' own dies in its place.
  if (built !== undefined && !isToDie) return [built];
  const main = isToDie ? ['test', 'faults', 'dying-program.ts'] : ['src', 'main.ts'];
  return scriptArguments(join(ROOT, ...main));
}

/**
 * `script` gives a program a terminal; `stty` sets its width, since nobody else will. A `script` that is stopped together with
 * its program (SIGSTOP) and continued misses the end of it and waits for ever: the report of a missed deadline then shows the
 * program as Z below it.
 */
function terminalArguments(command: readonly string[], columns: number): string[] {
  const line = command.map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(' ');
  return ['--quiet', '--return', '--command', `stty cols ${columns} rows 50; exec ${line}`, '/dev/null'];
}

/** All that the program sees of the environment. */
export function environment(given: PlanCommandOptions['env'] = {}): Record<string, string> {
  const all = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    XDG_CACHE_HOME: join(ROOT, 'node_modules', '.cache'),
    TMPDIR: tmpdir(),
    TERM: 'xterm-256color',
    ...given,
  };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString('utf8');
}
