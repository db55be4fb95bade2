/** Runs the built program as an operator would and says what it cost. */
import { join } from 'node:path';
import { DATABASE, type Grounds } from './grounds.ts';
import { measureProcess, type ProcessCost } from './process-cost.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'dist', 'main.cjs');

/** `folder` holds `plan.yaml` and is the working directory. `expected`: exit codes without which the measure is void. */
export async function planProcess(
  grounds: Grounds,
  folder: string,
  args: readonly string[],
  expected: readonly number[] = [0],
): Promise<ProcessCost> {
  return measureProcess(process.execPath, [PROGRAM, ...args], {
    cwd: folder,
    env: await grounds.environment(),
    expected,
  });
}

export interface BothApplied {
  readonly wallMs: number;
  readonly peakBytes: number;
  /** A line for each target, for the eye. */
  readonly stages: readonly string[];
}

/**
 * Staging, then production: two processes, one after the other, each with selection or its reuse, comparison, writing and
 * verification.
 */
export async function applyToBoth(grounds: Grounds, folder: string): Promise<BothApplied> {
  const apply = (target: string, ...rest: string[]): Promise<ProcessCost> =>
    planProcess(grounds, folder, ['apply', 'plan.yaml', '--json', '--target', target, ...rest]);
  const staging = await apply('staging');
  const production = await apply('production', '--confirm', DATABASE);
  return {
    wallMs: staging.wallMs + production.wallMs,
    peakBytes: Math.max(staging.peakBytes, production.peakBytes),
    stages: [`staging: ${stagesOf(staging)}`, `production: ${stagesOf(production)}`],
  };
}

/** The event that ends each stage. */
const STAGE_ENDS: Readonly<Record<string, string>> = {
  'plan-read': 'start',
  'backup-located': 'backup',
  'selection-finished': 'selection',
  'selection-reused': 'selection',
  'lock-acquired': 'gate and lock',
  'apply-started': 'preparing',
  'apply-finished': 'writing',
  'verification-finished': 'verification',
  exit: 'end',
};

/** Where the time went, milliseconds: `start 210, selection 640 …`. */
export function stagesOf({ lines }: ProcessCost): string {
  let last = 0;
  const stages: string[] = [];
  for (const { ms, text } of lines) {
    const stage = STAGE_ENDS[(JSON.parse(text) as { type: string }).type];
    if (stage === undefined) continue;
    stages.push(`${stage} ${Math.round(ms - last)}`);
    last = ms;
  }
  return stages.join(', ');
}
