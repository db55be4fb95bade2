/**
 * What an approver is asked to agree to: the selection that was verified on staging, by counts and digest, and what it brings with it; or
 * what was accepted in production.
 */

import type { ApprovedRun } from '../../apply/accept.ts';
import { type Approvals, worthOf } from '../../apply/gate-rules.ts';
import type { TargetName } from '../../events.ts';
import type { AcceptedSum } from '../../ledger/accepted.ts';
import type { Actor, RunRecord } from '../../ledger/run-record.ts';
import { OUTCOMES } from '../../outcomes.ts';
import { kindOf } from '../../plan/follow-ups/kinds.ts';
import type { DependentPlan, Plan, RestoredCollection } from '../../plan/plan.ts';
import { sumLines } from '../../report/sum.ts';
import type { ServerIdentity } from '../../target/target.ts';
import { shellWord } from '../../text/escape.ts';
import { countedAs, showCounted } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';
import { totalOf } from './apply.ts';
import { runLines } from './status.ts';

interface Approvable {
  readonly plan: Plan;
  /** The verified run on staging, or that in production for which something was accepted. */
  readonly run: RunRecord;
  /** Its database. */
  readonly database: string;
  readonly approvals: Approvals;
  /** Who is asked. */
  readonly approver: Actor;
  /** What `plan accept` wrote down for it. */
  readonly accepted: readonly AcceptedSum[];
  /** Production's, where it is to be opened and was reached. */
  readonly server: ServerIdentity | undefined;
}

/** Lines without newlines. `now` is UTC milliseconds. */
export function* approvalLines(
  { plan, run, database, approvals, approver, accepted, server }: Approvable,
  style: PageStyle & { readonly now: number },
): Generator<string> {
  const { paint, columns, now } = style;
  const outcomes = totalOf(run.collections);
  const { target } = run;
  const done = target === 'staging' ? 'applied to staging' : 'accepted in production';
  yield paint.strong(`To be approved: what was ${done}`);
  const { excepted = 0 } = outcomes;
  const exceptions = excepted === 0 ? 'no exceptions' : countedAs(OUTCOMES.excepted, excepted);
  const { given, needed, by, discounted } = approvals;
  const worth = given.length === 0 ? '' : `; ${worthOf(approvals)}`;
  const you =
    by === 'server-user'
      ? `you are ${approver.serverUser ?? 'nobody'} to the server`
      : `you are ${approver.user} to your operating system, which proves nothing`;
  const lines = [
    ...runLines(run),
    ...accepted.map(
      ({ collection, count, as, reason, by }) =>
        `accepted in ${target}: ${showCounted(count, 'document')} of ${collection}, ${as} (${reason}), by ${by.user}`,
    ),
    ...exceptionTexts(plan.collections),
    ...commandTexts(plan),
    ...openedText(run, plan, server),
    `${exceptions}; ${given.length} of ${needed} approvals are given${worth}`,
    ...discounted.map(({ fact }) => `not counted: ${fact}`),
    you,
  ];
  for (const text of lines) yield* wrapped(text, { columns, indent: 2 });
  const { location } = run.backup;
  const backup = { location, time: undefined, localTime: undefined };
  yield* sumLines({ target, database, outcomes, backup, warnings: 0, now }, style);
}

function openedText(
  { target }: RunRecord,
  { targets: { production } }: Plan,
  server: ServerIdentity | undefined,
): string[] {
  if (target === 'production' || production === undefined) return [];
  const { database } = production;
  if (server === undefined)
    return [`opens the database ${database}, on whichever server: production was not reached from here`];
  return [`opens the database ${database} of ${server.kind} ${server.id}, and of no other server`];
}

function exceptionTexts(collections: readonly (RestoredCollection | DependentPlan)[]): string[] {
  return collections.flatMap((entry) => [
    ...entry.exceptions.map(({ ids, class: ofClass, reason, on }) => {
      const which = ids === undefined ? `class ${ofClass}` : showCounted(ids.count, 'id');
      return `exception in ${entry.collection}: ${which}${on === undefined ? '' : `, on ${on}`} (${reason})`;
    }),
    ...entry.skipIndexes.map((index) => `${entry.collection} is made without its index ${index}`),
    ...('orphans' in entry && entry.orphans === 'insert'
      ? [`${entry.collection} is restored without its parents, too (orphans: insert)`]
      : []),
    ...exceptionTexts(entry.dependents),
  ]);
}

function commandTexts({ followUps }: Plan): string[] {
  return followUps.flatMap(({ name, on, action }) => {
    const words = kindOf(action).approved?.words(action, shellWord);
    return words === undefined ? [] : [`follow-up ${name} (${on}) ${words}`];
  });
}

/** What an approval is worth, and how many are still missing. */
export function approveView(target: TargetName, approval: ApprovedRun): View {
  const { digest, given: approvers, needed, by } = approval;
  const missing = Math.max(0, needed - approvers.length);
  const rest = missing === 0 ? 'that is all the plan asks for' : `${missing} more to come`;
  return {
    page: (style) => wrapped(`A${worthOf(approval).slice(1)}: ${rest}.`, style),
    objects: () => [{ type: 'approve', target, selection: { digest }, approvers, approvalsBy: by, needed }],
  };
}
