/** What an approver is asked to agree to: the selection that was verified on staging, by counts and digest. */
import type { PlanFacts } from '../apply/next-step.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import { OUTCOMES } from '../outcomes.ts';
import { totalOf } from './apply-page.ts';
import type { PageStyle } from './dry-run/page.ts';
import { countedAs } from './quantities.ts';
import { runLines } from './status-page.ts';
import { sumLines } from './sum.ts';
import { wrapped } from './wrap.ts';

export interface ApprovalFacts {
  /** The verified run on staging. */
  readonly run: RunRecord;
  /** Its database. */
  readonly database: string;
  readonly approvals: PlanFacts['approvals'];
}

/** Lines without newlines. `now` is UTC milliseconds. */
export function* approvalLines(
  { run, database, approvals }: ApprovalFacts,
  style: PageStyle & { readonly now: number },
): Generator<string> {
  const { paint, columns, now } = style;
  const outcomes = totalOf(run.collections);
  yield paint.strong('To be approved: what was applied to staging');
  for (const text of runLines(run)) yield* wrapped(text, { columns, indent: 2 });
  const { excepted = 0 } = outcomes;
  const exceptions = excepted === 0 ? 'no exceptions' : countedAs(OUTCOMES.excepted, excepted);
  yield* wrapped(`${exceptions}; ${approvals.given} of ${approvals.needed} approvals are given`, {
    columns,
    indent: 2,
  });
  const { location } = run.backup;
  const backup = { location, time: undefined, localTime: undefined };
  yield* sumLines({ target: 'staging', database, outcomes, backup, warnings: 0, now }, style);
}
