/**
 * The product's command line, called in this process: for tests that run dozens of commands and look at what those do, not at how a
 * process starts and ends. Starting one costs more CPU than most commands (0.4 s on a busy machine).
 */
import { realpathSync } from 'node:fs';
import { Readable } from 'node:stream';
import { runProgram } from '../../src/cli/program.ts';
import { redact } from '../../src/secret.ts';
import type { TextWriter } from '../../src/text/terminal.ts';
import { startDeadline } from './deadline.ts';
import {
  environment,
  type PlanCommandOptions,
  type PlanRun,
  programArguments,
  ROOT,
  runPlan,
} from './plan-command.ts';

/** As `runPlan`, which takes over where something of the process is asked for: a terminal, node's arguments, a credential chain. */
export async function callPlan(args: readonly string[], options: PlanCommandOptions = {}): Promise<PlanRun> {
  const { env, cwd = ROOT, input, deadlineMs, ...ofTheProcess } = options;
  const isForAws = Object.keys(env ?? {}).some((name) => name.startsWith('AWS_'));
  if (isForAws || Object.keys(ofTheProcess).length > 0) return runPlan(args, options);
  const started = performance.now();
  const output = { stdout: '', stderr: '' };
  const writer = (name: keyof typeof output): TextWriter => ({
    isTTY: false,
    columns: 80,
    write: (text) => {
      output[name] += redact(text);
    },
    drained: async () => undefined,
  });
  const stdin = Readable.from(input === undefined ? [] : [Buffer.from(input)]);
  const leave = enter(cwd);
  const ended = runProgram(args, {
    env: environment(env),
    adoptVariables: () => undefined,
    program: [process.execPath, ...programArguments()],
    cwd,
    stdin: () => stdin,
    stdout: writer('stdout'),
    stderr: writer('stderr'),
    signal: new AbortController().signal,
    now: () => Date.now(),
    processId: process.pid,
    checkpoint: async () => undefined,
  }).finally(leave);
  const exitCode = await withinDeadline(
    ended,
    deadlineMs ?? 60_000,
    () => `plan ${args.join(' ')}\n${output.stdout}\n${output.stderr}`,
  );
  return { exitCode, signal: undefined, ...output, durationMs: performance.now() - started };
}

let home = '';
let running = 0;

/** A file that an operator names is looked for in the process's own folder; calls side by side have to share it. */
function enter(cwd: string): () => void {
  if (running === 0) home = process.cwd();
  else if (process.cwd() !== realpathSync(cwd)) throw new Error(`another call works in ${process.cwd()}`);
  running++;
  process.chdir(cwd);
  return () => {
    if (--running === 0) process.chdir(home);
  };
}

async function withinDeadline(ended: Promise<number>, ms: number, describe: () => string): Promise<number> {
  let end: (() => void) | undefined;
  const late = new Promise<never>((_, reject) => {
    end = startDeadline(ms, () => reject(new Error(`did not end within ${ms} ms: ${describe()}`)));
  });
  return Promise.race([ended, late]).finally(() => end?.());
}
