/** Applies a prepared selection to one connected target, does its follow-ups, and writes what came of it. */

import { decideGateOf } from '../apply/admission.ts';
import { type ApplyResult, applySelection } from '../apply/apply-selection.ts';
import type { GateVerdict } from '../apply/gate.ts';
import { type NextStep, nextSteps, type TargetFacts } from '../apply/next-step.ts';
import { type TargetStatus, targetStatus } from '../apply/restore-status.ts';
import { TargetMemory } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { FollowUpStatus } from '../follow-ups/follow-up-status.ts';
import { kindOf } from '../follow-ups/kinds.ts';
import type { Plan } from '../plan/plan.ts';
import { applyExit, applyPage, totalOf } from '../report/apply-page.ts';
import { followUpExit, followUpLines, followUpObject } from '../report/follow-ups-page.ts';
import { applyObject } from '../report/json-results.ts';
import type { Stage } from '../report/progress.ts';
import { type Sum, sumLines } from '../report/sum.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import type { ExitName, OptionValue } from './command.ts';
import { confirmPlan } from './confirm.ts';
import type { ApplyTargets } from './connect-targets.ts';
import type { CommandContext } from './context.ts';
import { lastWord } from './last-word.ts';
import { approvalsOf, knownTarget } from './next-step.ts';
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
  /** Value of `--exclusive`. */
  readonly exclusive: boolean;
}

/** How it ended, and what comes next. */
export interface Applied {
  readonly exit: ExitName;
  readonly steps: readonly NextStep[];
}

export async function applyToTarget(context: CommandContext, order: ApplyOrder): Promise<Applied> {
  const { plan, file, selection, targets } = order;
  const { target, other } = targets;
  const { reader } = target;
  try {
    const result = await applySelection(context, {
      plan,
      selection,
      target,
      other: other?.reader,
      actor: { ...context.operator, pid: context.processId },
      exclusive: order.exclusive,
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
      await writeLines(context.stdout, ['', ...sumLines(sumOf(context, order, result), pageStyle(context))]);
    }
    const exit = applyExit(result) === 'OK' ? followUpExit(statuses) : applyExit(result);
    return { exit, steps: await stepsAfter(context, order) };
  } finally {
    await targets.close();
  }
}

/** None where a target no longer answers: the documents are in, and that is no failure of the apply. */
async function stepsAfter(
  { signal }: CommandContext,
  { plan, selection, targets: { target, other } }: ApplyOrder,
): Promise<NextStep[]> {
  const { digest } = selection.manifest;
  const statuses: TargetStatus[] = [];
  let gate: GateVerdict | undefined;
  try {
    for (const { reader } of other === undefined ? [target] : [other, target]) {
      statuses.push(await targetStatus(plan, reader));
    }
    // Only where production was reached: by what the ledgers say, as the documents have been read back just now.
    if (target.name === 'staging' && other !== undefined) {
      gate = await decideGateOf({ plan, digest, staging: target.reader, production: other.reader });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RestorePlanError) return [];
    throw error;
  }
  const factsOn = (name: TargetName): TargetFacts => {
    const status = statuses.find((each) => each.target === name);
    return status === undefined ? 'unknown' : knownTarget(plan, status, { digest });
  };
  return nextSteps({
    staging: factsOn('staging'),
    production: plan.targets.production === undefined ? undefined : factsOn('production'),
    approvals: approvalsOf(
      plan,
      statuses.find((each) => each.target === 'staging'),
    ),
    gate,
  });
}

function sumOf(
  { now, warnings }: CommandContext,
  { selection, targets }: ApplyOrder,
  result: ApplyResult,
): Sum {
  const { backup, warnings: ofBackup } = selection.manifest;
  return {
    target: result.target,
    database: targets.target.reader.database,
    outcomes: totalOf(result.collections),
    backup,
    warnings: warnings.length + ofBackup.length,
    now: now(),
  };
}

/** What an apply goes through once the selection is there. Production is compared before somebody is asked; see lastWord. */
export function applyStages(
  { interactive }: CommandContext,
  { plan, name, confirm }: Pick<ApplyOrder, 'plan' | 'confirm'> & { readonly name: TargetName },
): Stage[] {
  const asks = name === 'production' && interactive && confirm === undefined;
  const follows = plan.followUps.some(
    ({ on, action }) => !kindOf(action).isForPeople && (on === name || on === 'both'),
  );
  return [
    ...(name === 'production' ? (['gate'] as const) : []),
    ...(asks ? (['comparison with production'] as const) : []),
    'writing',
    'verification',
    ...(follows ? (['follow-ups'] as const) : []),
  ];
}

interface Restored {
  readonly plan: Plan;
  readonly target: Target;
  readonly result: ApplyResult;
}

/** The documents are in: whatever becomes of the loose ends, what was restored is shown. */
async function followUps(
  context: CommandContext,
  { plan, target, result }: Restored,
): Promise<FollowUpStatus[]> {
  try {
    return await runOperatorsFollowUps(context, { plan, target });
  } catch (error) {
    await context.endProgress();
    if (context.options.json) context.json(applyObject(result));
    else await writeLines(context.stdout, applyPage(result, pageStyle(context)));
    throw error;
  }
}
