/** What comes next, as lines for the terminal: why, then the command to copy. */
import { foreseenObstacle, rulesOfPlan } from '../../apply/gate-rules.ts';
import type { KnownTarget, NextStep, PlanFacts, TargetStatus } from '../../apply/restore-status.ts';
import { followUpStatuses } from '../../follow-ups/follow-up-status.ts';
import type { Plan } from '../../plan/plan.ts';
import { showCounted } from '../../text/quantities.ts';
import { type PageStyle, wrapped } from '../../text/terminal.ts';
import type { CommandContext } from '../context.ts';
import type { GivenWords } from '../given-words.ts';
import { lineOf, pageStyle, readerOf, sayTyped, writeLines } from '../view.ts';

/** Lines without newlines. A command is not wrapped, so that it can be copied. */
export function* nextStepLines(
  steps: readonly NextStep[],
  { given, columns }: Pick<PageStyle, 'columns'> & { readonly given: GivenWords },
): Generator<string> {
  for (const [index, step] of steps.entries()) {
    const when = index === 0 ? 'Next' : 'Then';
    yield* wrapped(`${when}, ${reasonOf(step, given)}:`, { columns });
    const { command, target } = step;
    const options = command === 'accept' ? { reason: '…' } : {};
    yield `  ${lineOf({ command, ...(target && { target }), options }, given)}`;
  }
}

function reasonOf({ why, target }: NextStep, given: GivenWords): string {
  switch (why.kind) {
    case 'first':
      return 'when this is what you want';
    case 'proposed':
      return 'once the plan says what comes back in the place of `dependents: auto`';
    case 'verified':
      return 'after a look at staging';
    case 'silent':
      return target === 'staging' ? 'once staging answers, which comes first' : `once ${target} answers`;
    case 'unfit':
      return `once ${target} can be compared${target === 'staging' ? ', which comes first' : ''}`;
    case 'unknown':
      return 'to see where staging stands, and what the gate of production still wants';
    case 'changed':
      return `as the plan or its backup has changed since it was applied to ${target}`;
    case 'unfinished':
      return `as the run on ${target} is not finished`;
    case 'unread':
      return `as the documents in ${target} were not read back`;
    case 'gone':
      return `as documents are missing from ${target} that were verified there`;
    case 'reverted':
      return `to restore again what was reverted in ${target}`;
    case 'revertUnfinished':
      return `as the revert in ${target} is not finished`;
    case 'unwritten':
      return `to see why ${showCounted(why.count, 'document')} could not be written to ${target}`;
    case 'stuck':
      return `to finish without ${showCounted(why.count, 'document')} that cannot be written to ${target}, once somebody has looked at each`;
    case 'differing':
      return `as ${showCounted(why.count, 'document')} ${why.count === 1 ? 'differs' : 'differ'} on staging, which keeps production shut until each was looked at`;
    case 'stopping':
      return `once nothing stops it (${showCounted(why.count, 'document')} with other content in ${target}, and whenMatched: fail)`;
    case 'followUps':
      return `${showCounted(why.count, 'follow-up')} of ${target} to do`;
    case 'approvals':
      return `as ${why.given} of ${why.needed} approvals are given, by another person`;
    case 'gate':
      return `as the gate of production is shut (${why.obstacles.map(({ fact, remedy }) => `${fact}. ${sayTyped(remedy, given)}`).join(' ')})`;
  }
}

// Collects what is known of a plan's targets, for the one answer to what comes next.

/** What nobody needs to do any more, or cannot do yet. */
const CLOSED: ReadonlySet<string> = new Set(['done', 'not needed', 'not due']);

export interface Compared {
  /** Of the selection that the plan makes now; without it, the plan's own digest decides what is current. */
  readonly digest?: string;
  readonly foreseen?: Pick<KnownTarget, 'toWrite' | 'stuck' | 'stopping'>;
}

export function knownTarget(
  { followUps }: Plan,
  { target, run, runsOfPlan, isOfAnotherPlanVersion }: TargetStatus,
  { digest, foreseen }: Compared = {},
): KnownTarget {
  const open = followUpStatuses(followUps, target, runsOfPlan).filter(({ state }) => !CLOSED.has(state));
  return {
    run,
    isCurrent: digest === undefined ? !isOfAnotherPlanVersion : run?.key.selection === digest,
    toWrite: undefined,
    ...foreseen,
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
export async function writeNextSteps(context: CommandContext, steps: readonly NextStep[]): Promise<void> {
  if (context.options.quiet || readerOf(context) === 'program' || steps.length === 0) return;
  const { columns } = pageStyle(context, 'stderr');
  await writeLines(context.stderr, ['', ...nextStepLines(steps, { given: context.given, columns })]);
}
