/** The rules of production's gate that hold for a selection: those of the plan, and those that stand in staging's ledger. Pure. */
import type { RecordedGate, RunRecord } from '../ledger/run-record.ts';
import type { GatePlan } from '../plan/plan.ts';

export const NO_RULES: GatePlan = { soakMs: 0, approvals: 0 };

export interface GateRules {
  readonly soakMs: number;
  readonly approvals: number;
  readonly acceptKept: boolean;
  /** The newest run of the selection in staging, where it asks for more than the plan does now. */
  readonly stricter: RunRecord | undefined;
}

/**
 * The rules of the newest run in staging hold as they were recorded, whatever a plan says later, and whichever plan it is; what
 * a plan asks beyond them holds, too.
 * `runs`: of this selection, own ones, newest first.
 */
export function rulesOf(plan: GatePlan, runs: readonly RunRecord[]): GateRules {
  const newest = runs.find(({ status }) => status !== 'reverted');
  const asked = newest?.gate;
  const rules = withDefaults(plan);
  if (asked === undefined) return { ...rules, stricter: undefined };
  const both = strictest(rules, withDefaults(asked));
  const isStricter = Object.entries(both).some(([rule, value]) => rules[rule as keyof Rules] !== value);
  return { ...both, stricter: isStricter ? newest : undefined };
}

type Rules = Omit<GateRules, 'stricter'>;

function withDefaults({ soakMs, approvals, acceptKept = false }: GatePlan | RecordedGate): Rules {
  return { soakMs, approvals, acceptKept };
}

function strictest(a: Rules, b: Rules): Rules {
  return {
    soakMs: Math.max(a.soakMs, b.soakMs),
    approvals: Math.max(a.approvals, b.approvals),
    acceptKept: a.acceptKept && b.acceptKept,
  };
}
