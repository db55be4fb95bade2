/** Runs the built program as an operator would and says what it cost. */
import { join } from 'node:path';
import type { Grounds } from './grounds.ts';
import { measureProcess, type ProcessCost } from './process-cost.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'dist', 'main.js');

/** `folder` holds `plan.yaml` and is the working directory. */
export async function planProcess(
  grounds: Grounds,
  folder: string,
  args: readonly string[],
): Promise<ProcessCost> {
  return measureProcess(process.execPath, [PROGRAM, ...args], {
    cwd: folder,
    env: await grounds.environment(),
  });
}

/** Staging, then production: two processes, one after the other, each with selection or its reuse, comparison, writing and verification. */
export async function applyToBoth(
  grounds: Grounds,
  folder: string,
): Promise<Pick<ProcessCost, 'wallMs' | 'peakBytes'>> {
  const apply = ['apply', 'plan.yaml', '--target'];
  const staging = await planProcess(grounds, folder, [...apply, 'staging']);
  const production = await planProcess(grounds, folder, [...apply, 'production', '--confirm', 'gravity']);
  return {
    wallMs: staging.wallMs + production.wallMs,
    peakBytes: Math.max(staging.peakBytes, production.peakBytes),
  };
}
