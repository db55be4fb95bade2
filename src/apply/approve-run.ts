/** Records that a second person has looked at the verified staging run and agrees to production. */
import { RestorePlanError } from '../errors.ts';
import { openLedger } from '../ledger/ledger.ts';
import { runOfPlan } from '../ledger/read-runs.ts';
import type { Actor, RunRecord } from '../ledger/run-record.ts';
import type { Plan } from '../plan/plan.ts';
import type { Target } from '../target/target.ts';
import { requireOwnTarget } from './check-request.ts';
import { approvalObstacle, approversOf, person } from './gate.ts';

export interface ApprovalRequest {
  readonly plan: Plan;
  readonly staging: Target;
  readonly actor: Actor;
  /** Of the selection that the approver saw; another one is not approved. */
  readonly digest?: string | undefined;
}

export interface Approval {
  readonly digest: string;
  /** Everybody whose approval counts now. */
  readonly approvers: readonly string[];
  /** How many the plan asks for. */
  readonly needed: number;
}

/** Throws GATE when there is no verified run to approve, or the approval would not count. */
export async function approveRun({ plan, staging, actor, digest }: ApprovalRequest): Promise<Approval> {
  if (staging.name !== 'staging') throw new TypeError('approval is given on staging');
  requireOwnTarget(plan, staging);
  const run = await runOfPlan(staging.reader, plan);
  if (run?.status !== 'verified' || run.plan.digest !== plan.digest) throw nothingToApprove(plan, run);
  if (digest !== undefined && run.key.selection !== digest) throw appliedSince();
  const obstacle = approvalObstacle(run, actor);
  if (obstacle !== undefined) throw new RestorePlanError('GATE', obstacle.fact, { hint: obstacle.remedy });
  const { runs, migrate } = openLedger(staging);
  await migrate(plan.name, actor);
  const isNew = !approversOf(run).map(person).includes(person(actor.user));
  if (isNew && !(await runs.approve(run.key, actor))) throw nothingToApprove(plan, run);
  const approved = (await runs.find(run.key)) ?? run;
  return {
    digest: run.key.selection,
    approvers: approversOf(approved),
    needed: plan.targets.production?.gate.approvals ?? 0,
  };
}

function appliedSince(): RestorePlanError {
  return new RestorePlanError(
    'GATE',
    'another selection was applied to staging while you looked at this one',
    {
      hint: 'Run `plan approve` again, and look at what it shows now.',
    },
  );
}

function nothingToApprove(plan: Plan, run: RunRecord | undefined): RestorePlanError {
  const fact =
    run === undefined
      ? 'the plan was not applied to staging'
      : run.plan.digest === plan.digest
        ? `the run on staging is ${run.status}, not verified`
        : 'the plan has changed since it was applied to staging';
  return new RestorePlanError('GATE', `there is nothing to approve: ${fact}`, {
    hint: 'Run `plan apply --target staging` until it ends verified; then approve what it did.',
    facts: { status: run?.status ?? null },
  });
}
