/** Collects what is known of a plan's targets, for the one answer to what comes next. */
import { foreseenObstacle, rulesOfPlan } from '../apply/gate-rules.ts';
import type { KnownTarget, NextStep, PlanFacts, TargetStatus } from '../apply/restore-status.ts';
import { followUpStatuses } from '../follow-ups/follow-up-status.ts';
import type { Plan } from '../plan/plan.ts';
import type { CommandContext } from './context.ts';
import { pageStyle, writeLines } from './view.ts';
import { nextStepLines, sayTyped } from './views/next-step.ts';

/** What nobody needs to do any more, or cannot do yet. */
const CLOSED: ReadonlySet<string> = new Set(['done', 'not needed', 'not due']);

export interface Compared {
  /** Of the selection that the plan makes now; without it, the plan's own digest decides what is current. */
  readonly digest?: string;
  /** Documents that an apply would insert or replace. */
  readonly toWrite?: number;
}

export function knownTarget(
  { followUps }: Plan,
  { target, run, runsOfPlan, isOfAnotherPlanVersion }: TargetStatus,
  { digest, toWrite }: Compared = {},
): KnownTarget {
  const open = followUpStatuses({ followUps, target, runs: runsOfPlan }).filter(
    ({ state }) => !CLOSED.has(state),
  );
  return {
    run,
    isCurrent: digest === undefined ? !isOfAnotherPlanVersion : run?.key.selection === digest,
    toWrite,
    openFollowUps: open.length,
  };
}

/** Warns of what will keep this person's approval from counting, and says the ways out. */
export function warnOfApprovals(context: CommandContext, status: TargetStatus): void {
  if (status.target !== 'staging') return;
  const { run, rules, serverUser } = status;
  const obstacle = foreseenObstacle(rules, { run, actor: { ...context.operator, serverUser } });
  if (obstacle === undefined) return;
  const { fact, remedy } = obstacle;
  context.emit({ type: 'warning', message: `gate.approvals: ${fact}. ${sayTyped(remedy)}` });
}

export function approvalsOf(plan: Plan, onStaging: TargetStatus | undefined): PlanFacts['approvals'] {
  const { given, needed } = onStaging?.approvals ?? { given: [], needed: rulesOfPlan(plan).approvals };
  return { given: given.length, needed };
}

/** On stderr, beside the result: it is talk, not result. */
export async function writeNextSteps(
  context: CommandContext,
  steps: readonly NextStep[],
  file: string,
): Promise<void> {
  if (context.options.quiet || context.options.json || steps.length === 0) return;
  const { columns } = pageStyle(context, 'stderr');
  await writeLines(context.stderr, ['', ...nextStepLines(steps, { file, columns })]);
}
