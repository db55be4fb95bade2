/** What a revert would do, or did, as a page for the terminal and as JSON. */

import { leftOf, type RevertCounts, type RevertReport, totalOf } from '../../apply/revert-entry.ts';
import { isCounted, type RunRecord, writtenOf } from '../../ledger/run-record.ts';
import { REVERTED, type RevertedOutcome } from '../../outcomes.ts';
import { countedParts } from '../../report/sum.ts';
import { neutral } from '../../text/escape.ts';
import { showCount, showCounted } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { fitted, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';

/** Documents named one by one on the page. */
const SHOWN = 20;

/** The runs that will be reverted, by what their records say. Lines without newlines. */
export function* runLines(runs: readonly RunRecord[], { paint, columns }: PageStyle): Generator<string> {
  yield paint.strong(`Revert ${showCounted(runs.length, 'run')} of this plan, the newest first:`);
  for (const run of runs) {
    const { key, startedAt, status, collections } = run;
    const written = isCounted(run)
      ? `${showCounted(writtenOf(collections), 'document')} written`
      : 'cut off, before what it wrote was counted';
    yield* wrapped(`${runName(key.selection, startedAt)}, ${status}: ${written}`, { columns, indent: 2 });
  }
}

/** Lines without newlines. The sum comes last. */
export function* revertLines(
  report: RevertReport,
  { isPreview }: { readonly isPreview: boolean },
  { paint, columns }: PageStyle,
): Generator<string> {
  const { target, database, runs, leftBefore, untouched, unnamed } = report;
  if (unnamed > 0) {
    const what = `${showCounted(unnamed, 'document')} that the ledger of ${target} says were written are not named in its journal any more, and are left alone: entries of restore_plan.journal were removed. Put these back from a copy, then apply and revert again; or look at the documents by hand.`;
    for (const line of wrapped(what, { columns })) yield paint.odd(line);
    if (runs.length === 0) return;
  }
  if (runs.length === 0) {
    yield leftBefore === 0
      ? `Nothing that this plan restored is left in ${target}: nothing to revert.`
      : `What this plan restored in ${target} was reverted before: nothing to revert.`;
    yield* leftBeforeLines(leftBefore, { paint, columns });
    return;
  }
  yield paint.strong(isPreview ? `A revert in ${target} would do this:` : `Reverted in ${target}:`);
  for (const { digest, startedAt, collections } of runs) {
    if (runs.length > 1) yield* wrapped(`Run of ${runName(digest, startedAt)}`, { columns });
    for (const { into, counts } of collections) {
      yield* wrapped(`${into}: ${partsOf(counts)}`, { columns, indent: runs.length > 1 ? 2 : 0 });
    }
  }
  for (const { into, id, reason } of untouched.slice(0, SHOWN)) {
    yield paint.odd(fitted(neutral(`${REVERTED.changed.one}: ${into} _id ${id}`), columns));
    yield* wrapped(reason, { columns, indent: 4 });
  }
  const total = totalOf(report);
  const left = leftOf(total);
  const listed = left > untouched.length ? `the first ${showCount(untouched.length)}` : 'them';
  if (left > SHOWN) yield paint.quiet(`… and ${showCount(left - SHOWN)} more; --json lists ${listed}`);
  yield* leftBeforeLines(leftBefore, { paint, columns });
  const color = left > 0 ? paint.odd : paint.good;
  for (const line of wrapped(`${target} ${neutral(database)}: ${partsOf(total)}`, { columns }))
    yield color(line);
}

function leftBeforeLines(count: number, { paint, columns }: PageStyle): string[] {
  if (count === 0) return [];
  const text = `${showCounted(count, 'document')} that an earlier revert left alone ${count === 1 ? 'is' : 'are'} not looked at again`;
  return wrapped(text, { columns }).map(paint.odd);
}

function runName(digest: string, startedAt: Date): string {
  return `selection ${digest.slice(0, 12)}, applied ${startedAt.toISOString()}`;
}

function partsOf(counts: RevertCounts): string {
  const parts = countedParts<RevertedOutcome>(REVERTED, counts);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

function countsObject(counts: RevertCounts) {
  return {
    removed: counts.remove,
    putBack: counts.putBack,
    before: counts.gone + counts.back,
    untouched: leftOf(counts),
    doubtful: counts.doubtful,
  } as const;
}

/** The last object but one of `revert --json`. */
export function revertObject(report: RevertReport, { isPreview }: { readonly isPreview: boolean }) {
  const { target, database, plan, runs, leftBefore, untouched, unnamed } = report;
  return {
    type: 'revert',
    dryRun: isPreview,
    target,
    database,
    plan: { name: plan },
    runs: runs.map(({ digest, startedAt, collections }) => ({
      selection: { digest },
      startedAt: startedAt.toISOString(),
      collections: collections.map(({ collection, into, counts }) => ({
        collection,
        into,
        ...countsObject(counts),
      })),
    })),
    total: countsObject(totalOf(report)),
    leftBefore,
    untouched,
    unnamed,
  } as const;
}

export function revertView(report: RevertReport, how: { readonly isPreview: boolean }): View {
  return {
    page: (style) => revertLines(report, how, style),
    objects: () => [revertObject(report, how)],
  };
}
