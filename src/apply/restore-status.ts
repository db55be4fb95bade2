/** Where a plan stands: what was done in each target, by whom, who is at it now, and what the gate still wants. Reads only. */

import { type Life, type LockState, lifeOfHolder, readLock } from '../ledger/lock-state.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import { isForeign, readRuns, runMeant, runsOfPlan } from '../ledger/runs.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import { checkGate, decideGateOf } from './admission.ts';
import type { GateVerdict } from './gate.ts';
import {
  type Approvals,
  approvalScope,
  type GateRules,
  judgeApprovals,
  rulesOf,
  runsOfSelection,
} from './gate-rules.ts';

export interface TargetStatus {
  readonly target: TargetReader['name'];
  readonly database: string;
  readonly server: string;
  /** Undefined when nothing of this plan was ever applied there. */
  readonly run: RunRecord | undefined;
  /** Every run that the ledger records there, also of other plans and foreign ones, newest first. */
  readonly runs: readonly ListedRun[];
  /** All runs of the plan there, newest first. */
  readonly runsOfPlan: readonly RunRecord[];
  /** Of the run in staging, or of what was accepted in production; undefined where there is nothing to approve. */
  readonly approvals: Approvals | undefined;
  /** What holds for the run's selection; the plan's own rules where there is none. */
  readonly rules: GateRules;
  /** Who is logged in there; undefined where nobody has to. */
  readonly serverUser: string | undefined;
  /** The plan has changed since, so that other documents may be selected now. */
  readonly isOfAnotherPlanVersion: boolean;
  /** Undefined when nobody holds the lock. */
  readonly lock: (LockState & { readonly life: Life }) | undefined;
}

export interface ListedRun {
  readonly run: RunRecord;
  /** Of what this very plan selects. */
  readonly isCurrent: boolean;
  /** It came with a copy of another database. */
  readonly isForeign: boolean;
}

export async function targetStatus(plan: Plan, reader: TargetReader): Promise<TargetStatus> {
  const runs = await readRuns(reader);
  const run = runMeant(runs, plan, reader);
  const lock = await readLock(reader);
  const rules = rulesOf(plan, run === undefined ? [] : runsOfSelection(runs, run.key.selection, reader));
  const { kind, version } = reader.identity;
  return {
    target: reader.name,
    database: reader.database,
    server: `${kind}, MongoDB ${version}`,
    run,
    runs: runs.map((each) => ({
      run: each,
      isCurrent: each === run && each.plan.digest === plan.digest,
      isForeign: isForeign(each, reader),
    })),
    runsOfPlan: runsOfPlan(runs, plan, reader),
    rules,
    approvals:
      run === undefined || (reader.name === 'production' && run.acceptedDigest === undefined)
        ? undefined
        : judgeApprovals(run, rules, approvalScope(plan, run)),
    serverUser: await reader.authenticatedUser(),
    isOfAnotherPlanVersion: run !== undefined && run.plan.digest !== plan.digest,
    lock: lock?.holder === undefined ? undefined : { ...lock, life: await lifeOfHolder(lock) },
  };
}

export interface GateStatus {
  readonly verdict: GateVerdict;
  /** False when the selection is not kept on this machine, so that nobody looked whether staging holds its documents. */
  readonly documentsLookedFor: boolean;
}

export interface AppliedToStaging {
  readonly digest: string;
  /** Where it is kept on this machine. */
  readonly selection: Selection | undefined;
}

/** Throws the signal's reason. */
export async function gateStatus(
  run: Run,
  plan: Plan,
  { staging, production }: { readonly staging: TargetReader; readonly production: TargetReader },
  { digest, selection }: AppliedToStaging,
): Promise<GateStatus> {
  if (selection !== undefined) {
    const verdict = await checkGate(run, { plan, selection, staging, production });
    return { verdict, documentsLookedFor: true };
  }
  return { verdict: await decideGateOf({ plan, digest, staging, production }), documentsLookedFor: false };
}
