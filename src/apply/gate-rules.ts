/** The rules of production's gate that hold for a selection: those of the plan, and those that stand in staging's ledger. Pure. */

import type { RecordedGate, RunRecord } from '../ledger/run-record.ts';
import { isForeign, type LedgerPlace } from '../ledger/runs.ts';
import type { ApprovalsBy, GatePlan, Plan } from '../plan/plan.ts';

const NO_RULES: GatePlan = { soakMs: 0, approvals: 0 };

/** One fact that keeps the gate shut, and what to do about it. */
export interface Obstacle {
  readonly fact: string;
  readonly remedy: string;
}

export interface GateRules {
  readonly soakMs: number;
  readonly approvals: number;
  readonly approvalsBy: ApprovalsBy;
  readonly acceptKept: boolean;
  /** The newest run of the selection in staging, where it asks for more than the plan does now. */
  readonly stricter: RunRecord | undefined;
}

type Rules = Omit<GateRules, 'stricter'>;

/** What a plan asks, its defaults written out: a record keeps what they were. */
export function rulesOfPlan({ targets }: Pick<Plan, 'targets'>): Rules {
  const {
    soakMs,
    approvals,
    approvalsBy = 'server-user',
    acceptKept = false,
  } = targets.production?.gate ?? NO_RULES;
  return { soakMs, approvals, approvalsBy, acceptKept };
}

/**
 * The rules of the newest run in staging hold as they were recorded, whatever a plan says later, and whichever plan it is; what
 * a plan asks beyond them holds, too.
 * `runs`: of this selection, own ones, newest first.
 */
export function rulesOf(plan: Pick<Plan, 'targets'>, runs: readonly RunRecord[]): GateRules {
  const rules = rulesOfPlan(plan);
  const newest = runs.find(
    ({ status, gate }) => gate !== undefined && status !== 'reverted' && status !== 'planned',
  );
  if (newest?.gate === undefined) return { ...rules, stricter: undefined };
  const both = strictest(rules, newest.gate);
  const isStricter = Object.entries(both).some(([rule, value]) => rules[rule as keyof Rules] !== value);
  return { ...both, stricter: isStricter ? newest : undefined };
}

/** Own runs of a selection in staging, of whatever plan. */
export function runsOfSelection(
  runs: readonly RunRecord[],
  digest: string,
  staging: LedgerPlace,
): RunRecord[] {
  return runs.filter(
    (run) => run.key.selection === digest && run.target === 'staging' && !isForeign(run, staging),
  );
}

function strictest(plan: Rules, asked: RecordedGate): Rules {
  // Who approves is no rule of a run that asked for no approval.
  const { approvalsBy } = asked.approvals === 0 ? plan : asked;
  return {
    soakMs: Math.max(plan.soakMs, asked.soakMs),
    approvals: Math.max(plan.approvals, asked.approvals),
    approvalsBy: approvalsBy === 'server-user' ? approvalsBy : plan.approvalsBy,
    acceptKept: plan.acceptKept && asked.acceptKept === true,
  };
}
