/** Runs one of the small programs in workers/, each in a fresh process, and returns the JSON it prints. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Grounds } from './grounds.ts';
import { measureProcess } from './process-cost.ts';

export interface WorkerResult {
  readonly ms: number;
  readonly selected?: number;
}

export async function runWorker(
  grounds: Grounds,
  name: 'select-once' | 'plain-get' | 'plain-gunzip' | 'plain-elements',
  args: readonly string[],
): Promise<WorkerResult> {
  const script = join(import.meta.dirname, 'workers', `${name}.ts`);
  const node = ['--import', import.meta.resolve('tsx'), script, ...args];
  const { stdout } = await measureProcess(process.execPath, node, { env: await grounds.environment() });
  return JSON.parse(stdout) as WorkerResult;
}

/** Selects with the plan in `planFolder` into a new work directory. `threads`: as many as usual where nothing is said. */
export async function selectOnce(
  grounds: Grounds,
  planFolder: string,
  threads?: number,
): Promise<WorkerResult> {
  const workDirectory = mkdtempSync(join(grounds.folder.path, 'work-'));
  const asked = threads === undefined ? [] : [String(threads)];
  return runWorker(grounds, 'select-once', [join(planFolder, 'plan.yaml'), workDirectory, ...asked]);
}
