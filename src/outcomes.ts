/**
 * What becomes of a document: one symbol and one word for each outcome, used by every page, report and message. The keys are those of the JSON results; their
 * order is the order of table columns and of the sum. A new outcome is one line here, and the compiler asks for it.
 */

/** What a comparison finds: a selected document against one target. */
export type DocumentClass =
  | 'insert'
  | 'absent'
  | 'identical'
  | 'different'
  | 'stale'
  | 'softDeleted'
  | 'conflict'
  | 'refused';

/** What apply does with a selected document, or would do. `stopped` is foretold only: with it, apply writes nothing. */
export type Outcome =
  | 'inserted'
  | 'replaced'
  | 'identical'
  | 'kept'
  | 'excepted'
  | 'stopped'
  | 'conflict'
  | 'refused'
  | 'heldBack'
  | 'doubtful';

/** What a verification finds in the target. */
export type VerifiedOutcome = 'identical' | 'kept' | 'different' | 'missing';

/** What a revert does with a document that the plan wrote, or would do. `changed`, `deleted`: by somebody, since. */
export type RevertedOutcome = 'remove' | 'putBack' | 'gone' | 'back' | 'changed' | 'deleted' | 'doubtful';

export interface OutcomeWords {
  /** One column wide; tells outcomes apart without colour. */
  readonly symbol: string;
  /** After a count of one, and alone: `1 insert`. */
  readonly one: string;
  /** After every other count: `2 inserts`. The same before and after the deed. */
  readonly many: string;
}

export interface ClassWords extends OutcomeWords {
  /** One clause, lower case, no full stop. */
  readonly meaning: string;
  /** 1 needs a reader's eye first. */
  readonly attention: number;
}

const KEPT = words('≠', 'kept');
const IDENTICAL = words('=', 'there already');
const DOUBTFUL = words('≈', 'doubtful');

export const OUTCOMES = {
  inserted: words('+', 'insert', 'inserts'),
  replaced: words('~', 'replaced'),
  identical: IDENTICAL,
  kept: KEPT,
  excepted: words('○', 'exception', 'exceptions'),
  stopped: words('■', 'stops apply', 'stop apply'),
  conflict: words('!', 'conflict', 'conflicts'),
  refused: words('×', 'refused'),
  heldBack: words('↳', 'held back'),
  doubtful: DOUBTFUL,
} as const satisfies Readonly<Record<Outcome, OutcomeWords>>;

export const COMPARED = {
  insert: { ...OUTCOMES.inserted, attention: 6, meaning: 'absent from the target' },
  absent: {
    ...words('∅', 'absent'),
    attention: 8,
    meaning: 'absent from the target, and left out, as the plan says whenNotMatched: discard',
  },
  identical: { ...OUTCOMES.identical, attention: 7, meaning: 'already in the target, byte for byte' },
  different: { ...words('≠', 'different'), attention: 5, meaning: 'in the target with other content' },
  stale: { ...words('↑', 'stale'), attention: 3, meaning: 'the target has a newer version' },
  softDeleted: {
    ...words('⌀', 'soft-deleted'),
    attention: 4,
    meaning: 'still in the target, marked as deleted',
  },
  conflict: {
    ...OUTCOMES.conflict,
    attention: 1,
    meaning: 'another document, of the target or of the selection, holds one of its unique keys',
  },
  refused: {
    ...OUTCOMES.refused,
    attention: 2,
    meaning: 'the target would refuse it, or delete it again at once',
  },
} as const satisfies Readonly<Record<DocumentClass, ClassWords>>;

export const VERIFIED = {
  identical: words('=', 'as in the backup'),
  kept: KEPT,
  different: words('≠', 'different'),
  missing: words('−', 'missing'),
} as const satisfies Readonly<Record<VerifiedOutcome, OutcomeWords>>;

export const REVERTED = {
  remove: words('−', 'removed'),
  putBack: words('~', 'put back'),
  gone: words('=', 'gone already'),
  back: words('=', 'put back already'),
  changed: KEPT,
  deleted: words('×', 'deleted since'),
  doubtful: DOUBTFUL,
} as const satisfies Readonly<Record<RevertedOutcome, OutcomeWords>>;

function words(symbol: string, one: string, many: string = one): OutcomeWords {
  return { symbol, one, many };
}

/** Beside the outcomes: a restored document that refers to one that is neither selected nor in the target. */
export const DANGLING = words('?', 'dangling reference', 'dangling references');

/** The keys of a table, in its order. */
export function keysOf<Key extends string>(table: Readonly<Record<Key, OutcomeWords>>): readonly Key[] {
  return Object.keys(table) as Key[];
}

/** What needs a reader's eye first comes first. */
export const ATTENTION_ORDER: readonly DocumentClass[] = [...keysOf<DocumentClass>(COMPARED)].sort(
  (a, b) => COMPARED[a].attention - COMPARED[b].attention,
);

/** Outcomes of documents that cannot be written; with any of them a run does not end verified. */
export const UNWRITTEN = ['conflict', 'refused', 'heldBack'] as const satisfies readonly Outcome[];

/** Outcomes that need a person. */
export const TROUBLES: readonly Outcome[] = ['stopped', ...UNWRITTEN, 'doubtful'];
