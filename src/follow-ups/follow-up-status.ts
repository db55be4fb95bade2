/**
 * Where each loose end of a plan stands in one target. Pure: plan and ledger in, states out.
 */
import type { TargetName } from '../events.ts';
import { type FollowUpRecord, followUpRecords } from '../ledger/follow-up-record.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import type { FollowUpPlan } from '../plan/plan.ts';

/**
 * not due: the selection is not verified in this target · not needed: nothing was written there, and the plan wants the follow-up
 * only then · waiting: another one must be done first · open: to be done · unknown: begun, end not known, perhaps still
 * going on · failed · done.
 */
export type FollowUpState = 'not due' | 'not needed' | 'waiting' | 'open' | 'unknown' | 'failed' | 'done';

export interface FollowUpStatus {
  readonly followUp: FollowUpPlan;
  readonly target: TargetName;
  readonly state: FollowUpState;
  /** Names of the follow-ups it waits for. */
  readonly waitsFor: readonly string[];
  /** Undefined when it was never begun. */
  readonly record: FollowUpRecord | undefined;
}

export interface StatusQuestion {
  readonly followUps: readonly FollowUpPlan[];
  readonly target: TargetName;
  /** The selection's record in that target; undefined when it was never applied there. */
  readonly run: RunRecord | undefined;
}

/** The follow-ups that concern the target, in the order in which they are to be done: what others need comes first. */
export function followUpStatuses({ followUps, target, run }: StatusQuestion): FollowUpStatus[] {
  const records = new Map((run === undefined ? [] : followUpRecords(run)).map((each) => [each.name, each]));
  const due = run?.status === 'verified';
  const statuses = new Map<string, FollowUpStatus>();
  for (const followUp of inOrder(followUps.filter(({ on }) => on === target || on === 'both'))) {
    const record = records.get(followUp.name);
    const waitsFor = followUp.needs.filter((need) => {
      const needed = statuses.get(need)?.state;
      return needed !== undefined && needed !== 'done' && needed !== 'not needed';
    });
    const state =
      stateOfRecord(record) ??
      (!due
        ? 'not due'
        : isNeeded(followUp, run)
          ? waitsFor.length > 0
            ? 'waiting'
            : 'open'
          : 'not needed');
    statuses.set(followUp.name, { followUp, target, state, waitsFor, record });
  }
  return [...statuses.values()];
}

function stateOfRecord(record: FollowUpRecord | undefined): FollowUpState | undefined {
  return record?.state === 'started' ? 'unknown' : record?.state;
}

function isNeeded({ when }: FollowUpPlan, { collections }: RunRecord): boolean {
  return (
    when === 'always' ||
    collections.some(({ inserted, replaced, doubtful }) => inserted + replaced + doubtful > 0)
  );
}

/** Each after those it needs; otherwise as in the plan. The plan check has refused circles. */
function inOrder(followUps: readonly FollowUpPlan[]): FollowUpPlan[] {
  const byName = new Map(followUps.map((followUp) => [followUp.name, followUp]));
  const ordered = new Set<FollowUpPlan>();
  const add = (followUp: FollowUpPlan): void => {
    for (const need of followUp.needs) {
      const needed = byName.get(need);
      if (needed !== undefined && !ordered.has(needed)) add(needed);
    }
    ordered.add(followUp);
  };
  for (const followUp of followUps) add(followUp);
  return [...ordered];
}
