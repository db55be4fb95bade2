/**
 * Where each loose end of a plan stands in one target. Pure: plan and ledger in, states out.
 */
import type { TargetName } from '../events.ts';
import type { FollowUpRecord, RunRecord } from '../ledger/run-record.ts';
import { kindOf } from '../plan/follow-ups/kinds.ts';
import type { FollowUpPlan } from '../plan/plan.ts';

/**
 * not due: no run of the plan is verified in this target · not needed: none wrote anything there, and the plan wants the follow-up
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
  /** The run that the state is of: that of the record, or the first that it is due for. */
  readonly run: RunRecord | undefined;
  /** The run is another one than the newest. */
  readonly isOfEarlierRun: boolean;
  /** Runs that it is still to be done for, oldest first. */
  readonly due: readonly RunRecord[];
  /** Runs for which it counts as done because it was done for an earlier one, oldest first. */
  readonly covered: readonly RunRecord[];
}

/**
 * The follow-ups that concern the target, in the order in which they are to be done: what others need comes first. `runs`: those of the
 * plan in that target, newest first, whatever their selection.
 */
export function followUpStatuses(
  followUps: readonly FollowUpPlan[],
  target: TargetName,
  runs: readonly RunRecord[],
): FollowUpStatus[] {
  const statuses = new Map<string, FollowUpStatus>();
  for (const followUp of inOrder(followUps.filter(({ on }) => on === target || on === 'both'))) {
    const waitsFor = followUp.needs.filter((need) => {
      const needed = statuses.get(need)?.state;
      return needed !== undefined && needed !== 'done' && needed !== 'not needed';
    });
    const standing = standingOf(followUp, runs);
    const { record, run, due, covered } = standing;
    const state = standing.state === 'open' && waitsFor.length > 0 ? 'waiting' : standing.state;
    const isOfEarlierRun = run !== undefined && run !== runs[0];
    statuses.set(followUp.name, {
      ...{ followUp, target, state, waitsFor, record, run, isOfEarlierRun, due, covered },
    });
  }
  return [...statuses.values()];
}

/** Restores that count: those that are verified, and those before one that is, whose documents stay. */
export function restoresOf(runs: readonly RunRecord[]): RunRecord[] {
  const newestVerified = runs.findIndex(({ status }) => status === 'verified');
  const left: ReadonlySet<RunRecord['status']> = new Set(['planned', 'reverting', 'reverted']);
  return newestVerified < 0
    ? []
    : runs.slice(newestVerified).filter(({ status }) => status === 'verified' || !left.has(status));
}

interface Attempted {
  readonly run: RunRecord;
  readonly record: FollowUpRecord | undefined;
}

type Standing = Pick<FollowUpStatus, 'state' | 'record' | 'run' | 'due' | 'covered'>;

function standingOf(followUp: FollowUpPlan, runs: readonly RunRecord[]): Standing {
  const attempt = (run: RunRecord): Attempted => ({
    run,
    record: run.followUps.find(({ name }) => name === followUp.name),
  });
  const restores = restoresOf(runs);
  const wanted = restores.filter(
    (run, i) => wroteSomething(run) || (followUp.when === 'always' && i === 0 && run.status === 'verified'),
  );
  const attempted = restores.map(attempt);
  const done = attempted.filter(({ record }) => record?.state === 'done').reverse();
  // Of what was verified once and is not any more, the records still tell.
  const begun =
    attempted.find(({ record }) => record?.state === 'started') ??
    runs.map(attempt).find(({ record }) => record?.state === 'started');
  const open = wanted
    .map(attempt)
    .filter(({ record }) => record?.state !== 'done')
    .reverse();
  const isCovered = ({ run, record }: Attempted): boolean =>
    record === undefined && done.some((each) => covers(followUp, each.record, run));
  const covered = open.filter(isCovered).map(({ run }) => run);
  const pending = open.filter((each) => !isCovered(each));
  const due = pending.map(({ run }) => run);
  const of = (state: FollowUpState, { run, record }: Pick<Standing, 'run' | 'record'>): Standing => ({
    ...{ state, record, run, due, covered },
  });
  if (begun !== undefined) return of('unknown', begun);
  const failed = pending.find(({ record }) => record?.state === 'failed');
  if (failed !== undefined) return of('failed', failed);
  if (pending[0] !== undefined) return of('open', pending[0]);
  const last = done.at(-1);
  if (last !== undefined) return of('done', last);
  if (restores.length > 0) return of('not needed', { run: restores[0], record: undefined });
  const earlier = runs.map(attempt).find(({ record }) => record !== undefined);
  if (earlier?.record !== undefined && earlier.record.state !== 'started') {
    return of(earlier.record.state, earlier);
  }
  return of('not due', { run: runs[0], record: undefined });
}

/**
 * What was done for an earlier run counts for those that were begun after it. What a person was to do counts for all runs there
 * are; a command and a webhook were told the documents of one.
 */
function covers({ action }: FollowUpPlan, done: FollowUpRecord | undefined, run: RunRecord): boolean {
  if (done === undefined) return false;
  return kindOf(action).isForPeople || (done.endedAt ?? done.startedAt) <= run.startedAt;
}

function wroteSomething({ collections }: RunRecord): boolean {
  return collections.some(({ inserted, replaced, doubtful }) => inserted + replaced + doubtful > 0);
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
