/** What apply would do with the documents of each class, counted for pages and reports. */
import type { ComparedCollection, ComparedDocument } from '../comparison/comparison.ts';
import { COMPARED, type DocumentClass, keysOf, type Outcome } from '../outcomes.ts';
import type { DocumentsTold, WhenMatched } from '../plan/plan.ts';

/** For tables and charts: what apply would write first, what it cannot write last. */
export const CLASSES_IN_TABLES = keysOf<DocumentClass>(COMPARED);

export type ClassCounts = Readonly<Record<DocumentClass, number>>;

/** As JSON tells them: `absent`, which only a merge can have, where it has some. */
export function countsTold({ absent, ...counts }: ClassCounts): object {
  return absent === 0 ? counts : { ...counts, absent };
}

/** Documents by outcome; what is absent is 0. */
export type OutcomeCounts = Readonly<Partial<Record<Outcome, number>>>;

/** What a reader of a report misses of its documents; undefined where nothing is left out. */
export const HELD_BACK: Readonly<Record<DocumentsTold, string | undefined>> = {
  none: 'This report lists no documents, only counts.',
  ids: 'This report tells only the _id of each document.',
  masked: 'This report hides the values of documents.',
  whole: undefined,
};

/** Why a document is in its class, with the values that it rests on. */
export function reasonText({ reason, reasonValues }: ComparedDocument): string {
  return reasonValues === undefined ? reason : `${reason}: ${reasonValues}`;
}

/** The columns of a table: classes that occur, and the two that a reader misses when they do not. */
export function classesOfTable(counts: readonly ClassCounts[]): DocumentClass[] {
  return CLASSES_IN_TABLES.filter(
    (each) => each === 'insert' || each === 'identical' || counts.some((one) => one[each] > 0),
  );
}

const OF_MATCHED: Readonly<Record<WhenMatched, Outcome>> = {
  keepExisting: 'kept',
  replace: 'replaced',
  merge: 'replaced',
  fail: 'stopped',
};

/** What apply makes of a document of this class. */
export function outcomeOf(documentClass: DocumentClass, whenMatched: WhenMatched): Outcome {
  switch (documentClass) {
    case 'insert':
      return 'inserted';
    case 'absent':
      return 'kept';
    case 'different':
    case 'stale':
    case 'softDeleted':
      return OF_MATCHED[whenMatched];
    default:
      return documentClass;
  }
}

/** What becomes of documents that are left out, whatever their class. */
export const LEFT_OUT = ['heldBack', 'excepted'] as const;

type Counted = Pick<ComparedCollection, 'counts' | 'whenMatched' | 'leftOut'>;

/** Documents of each class without those that are left out, and these. */
export function openCounts({
  counts,
  leftOut = {},
}: Pick<Counted, 'counts'> & { readonly leftOut?: Counted['leftOut'] | undefined }): {
  readonly counts: ClassCounts;
  readonly excepted: number;
  readonly heldBack: number;
} {
  const open = { ...counts };
  let excepted = 0;
  let heldBack = 0;
  for (const each of CLASSES_IN_TABLES) {
    const left = leftOut[each];
    if (left === undefined) continue;
    const held = left.heldBack.conflict + left.heldBack.refused;
    open[each] -= left.excepted + held;
    excepted += left.excepted;
    heldBack += held;
  }
  return { counts: open, excepted, heldBack };
}

/** What apply would make of the documents of these collections. */
export function foretold(collections: readonly Counted[]): OutcomeCounts {
  const sum: Partial<Record<Outcome, number>> = {};
  const add = (outcome: Outcome, many: number): void => {
    sum[outcome] = (sum[outcome] ?? 0) + many;
  };
  for (const collection of collections) {
    const { counts, excepted, heldBack } = openCounts(collection);
    for (const each of CLASSES_IN_TABLES)
      if (each !== 'absent' || counts[each] > 0) add(outcomeOf(each, collection.whenMatched), counts[each]);
    if (excepted > 0) add('excepted', excepted);
    if (heldBack > 0) add('heldBack', heldBack);
  }
  return sum;
}

export function sumOfCounts(collections: readonly Counted[]): ClassCounts {
  const sum = (each: DocumentClass): number =>
    collections.reduce((total, { counts }) => total + counts[each], 0);
  return Object.fromEntries(CLASSES_IN_TABLES.map((each) => [each, sum(each)])) as unknown as ClassCounts;
}
