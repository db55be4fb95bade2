/** `plan status`: where each target stands, what is still open, and what the gate still wants. */
import {
  type GateStatus,
  gateStatus,
  nextSteps,
  type PlanFacts,
  type TargetFacts,
  type TargetStatus,
} from '../../apply/restore-status.ts';
import { RestorePlanError } from '../../errors.ts';
import { followUpStatuses } from '../../follow-ups/follow-up-status.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Restore } from '../../restore/restore.ts';
import { SHORT_PATIENCE_MS } from '../../restore/targets.ts';
import { keptSelection } from '../../selection/open-selection.ts';
import type { Target } from '../../target/target.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { approvalsOf, knownTarget, warnOfApprovals, writeNextSteps } from '../views/next-step.ts';
import { statusView } from '../views/status.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const restore = await openPlan(context, file);
  const { plan } = restore;
  const names = (['staging', 'production'] as const).filter((name) => plan.targets[name] !== undefined);
  restore.require(...names);
  const targets: Target[] = [];
  const failures: RestorePlanError[] = [];
  for (const name of names) {
    const target = await connectIfPossible(context, restore, name);
    if (target instanceof RestorePlanError) failures.push(target);
    else targets.push(target);
  }
  const [first] = failures;
  if (targets.length === 0 && first !== undefined) throw first;
  const statuses: TargetStatus[] = [];
  for (const { name } of targets) {
    const status = await restore.status(name, SHORT_PATIENCE_MS);
    warnOfApprovals(context, status);
    statuses.push(status);
  }
  const gate = await askGate(context, { plan, targets, statuses });
  await showStanding(context, { plan, statuses, gate, failures });
  if (first !== undefined) throw first;
}

async function connectIfPossible(
  context: CommandContext,
  restore: Restore,
  name: Target['name'],
): Promise<Target | RestorePlanError> {
  try {
    return await restore.connect(name, SHORT_PATIENCE_MS);
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof RestorePlanError && error.code === 'TARGET') return error;
    throw error;
  }
}

interface Known {
  readonly plan: Plan;
  readonly targets: readonly Target[];
  readonly statuses: readonly TargetStatus[];
}

/** Undefined when the plan has no production, a target does not answer, or nothing was applied to staging yet. */
async function askGate(
  context: CommandContext,
  { plan, targets, statuses }: Known,
): Promise<GateStatus | undefined> {
  const staging = targets.find(({ name }) => name === 'staging')?.reader;
  const production = targets.find(({ name }) => name === 'production')?.reader;
  const digest = statuses.find(({ target }) => target === 'staging')?.run?.key.selection;
  if (staging === undefined || production === undefined || digest === undefined) return undefined;
  const selection = await keptSelection(context.workDirectory, digest);
  return gateStatus(context, plan, { staging, production }, { digest, selection });
}

interface Shown {
  readonly plan: Plan;
  readonly statuses: readonly TargetStatus[];
  readonly gate: GateStatus | undefined;
  readonly failures: readonly RestorePlanError[];
}

async function showStanding(context: CommandContext, shown: Shown): Promise<void> {
  const { plan, statuses, gate } = shown;
  const steps = nextSteps(factsOf(shown));
  const followUps = new Map(
    statuses.map((status) => {
      const { target, runsOfPlan: runs } = status;
      return [status, followUpStatuses(plan.followUps, target, runs)] as const;
    }),
  );
  const failures = shown.failures.map(({ message }) => message);
  await show(context, statusView({ plan, given: context.given, statuses, gate, steps, followUps, failures }));
  // The gate's own reasons stand above, and this command shows them.
  const elsewhere = steps.filter(({ command }) => command !== 'status');
  await writeNextSteps(context, elsewhere);
}

function factsOf({ plan, statuses, gate }: Shown): PlanFacts {
  const factsOn = (name: TargetStatus['target']): TargetFacts => {
    const status = statuses.find(({ target }) => target === name);
    return status === undefined ? 'silent' : knownTarget(plan, status);
  };
  const staging = statuses.find(({ target }) => target === 'staging');
  return {
    staging: factsOn('staging'),
    production: plan.targets.production === undefined ? undefined : factsOn('production'),
    approvals: approvalsOf(plan, staging),
    gate: gate?.verdict,
  };
}
