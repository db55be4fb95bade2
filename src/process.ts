/**
 * The process edge: argv, streams, signals, exit code. The only file that touches `process`, beside the one that starts it.
 *
 * The first SIGINT, SIGTERM or SIGHUP asks the run to finish the batch in hand and stop; the second ends the process at
 * once. A reader that closes stdout or stderr never ends a run. Every byte written passes `redact()`.
 */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { inspect } from 'node:util';
import { runProgram } from './cli/program.ts';
import { failureText } from './cli/session.ts';
import { EXIT_CODES, RestorePlanError } from './errors.ts';
import { limitYoungSpace } from './free-memory.ts';
import { makeFolders } from './make-folders.ts';
import type { Checkpoint } from './run.ts';
import { redact } from './secret.ts';
import type { TextWriter } from './text/terminal.ts';
import { VERSION } from './version.ts';

const SHOW_CURSOR = '\u001b[?25h';

/** `lost` is told why nothing can be written any more, unless it is that nobody reads (EPIPE). */
function writerOn(stream: NodeJS.WriteStream, lost: (fault: Error) => void): TextWriter {
  let open = true;
  stream.on('error', (fault: NodeJS.ErrnoException) => {
    open = false; // the run goes on, its words are dropped
    if (fault.code !== 'EPIPE') lost(fault);
  });
  return {
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns || 80;
    },
    write(text) {
      if (open && !stream.destroyed) stream.write(redact(text));
    },
    drained() {
      if (!open || stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
      return new Promise((resolve) => {
        const done = () => {
          stream.off('drain', done).off('error', done).off('close', done);
          resolve();
        };
        stream.on('drain', done).on('error', done).on('close', done);
      });
    },
  };
}

/** Settles when everything written so far has left the process, or cannot. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || stream.errored) return Promise.resolve();
  return new Promise((resolve) => stream.write('', () => resolve()));
}

let resultFault: Error | undefined;
const stdout = writerOn(process.stdout, (fault) => {
  resultFault = fault;
});
const stderr = writerOn(process.stderr, () => {});

async function exit(code: number): Promise<never> {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  await new Promise(setImmediate); // a failed write is told in a tick of its own
  if (isTerminalGone()) return await endByHangup();
  process.exit(code === EXIT_CODES.OK && isResultLost() ? EXIT_CODES.UNEXPECTED : code);
}

/** Whether somebody has closed the terminal that the run was started on. */
function isTerminalGone(): boolean {
  return (stdout.isTTY && !isatty(1)) || (stderr.isTTY && !isatty(2));
}

/**
 * As a process ends that does not listen for the signal. Node.js 20 would reset the terminal that is gone, and end by a fault of memory, with all that was
 * in it on disk where that is how the machine is set up.
 */
async function endByHangup(): Promise<never> {
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
  return new Promise(() => setInterval(() => {}, 60_000)); // it arrives at once
}

/** A full disk cuts a redirected result off: whoever reads it later must not take it for whole. */
function isResultLost(): boolean {
  if (resultFault === undefined) return false;
  const error = new RestorePlanError(
    'UNEXPECTED',
    `the result could not be written: ${resultFault.message}`,
    {
      hint: 'What the command did is done; only its output is not whole.',
    },
  );
  stderr.write(failureText(error, false));
  return true;
}

function stopOn(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', code: 'SIGINT' | 'SIGTERM'): void {
  process.on(signal, () => {
    if (controller.signal.aborted) {
      if (isTerminalGone()) return void endByHangup();
      if (stderr.isTTY) stderr.write(SHOW_CURSOR);
      process.exit(EXIT_CODES[code]);
    }
    controller.abort(
      new RestorePlanError(code, `stopped by ${signal}`, {
        hint: 'Nothing is half done. Run the same command again to go on.',
      }),
    );
    stderr.write(`\n${signal}: finishing the batch in hand. Once more to stop at once.\n`);
  });
}

/** A bug: says so, keeps a note for the report, exits 70. Never throws. */
function crash(error: unknown): void {
  const note = redact(
    [
      `restore-plan ${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`,
      `command: plan ${process.argv.slice(2).join(' ')}`,
      `time: ${new Date().toISOString()}`,
      error instanceof Error ? (error.stack ?? String(error)) : inspect(error),
      '',
    ].join('\n'),
  );
  if (stderr.isTTY) stderr.write(SHOW_CURSOR);
  stderr.write(`error: internal error: ${firstLine(error)}\n`);
  stderr.write(`next:  This is a bug in restore-plan. Please report it with ${keepCrashNote(note)}.\n`);
  void exit(EXIT_CODES.INTERNAL);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}

/** Undefined when it was removed. */
function currentFolder(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

/** As it is written there, whatever else the command line says. */
function workDirectoryIn(words: readonly string[]): string | undefined {
  const option = '--work-dir';
  const at = words.indexOf(option);
  if (at >= 0) return words[at + 1];
  return words.find((word) => word.startsWith(`${option}=`))?.slice(option.length + 1);
}

/** Returns how to refer to the note: its file, or the text itself where no folder can be written to. */
function keepCrashNote(note: string): string {
  const name = `crash-${new Date().toISOString().replaceAll(':', '-')}-${process.pid}.txt`;
  const here = currentFolder();
  const folders = here === undefined ? [] : [resolve(here, workDirectoryIn(process.argv) ?? '.restore-plan')];
  for (const folder of [...folders, tmpdir()]) {
    try {
      makeFolders(folder, 0o700);
      writeFileSync(join(folder, name), note, { mode: 0o600 });
      return join(folder, name);
    } catch {
      // Read-only or full: the next folder, and in the end the text itself.
    }
  }
  return `this text:\n${note}`;
}

const controller = new AbortController();

/** Whoever works longer than this may fill the heap. */
const LONG_RUN_MS = 200;

/**
 * Runs the command line of this process to its end, and ends the process. `checkpoint` is called at the named moments of an apply or
 * a revert (src/run.ts).
 */
export function runProcess(checkpoint: Checkpoint): void {
  // Takes 6 ms, which a short command does not need.
  setTimeout(() => void limitYoungSpace(), LONG_RUN_MS).unref();
  watchProcess();
  const cwd = currentFolder();
  if (cwd === undefined) {
    const gone = new RestorePlanError('UNEXPECTED', 'the current folder does not exist any more', {
      hint: 'Change to another folder and run the command again.',
    });
    stderr.write(failureText(gone, false));
    process.exit(gone.exitCode);
  }
  runProgram(process.argv.slice(2), {
    env: { ...process.env },
    adoptVariables: (variables) => Object.assign(process.env, variables),
    program: [process.execPath, ...process.execArgv, process.argv[1] ?? ''],
    cwd,
    stdin: () => process.stdin,
    stdout,
    stderr,
    signal: controller.signal,
    now: () => Date.now(),
    processId: process.pid,
    checkpoint,
  }).then(exit, crash);
}

function watchProcess(): void {
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  // Nothing is left to wait for, and the run has not ended: it would look like success.
  process.once('beforeExit', () => crash(new Error('the run was never ended')));
  stopOn('SIGINT', 'SIGINT');
  stopOn('SIGTERM', 'SIGTERM');
  stopOn('SIGHUP', 'SIGTERM');
  // Otherwise Node.js opens its inspector, through which whoever may connect reads connection strings and runs code.
  process.on('SIGUSR1', () => {});
}
