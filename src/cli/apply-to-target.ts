/** Applies a prepared selection to one connected target, does its follow-ups, and writes what came of it. */

import { leftOutOf } from '../apply/accept.ts';
import { decideGateOf } from '../apply/admission.ts';
import { type ApplyResult, applySelection } from '../apply/apply-selection.ts';
import type { GateVerdict } from '../apply/gate.ts';
import {
  type NextStep,
  nextSteps,
  type TargetFacts,
  type TargetStatus,
  targetStatus,
} from '../apply/restore-status.ts';
import { compareWithTarget } from '../comparison/compare-with-target.ts';
import { TargetMemory } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { FollowUpStatus } from '../follow-ups/follow-up-status.ts';
import { kindOf } from '../follow-ups/kinds.ts';
import { runFollowUps } from '../follow-ups/run-follow-ups.ts';
import type { Plan } from '../plan/plan.ts';
import type { Sum } from '../report/sum.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target, TargetReader } from '../target/target.ts';
import { showBytes, showCounted } from '../text/quantities.ts';
import type { ExitName, OptionValue } from './command.ts';
import { confirm, confirmPlan } from './confirm.ts';
import type { ApplyTargets } from './connect-targets.ts';
import type { CommandContext } from './context.ts';
import { SHOWN } from './dry-run-output.ts';
import { approvalsOf, knownTarget } from './next-step.ts';
import type { Stage } from './progress.ts';
import { pageStyle, show, writeLines } from './view.ts';
import { applyExit, applyView, totalOf } from './views/apply.ts';
import { dryRunEnd, dryRunPage } from './views/dry-run.ts';
import { documentsOf } from './views/dry-run-documents.ts';
import { followUpExit } from './views/follow-up.ts';

interface ApplyOrder {
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
export interface AppliedTarget {
  readonly exit: ExitName;
  readonly steps: readonly NextStep[];
}

export async function applyToTarget(context: CommandContext, order: ApplyOrder): Promise<AppliedTarget> {
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
    await show(context, applyView(result, { statuses, sum: sumOf(context, order, result), file }));
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
    return await runFollowUps(context, { actor: context.operator, environment: context.env, plan, target });
  } catch (error) {
    await show(context, applyView(result));
    throw error;
  }
}

// What an operator sees and says before production is written to.

interface Proposal {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly reader: TargetReader;
  /** Value of `--confirm`. */
  readonly given: OptionValue;
}

/**
 * Staging needs no word, but a wrong one is refused there too. Production is compared once more and shown to whoever sits at the terminal, who then types the
 * database's name; `--confirm` says it beforehand. Throws USAGE where nobody can say it, or says another.
 */
export async function lastWord(context: CommandContext, proposal: Proposal): Promise<void> {
  const { selection, reader, given } = proposal;
  if (reader.name === 'staging' && given === undefined) return;
  if (given === undefined && context.interactive) await showWhatIsThere(context, proposal);
  const { collections } = selection.manifest;
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const bytes = collections.reduce((sum, each) => sum + each.bytes, 0);
  await confirm(context, {
    what: `Write ${showCounted(documents, 'document')} (${showBytes(bytes)}) to ${reader.name}`,
    database: reader.database,
    given,
  });
}

async function showWhatIsThere(
  context: CommandContext,
  { plan, selection, reader }: Proposal,
): Promise<void> {
  const { stderr, warnings } = context;
  const leftOut = await leftOutOf(context, { plan, selection, reader });
  const comparison = await compareWithTarget(context, { plan, selection, reader, leftOut, show: SHOWN });
  const run = { plan, manifest: selection.manifest, comparisons: [comparison], notCompared: [], warnings };
  await context.endProgress();
  const style = pageStyle(context, 'stderr');
  stderr.write('\n');
  await writeLines(stderr, dryRunPage(run, style));
  await writeLines(stderr, documentsOf([comparison], style, SHOWN));
  await writeLines(stderr, dryRunEnd(run, context.now(), style));
}
