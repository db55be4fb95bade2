/** An apply or a revert in a process of its own, to be killed. Run as a program, it is that process. */

import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { applySelection } from '../../src/apply/apply-selection.ts';
import { revertPlan } from '../../src/apply/revert.ts';
import type { CheckpointName } from '../../src/run.ts';
import { runIn } from '../../src/run.ts';
import { openSelection } from '../../src/selection/open-selection.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { madePlan } from '../apply/made-selection.ts';
import type { Workbench } from '../apply/workbench.ts';
import { guardProcess } from '../lab/guard.ts';
import { isStarted, scriptArguments } from '../lab/script.ts';
import { QUIET } from '../quiet-run.ts';

interface Orders {
  readonly uri: string;
  readonly database: string;
  readonly directory: string;
  readonly workDirectory: string;
  readonly command: 'apply' | 'revert';
  readonly dieAt: CheckpointName | undefined;
  readonly dieAtTime: number;
  readonly pauseAt: CheckpointName | undefined;
  readonly leaseMs: number;
}

export interface ChildOptions {
  readonly dieAt?: CheckpointName;
  /** At which time it comes there; default: the first. */
  readonly dieAtTime?: number;
  /** Stops there (SIGSTOP), once, until somebody has it go on; `onPause` is told its process id. */
  readonly pauseAt?: CheckpointName;
  readonly onPause?: (pid: number) => void;
  /** Milliseconds after it has connected. */
  readonly killAfterMs?: number;
  readonly command?: Orders['command'];
  readonly leaseMs?: number;
}

export interface ChildRun {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** From the moment it had connected to its end. */
  readonly workedMs: number;
}

/** A process that has started and waits for its orders; starting takes longer than many a run. */
export interface WaitingChild {
  run(bench: Workbench, selection: Selection, options: ChildOptions): Promise<ChildRun>;
  stop(): void;
}

const LEASE_MS = 1_500;

export function startChild(): WaitingChild {
  const child = spawn(process.execPath, scriptArguments(import.meta.filename), { stdio: 'pipe' });
  guardProcess(child);
  return {
    run: (bench, selection, options) => {
      child.stdin.end(JSON.stringify(ordersFor(bench, selection, options)));
      const stderr: Buffer[] = [];
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      let connectedAt = performance.now();
      let timer: NodeJS.Timeout | undefined;
      child.stdout.once('data', () => {
        connectedAt = performance.now();
        const { killAfterMs } = options;
        if (killAfterMs !== undefined) timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
        child.stdout.once('data', () => options.onPause?.(child.pid as number));
      });
      return new Promise((resolve) => {
        child.once('close', (exitCode, signal) => {
          clearTimeout(timer);
          const workedMs = performance.now() - connectedAt;
          resolve({ exitCode, signal, stderr: Buffer.concat(stderr).toString(), workedMs });
        });
      });
    },
    stop: () => child.kill('SIGKILL'),
  };
}

export function applyInChild(
  bench: Workbench,
  selection: Selection,
  options: ChildOptions,
): Promise<ChildRun> {
  return startChild().run(bench, selection, options);
}

function ordersFor(
  bench: Workbench,
  selection: Selection,
  { dieAt, dieAtTime = 1, pauseAt, command = 'apply', leaseMs = LEASE_MS }: ChildOptions,
): Orders {
  const { staging } = bench.plan.targets;
  return {
    uri: staging.uri?.reveal() ?? '',
    database: staging.database,
    directory: selection.directory,
    workDirectory: bench.workDirectory,
    command,
    dieAt,
    dieAtTime,
    pauseAt,
    leaseMs,
  };
}

async function main(): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const { uri, database, directory, workDirectory, command, dieAt, dieAtTime, pauseAt, leaseMs } = JSON.parse(
    Buffer.concat(chunks).toString(),
  ) as Orders;
  let isToPause = true;
  let timesLeft = dieAtTime;
  const plan = madePlan({ stagingUri: uri, productionUri: 'mongodb://127.0.0.1:1/', database });
  const target = await connectTarget(QUIET, 'staging', plan.targets.staging);
  process.stdout.write('connected\n');
  const request = {
    plan,
    selection: await openSelection(directory),
    target,
    other: undefined,
    actor: { user: 'anna', host: 'ops-1', pid: process.pid },
    leaseMs,
  };
  const run = runIn(workDirectory, {
    checkpoint: (name: CheckpointName) => {
      if (name === dieAt && --timesLeft === 0) process.kill(process.pid, 'SIGKILL');
      if (name !== pauseAt || !isToPause) return;
      isToPause = false;
      writeSync(1, 'pausing\n');
      process.kill(process.pid, 'SIGSTOP');
    },
  });
  await (command === 'apply'
    ? applySelection(run, request)
    : revertPlan(run, { ...request, plan: request.plan.name, selection: request.selection.manifest.digest }));
  await target.close();
}

if (isStarted(import.meta.filename)) void main();
