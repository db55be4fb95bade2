/** The selection that was applied to a target, for commands that look at it again or take it back. */
import { RestorePlanError } from '../errors.ts';
import { runOfPlan } from '../ledger/read-runs.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import type { Plan } from '../plan/plan.ts';
import { keptSelection } from '../selection/kept-selection.ts';
import { prepareSelection } from '../selection/prepare-selection.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import { VERSION } from '../version.ts';
import type { CommandContext } from './context.ts';

export interface Applied {
  readonly run: RunRecord;
  readonly selection: Selection;
}

/**
 * The one that the target's ledger names: kept in the work directory, or selected again from the backup. Undefined when the
 * plan was never applied there. Throws BACKUP when the backup gives another selection by now.
 */
export async function appliedSelection(
  context: CommandContext,
  plan: Plan,
  reader: TargetReader,
): Promise<Applied | undefined> {
  const run = await runOfPlan(reader, plan);
  if (run === undefined) return undefined;
  const kept = await keptSelection(context.workDirectory, run.key.selection);
  if (kept !== undefined) return { run, selection: kept };
  const selection = await prepareSelection({ ...context, plan, toolVersion: VERSION });
  if (selection.manifest.digest === run.key.selection) return { run, selection };
  const people = new Set(run.appliedBy.map(({ user, host }) => `${user} on ${host}`));
  throw new RestorePlanError(
    'BACKUP',
    `${reader.name} holds another selection than the plan gives now, and the documents of that one are not kept here`,
    {
      hint: `Run this where it was applied (by ${[...people].join(', ')}), or with the plan and the backup as they were then.`,
      facts: { applied: run.key.selection, selected: selection.manifest.digest },
    },
  );
}
