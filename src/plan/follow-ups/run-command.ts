/** Runs the command of a follow-up: no shell, a time limit, and only so much of its output kept. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { kill } from 'node:process';
import type { Readable } from 'node:stream';
import { redact } from '../../secret.ts';

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
