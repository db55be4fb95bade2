/** Records that a second person has looked at the verified staging run, or at what was accepted in production, and agrees. */
import { RestorePlanError } from '../errors.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Actor, RunRecord } from '../ledger/run-record.ts';
import { readRuns, runMeant } from '../ledger/runs.ts';
import type { Plan } from '../plan/plan.ts';
import type { Target } from '../target/target.ts';
import { requireOwnTarget } from './admission.ts';
import {
  type Approvals,
  approvalObstacle,
  approvalScope,
  judgeApprovals,
  loginObstacle,
  rulesOf,
  runsOfSelection,
} from './gate-rules.ts';

export interface ApprovalRequest {
  readonly plan: Plan;
  /** Staging: its verified run is approved. Production: what was accepted there. */
  readonly target: Target;
  readonly actor: Actor;
  /** Of the selection that the approver saw; another one is not approved. */
  readonly digest?: string | undefined;
}

export interface ApprovedRun extends Approvals {
  readonly digest: string;
}

/** Throws GATE when there is no verified run to approve, or the approval would not count. */
export async function approveRun({ plan, target, actor, digest }: ApprovalRequest): Promise<ApprovedRun> {
  requireOwnTarget(plan, target);
  const { reader } = target;
  const all = await readRuns(reader);
  const run = runMeant(all, plan, reader);
  if (run === undefined || !isApprovable(run) || run.plan.digest !== plan.digest)
    throw nothingToApprove(plan, target, run);
  if (digest !== undefined && run.key.selection !== digest) throw appliedSince(target);
  const rules = rulesOf(plan, runsOfSelection(all, run.key.selection, reader));
  const approver = { user: actor.user, host: actor.host, serverUser: await reader.authenticatedUser() };
  const obstacle =
    loginObstacle(rules, approver.serverUser, target.name) ??
    approvalObstacle(run, approver, rules.approvalsBy);
  if (obstacle !== undefined) throw new RestorePlanError('GATE', obstacle.fact, { hint: obstacle.remedy });
  const { runs, migrate } = openLedger(target);
  await migrate(plan.name, actor);
  const scope = approvalScope(plan, run);
  const before = judgeApprovals(run, rules, scope).given.length;
  const added = { ...run, approvals: [...run.approvals, { ...approver, at: new Date(), of: scope }] };
  const isNew = judgeApprovals(added, rules, scope).given.length > before;
  if (isNew && !(await runs.approve(run.key, approver, scope))) throw nothingToApprove(plan, target, run);
  const approved = (await runs.find(run.key)) ?? run;
  return { digest: run.key.selection, ...judgeApprovals(approved, rules, scope) };
}

/** There is something that a second person may approve. */
export function isApprovable({ target, status, acceptedDigest }: RunRecord): boolean {
  return target === 'staging' ? status === 'verified' : acceptedDigest !== undefined;
}

function appliedSince({ name }: Target): RestorePlanError {
  return new RestorePlanError('GATE', `another selection came to ${name} while you looked at this one`, {
    hint: 'Run `plan approve` again, and look at what it shows now.',
  });
}

function nothingToApprove(plan: Plan, { name }: Target, run: RunRecord | undefined): RestorePlanError {
  if (name === 'production') {
    return new RestorePlanError(
      'GATE',
      'there is nothing to approve: nothing was accepted in production for this plan',
      {
        hint: 'What was applied to staging is approved by `plan approve`. Documents to be left out of production are written down by `plan accept --target production`.',
      },
    );
  }
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
