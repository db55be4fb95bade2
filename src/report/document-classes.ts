/** The classes of compared documents as every page names them: symbol, name, meaning. Symbols are one column wide and tell classes apart without colour. */
import {
  ATTENTION_ORDER,
  type ComparedCollection,
  type ComparedDocument,
  type DocumentClass,
} from '../comparison/comparison.ts';
import type { DocumentsTold } from '../plan/plan.ts';

export interface ClassWords {
  readonly symbol: string;
  readonly name: string;
  /** One clause, lower case, no full stop. */
  readonly meaning: string;
}

export const CLASS_WORDS: Readonly<Record<DocumentClass, ClassWords>> = {
  conflict: {
    symbol: '!',
    name: 'conflict',
    meaning: 'another document, of the target or of the selection, holds one of its unique keys',
  },
  refused: {
    symbol: '×',
    name: 'refused',
    meaning: 'the target would refuse it, or delete it again at once',
  },
  stale: { symbol: '↑', name: 'stale', meaning: 'the target has a newer version' },
  softDeleted: {
    symbol: '⌀',
    name: 'soft-deleted',
    meaning: 'still in the target, marked as deleted',
  },
  different: { symbol: '≠', name: 'different', meaning: 'in the target with other content' },
  insert: { symbol: '+', name: 'insert', meaning: 'absent from the target' },
  identical: { symbol: '=', name: 'identical', meaning: 'already in the target, byte for byte' },
};

export const CLASSES = ATTENTION_ORDER;

/** What a reader of a report misses of its documents; undefined where nothing is held back. */
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

/** For tables and charts: what apply would write first, then from good to bad. */
export const CLASSES_IN_TABLES: readonly DocumentClass[] = [
  'insert',
  'identical',
  'different',
  'softDeleted',
  'stale',
  'refused',
  'conflict',
];

/** The columns of a table: classes that occur, and the two that a reader misses when they do not. */
export function classesOfTable(counts: readonly ClassCounts[]): DocumentClass[] {
  return CLASSES_IN_TABLES.filter(
    (each) => each === 'insert' || each === 'identical' || counts.some((one) => one[each] > 0),
  );
}

export type ClassCounts = Readonly<Record<DocumentClass, number>>;

type Counted = Pick<ComparedCollection, 'counts' | 'whenMatched'>;

/** Documents of other content under the same `_id`. */
function matched({ counts }: Counted): number {
  return counts.different + counts.softDeleted + counts.stale;
}

/** Documents that apply would put in the place of the target's. */
export function replacedBy(collection: Counted): number {
  return collection.whenMatched === 'replace' ? matched(collection) : 0;
}

/** Documents that stay as the target has them, because the plan says `whenMatched: keepExisting`. */
export function keptBy(collection: Counted): number {
  return collection.whenMatched === 'keepExisting' ? matched(collection) : 0;
}

/** Documents for which apply would stop, because the plan says `whenMatched: fail`. */
export function failedBy(collection: Counted): number {
  return collection.whenMatched === 'fail' ? matched(collection) : 0;
}

export function sumOfCounts(collections: readonly Counted[]): ClassCounts {
  const sum = (each: DocumentClass): number =>
    collections.reduce((total, { counts }) => total + counts[each], 0);
  return Object.fromEntries(CLASSES.map((each) => [each, sum(each)])) as unknown as ClassCounts;
}
