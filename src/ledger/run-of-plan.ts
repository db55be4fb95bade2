import type { Plan } from '../plan/plan.ts';
import type { RunRecord } from './run-record.ts';

/**
 * The record that a command means which is given a plan and no selection: of the runs of this very plan, or else of a plan of
 * this name, the one that was written last. Undefined when there is none.
 */
export function runOfPlan(
  runs: readonly RunRecord[],
  plan: Pick<Plan, 'name' | 'digest'>,
): RunRecord | undefined {
  const same = runs.filter((run) => run.plan.digest === plan.digest);
  const candidates = same.length > 0 ? same : runs.filter((run) => run.plan.name === plan.name);
  return candidates.reduce<RunRecord | undefined>(
    (latest, run) => (latest === undefined || run.updatedAt > latest.updatedAt ? run : latest),
    undefined,
  );
}
