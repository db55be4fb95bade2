/**
 * One run of one command: its context, its progress display, and the way it ends.
 */
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { parseEnv } from 'node:util';
import { patienceOf, type RemotePatience, USUAL_PATIENCE } from '../backup/remote/patience.ts';
import { type ErrorCode, EXIT_CODES, RestorePlanError } from '../errors.ts';
import type { Emit, RunEvent } from '../events.ts';
import { reasonOf, workDirectoryError } from '../files.ts';
import { parseDuration } from '../plan/instant.ts';
import type { Environment } from '../plan/interpolate.ts';
import { readFileOfAtMost, textOf, whyNoText } from '../plan/read-file.ts';
import { operator } from '../run.ts';
import { registerSecret } from '../secret.ts';
import { jsonText, neutral } from '../text/escape.ts';
import { paintWith, type TextWriter } from '../text/terminal.ts';
import { VERSION } from '../version.ts';
import type { ExitName, OptionValue, OptionValues } from './command.ts';
import type { CommandContext, ProcessEdge } from './context.ts';
import type { GivenWords } from './given-words.ts';
import { LineView, type ProgressView, type Stage, type TaskEnd } from './progress.ts';
import { typed, worded } from './view.ts';

export interface Session {
  readonly context: CommandContext;
  /** Ends the progress display and the NDJSON stream; returns the exit code. */
  finish(exit: ExitName): Promise<number>;
  /** The same for something thrown, which is written to stderr. Rethrows what is no known kind of failure. */
  fail(thrown: unknown): Promise<number>;
}

/** Throws USAGE when the `--env-file` cannot be read. */
export async function openSession(
  edge: ProcessEdge,
  options: OptionValues,
  plan?: GivenWords['plan'],
): Promise<Session> {
  const env = await environmentOf(edge, options['envFile']);
  const given = {
    plan,
    envFile: options['envFile'] as string | undefined,
    workDir: options['workDir'] as string | undefined,
  };
  const wantsColor = options['color'] !== false;
  const color = {
    stdout: wantsColor && colorAllowed(env, edge.stdout),
    stderr: wantsColor && colorAllowed(env, edge.stderr),
  };
  const quiet = options['quiet'] === true;
  const ndjson = options['json'] === true ? new NdjsonView(edge.stdout, edge.now) : undefined;
  const progress = new ProgressSwitch(edge.stderr, {
    kind: quiet ? 'none' : liveDisplayAllowed(env, edge.stderr) ? 'tasks' : 'lines',
    now: edge.now,
  });
  /** Only the last words follow. */
  let isOver = false;
  const warnings: string[] = [];
  const ends: (() => Promise<void>)[] = [];
  const context: CommandContext = {
    ...edge,
    env,
    options: { json: ndjson !== undefined, quiet },
    given,
    color,
    workDirectory: resolve(
      edge.cwd,
      typeof options['workDir'] === 'string' ? options['workDir'] : '.restore-plan',
    ),
    patience: patienceIn(options['patience']),
    ...threadsIn(options['threads']),
    get interactive() {
      return canAsk(edge);
    },
    operator: operator(),
    warnings,
    emit(event) {
      if (isOver) return;
      if (event.type === 'warning' && !warnings.includes(event.message)) warnings.push(event.message);
      ndjson?.emit(event);
      progress.emit(event);
    },
    follow: (stages) => progress.follow(stages),
    json: (value) => ndjson?.write(value),
    async ask(question) {
      await progress.end('done');
      return ask(edge, question);
    },
    endProgress: () => progress.end('done'),
    atEnd: (act) => ends.push(act),
  };
  const end = async (): Promise<void> => {
    for (const act of ends.splice(0)) await act();
  };
  return {
    context,
    async finish(exit) {
      await end();
      await progress.end('done');
      isOver = true;
      ndjson?.exit(exit);
      return EXIT_CODES[exit];
    },
    async fail(thrown) {
      await end();
      await progress.end('failed');
      isOver = true;
      const error = asKnownFailure(thrown, edge.signal, context.workDirectory);
      if (error === undefined) {
        ndjson?.exit('INTERNAL');
        throw thrown;
      }
      edge.stderr.write(failureText(error, color.stderr, given));
      ndjson?.error(error, given);
      const exit = exitOf(error, edge.signal);
      ndjson?.exit(exit);
      return EXIT_CODES[exit];
    },
  };
}

function patienceIn(given: OptionValue): RemotePatience {
  if (typeof given !== 'string') return USUAL_PATIENCE;
  const milliseconds = parseDuration(given);
  if (milliseconds !== undefined && milliseconds >= 1_000) return patienceOf(milliseconds);
  throw new RestorePlanError('USAGE', `--patience ${given} is no time to wait`, {
    hint: 'Give a duration of a second or more, such as 90s or 10m.',
  });
}

const MOST_THREADS = 256;

function threadsIn(given: OptionValue): { readonly threads?: number } {
  if (typeof given !== 'string') return {};
  const threads = Number(given);
  if (/^\d+$/.test(given) && threads >= 1 && threads <= MOST_THREADS) return { threads };
  throw new RestorePlanError('USAGE', `--threads ${given} is no number of threads`, {
    hint: `Give a number from 1 to ${MOST_THREADS}; 1 reads the backup from its start to its end.`,
  });
}

/** The process's environment with the env file beneath it: what is already set wins. */
async function environmentOf(edge: ProcessEdge, envFile: OptionValue): Promise<Environment> {
  const beneath = typeof envFile === 'string' ? await readEnvFile(edge.cwd, envFile) : {};
  const env = { ...beneath, ...edge.env };
  edge.adoptVariables(Object.fromEntries(Object.keys(beneath).map((name) => [name, env[name]])));
  registerSecretVariables(env);
  return env;
}

// The `--json` stream: one object per line on stdout. First `{"type":"version",…}`, then events and the result, last
// `{"type":"exit",…}`, so that a reader can tell a finished stream from a cut one.

/** Progress within a stage is reported at most once in this many milliseconds; everything else always. */
const PROGRESS_MS = 1000;

/** Version of the shape of these objects. In 1 the documents of a dry-run were texts. */
const FORMAT = 2;

export class NdjsonView {
  readonly #out: { write(text: string): void };
  readonly #now: () => number;
  #lastProgress = Number.NEGATIVE_INFINITY;
  #begun = false;
  #isOver = false;

  constructor(out: { write(text: string): void }, now: () => number) {
    this.#out = out;
    this.#now = now;
  }

  emit(event: RunEvent): void {
    if (event.type.endsWith('-progress')) {
      if (this.#now() - this.#lastProgress < PROGRESS_MS) return;
      this.#lastProgress = this.#now();
    }
    this.write(event);
  }

  /** Nothing follows the exit: what was asked at the same time, and is not waited for, may still tell of itself. */
  write(value: { readonly type: string }): void {
    if (this.#isOver) return;
    if (!this.#begun) {
      this.#begun = true;
      this.#line({ type: 'version', version: VERSION, format: FORMAT });
    }
    this.#line(value);
  }

  error({ code, message, advice, facts }: RestorePlanError, given: GivenWords = {}): void {
    const hint = advice?.say(typed(given));
    const said = { type: 'error', code, message, hint, facts: worded(facts) };
    this.write(said as { readonly type: string });
  }

  exit(name: keyof typeof EXIT_CODES): void {
    this.write({ type: 'exit', code: EXIT_CODES[name], name } as { readonly type: string });
    this.#isOver = true;
  }

  #line(value: object): void {
    this.#out.write(`${jsonText(value)}\n`);
  }
}

// Questions on the terminal.

/** Somebody sits at a terminal: questions can be read there and answered. No longer after Ctrl-D. */
function canAsk({ stdin, stderr }: Pick<ProcessEdge, 'stdin' | 'stderr'>): boolean {
  if (!stderr.isTTY) return false;
  const { isTTY, readableEnded, destroyed } = stdin();
  return isTTY === true && !readableEnded && !destroyed;
}

/**
 * Asks and returns the answer, trimmed. Undefined where nobody can answer: no terminal on stdin or stderr, or the
 * input ended. Rejects with the signal's reason when the run is stopped meanwhile.
 */
export async function ask(edge: ProcessEdge, question: string): Promise<string | undefined> {
  if (!canAsk(edge)) return undefined;
  const output = new Writable({
    write(chunk, _encoding, done) {
      edge.stderr.write(String(chunk));
      done();
    },
  });
  // `terminal: false` leaves Ctrl-C to the terminal driver, so it arrives as the SIGINT that the process edge handles.
  const lines = createInterface({ input: edge.stdin(), output, terminal: false });
  // Many questions may follow each other: each takes its listener off the run's signal again.
  const over = new AbortController();
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      const stop = () => reject(edge.signal.reason);
      if (edge.signal.aborted) return stop();
      edge.signal.addEventListener('abort', stop, { once: true, signal: over.signal });
      lines.once('close', () => {
        edge.stderr.write('\n');
        resolve(undefined);
      });
      lines.question(question).then((answer) => resolve(answer.trim()), reject);
    });
  } finally {
    over.abort();
    lines.close();
  }
}

// Where a command's events go: to a view that is opened when there is something to show and closed for a question or
// a page, after which the next event opens it again.

interface ProgressSettings {
  readonly kind: 'none' | 'lines' | 'tasks';
  readonly now: () => number;
}

export class ProgressSwitch {
  readonly #stderr: TextWriter;
  readonly #settings: ProgressSettings;
  #open: () => ProgressView | undefined;
  #view: ProgressView | undefined;

  constructor(stderr: TextWriter, settings: ProgressSettings) {
    this.#stderr = stderr;
    this.#settings = settings;
    this.#open = () => (settings.kind === 'none' ? undefined : new LineView(stderr, settings.now));
  }

  /** Loads the task list, which only a terminal needs, and tells it what is to come. */
  async follow(stages: readonly Stage[]): Promise<void> {
    if (this.#settings.kind !== 'tasks') return;
    const { TaskListView } = await import('./task-list.ts');
    let left = stages;
    this.#open = () => {
      const view = new TaskListView(this.#stderr, { stages: left, now: this.#settings.now });
      return {
        emit: (event) => view.emit(event),
        end(outcome) {
          left = view.remaining;
          return view.end(outcome);
        },
      };
    };
  }

  readonly emit: Emit = (event: RunEvent) => {
    this.#view ??= this.#open();
    this.#view?.emit(event);
  };

  async end(outcome: TaskEnd): Promise<void> {
    const view = this.#view;
    this.#view = undefined;
    await view?.end(outcome);
  }
}

// What is read out of the environment: the env file, whether colours and a live display are wanted.

/** Variables whose values must not appear anywhere, whoever reads them. */
const SECRET_VARIABLES = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_ACCESS_KEY_ID'] as const;

/** Has every output filtered for the credentials that libraries take from the environment by themselves. */
export function registerSecretVariables(env: Environment): void {
  for (const name of SECRET_VARIABLES) if (env[name] !== undefined) registerSecret(env[name]);
}

/** An environment is no larger on most systems either. */
const MAX_ENV_FILE_BYTES = 1024 * 1024;

/** The variables of an env file (`NAME=value` lines, UTF-8 text). Throws USAGE when it cannot be read or is none. */
export async function readEnvFile(cwd: string, file: string): Promise<Environment> {
  const reading = await readFileOfAtMost(resolve(cwd, file), MAX_ENV_FILE_BYTES, { pipes: true });
  const refused = 'bytes' in reading ? whyNoText(reading.bytes) : reading.refused;
  if (refused === undefined && 'bytes' in reading) return parseEnv(textOf(reading.bytes));
  const { expected = undefined, error: cause } = 'bytes' in reading ? { error: undefined } : reading;
  throw new RestorePlanError('USAGE', `the env file ${file} ${refused}`, {
    hint: `--env-file takes ${expected ?? 'a file of lines such as NAME=value, in UTF-8'}. Check the path.`,
    cause,
  });
}

/** `NO_COLOR` and `FORCE_COLOR` as their sites define them; a dumb terminal has no colours. */
export function colorAllowed(env: Environment, stream: TextWriter): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0';
  return stream.isTTY && env['TERM'] !== 'dumb';
}

/** Whether a display that redraws itself makes sense on this stream. */
export function liveDisplayAllowed(env: Environment, stream: TextWriter): boolean {
  return stream.isTTY && !env['CI'] && env['TERM'] !== 'dumb';
}

// Which exit a thrown value stands for.

/**
 * The failure as one that an operator can be told; undefined = a bug.
 * Trouble that the operating system reports (disk full, no permission) is known: it is not ours, and its text is clear.
 */
export function asKnownFailure(
  thrown: unknown,
  signal: AbortSignal,
  workDirectory: string,
): RestorePlanError | undefined {
  if (thrown instanceof RestorePlanError) return thrown;
  // Libraries answer an abort with errors of their own making; the reason that we gave says more.
  if (signal.aborted && signal.reason instanceof RestorePlanError) return signal.reason;
  const system = thrown as NodeJS.ErrnoException | undefined;
  if (thrown instanceof Error && typeof system?.code === 'string' && typeof system.syscall === 'string') {
    if (system.path?.startsWith(join(workDirectory, '/')) === true)
      return workDirectoryError(`cannot use ${system.path}: ${reasonOf(thrown)}`, thrown);
    return new RestorePlanError('UNEXPECTED', thrown.message, {
      hint: 'The operating system refused this; set it right and run the same command again.',
      cause: thrown,
    });
  }
  return undefined;
}

/** What a stop looks like on its way up: a run that broke off, a target or backup that was let go of. */
const STOPPED: ReadonlySet<ErrorCode> = new Set([
  'INCOMPLETE',
  'TARGET',
  'BACKUP',
  'UNEXPECTED',
  'WORK_DIRECTORY',
]);

/** A run that a signal stopped ends with the signal's code. A refusal or an unsaved ledger is news all the same. */
export function exitOf(error: RestorePlanError, signal: AbortSignal): ErrorCode {
  const reason = signal.aborted ? signal.reason : undefined;
  return reason instanceof RestorePlanError && STOPPED.has(error.code) ? reason.code : error.code;
}

// A failure as the operator reads it: what happened, and what to do next.

/** Several lines, newline at the end. Lines of the message are kept; their content is neutralised one by one. */
export function failureText(error: RestorePlanError, color: boolean, given: GivenWords = {}): string {
  const paint = paintWith(color);
  const lines = error.message.split('\n').map(neutral);
  const hint = error.advice?.say(typed(given)).split('\n').map(neutral) ?? [];
  return [
    `${paint.bad('error:')} ${lines[0]}`,
    ...lines.slice(1),
    ...hint.map((line, index) => `${index === 0 ? paint.strong('next: ') : '      '} ${line}`),
    '',
  ].join('\n');
}
