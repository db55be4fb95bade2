/** A follow-up that runs a command, with the restored ids on its stdin and in a file. */

import { type ChildProcess, spawn } from 'node:child_process';
import { constants, createReadStream } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, relative, resolve } from 'node:path';
import { kill } from 'node:process';
import type { Readable } from 'node:stream';
import { advice } from '../../advice.ts';
import { redact } from '../../secret.ts';
import { faultAt } from '../fault.ts';
import { durationAt } from '../instant.ts';
import type { Environment } from '../interpolate.ts';
import { givenValue, nodeAt, textsAt } from '../nodes.ts';
import type { ActionFault, Attempt, FollowUpKind } from './kind.ts';

export interface RunAction {
  readonly kind: 'run';
  /** Program and arguments as written; run without a shell. */
  readonly command: readonly string[];
  /** Absolute path of the folder to run it in: that of the file that names the command. */
  readonly directory: string;
  readonly timeoutMs: number;
  readonly passUri: boolean;
  /** Names of the operator's variables that the command gets beside the usual ones. */
  readonly env: readonly string[];
}

/** How long a command may take where the plan says nothing. */
const USUAL_TIME_MS = 5 * 60_000;
/** Where programs are looked for by an environment without PATH, as the system does it. */
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin';
/** A first line that names an interpreter is no longer. */
const FIRST_LINE_BYTES = 256;

export const RUN: FollowUpKind<RunAction> = {
  isForPeople: false,
  options: ['timeout', 'passUri', 'env'],
  isMap: false,
  build: (entry) => ({
    kind: 'run',
    command: textsAt(entry, 'run'),
    directory: dirname(nodeAt(entry, 'run')!.place.text.absolutePath),
    timeoutMs: durationAt(entry, 'timeout') ?? USUAL_TIME_MS,
    passUri: givenValue(entry, 'passUri') === true,
    env: textsAt(entry, 'env'),
  }),
  rules: (root, path) => {
    const program = nodeAt(root, ...path, 'run', 0);
    if (program?.kind !== 'scalar' || program.value !== '') return [];
    const message = 'the command has no program';
    return [
      faultAt(program.place, 'follow-ups', {
        message,
        expected: 'a program such as ./scripts/clear-cache.sh',
      }),
    ];
  },
  secretsOf: () => [],
  approved: {
    value: (action, folder) => ({ ...action, directory: relative(folder, action.directory) }),
    words: ({ command }, shellWord) => `runs: ${command.map(shellWord).join(' ')}`,
  },
  explain: ({ command, passUri, env }, shellWord) =>
    `${command.map(shellWord).join(' ')} is run with the restored ids${passUri ? ' and the connection string' : ''}${env.length === 0 ? '' : ` and ${env.join(', ')}`}.`,
  inShort: ({ command }) => `run ${command.join(' ')}`,
  faultsOf: async (action, environment, isSecret) => {
    const faults = [...variableFaults(action, environment, isSecret)];
    const program = await programFault(action, environment);
    return program === undefined ? faults : [...faults, program];
  },
  act: ({ signal }, action, attempt) =>
    attempt.withIdsFile((input) => {
      const { command, directory, timeoutMs } = action;
      const env = commandEnvironment(action, attempt, input);
      return runCommand({ command, directory, env, input, timeoutMs, signal });
    }),
};

function* variableFaults(
  { env, passUri }: RunAction,
  environment: Environment,
  isSecret: (value: string) => boolean,
): Generator<ActionFault> {
  for (const name of env) {
    const value = environment[name];
    if (value === undefined) {
      yield {
        fact: `the variable ${name}, which its env names, is not set`,
        remedy: advice`Set ${name} in the environment or in a file given with ${{ option: 'env-file' }}, or take it out of env.`,
      };
    } else if (!passUri && isSecret(value)) {
      yield {
        fact: `the variable ${name}, which its env names, holds a connection string or a secret of the plan`,
        remedy: `Say passUri: true at the follow-up if its command shall have it, or take ${name} out of env.`,
      };
    }
  }
}

/** The rules of the system: a name with a slash is a path from the command's folder, another one is looked for in PATH. */
async function programFault(
  { command, directory }: RunAction,
  environment: Environment,
): Promise<ActionFault | undefined> {
  const [program = ''] = command;
  const path = environment['PATH'] ?? USUAL_PATH;
  if (!program.includes('/')) {
    if ((await find(program, { path, directory })) !== undefined) return undefined;
    return {
      fact: `there is no program ${program} in PATH`,
      remedy: `Install ${program} or add its folder to PATH; a script beside the plan is written ./${program}.`,
    };
  }
  const file = resolve(directory, program);
  const where = isAbsolute(program) ? '' : `, looked for beside the file that names it: ${file}`;
  const state = await stateOf(file);
  if (state === 'missing') {
    return {
      fact: `there is no program ${program}${where}`,
      remedy: `Put it there, or correct the path in run.`,
    };
  }
  if (state === 'not executable') {
    return {
      fact: `${program} is not an executable file${where}`,
      remedy: `Make it one: \`chmod +x ${file}\``,
    };
  }
  const interpreter = await interpreterOf(file);
  if (interpreter === undefined || (await stateOf(resolve(directory, interpreter))) === 'executable')
    return undefined;
  return {
    fact: `the interpreter ${interpreter}, which the first line of ${program} names, is not there`,
    remedy: `Install it, or correct the first line of ${file}.`,
  };
}

interface Search {
  readonly path: string;
  readonly directory: string;
}

async function find(program: string, { path, directory }: Search): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    const file = resolve(directory, folder, program);
    if ((await stateOf(file)) === 'executable') return file;
  }
  return undefined;
}

async function stateOf(file: string): Promise<'executable' | 'not executable' | 'missing'> {
  try {
    if (!(await stat(file)).isFile()) return 'not executable';
  } catch {
    return 'missing';
  }
  return access(file, constants.X_OK).then(
    () => 'executable' as const,
    () => 'not executable' as const,
  );
}

/** Of a script; undefined for anything else, and where the file cannot be read. */
async function interpreterOf(file: string): Promise<string | undefined> {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_LINE_BYTES), 0, FIRST_LINE_BYTES, 0);
    return /^#![ \t]*([^ \t\r\n]+)/.exec(buffer.toString('latin1', 0, bytesRead))?.[1];
  } finally {
    await handle.close();
  }
}

/** What every command gets of the operator's environment: where things are and how text is written, no credentials. */
const USUAL = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TERM)$/;

/**
 * The environment of a follow-up's command: usual variables of the operator, those that the plan names, and what the command should
 * know. Connection strings and the plan's secrets are in none of them, unless the plan says `passUri`. `idsFile`: with the restored
 * ids, one per line.
 */
function commandEnvironment(
  { passUri, env: named }: RunAction,
  { plan, followUp, target, database, uri, selection, environment, isSecret }: Attempt,
  idsFile: string,
): Record<string, string> {
  const own: Record<string, string> = {
    RESTORE_PLAN_NAME: plan.name,
    RESTORE_PLAN_FOLLOW_UP: followUp,
    RESTORE_PLAN_TARGET: target,
    RESTORE_PLAN_DATABASE: database,
    RESTORE_PLAN_SELECTION: selection,
    RESTORE_PLAN_IDS: idsFile,
  };
  if (passUri && uri !== undefined) own['RESTORE_PLAN_URI'] = uri.reveal();
  const passed = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      (named.includes(entry[0])
        ? passUri || !isSecret(entry[1])
        : USUAL.test(entry[0]) && !isSecret(entry[1])),
  );
  return { ...Object.fromEntries(passed), ...own };
}

// How the command is run: no shell, a time limit, and only so much of its output kept.

/** Kept of what a command prints, its end; bytes. */
const OUTPUT_BYTES = 16 * 1024;
const GRACE_MS = 5_000;

const NOT_STARTED: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such program, or not the interpreter that its first line names',
  EACCES: 'it is not an executable file',
};

export interface CommandRun {
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly directory: string;
  /** The whole environment of the command. */
  readonly env: Readonly<Record<string, string>>;
  /** File given to it as stdin. */
  readonly input: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Between asking it to end and killing it, milliseconds. */
  readonly graceMs?: number;
}

export interface CommandEnd {
  readonly succeeded: boolean;
  /** `exit code 3`, `stopped after 300 s`, `cannot be started: it is not an executable file`. */
  readonly detail: string;
  /** End of stdout and stderr together, secrets struck out. */
  readonly output: string;
}

/** Never rejects: whatever happens to the command is its end. */
export async function runCommand(run: CommandRun): Promise<CommandEnd> {
  let child: ChildProcess;
  try {
    child = start(run);
  } catch (error) {
    // Some of what keeps a program from starting is thrown (E2BIG, ENOTDIR), some is an event (ENOENT).
    return { succeeded: false, detail: cannotStart(error as NodeJS.ErrnoException), output: '' };
  }
  return follow(child, run);
}

function start({ command, directory, env }: CommandRun): ChildProcess {
  const [program = '', ...args] = command;
  // A process group of its own: the time limit must also end what the command started, and Ctrl-C is for us to pass on.
  return spawn(program, args, {
    cwd: directory,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
}

/** From its start to its end. */
async function follow(child: ChildProcess, run: CommandRun): Promise<CommandEnd> {
  const output = new OutputEnd();
  output.collect(child.stdout);
  output.collect(child.stderr);
  feed(child, run.input);
  const graceMs = run.graceMs ?? GRACE_MS;
  const stop = new Stop(child, graceMs);
  const timer = setTimeout(() => stop.because(`stopped after ${run.timeoutMs / 1000} s`), run.timeoutMs);
  const onAbort = (): void => stop.because('stopped with this run');
  if (run.signal.aborted) onAbort();
  run.signal.addEventListener('abort', onAbort);
  try {
    const { succeeded, detail } = await ended(child, graceMs);
    return {
      succeeded: succeeded && stop.reason === undefined,
      detail: stop.reason ?? detail,
      output: output.text(),
    };
  } finally {
    clearTimeout(timer);
    stop.over();
    child.stdout?.destroy();
    child.stderr?.destroy();
    run.signal.removeEventListener('abort', onAbort);
  }
}

function ended(child: ChildProcess, graceMs: number): Promise<{ succeeded: boolean; detail: string }> {
  return new Promise((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ succeeded: false, detail: cannotStart(error) }),
    );
    child.once('exit', (code, signal) => {
      const detail = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      const done = (): void => resolve({ succeeded: code === 0, detail });
      child.once('close', done);
      // Something it left running in the background may hold its output open for ever.
      setTimeout(done, graceMs).unref();
    });
  });
}

const cannotStart = ({ code, message }: NodeJS.ErrnoException): string =>
  `cannot be started: ${NOT_STARTED[code ?? ''] ?? code ?? message}`;

/** Streams the file into the command. One that does not read it, or ends before, is no fault. */
function feed(child: ChildProcess, path: string): void {
  const { stdin } = child;
  if (stdin === null) return;
  const file = createReadStream(path);
  stdin.on('error', () => file.destroy());
  file.on('error', () => stdin.destroy());
  file.pipe(stdin);
}

/** Ends a command and everything it started: first by asking. */
class Stop {
  reason: string | undefined;
  readonly #child: ChildProcess;
  readonly #graceMs: number;
  #killer: NodeJS.Timeout | undefined;

  constructor(child: ChildProcess, graceMs: number) {
    this.#child = child;
    this.#graceMs = graceMs;
  }

  because(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.#signal('SIGTERM');
    this.#killer = setTimeout(() => this.#signal('SIGKILL'), this.#graceMs);
  }

  over(): void {
    clearTimeout(this.#killer);
    // What a command that had to be stopped left behind must not go on in the background.
    if (this.reason !== undefined) this.#signal('SIGKILL');
  }

  #signal(name: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      kill(-this.#child.pid, name);
    } catch {
      // The group has ended.
    }
  }
}

/** The last bytes of what streams print. */
class OutputEnd {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  collect(stream: Readable | null): void {
    stream?.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      while (this.#bytes - (this.#chunks[0]?.length ?? 0) >= OUTPUT_BYTES) {
        this.#bytes -= this.#chunks.shift()?.length ?? 0;
      }
    });
    stream?.on('error', () => undefined);
  }

  text(): string {
    // Secrets are struck out before the text is cut, so that no half of one is left over.
    return redact(Buffer.concat(this.#chunks).toString('utf8')).slice(-OUTPUT_BYTES);
  }
}
