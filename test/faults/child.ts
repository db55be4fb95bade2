/** An apply or a revert in a process of its own, to be killed. Run as a program, it is that process. */
import { spawn } from 'node:child_process';
import { applySelection } from '../../src/apply/apply-selection.ts';
import type { CheckpointName } from '../../src/apply/checkpoint.ts';
import { revertSelection } from '../../src/apply/revert-selection.ts';
import { openSelection } from '../../src/selection/open-selection.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { madePlan } from '../apply/made-selection.ts';
import type { Workbench } from '../apply/workbench.ts';
import { guardProcess } from '../lab/guard.ts';

interface Orders {
  readonly uri: string;
  readonly database: string;
  readonly directory: string;
  readonly workDirectory: string;
  readonly command: 'apply' | 'revert';
  readonly dieAt: CheckpointName | undefined;
}

export interface ChildOptions {
  readonly dieAt?: CheckpointName;
  /** Milliseconds after its start. */
  readonly killAfterMs?: number;
  readonly command?: Orders['command'];
}

export interface ChildRun {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

const LEASE_MS = 1_500;

export function applyInChild(
  bench: Workbench,
  selection: Selection,
  { dieAt, killAfterMs, command = 'apply' }: ChildOptions,
): Promise<ChildRun> {
  const { staging } = bench.plan.targets;
  const orders: Orders = {
    uri: staging.uri?.reveal() ?? '',
    database: staging.database,
    directory: selection.directory,
    workDirectory: bench.workDirectory,
    command,
    dieAt,
  };
  const child = spawn(process.execPath, ['--import', 'tsx', import.meta.filename], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  guardProcess(child);
  child.stdin.end(JSON.stringify(orders));
  const stderr: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  return new Promise((resolve) => {
    child.once('close', (exitCode, signal) => {
      clearTimeout(timer);
      resolve({ exitCode, signal, stderr: Buffer.concat(stderr).toString() });
    });
  });
}

async function main(): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const { uri, database, directory, workDirectory, command, dieAt } = JSON.parse(
    Buffer.concat(chunks).toString(),
  ) as Orders;
  const plan = madePlan({ stagingUri: uri, productionUri: 'mongodb://127.0.0.1:1/', database });
  const target = await connectTarget('staging', plan.targets.staging);
  const request = {
    plan,
    selection: await openSelection(directory),
    target,
    other: undefined,
    actor: { user: 'anna', host: 'ops-1', pid: process.pid },
    toolVersion: '0.0.0',
    workDirectory,
    emit: () => undefined,
    leaseMs: LEASE_MS,
    checkpoint: (name: CheckpointName) => {
      if (name === dieAt) process.kill(process.pid, 'SIGKILL');
    },
  };
  await (command === 'apply' ? applySelection(request) : revertSelection(request));
  await target.close();
}

if (process.argv[1] === import.meta.filename) await main();
