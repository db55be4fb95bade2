/** Workers of an array without a cluster: each is the program with an index in its environment. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { callPlan } from '../lab/call-plan.ts';
import { jsonLines, type PlanRun } from '../lab/plan-command.ts';

/** A plan, where its parts go, and where selections are kept. */
export interface Undertaken {
  /** Folder of `plan.yaml`, to run in. */
  readonly folder: string;
  readonly exchange: string;
  readonly workers: number;
  /** Levels of the plan. */
  readonly levels: number;
}

export function select(folder: string, ...args: readonly string[]): Promise<PlanRun> {
  return callPlan(['select', 'plan.yaml', ...args], { cwd: folder });
}

export function work(undertaken: Undertaken, level: number, index: number): Promise<PlanRun> {
  const { folder, exchange, workers } = undertaken;
  const args = ['--worker', '--level', String(level), '--workers', String(workers), '--exchange', exchange];
  return callPlan(['select', 'plan.yaml', '--work-dir', 'worker', ...args], {
    cwd: folder,
    env: { JOB_COMPLETION_INDEX: String(index) },
  });
}

/** All workers of all levels, with the joins between them. */
export async function workThrough(undertaken: Undertaken): Promise<void> {
  for (let level = 0; level < undertaken.levels; level++) {
    for (let index = 0; index < undertaken.workers; index++) done(await work(undertaken, level, index));
    if (level < undertaken.levels - 1)
      done(await select(undertaken.folder, ...joining(undertaken), '--level', String(level)));
  }
}

/** Arguments that join, in a work directory of their own. */
export function joining({ exchange }: Pick<Undertaken, 'exchange'>): string[] {
  return ['--work-dir', 'joined', '--join', '--exchange', exchange];
}

/** The run, which must have succeeded. */
export function done(run: PlanRun): PlanRun {
  assert.is(run.exitCode, 0, `${run.stdout}\n${run.stderr}`);
  return run;
}

/** Of `plan select --json`. */
export function digestOf({ stdout }: PlanRun): string {
  const selected = jsonLines(stdout).find(({ type }) => type === 'select') ?? {};
  return (selected['selection'] as { digest: string }).digest;
}

/** Names of all files below a folder, sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
