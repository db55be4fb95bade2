/** Where a plan stands: what was done in each target, by whom, who is at it now, what the gate still wants, and what comes next. */

import type { TargetName } from '../events.ts';
import { type Life, type LockState, lifeOfHolder, readLock } from '../ledger/lock-state.ts';
import {
  accountedFor,
  differingIn,
  hasVerifiedNothing,
  type RunCollection,
  type RunCounts,
  type RunRecord,
} from '../ledger/run-record.ts';
import { isForeign, readRuns, runMeant, runsOfPlan } from '../ledger/runs.ts';
import { UNWRITTEN } from '../outcomes.ts';
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
  type Obstacle,
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
        : judgeApprovals(
            run,
            rules,
            approvalScope(plan, run, reader.name === 'production' ? reader.identity : undefined),
          ),
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

// What comes next for a plan: one answer, asked by status, dry-run, apply, approve and the walk through the runbook. Pure: facts in,
// steps out; the views word them.

/** `silent`: it does not answer. `unfit`: something about it kept it from being compared. `unknown`: nobody asked it. */
export type TargetFacts = 'silent' | 'unfit' | 'unknown' | KnownTarget;

export interface KnownTarget {
  /** The newest run of the plan; undefined where there is none. */
  readonly run:
    | (Pick<RunRecord, 'status' | 'collections'> & Partial<Pick<RunRecord, 'accepted'>>)
    | undefined;
  /** The run is of what the plan would write now. */
  readonly isCurrent: boolean;
  /** Documents that an apply would insert or replace; undefined where nobody compared. */
  readonly toWrite: number | undefined;
  /** Documents that an apply could not write; beside `toWrite`. */
  readonly stuck?: number;
  /** Documents for which an apply would write nothing at all (`whenMatched: fail`); beside `toWrite`. */
  readonly stopping?: number;
  /** Follow-ups that are not done. */
  readonly openFollowUps: number;
}

export interface PlanFacts {
  readonly staging: TargetFacts;
  /** Undefined when the plan has no production. */
  readonly production: TargetFacts | undefined;
  readonly approvals: { readonly given: number; readonly needed: number };
  /** Undefined where the gate was not asked. */
  readonly gate: GateVerdict | undefined;
}

export interface NextStep {
  readonly command: 'apply' | 'accept' | 'approve' | 'dry-run' | 'revert' | 'status' | 'follow-up list';
  /** Undefined where the command takes none. */
  readonly target: TargetName | undefined;
  readonly why: Why;
}

export type Why =
  | {
      readonly kind:
        | 'silent'
        | 'unfit'
        | 'unknown'
        | 'reverted'
        | 'changed'
        | 'unfinished'
        | 'unread'
        | 'gone';
    }
  | { readonly kind: 'proposed' | 'first' | 'verified' | 'revertUnfinished' }
  | { readonly kind: 'unwritten' | 'stuck' | 'stopping' | 'differing' | 'followUps'; readonly count: number }
  | { readonly kind: 'approvals'; readonly given: number; readonly needed: number }
  | { readonly kind: 'gate'; readonly obstacles: readonly Obstacle[] };

/** In the order in which they are to be done; none when nothing is left to do. */
export function nextSteps(facts: PlanFacts): NextStep[] {
  const { staging, production } = facts;
  if (isNothingToWrite(staging) && (production === undefined || isNothingToWrite(production))) {
    return [...followUps('staging', staging), ...followUps('production', production)];
  }
  const onStaging = stepOn('staging', staging);
  if (onStaging !== undefined) return [onStaging];
  return [
    ...followUps('staging', staging),
    ...stepsOnProduction(facts),
    ...followUps('production', production),
  ];
}

/** Compared, and as the plan wants it; a run that is not over is to be ended all the same. */
function isNothingToWrite(target: TargetFacts): boolean {
  if (typeof target === 'string' || target.toWrite !== 0) return false;
  const status = target.run?.status;
  return status === undefined || status === 'verified' || status === 'reverted';
}

/** What a target needs until it ends verified; undefined where it is. */
function stepOn(target: TargetName, facts: TargetFacts): NextStep | undefined {
  const apply = (why: Why): NextStep => ({ command: 'apply', target, why });
  if (facts === 'silent' || facts === 'unfit') return apply({ kind: facts });
  if (facts === 'unknown') return { command: 'status', target: undefined, why: { kind: 'unknown' } };
  const { run, isCurrent, toWrite, stuck = 0, stopping = 0 } = facts;
  if (stopping > 0 && run?.status !== 'reverting') return apply({ kind: 'stopping', count: stopping });
  if (run === undefined || run.status === 'planned') return apply({ kind: 'first' });
  if (run.status === 'reverting') return { command: 'revert', target, why: { kind: 'revertUnfinished' } };
  if (!isCurrent) return apply({ kind: 'changed' });
  switch (run.status) {
    case 'reverted':
      return apply({ kind: 'reverted' });
    case 'applied':
      return apply({ kind: 'unread' });
    case 'applying':
      return apply({ kind: 'unfinished' });
    case 'incomplete': {
      const count = unwrittenIn(run.collections);
      // Compared just now: what was in the way may be gone, and what still is has been shown.
      if (toWrite === 0 && stuck > 0)
        return { command: 'accept', target, why: { kind: 'stuck', count: stuck } };
      if (toWrite !== undefined || count === 0 || isPartWay(run.collections))
        return apply({ kind: 'unfinished' });
      return { command: 'dry-run', target, why: { kind: 'unwritten', count } };
    }
    case 'verified':
      return (toWrite ?? 0) > 0 ? apply({ kind: 'gone' }) : undefined;
  }
}

/** Staging is verified. */
function stepsOnProduction({ staging, production, approvals, gate }: PlanFacts): NextStep[] {
  if (production === undefined || (production !== 'unknown' && isNothingToWrite(production))) return [];
  const onProduction: NextStep | undefined =
    production === 'unknown'
      ? { command: 'apply', target: 'production', why: { kind: 'verified' } }
      : stepOn('production', production);
  if (onProduction === undefined || onProduction.command !== 'apply')
    return onProduction ? [onProduction] : [];
  // Before the approvals: what is accepted takes back those that were given.
  const count = gate?.open === true ? 0 : differingOn(staging);
  if (count > 0) return [{ command: 'accept', target: 'staging', why: { kind: 'differing', count } }];
  if (approvals.given < approvals.needed) {
    return [{ command: 'approve', target: undefined, why: { kind: 'approvals', ...approvals } }];
  }
  if (gate?.open === false) {
    return [{ command: 'status', target: undefined, why: { kind: 'gate', obstacles: gate.obstacles } }];
  }
  const isFirst = onProduction.why.kind === 'first';
  return [isFirst ? { ...onProduction, why: { kind: 'verified' } } : onProduction];
}

/** Documents that a verified run has kept there with other content, for which the gate stays shut until they are accepted by name. */
export function differingOn(staging: TargetFacts): number {
  if (typeof staging === 'string' || staging.run === undefined) return 0;
  const { collections, accepted = 0 } = staging.run;
  // Of a run that has verified nothing at all, the gate has its own rule (`acceptKept`).
  if (hasVerifiedNothing(collections)) return 0;
  return Math.max(0, differingIn(collections) - accepted);
}

function followUps(target: TargetName, facts: TargetFacts | undefined): NextStep[] {
  const count = facts === undefined || typeof facts === 'string' ? 0 : facts.openFollowUps;
  return count === 0 ? [] : [{ command: 'follow-up list', target, why: { kind: 'followUps', count } }];
}

/** Whether there are documents that a run has not come to. */
export function isPartWay(collections: readonly RunCollection[]): boolean {
  return collections.some((counts) => counts.selected > accountedFor(counts) + unwrittenIn([counts]));
}

/** Documents that a run could not write. */
export function unwrittenIn(collections: readonly RunCounts[]): number {
  return collections.reduce(
    (sum, counts: Partial<Record<(typeof UNWRITTEN)[number], number>>) =>
      sum + UNWRITTEN.reduce((many, outcome) => many + (counts[outcome] ?? 0), 0),
    0,
  );
}
