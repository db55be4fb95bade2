/** Where a plan stands: what was done in each target, by whom, who is at it now, and what the gate still wants. Reads only. */

import type { Life } from '../ledger/holder-process.ts';
import { type LockState, lifeOfHolder } from '../ledger/lock-state.ts';
import { readLock } from '../ledger/read-lock.ts';
import { readRuns, runOfPlan, runsOfPlan } from '../ledger/read-runs.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import type { Plan } from '../plan/plan.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import { checkGate, decideGateOf } from './check-gate.ts';
import type { GateVerdict } from './gate.ts';

export interface TargetStatus {
  readonly target: TargetReader['name'];
  readonly database: string;
  readonly server: string;
  /** Undefined when nothing of this plan was ever applied there. */
  readonly run: RunRecord | undefined;
  /** All runs of the plan there, newest first. */
  readonly runsOfPlan: readonly RunRecord[];
  /** The plan has changed since, so that other documents may be selected now. */
  readonly isOfAnotherPlanVersion: boolean;
  /** Undefined when nobody holds the lock. */
  readonly lock: (LockState & { readonly life: Life }) | undefined;
}

export async function targetStatus(plan: Plan, reader: TargetReader): Promise<TargetStatus> {
  const run = await runOfPlan(reader, plan);
  const lock = await readLock(reader);
  const { kind, version } = reader.identity;
  return {
    target: reader.name,
    database: reader.database,
    server: `${kind}, MongoDB ${version}`,
    run,
    runsOfPlan: runsOfPlan(await readRuns(reader), plan, reader),
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
  plan: Plan,
  { staging, production }: { readonly staging: TargetReader; readonly production: TargetReader },
  { digest, selection, signal }: AppliedToStaging & { readonly signal?: AbortSignal },
): Promise<GateStatus> {
  if (selection !== undefined) {
    const { verdict } = await checkGate({ plan, selection, staging, production, signal });
    return { verdict, documentsLookedFor: true };
  }
  return { verdict: await decideGateOf({ plan, digest, staging, production }), documentsLookedFor: false };
}
