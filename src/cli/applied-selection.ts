/** The selection that was applied to a target, for commands that look at it again or take it back. */
import { RestorePlanError } from '../errors.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import { runOfPlan } from '../ledger/runs.ts';
import type { Plan } from '../plan/plan.ts';
import { keptSelection } from '../selection/open-selection.ts';
import { prepareSelection } from '../selection/select-documents.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import type { CommandContext } from './context.ts';

export interface AppliedRun {
  readonly run: RunRecord;
  readonly selection: Selection;
}

/** The newest run of the plan there, with its documents. Undefined when the plan was never applied there. Throws BACKUP like `selectionOfRun`. */
export async function appliedSelection(
  context: CommandContext,
  plan: Plan,
  reader: TargetReader,
): Promise<AppliedRun | undefined> {
  const run = await runOfPlan(reader, plan);
  return run && { run, selection: await selectionOfRun(context, plan, run) };
}

/**
 * The documents of a run: kept in the work directory, or selected again from the backup. Throws BACKUP when the plan gives another
 * selection by now.
 */
export async function selectionOfRun(
  context: CommandContext,
  plan: Plan,
  { key, target, appliedBy }: RunRecord,
): Promise<Selection> {
  const kept = await keptSelection(context.workDirectory, key.selection);
  if (kept !== undefined) return kept;
  const selection = await prepareSelection(context, { plan, patience: context.patience });
  if (selection.manifest.digest === key.selection) return selection;
  const people = new Set(appliedBy.map(({ user, host }) => `${user} on ${host}`));
  throw new RestorePlanError(
    'BACKUP',
    `${target} holds another selection than the plan gives now, and the documents of that one are not kept here`,
    {
      hint: `Run this where it was applied (by ${[...people].join(', ')}), or with the plan and the backup as they were then.`,
      facts: { applied: key.selection, selected: selection.manifest.digest },
    },
  );
}
