/**
 * What comes next for a plan: one answer, asked by status, dry-run, apply, approve and the walk through the runbook. Pure: facts in, steps out; the views
 * word them.
 */
import type { TargetName } from '../events.ts';
import type { RunCounts, RunRecord } from '../ledger/run-record.ts';
import { UNWRITTEN } from '../outcomes.ts';
import type { GateVerdict } from './gate.ts';
import type { Obstacle } from './gate-rules.ts';

/** `silent`: it does not answer. `unknown`: nobody asked it. */
export type TargetFacts = 'silent' | 'unknown' | KnownTarget;

export interface KnownTarget {
  /** The newest run of the plan; undefined where there is none. */
  readonly run: Pick<RunRecord, 'status' | 'collections'> | undefined;
  /** The run is of what the plan would write now. */
  readonly isCurrent: boolean;
  /** Documents that an apply would insert or replace; undefined where nobody compared. */
  readonly toWrite: number | undefined;
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
  readonly command: 'apply' | 'approve' | 'dry-run' | 'revert' | 'status' | 'follow-up list';
  /** Undefined where the command takes none. */
  readonly target: TargetName | undefined;
  readonly why: Why;
}

export type Why =
  | { readonly kind: 'silent' | 'unknown' | 'reverted' | 'changed' | 'unfinished' | 'unread' | 'gone' }
  | { readonly kind: 'first' | 'verified' | 'revertUnfinished' }
  | { readonly kind: 'unwritten' | 'followUps'; readonly count: number }
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
  if (facts === 'silent') return apply({ kind: 'silent' });
  if (facts === 'unknown') return { command: 'status', target: undefined, why: { kind: 'unknown' } };
  const { run, isCurrent, toWrite } = facts;
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
      if (count === 0) return apply({ kind: 'unfinished' });
      return { command: 'dry-run', target, why: { kind: 'unwritten', count } };
    }
    case 'verified':
      return (toWrite ?? 0) > 0 ? apply({ kind: 'gone' }) : undefined;
  }
}

/** Staging is verified. */
function stepsOnProduction({ production, approvals, gate }: PlanFacts): NextStep[] {
  if (production === undefined || (production !== 'unknown' && isNothingToWrite(production))) return [];
  const onProduction: NextStep | undefined =
    production === 'unknown'
      ? { command: 'apply', target: 'production', why: { kind: 'verified' } }
      : stepOn('production', production);
  if (onProduction === undefined || onProduction.command !== 'apply')
    return onProduction ? [onProduction] : [];
  if (approvals.given < approvals.needed) {
    return [{ command: 'approve', target: undefined, why: { kind: 'approvals', ...approvals } }];
  }
  if (gate?.open === false) {
    return [{ command: 'status', target: undefined, why: { kind: 'gate', obstacles: gate.obstacles } }];
  }
  const isFirst = onProduction.why.kind === 'first';
  return [isFirst ? { ...onProduction, why: { kind: 'verified' } } : onProduction];
}

function followUps(target: TargetName, facts: TargetFacts | undefined): NextStep[] {
  const count = facts === undefined || typeof facts === 'string' ? 0 : facts.openFollowUps;
  return count === 0 ? [] : [{ command: 'follow-up list', target, why: { kind: 'followUps', count } }];
}

/** Documents that a run could not write. */
export function unwrittenIn(collections: readonly RunCounts[]): number {
  return collections.reduce(
    (sum, counts: Partial<Record<(typeof UNWRITTEN)[number], number>>) =>
      sum + UNWRITTEN.reduce((many, outcome) => many + (counts[outcome] ?? 0), 0),
    0,
  );
}
