/** What an apply did, as a page for the terminal and as an exit code. */

import type { AppliedCollection, ApplyResult, SinceDryRun } from '../../apply/apply-selection.ts';
import { unwrittenIn } from '../../apply/restore-status.ts';
import { findId } from '../../bson/documents.ts';
import { showValue } from '../../bson/show.ts';
import type { EXIT_CODES } from '../../errors.ts';
import type { FollowUpStatus } from '../../follow-ups/follow-up-status.ts';
import { keysOf, OUTCOMES, type Outcome } from '../../outcomes.ts';
import type { OutcomeCounts } from '../../report/document-classes.ts';
import { type Sum, sumLines } from '../../report/sum.ts';
import { neutral } from '../../text/escape.ts';
import { countedAs, showCount, showCounted } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { columnsOf, fitted, type Paint, padded, wrapped } from '../../text/terminal.ts';
import type { GivenWords } from '../given-words.ts';
import { lineOf, type View } from '../view.ts';
import { followUpLines, followUpObject } from './follow-up.ts';

/** Documents named one by one on the page. */
const SHOWN = 20;

/** Lines without newlines. */
export function* applyPage(result: ApplyResult, style: PageStyle): Generator<string> {
  const { paint } = style;
  yield* table(result.collections, style);
  yield '';
  yield* noticeLines(result, style);
  yield* changeLines(result.sinceDryRun, style);
  const { color, words } = verdict(result, paint);
  yield* wrapped(words, style).map(color);
}

/** The outcomes of all collections together. */
export function totalOf(collections: readonly AppliedCollection[]): OutcomeCounts {
  return Object.fromEntries(
    keysOf<Outcome>(OUTCOMES).map((outcome) => [
      outcome,
      collections.reduce((sum, each) => sum + countOf(each, outcome), 0),
    ]),
  );
}

export function applyExit({ verification, collections }: ApplyResult): keyof typeof EXIT_CODES {
  if (verification.failures > 0) return 'VERIFICATION';
  return unwrittenIn(collections) > 0 ? 'CONFLICTS' : 'OK';
}

function* table(collections: readonly AppliedCollection[], { paint, columns }: PageStyle): Generator<string> {
  const used = keysOf<Outcome>(OUTCOMES).filter(
    (outcome) => outcome === 'inserted' || collections.some((each) => countOf(each, outcome) > 0),
  );
  const widths = used.map((outcome) =>
    Math.max(
      ...[OUTCOMES[outcome].many, ...collections.map((each) => showCount(countOf(each, outcome)))].map(
        columnsOf,
      ),
    ),
  );
  const room = Math.max(10, columns - widths.reduce((sum, width) => sum + width + 2, 0));
  const names = collections.map(({ into }) => fitted(neutral(into), room));
  const nameWidth = Math.max('collection'.length, ...names.map(columnsOf));
  const row = (name: string, cells: readonly string[]): string =>
    [padded(name, nameWidth), ...cells.map((cell, index) => cell.padStart(widths[index] as number))].join(
      '  ',
    );
  yield paint.strong(
    row(
      'collection',
      used.map((outcome) => OUTCOMES[outcome].many),
    ),
  );
  for (const [index, each] of collections.entries()) {
    yield row(
      names[index] as string,
      used.map((outcome) => showCount(countOf(each, outcome))),
    );
  }
}

function countOf(counts: OutcomeCounts, outcome: Outcome): number {
  return counts[outcome] ?? 0;
}

function* noticeLines(
  { notices, collections }: ApplyResult,
  { paint, columns }: PageStyle,
): Generator<string> {
  for (const { into, id, outcome, reason } of notices.slice(0, SHOWN)) {
    const color =
      outcome === 'conflict' || outcome === 'refused' || outcome === 'heldBack' ? paint.bad : paint.odd;
    const words = outcome === 'heldBack' || outcome === 'excepted' ? OUTCOMES[outcome].one : outcome;
    yield color(fitted(neutral(`${words}: ${into} _id ${id ?? '(none)'}`), columns));
    if (reason !== '') yield* wrapped(reason, { columns, indent: 4 });
  }
  // Only so many are kept; what could not be written is counted in full.
  const stuck = unwrittenIn(collections);
  const count = Math.max(notices.length, stuck);
  const listed = count > notices.length ? `the first ${showCount(notices.length)}` : 'them';
  if (count > SHOWN) yield paint.quiet(`… and ${showCount(count - SHOWN)} more; \`--json\` lists ${listed}`);
  if (notices.length > 0) yield '';
}

function* changeLines(since: SinceDryRun | undefined, { paint, columns }: PageStyle): Generator<string> {
  if (since === undefined || since.count === 0) return;
  const when = new Date(since.seenAt).toISOString().slice(0, 19).replace('T', ' ');
  yield paint.strong(`Changed since the dry-run of ${when} UTC: ${showCounted(since.count, 'document')}`);
  for (const { into, id, change } of since.changes.slice(0, SHOWN)) {
    yield fitted(neutral(`  ${change}: ${into} _id ${id}`), columns);
  }
  if (since.count > SHOWN) yield paint.quiet(`  … and ${showCount(since.count - SHOWN)} more`);
  yield '';
}

interface Verdict {
  readonly color: (text: string) => string;
  readonly words: string;
}

function verdict({ target, verified, verification, collections }: ApplyResult, paint: Paint): Verdict {
  const looked = verification.collections.reduce((sum, { checked }) => sum + checked, 0);
  const kept = verification.collections.reduce((sum, each) => sum + each.kept, 0);
  const { failures } = verification;
  if (failures > 0) {
    const words = `${showCounted(failures, 'document')} of ${target} missing or different from the backup.`;
    return { color: paint.bad, words };
  }
  const stuck = unwrittenIn(collections);
  if (stuck > 0) {
    const words = `${showCounted(stuck, 'document')} could not be written to ${target}; all others were read back and compared.`;
    return { color: paint.bad, words };
  }
  const all = `${showCounted(looked, 'document')} read back from ${target} and compared byte by byte`;
  const { excepted = 0 } = totalOf(collections);
  const but = excepted === 0 ? '' : `; with ${countedAs(OUTCOMES.excepted, excepted)}`;
  const words = `Verified: ${all}${kept === 0 ? '' : `; ${showCount(kept)} of them ${OUTCOMES.kept.one}`}${but}.`;
  return { color: verified ? paint.good : (text) => text, words };
}

/** The last object but one of `apply --json`. */
export function applyObject({ target, digest, collections, verified, notices, sinceDryRun }: ApplyResult) {
  return {
    type: 'apply',
    target,
    selection: { digest },
    collections: collections.map(
      ({
        collection,
        inserted,
        identical,
        replaced,
        kept,
        conflict,
        refused,
        heldBack,
        excepted,
        doubtful,
      }) => ({
        collection,
        inserted,
        identical,
        replaced,
        kept,
        conflict,
        refused,
        heldBack,
        excepted,
        doubtful,
      }),
    ),
    verified,
    notices,
    changedSinceDryRun: sinceDryRun?.changes ?? [],
  } as const;
}

/** How it ended, with the follow-ups that were done and the sum. */
export function applyView(
  result: ApplyResult,
  rest?: { readonly statuses: readonly FollowUpStatus[]; readonly sum: Sum; readonly given: GivenWords },
): View {
  return {
    *page(style) {
      yield* applyPage(result, style);
      if (rest === undefined) return;
      yield* followUpLines(rest.statuses, style, rest.given);
      yield '';
      yield* sumLines(rest.sum, style);
    },
    objects: () => [...(rest?.statuses ?? []).map(followUpObject), applyObject(result)],
  };
}

// How to look at what was restored to staging, before production: command lines to copy.

interface RestoredExamples {
  readonly given: GivenWords;
  readonly database: string;
  /** Some restored documents, raw, by their collection in the target. */
  readonly examples: ReadonlyMap<string, readonly Buffer[]>;
}

/**
 * Lines without newlines. They are not wrapped, so that they can be copied; what mongosh reads is written in short lines, each of which
 * asks for the next, so that it can be pasted from a terminal of any width.
 */
export function* waysToLook(
  { given, database, examples }: RestoredExamples,
  { paint, columns }: PageStyle,
): Generator<string> {
  yield '';
  yield paint.strong('Look at staging before you go on.');
  yield 'Compare it again, in another terminal:';
  yield `  ${lineOf({ command: 'verify', target: 'staging' }, given)}`;
  yield `  ${lineOf({ command: 'dry-run', target: 'production' }, given)}`;
  yield 'Some of the restored documents, in mongosh on the staging server:';
  yield `  use ${neutral(database)}`;
  for (const [collection, documents] of examples) {
    const ids = documents.flatMap((document) => {
      const id = findId(document);
      return id === undefined ? [] : [showValue(id)];
    });
    const name = neutral(JSON.stringify(collection));
    const opening = `  db.getCollection(${name}).find({`;
    if (columnsOf(opening) <= columns) yield opening;
    else yield* ['  db.getCollection(', `    ${name}`, '  ).find({'];
    yield '    _id: { $in: EJSON.deserialize([';
    for (const id of ids) yield `    ${id},`;
    yield '    ]) }';
    yield '  })';
  }
}
