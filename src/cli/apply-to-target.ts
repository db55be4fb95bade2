/** Applies a prepared selection to one connected target, does its follow-ups, and writes what came of it. */
import { type ApplyResult, applySelection } from '../apply/apply-selection.ts';
import { TargetMemory } from '../comparison/target-memory.ts';
import type { TargetName } from '../events.ts';
import type { FollowUpStatus } from '../follow-ups/follow-up-status.ts';
import type { Plan } from '../plan/plan.ts';
import { applyExit, applyPage } from '../report/apply-page.ts';
import { followUpExit, followUpLines, followUpObject } from '../report/follow-ups-page.ts';
import { applyObject } from '../report/json-results.ts';
import type { Stage } from '../report/progress.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { VERSION } from '../version.ts';
import type { ExitName, OptionValue } from './command.ts';
import { confirmPlan } from './confirm.ts';
import type { ApplyTargets } from './connect-targets.ts';
import type { CommandContext } from './context.ts';
import { lastWord } from './last-word.ts';
import { runOperatorsFollowUps } from './operators-follow-ups.ts';
import { pageStyle, writeLines } from './page.ts';

export interface ApplyOrder {
  readonly plan: Plan;
  /** Closed at the end. */
  readonly targets: ApplyTargets;
  /** The plan as the operator named it. */
  readonly file: string;
  readonly selection: Selection;
  /** Value of `--confirm`. */
  readonly confirm: OptionValue;
  /** Value of `--confirm-plan`. */
  readonly confirmPlan: OptionValue;
}

export async function applyToTarget(context: CommandContext, order: ApplyOrder): Promise<ExitName> {
  const { plan, file, selection, targets } = order;
  const { target, other } = targets;
  const { reader } = target;
  try {
    const result = await applySelection({
      ...context,
      plan,
      selection,
      target,
      other: other?.reader,
      actor: { ...context.operator, pid: context.processId },
      toolVersion: VERSION,
      memory: await TargetMemory.load(context.workDirectory, selection.manifest, reader),
      confirmPlan: ({ fact }) =>
        confirmPlan(context, { what: fact, plan: plan.name, given: order.confirmPlan }),
      confirm: () => lastWord(context, { plan, selection, reader, given: order.confirm }),
    });
    const statuses = result.verified ? await followUps(context, { plan, target, result }) : [];
    await context.endProgress();
    if (context.options.json) {
      for (const status of statuses) context.json(followUpObject(status));
      context.json(applyObject(result));
    } else {
      await writeLines(context.stdout, applyPage(result, pageStyle(context)));
      await writeLines(context.stdout, followUpLines(statuses, pageStyle(context), file));
    }
    return applyExit(result) === 'OK' ? followUpExit(statuses) : applyExit(result);
  } finally {
    await targets.close();
  }
}

/** What an apply goes through once the selection is there. Production is compared before somebody is asked; see lastWord. */
export function applyStages(
  { interactive }: CommandContext,
  { plan, name, confirm }: Pick<ApplyOrder, 'plan' | 'confirm'> & { readonly name: TargetName },
): Stage[] {
  const asks = name === 'production' && interactive && confirm === undefined;
  const follows = plan.followUps.some(
    ({ on, action }) => action.kind !== 'manual' && (on === name || on === 'both'),
  );
  return [
    ...(name === 'production' ? (['gate'] as const) : []),
    ...(asks ? (['comparison with production'] as const) : []),
    'writing',
    'verification',
    ...(follows ? (['follow-ups'] as const) : []),
  ];
}

interface Applied {
  readonly plan: Plan;
  readonly target: Target;
  readonly result: ApplyResult;
}

/** The documents are in: whatever becomes of the loose ends, what was restored is shown. */
async function followUps(
  context: CommandContext,
  { plan, target, result }: Applied,
): Promise<FollowUpStatus[]> {
  try {
    return await runOperatorsFollowUps(context, { plan, digest: result.digest, target });
  } catch (error) {
    await context.endProgress();
    if (context.options.json) context.json(applyObject(result));
    else await writeLines(context.stdout, applyPage(result, pageStyle(context)));
    throw error;
  }
}
