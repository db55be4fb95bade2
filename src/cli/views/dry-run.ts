/**
 * A dry-run as a page for the terminal: what was chosen from which backup, and what each target would meet; documents.ts
 * goes on with the documents. Fits 80 columns, uses more where there are more, and reads the same without colours.
 */

import type { ComparedCollection, ComparedDocument, TargetComparison } from '../../comparison/comparison.ts';
import type { TargetName } from '../../events.ts';
import { proposedEntries, type Suggestion, suggestionText } from '../../follow-ups/suggestions/suggestion.ts';
import { type DocumentClass, OUTCOMES, type Outcome } from '../../outcomes.ts';
import type { CollectionPlan } from '../../plan/plan.ts';
import { foretold, openCounts, reasonText } from '../../report/document-classes.ts';
import { oplogSentences, oplogTold, pastTold } from '../../report/oplog-told.ts';
import { documentSides } from '../../report/report-documents.ts';
import type { DryRun } from '../../report/report-model.ts';
import { countedParts, type Sum, sumLines, unwrittenOf } from '../../report/sum.ts';
import { yamlWord } from '../../text/escape.ts';
import { showBytes, showCount, showCounted, showDuration } from '../../text/quantities.ts';
import { type PageStyle, wrapped } from '../../text/terminal.ts';
import type { View } from '../view.ts';
import { collectionTree } from './dry-run-tree.ts';

/** The last lines: what can be foretold to end badly, and the sum of each target. `now` is UTC milliseconds. */
export function* dryRunEnd(run: DryRun, now: number, style: PageStyle): Generator<string> {
  yield '';
  yield* foretoldLines(run, style);
  for (const comparison of run.comparisons) yield* sumLines(sumOf(run, comparison, now), style);
  for (const { target, reason } of run.notCompared) {
    yield* wrapped(`${target}: not compared: ${reason}`, { columns: style.columns, hanging: 2 }).map(
      style.paint.odd,
    );
  }
}

function sumOf(run: DryRun, comparison: TargetComparison, now: number): Sum {
  const { target, database, collections } = comparison;
  return {
    target,
    database,
    outcomes: foretold(collections),
    danglingReferences: collections.reduce((sum, { danglingReferences }) => sum + danglingReferences, 0),
    backup: run.manifest.backup,
    warnings: warningsOf({ ...run, comparisons: [comparison] }).length,
    now,
  };
}

/** Lines without newlines. */
export function* dryRunPage(run: DryRun, style: PageStyle): Generator<string> {
  yield* header(run, style);
  yield '';
  yield* collectionTree(run, style);
  yield* remarks(run, style);
}

// Top of the page: plan, backup in both zones, distance to `at`, selection.

const LABEL = 10;

/** Warnings come first: what a reader should know before believing the rest. */
export function* header(run: DryRun, style: PageStyle): Generator<string> {
  const { plan, manifest } = run;
  for (const warning of warningsOf(run)) {
    for (const line of wrapped(`warning: ${warning}`, { columns: style.columns, hanging: 2 }))
      yield style.paint.odd(line);
  }
  yield* row('plan', [plan.name], style);
  if (plan.reason !== undefined) yield* row('', [plan.reason.replaceAll(/\s+/g, ' ').trim()], style);
  yield* row('backup', backupFacts({ plan, manifest }), style);
  const oplog = oplogTold(manifest);
  if (oplog !== undefined) yield* row('oplog', oplogSentences(oplog), style);
  yield* row('selection', selectionFacts(manifest), style);
}

/** Of the whole run, and of the targets named, each with its place. */
function warningsOf({
  manifest,
  warnings = [],
  comparisons,
}: Omit<DryRun, 'plan' | 'notCompared'>): string[] {
  const ofTargets = comparisons.flatMap(({ target, collections }) =>
    collections.flatMap(({ into, warnings }) => warnings.map((warning) => `${target}.${into}: ${warning}`)),
  );
  return [...warnings, ...manifest.warnings, ...ofTargets];
}

function* row(label: string, facts: readonly string[], { paint, columns }: PageStyle): Generator<string> {
  let shown = label;
  for (const fact of facts) {
    for (const line of wrapped(fact, { columns: columns - LABEL })) {
      yield `${paint.strong(shown)}${' '.repeat(LABEL - shown.length)}${line}`;
      shown = '';
    }
  }
}

function backupFacts({ plan, manifest }: Pick<DryRun, 'plan' | 'manifest'>): string[] {
  const { backup } = manifest;
  const size = backup.size === undefined ? '' : `, ${showBytes(backup.size)}`;
  const facts = [backup.location, `${backup.kind}${size}`];
  if (backup.time !== undefined) {
    const utc = `${new Date(backup.time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
    const isLocal = backup.localTime !== undefined && backup.localTime !== utc;
    facts.push(isLocal ? `${backup.localTime} = ${utc}` : utc);
  }
  const { at } = plan.source;
  if (at !== undefined && backup.time !== undefined) {
    const distance = at.epochMs - backup.time;
    facts.push(
      distance === 0 ? `exactly at \`at\` ${at.text}` : `${showDuration(distance)} before \`at\` ${at.text}`,
    );
  }
  return facts;
}

function selectionFacts({ digest, collections, readToEnd }: DryRun['manifest']): string[] {
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const bytes = collections.reduce((sum, each) => sum + each.bytes, 0);
  const facts = [`${showCounted(documents, 'document')}, ${showBytes(bytes)}, digest ${digest.slice(0, 12)}`];
  if (!readToEnd)
    facts.push('the backup was read only as far as needed; its other parts are not proven whole');
  return facts;
}

// What a reviewer should know beside the counts: collections to be created, odd targets, targets that were not compared.

export function* remarks(run: DryRun, { paint, columns }: PageStyle): Generator<string> {
  const notes: string[] = [];
  for (const { target, database, server, collections } of run.comparisons) {
    notes.push(`${target} is the database ${database} of ${server}`);
    for (const collection of collections) {
      const where = `${target}.${collection.into}`;
      if (collection.wouldCreate !== undefined) {
        const indexes = showCounted(collection.wouldCreate.indexes, 'index', 'indexes');
        notes.push(`${where} does not exist; apply creates it with the backup's options and ${indexes}`);
      }
      const { replaced, stopped } = foretold([collection]);
      const notKept = countedParts<Outcome>(OUTCOMES, { replaced, stopped });
      if (notKept.length > 0) {
        notes.push(`${where}: ${notKept.join(', ')} (whenMatched: ${collection.whenMatched})`);
      }
    }
  }
  for (const { collection } of run.suggestions === undefined ? [] : proposingNothing(run))
    notes.push(`${collection}: no other collection lost documents in the same run (dependents: auto)`);
  if (notes.length > 0) yield '';
  for (const note of notes) yield* wrapped(note, { columns, mark: '· ' });
  if (run.suggestions !== undefined && run.suggestions.length > 0) {
    yield '';
    yield paint.strong('Perhaps forgotten');
    for (const suggestion of run.suggestions) {
      yield* wrapped(suggestionText(suggestion), { columns, mark: '? ' });
    }
    yield* proposalLines(run.suggestions, { columns });
  }
  for (const { target, reason, hint } of run.notCompared) {
    yield '';
    yield* wrapped(`${target} was not compared: ${reason}`, { columns }).map(paint.odd);
    if (hint !== undefined) yield* wrapped(hint, { columns });
  }
}

function proposingNothing({ plan, suggestions = [] }: DryRun): readonly CollectionPlan[] {
  const proposed = new Set(suggestions.flatMap((each) => ('entry' in each ? [each.entry] : [])));
  return plan.collections.filter((entry) => entry.proposesDependents && !proposed.has(entry.collection));
}

/** The entries to paste. They are not wrapped, so that they can be copied. */
function* proposalLines(
  suggestions: readonly Suggestion[],
  { columns }: Pick<PageStyle, 'columns'>,
): Generator<string> {
  for (const { entry, lines } of proposedEntries(suggestions)) {
    yield '';
    yield* wrapped(
      `In the plan, in the place of \`dependents: auto\` of ${entry}; plan apply waits for it, or for \`dependents: []\`:`,
      { columns },
    );
    yield* lines;
  }
}

// What a dry-run knows of the end of an apply: documents that cannot be written, in a sentence, and the way to finish without them.

/** Classes that `exceptions` of a plan may name, of documents that cannot be written. */
const EXCEPTABLE = ['conflict', 'refused'] as const satisfies readonly DocumentClass[];

/** Lines without newlines; none where every document can be written. */
function* foretoldLines({ comparisons }: DryRun, style: PageStyle): Generator<string> {
  const { paint, columns } = style;
  const sentences = sentencesOf(comparisons);
  if (sentences.length === 0) return;
  for (const sentence of sentences) yield* wrapped(sentence, { columns }).map(paint.bad);
  yield* exceptionLines(comparisons, style);
  yield '';
}

/** Of production alone what does not hold for staging already, which comes first. */
function sentencesOf(comparisons: readonly TargetComparison[]): string[] {
  const sentences: string[] = [];
  let onStaging = '';
  for (const { target, collections } of comparisons) {
    const unwritten = placesOf(collections, unwrittenOf);
    if (target === 'staging' && unwritten !== '') {
      onStaging = unwritten;
      sentences.push(
        `${unwritten} cannot be written: this run cannot end verified and production will stay shut.`,
      );
    } else if (unwritten !== onStaging && unwritten !== '') {
      sentences.push(`${unwritten} cannot be written to production: its run cannot end verified.`);
    }
    const stopped = placesOf(collections, ({ stopped = 0 }) => stopped);
    if (stopped === '') continue;
    sentences.push(
      `${target} holds ${stopped} with other content, and the plan says whenMatched: fail: apply would write nothing.`,
    );
  }
  return sentences;
}

/** `7 of sessions and 1 of customers` */
function placesOf(
  collections: readonly ComparedCollection[],
  count: (outcomes: Readonly<Partial<Record<Outcome, number>>>) => number,
): string {
  const places = collections
    .map((collection) => ({ into: collection.into, many: count(foretold([collection])) }))
    .filter(({ many }) => many > 0)
    .map(({ into, many }) => `${showCount(many)} of ${into}`);
  const last = places.pop();
  return places.length === 0 ? (last ?? '') : `${places.join(', ')} and ${last}`;
}

/** The block to paste. It is not wrapped, so that it can be copied. */
function* exceptionLines(
  comparisons: readonly TargetComparison[],
  { columns }: PageStyle,
): Generator<string> {
  const blocks = new Map<string, Set<string>>();
  for (const { collections } of comparisons) {
    for (const compared of collections) {
      const { collection } = compared;
      const { counts } = openCounts(compared);
      const classes = blocks.get(collection) ?? new Set();
      for (const each of EXCEPTABLE) if (counts[each] > 0) classes.add(each);
      if (classes.size > 0) blocks.set(collection, classes);
    }
  }
  if (blocks.size === 0) return;
  yield* wrapped(
    'To finish without them, once somebody has looked at each, add to the plan, with the reason:',
    {
      columns,
    },
  );
  for (const [collection, classes] of blocks) {
    yield `  - collection: ${yamlWord(collection)}`;
    const entries = [...classes].map((each) => `{ class: ${each}, do: skip, reason: … }`);
    if (entries.length === 1) yield `    exceptions: [${entries[0]}]`;
    else {
      yield '    exceptions:';
      for (const entry of entries) yield `      - ${entry}`;
    }
  }
}

// The result objects of `--json`. Pure; schemas/ describes them.

/** The last object but one of `dry-run --json`. */
export function dryRunObject(run: DryRun) {
  const { comparisons, notCompared, suggestions = [] } = run;
  return {
    type: 'dry-run',
    ...chosenObject(run),
    targets: Object.fromEntries(
      comparisons.map((comparison) => [comparison.target, targetObject(comparison)]),
    ),
    notCompared: notCompared.map(({ target, reason }) => ({ target, reason })),
    suggestions,
  } as const;
}

/** What `plan select` shows: the page of a dry-run without targets. `directory`: where the documents are kept; `hint`: what is left to do. */
export function selectionView(run: DryRun, directory: string, hint?: string): View {
  const { plan, backup, selection } = chosenObject(run);
  return {
    *page(style) {
      yield* dryRunPage(run, style);
      yield '';
      yield* wrapped(`Kept in ${directory}`, { columns: style.columns, hanging: 2 });
      if (hint !== undefined) yield* wrapped(hint, { columns: style.columns, hanging: 2 });
    },
    objects: () => [
      {
        type: 'select',
        plan,
        backup,
        selection: { ...selection, directory },
        ...(hint !== undefined && { hint }),
      },
    ],
  };
}

function chosenObject({ plan, manifest }: DryRun) {
  const { backup, digest, collections } = manifest;
  const oplog = oplogTold(manifest);
  return {
    plan: { name: plan.name, digest: plan.digest },
    backup: {
      location: backup.location,
      time: backup.time === undefined ? null : new Date(backup.time).toISOString(),
      identity: backup.fingerprint,
      ...(oplog !== undefined && { oplog }),
    },
    selection: {
      digest,
      collections: collections.map(({ collection, into, count, bytes, sha256 }) => ({
        collection,
        into,
        selected: count,
        bytes,
        sha256,
      })),
    },
  };
}

function targetObject({ database, collections }: TargetComparison) {
  return { database, collections: collections.map(collectionObject) };
}

function collectionObject(collection: ComparedCollection) {
  const { insert, identical, different, softDeleted, stale, conflict, refused, absent } = collection.counts;
  return {
    collection: collection.collection,
    insert,
    identical,
    different,
    softDeleted,
    stale,
    conflict,
    refused,
    ...(absent > 0 && { absent }),
    ...(collection.leftOut && { leftOut: collection.leftOut }),
    danglingReferences: collection.danglingReferences,
    wouldCreate: collection.wouldCreate !== undefined,
    ...(collection.warnings.length > 0 && { warnings: collection.warnings }),
  };
}

/** One compared document; `dry-run --json` writes those that a page would show, with `--full` all. */
export function documentObject(target: TargetName, collection: string, document: ComparedDocument) {
  const { class: documentClass, id, index, differences, differencesLeftOut = 0, canonical } = document;
  const { changes, changesLeftOut = 0 } = document;
  const reason = reasonText(document);
  const oplog = document.past && { oplog: pastTold(document.past) };
  const head = {
    type: 'document',
    target,
    collection,
    class: documentClass,
    id,
    reason,
    index,
    ...oplog,
  } as const;
  const fields = { differences, differencesLeftOut, ...(changes && { changes, changesLeftOut }) };
  if (canonical === undefined) return { ...head, ...fields };
  const { target: existing, leftOut, ...rest } = documentSides(canonical, true);
  if (leftOut === undefined) return { ...head, ...fields, ...rest, existing };
  const { target: ofExisting, ...counts } = leftOut;
  return { ...head, ...fields, ...rest, leftOut: { ...counts, existing: ofExisting }, existing };
}
