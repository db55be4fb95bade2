/** What is to be accepted in a target: documents that are at hand, by class, with those that go with them. */

import type { AcceptableCollection } from '../../apply/accept.ts';
import type { TargetName } from '../../events.ts';
import { COMPARED, OUTCOMES } from '../../outcomes.ts';
import { EXCEPTED_CLASSES } from '../../plan/plan.ts';
import { reasonText } from '../../report/document-classes.ts';
import { countedParts } from '../../report/sum.ts';
import { neutral } from '../../text/escape.ts';
import { showCount, showCounted } from '../../text/quantities.ts';
import type { PageStyle } from '../../text/terminal.ts';
import { fitted, wrapped } from '../../text/terminal.ts';
import type { GivenWords } from '../given-words.ts';
import { typed, type View } from '../view.ts';

interface AcceptPage {
  readonly target: TargetName;
  readonly database: string;
  readonly reason: string;
  readonly collections: readonly AcceptableCollection[];
}

/** Lines without newlines. */
export function* acceptLines(
  { target, database, reason, collections }: AcceptPage,
  { paint, columns }: PageStyle,
): Generator<string> {
  const title = `To be left out of ${target} ${database}, in every apply of this selection:`;
  yield* wrapped(neutral(title), { columns }).map(paint.strong);
  for (const { into, counts, dependents, documents } of collections) {
    const parts = [
      ...countedParts(COMPARED, counts),
      ...(dependents > 0
        ? [`${OUTCOMES.excepted.symbol}${showCount(dependents)} that depend on others`]
        : []),
    ];
    yield* wrapped(`${neutral(into)}: ${parts.join(', ')}`, { columns, indent: 2 });
    for (const document of documents) {
      const { symbol, one } = COMPARED[document.class];
      yield paint.odd(fitted(neutral(`    ${symbol} ${one}: _id ${document.id}`), columns));
      yield* wrapped(reasonText(document), { columns, indent: 6 });
    }
  }
  yield* wrapped(`reason: ${neutral(reason)}`, { columns, indent: 2 });
}

/** How many documents are left out, dependents included. */
function acceptedIn(collections: readonly AcceptableCollection[]): number {
  return collections.reduce(
    (sum, { counts, dependents }) =>
      sum + dependents + EXCEPTED_CLASSES.reduce((many, each) => many + counts[each], 0),
    0,
  );
}

/** The last object but one of `accept --json`. */
export function acceptObject({
  target,
  digest,
  collections,
  accepted,
  withdrawn,
}: Pick<AcceptPage, 'target' | 'collections'> & {
  /** Of the selection. */
  readonly digest: string;
  readonly accepted: number;
  readonly withdrawn: number;
}) {
  return {
    type: 'accept',
    target,
    selection: { digest },
    collections: collections.map(({ collection, counts, dependents }) => ({
      collection,
      ...counts,
      dependents,
    })),
    accepted,
    withdrawn,
  } as const;
}

/** `7 documents are`, for a question and for what was done. */
export function acceptedText(collections: readonly AcceptableCollection[]): string {
  return thatAre(acceptedIn(collections));
}

export function thatAre(documents: number): string {
  return `${showCounted(documents, 'document')} ${documents === 1 ? 'is' : 'are'}`;
}

/** What came of it, and the command that comes next. */
export function acceptView(
  facts: Parameters<typeof acceptObject>[0],
  { given, isWithdrawal }: { readonly given: GivenWords; readonly isWithdrawal: boolean },
): View {
  const { target, collections, withdrawn } = facts;
  const next = `Next: ${typed(given)({ command: 'apply', target })}`;
  const accepted =
    collections.length === 0
      ? `Nothing to accept: every document can be written to ${target}, is there alike, or is excepted already.`
      : `Accepted: ${acceptedText(collections)} left out of ${target}. ${next}`;
  const takenBack =
    withdrawn === 0
      ? `Nothing to take back: nothing of this selection is accepted in ${target}.`
      : `Taken back: ${showCounted(withdrawn, 'document')}. ${next}`;
  return { objects: () => [acceptObject(facts)], page: () => [isWithdrawal ? takenBack : accepted] };
}
