/** What a dry-run knows of the end of an apply: documents that cannot be written, in a sentence, and the way to finish without them. */
import type { ComparedCollection, TargetComparison } from '../../comparison/comparison.ts';
import type { DocumentClass, Outcome } from '../../outcomes.ts';
import { foretold, openCounts } from '../document-classes.ts';
import { neutral, truncated } from '../neutral.ts';
import { showCount } from '../quantities.ts';
import { unwrittenOf } from '../sum.ts';
import { wrapped } from '../wrap.ts';
import type { DryRun, PageStyle } from './page.ts';

/** Classes that `exceptions` of a plan may name, of documents that cannot be written. */
const EXCEPTABLE = ['conflict', 'refused'] as const satisfies readonly DocumentClass[];

/** Lines without newlines; none where every document can be written. */
export function* foretoldLines({ comparisons }: DryRun, style: PageStyle): Generator<string> {
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
      `${stopped} are in ${target} with other content, and the plan says whenMatched: fail: apply would write nothing.`,
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

/** Characters of a collection's name; a server takes no more. */
const LONGEST_NAME = 255;

/** In quotes where YAML could read it as something else. */
function yamlText(text: string): string {
  const isPlain = /^[a-z_][\w.-]*$/i.test(text) && !/^(?:true|false|null)$/i.test(text);
  return neutral(truncated(isPlain ? text : JSON.stringify(text), LONGEST_NAME));
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
    yield `  - collection: ${yamlText(collection)}`;
    const entries = [...classes].map((each) => `{ class: ${each}, do: skip, reason: … }`);
    if (entries.length === 1) yield `    exceptions: [${entries[0]}]`;
    else {
      yield '    exceptions:';
      for (const entry of entries) yield `      - ${entry}`;
    }
  }
}
