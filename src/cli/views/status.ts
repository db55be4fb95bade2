/** Where a plan stands, as a page for the terminal and as JSON. */

import { advice, type Remedy } from '../../advice.ts';
import type { Obstacle } from '../../apply/gate-rules.ts';
import type { GateStatus, ListedRun, TargetStatus } from '../../apply/restore-status.ts';
import { isPartWay, type NextStep, unwrittenIn } from '../../apply/restore-status.ts';
import type { TargetName } from '../../events.ts';
import type { FollowUpStatus } from '../../follow-ups/follow-up-status.ts';
import { type Life, whoHolds } from '../../ledger/lock-state.ts';
import {
  type Deed,
  isCounted,
  type RunCounts,
  type RunRecord,
  type RunStatus,
} from '../../ledger/run-record.ts';
import { OUTCOMES } from '../../outcomes.ts';
import type { Plan } from '../../plan/plan.ts';
import { countedParts } from '../../report/sum.ts';
import { neutral } from '../../text/escape.ts';
import { countedAs, showCounted } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { wrapped } from '../../text/terminal.ts';
import type { GivenWords } from '../given-words.ts';
import { sayTyped, type View } from '../view.ts';
import { totalOf } from './apply.ts';
import { followUpLines, followUpObject } from './follow-up.ts';

const INDENT = 2;

/** `stuck`: documents that are in conflict or refused. */
const WORDS: Readonly<Record<RunStatus, (target: TargetName, stuck: number, partWay: boolean) => Remedy>> = {
  planned: (target) => advice`nothing was applied yet: run ${{ command: 'apply', target }}`,
  applying: (target) => advice`a run is going on, or was cut off: run ${{ command: 'apply', target }} again`,
  applied: (target) =>
    advice`all documents are in, but were not read back: run ${{ command: 'apply', target }} again`,
  verified: () => 'verified',
  incomplete: (target, stuck, partWay) => {
    const so = stuck === 0 ? '' : `; ${showCounted(stuck, 'document')} could not be written so far`;
    if (partWay) return advice`stopped part-way: run ${{ command: 'apply', target }} again${so}`;
    return stuck === 0
      ? advice`incomplete: run ${{ command: 'apply', target }} again`
      : advice`incomplete: ${showCounted(stuck, 'document')} could not be written; when nothing is in the way any more, run ${{ command: 'apply', target }} again`;
  },
  reverting: (target) =>
    advice`a revert is going on, or was cut off: run ${{ command: 'revert', target }} again`,
  reverted: () => 'reverted',
};

const LIFE: Readonly<Record<Life, string>> = {
  alive: 'it is alive, on this machine',
  stopped: 'its process on this machine is stopped: the next run waits for the end of its lease',
  dead: 'its process on this machine has ended: the next run waits for the end of its lease',
  elsewhere: 'it cannot be asked from this machine',
};

/** Lines without newlines. */
export function* targetLines(
  status: TargetStatus,
  { paint, columns }: PageStyle,
  given: GivenWords,
): Generator<string> {
  const { target, database, server, run, lock, isOfAnotherPlanVersion } = status;
  yield paint.strong(neutral(`${target}: ${database} (${server})`));
  const lines = run === undefined ? ['nothing of this plan was applied here'] : [...runLines(run, given)];
  if (isOfAnotherPlanVersion) lines.push('the plan has changed since');
  if (lock?.holder !== undefined) {
    const last = `last sign of life ${lock.heartbeatAt?.toISOString() ?? 'unknown'}`;
    lines.push(`${whoHolds(lock)}; ${LIFE[lock.life]}; ${last}`);
  }
  for (const text of lines) {
    yield* wrapped(text, { columns, indent: INDENT });
  }
  yield* listedRuns(status, columns);
  yield '';
}

/** Lines of one target; more runs than anybody reads are counted. */
const MOST_LISTED = 20;

/** All that the ledger records, a line each, where that is more than the one run shown above. */
function* listedRuns({ runs, run: shown }: TargetStatus, columns: number): Generator<string> {
  if (runs.every(({ run }) => run === shown)) return;
  yield `${' '.repeat(INDENT)}runs, newest first (* = what this plan selects now):`;
  for (const { run, isCurrent, isForeign } of runs.slice(0, MOST_LISTED)) {
    const counts = countedParts<keyof RunCounts>(OUTCOMES, totalOf(run.collections));
    const origin = isForeign ? `, from a copy of ${run.server?.database} on another server` : '';
    const plan = run.key.plan === shown?.key.plan ? '' : `, plan ${run.key.plan}`;
    const line = `${run.key.selection.slice(0, 12)} ${run.status}, ${when(run.updatedAt)}${plan}${origin}: ${counts.join(', ') || 'nothing'}`;
    yield* wrapped(line, { columns, indent: INDENT, mark: isCurrent ? '* ' : '  ', hanging: 2 });
  }
  if (runs.length > MOST_LISTED) yield `${' '.repeat(2 * INDENT)}and ${runs.length - MOST_LISTED} older ones`;
}

/** One run: how it ended, of what, by whom, with what outcome. */
export function* runLines(run: RunRecord, given?: GivenWords): Generator<string> {
  const verified = run.verifiedAt === undefined ? '' : ` since ${when(run.verifiedAt)}`;
  const stuck = unwrittenIn(run.collections);
  const left =
    run.status === 'reverted' && run.left > 0
      ? `, but for ${showCounted(run.left, 'document')} that ${run.left === 1 ? 'was' : 'were'} left alone`
      : '';
  const excepted = run.collections.reduce((sum, counts) => sum + counts.excepted, 0);
  const but = excepted === 0 ? '' : ` with ${countedAs(OUTCOMES.excepted, excepted)}`;
  const stands = sayTyped(WORDS[run.status](run.target, stuck, isPartWay(run.collections)), given);
  yield `${stands}${run.status === 'verified' ? verified + but : left}`;
  if (run.accepted > 0)
    yield `${showCounted(run.accepted, 'document')} accepted here to be left out (plan accept)`;
  yield `selection ${run.key.selection.slice(0, 12)} from ${run.backup.location}`;
  const people = new Map(run.appliedBy.map((deed) => [`${deed.user}@${deed.host}`, deed]));
  if (people.size > 0) yield `applied by ${[...people.values()].map(showDeed).join('; ')}`;
  for (const { into, collection: _, selected: __, ...counts } of run.collections) {
    const parts = countedParts<keyof RunCounts>(OUTCOMES, counts);
    const none = isCounted(run) ? 'nothing yet' : 'not counted yet';
    yield `${into}: ${parts.length === 0 ? none : parts.join(', ')}`;
  }
  if (run.approvals.length > 0) yield `approved by ${run.approvals.map(showDeed).join('; ')}`;
}

/** `undefined`: the gate could not be asked. */
export function* gateLines(
  gate: GateStatus | undefined,
  { paint, columns }: PageStyle,
  { given, planHasChanged }: { readonly given: GivenWords; readonly planHasChanged: boolean },
): Generator<string> {
  if (gate === undefined) {
    const why = 'nothing of this plan was applied to staging, or a target does not answer';
    yield* wrapped(`The production gate is shut: ${why}.`, { columns }).map(paint.odd);
    return;
  }
  const { verdict, documentsLookedFor } = gate;
  if (verdict.open) {
    const color = planHasChanged ? paint.odd : paint.good;
    yield* wrapped(`The production gate is open: ${verdict.reason}.`, { columns }).map(color);
    if (planHasChanged) {
      const but =
        'The plan has changed since: plan apply selects anew, and the gate is shut to other documents.';
      yield* wrapped(but, { columns }).map(paint.odd);
    }
    if (!documentsLookedFor) {
      yield* wrapped(
        'The documents are not kept on this machine, so nobody looked whether they are still on staging; plan apply does.',
        { columns },
      );
    }
    return;
  }
  yield paint.odd(`The production gate is shut (${showCounted(verdict.obstacles.length, 'reason')}):`);
  for (const { fact, remedy } of verdict.obstacles) {
    yield* wrapped(`${fact}. ${sayTyped(remedy, given)}`, { columns, indent: INDENT });
  }
}

function showDeed({ user, host, serverUser, at }: Deed): string {
  const who = serverUser === undefined ? '' : ` (${serverUser} to the server)`;
  return `${user}@${host}${who}, ${when(at)}`;
}

function when(time: Date | undefined): string {
  return time === undefined ? 'never' : `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export interface Standing {
  readonly plan: Plan;
  readonly statuses: readonly TargetStatus[];
  readonly gate: GateStatus | undefined;
  readonly steps: readonly NextStep[];
  readonly given: GivenWords;
  readonly followUps: ReadonlyMap<TargetStatus, readonly FollowUpStatus[]>;
  /** Why targets could not be asked. */
  readonly failures: readonly string[];
}

/** The last object but one of `status --json`. */
export function statusObject({
  plan,
  statuses,
  gate,
  steps,
}: Pick<Standing, 'plan' | 'statuses' | 'gate' | 'steps'>) {
  return {
    type: 'status',
    plan: { name: plan.name, digest: plan.digest },
    targets: Object.fromEntries(statuses.map((status) => [status.target, targetObject(status)])),
    gate: gate === undefined ? null : gateObject(gate),
    next: steps.map(({ command, target = null, why }) => ({ command, target, why: why.kind })),
  } as const;
}

function gateObject({ verdict, documentsLookedFor }: GateStatus) {
  if (verdict.open) return { ...verdict, documentsLookedFor };
  return { ...verdict, obstacles: verdict.obstacles.map(obstacleObject), documentsLookedFor };
}

function obstacleObject({ fact, remedy }: Obstacle) {
  return { fact, remedy: sayTyped(remedy) };
}

function targetObject({
  database,
  server,
  run,
  runs,
  approvals,
  lock,
  isOfAnotherPlanVersion,
}: TargetStatus) {
  return {
    database,
    server,
    lock: lock?.holder?.name ?? null,
    runs: runs.map(listedObject),
    run:
      run === undefined
        ? null
        : {
            selection: run.key.selection,
            status: run.status,
            isOfAnotherPlanVersion,
            appliedBy: run.appliedBy,
            startedAt: run.startedAt,
            verifiedAt: run.verifiedAt ?? null,
            collections: run.collections,
            approvals: run.approvals,
            approvers: approvals?.given ?? [],
            approvalsBy: approvals?.by ?? null,
            approvalsNotCounted: (approvals?.discounted ?? []).map(obstacleObject),
          },
  };
}

function listedObject({ run, isCurrent, isForeign }: ListedRun) {
  const { key, status, target, startedAt, updatedAt, verifiedAt, backup, collections } = run;
  return {
    plan: key.plan,
    selection: key.selection,
    status,
    current: isCurrent,
    foreign: isForeign,
    target,
    startedAt,
    updatedAt,
    verifiedAt: verifiedAt ?? null,
    backup: backup.location,
    counts: totalOf(collections),
  };
}

export function statusView({ given, followUps, failures, ...standing }: Standing): View {
  const { plan, statuses, gate } = standing;
  return {
    *page(style) {
      for (const status of statuses) {
        const loose = followUps.get(status) ?? [];
        yield* targetLines(status, style, given);
        yield* followUpLines(loose, style, given);
        if (loose.length > 0) yield '';
      }
      for (const message of failures) yield* [style.paint.bad(message), ''];
      if (plan.targets.production === undefined) return;
      const planHasChanged = statuses.some(
        (each) => each.target === 'staging' && each.isOfAnotherPlanVersion,
      );
      yield* gateLines(gate, style, { given, planHasChanged });
    },
    objects: () => [
      ...statuses.flatMap((status) => (followUps.get(status) ?? []).map(followUpObject)),
      statusObject(standing),
    ],
  };
}
