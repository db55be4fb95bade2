/** What becomes of each document of a selection: the outcomes, why, and the counts made of them, of which one byte per document is kept. */
import { TAKEN_ID } from '../comparison/compare-batch.ts';
import { refusalByIndexes } from '../comparison/index-keys.ts';
import type { RunCollection, RunCounts } from '../ledger/run-record.ts';
import type { WriteFault } from '../mongo/raw-messages.ts';
import type { ExceptedClass, WhenMatched } from '../plan/plan.ts';
import { TOO_LARGE_FOR_CACHE } from '../target/command-failure.ts';
import type { FoundPresence, TargetCollection } from '../target/target.ts';

/**
 * `…Before`: an earlier run of the same selection wrote it (its journal says so), and it is still as it was written.
 * doubtful: it is there as in the selection, and nobody can tell any more whether a run of it wrote it.
 * kept: the target has another document of that `_id`, and the plan says to leave it.
 * discarded: the target lacks it, and a merge was to insert nothing; counted as kept.
 * excepted, heldBack: see comparison/left-out.ts.
 */
export const OUTCOMES = [
  'pending',
  'inserted',
  'insertedBefore',
  'identical',
  'replaced',
  'replacedBefore',
  'doubtful',
  'kept',
  'conflict',
  'refused',
  'excepted',
  'heldBack',
  'discarded',
] as const;
export type ApplyOutcome = (typeof OUTCOMES)[number];

const CODES = Object.fromEntries(OUTCOMES.map((outcome, code) => [outcome, code])) as Record<
  ApplyOutcome,
  number
>;

export class Outcomes {
  readonly #codes: Uint8Array;

  /** `count` documents, all pending. */
  constructor(count: number) {
    this.#codes = new Uint8Array(count);
  }

  set(index: number, outcome: ApplyOutcome): void {
    this.#codes[index] = CODES[outcome];
  }

  get(index: number): ApplyOutcome {
    return OUTCOMES[this.#codes[index] as number] as ApplyOutcome;
  }

  tally(): Record<ApplyOutcome, number> {
    const counts = new Array<number>(OUTCOMES.length).fill(0);
    for (const code of this.#codes) counts[code]!++;
    return Object.fromEntries(OUTCOMES.map((outcome, code) => [outcome, counts[code]])) as Record<
      ApplyOutcome,
      number
    >;
  }
}

/** What this run did: a document that an earlier run wrote counts as identical, it was there. */
export function countsOfThisRun(tally: Record<ApplyOutcome, number>): RunCounts {
  const { inserted, replaced, conflict, refused, excepted, heldBack, doubtful } = tally;
  const kept = tally.kept + tally.discarded;
  const identical = tally.identical + tally.insertedBefore + tally.replacedBefore;
  return { inserted, identical, replaced, kept, conflict, refused, heldBack, excepted, doubtful };
}

/** What is to be recorded of a run that stopped: it may not have come to documents that an earlier one accounted for. */
export function countsSoFar(
  now: readonly RunCollection[],
  before: readonly RunCollection[],
): readonly RunCollection[] {
  const earlier = new Map(before.map((counts) => [counts.collection, counts]));
  return now.map((counts) => {
    const then = earlier.get(counts.collection);
    return then !== undefined && accountedFor(then) > accountedFor(counts) ? then : counts;
  });
}

function accountedFor(counts: RunCounts): number {
  const { inserted, identical, replaced, kept, conflict, refused } = counts;
  const { heldBack, excepted, doubtful } = counts;
  return inserted + identical + replaced + kept + conflict + refused + heldBack + excepted + doubtful;
}

/** What all runs of this selection did together: this is what the ledger says and what a revert takes back. */
export function countsOverall(tally: Record<ApplyOutcome, number>): RunCounts {
  const { identical, conflict, refused, excepted, heldBack, doubtful } = tally;
  const kept = tally.kept + tally.discarded;
  const inserted = tally.inserted + tally.insertedBefore;
  const replaced = tally.replaced + tally.replacedBefore;
  return { inserted, identical, replaced, kept, conflict, refused, heldBack, excepted, doubtful };
}

/** What became of one document, where that has to be said. */
export interface DocumentOutcome {
  readonly outcome: ApplyOutcome;
  /** Empty where the outcome says it all. */
  readonly reason: string;
  /** The target has, or had, another document of its very `_id`. */
  readonly isOfThisId?: boolean;
}

/** The class by which an exception may name a document of this outcome. */
export const EXCEPTED_AS: Readonly<Partial<Record<ApplyOutcome, ExceptedClass>>> = {
  conflict: 'conflict',
  refused: 'refused',
  kept: 'different',
};

export const EXCEPTED: DocumentOutcome = { outcome: 'excepted', reason: 'left out by decision' };
export const HELD_BACK: Readonly<Record<'conflict' | 'refused', DocumentOutcome>> = {
  conflict: { outcome: 'heldBack', reason: 'what it depends on is in conflict' },
  refused: { outcome: 'heldBack', reason: 'what it depends on was refused' },
};

export const INSERTED: DocumentOutcome = { outcome: 'inserted', reason: '' };
export const REPLACED: DocumentOutcome = { outcome: 'replaced', reason: '' };
export const DOUBTFUL: DocumentOutcome = {
  outcome: 'doubtful',
  reason:
    'it is there as in the backup, and nobody can tell whether an attempt of this tool that got no answer wrote it, or somebody else',
};

/** The document itself is not there. */
export const ID_TAKEN: DocumentOutcome = { outcome: 'conflict', reason: TAKEN_ID.reason };

/** What becomes of a document that was to be inserted, by what was there. */
export const FOUND: Readonly<Record<FoundPresence, (whenMatched: WhenMatched) => DocumentOutcome>> = {
  same: () => ({ outcome: 'identical', reason: '' }),
  doubtful: () => DOUBTFUL,
  otherId: () => ID_TAKEN,
  other: (whenMatched) => ({
    outcome: whenMatched === 'keepExisting' ? 'kept' : 'conflict',
    isOfThisId: true,
    reason: 'another document of this _id was there first',
  }),
};

export function changedMeanwhile(now: 'changed' | 'deleted'): DocumentOutcome {
  return { outcome: 'conflict', isOfThisId: true, reason: `it was ${now} in the target meanwhile` };
}

export const KEPT: DocumentOutcome = { outcome: 'kept', reason: '' };
/** `whenNotMatched: discard` */
export const DISCARDED: DocumentOutcome = { outcome: 'discarded', reason: '' };
export const MATCHED: DocumentOutcome = {
  outcome: 'conflict',
  isOfThisId: true,
  reason: 'the target has another document of this _id, and the plan says whenMatched: fail',
};

/** A replacement was agreed to for the document that the dry-run showed, and for no other. */
export const UNSEEN: DocumentOutcome = {
  outcome: 'conflict',
  isOfThisId: true,
  reason: 'the target’s document is another one than the dry-run saw; look at it with a new dry-run',
};

const DUPLICATE_KEY = 11000;
const VALIDATION_FAILED = 121;
const TOO_DEEP = 15;
const IMMUTABLE_FIELD = 66;
const MOVED = 'its shard key is another one, so it might belong on another shard';

export function refusalOf(
  { code, keyPattern }: WriteFault,
  { indexes, shardKey }: Pick<TargetCollection, 'indexes' | 'shardKey'>,
): DocumentOutcome {
  if (code === DUPLICATE_KEY) {
    const fields = keyPattern?.join(', ') ?? 'a unique index';
    return { outcome: 'conflict', reason: `another document holds the same unique key (${fields})` };
  }
  const moved = code === IMMUTABLE_FIELD && shardKey !== undefined ? MOVED : undefined;
  return { outcome: 'refused', reason: moved ?? refusalByIndexes(code, indexes) ?? refusalText(code) };
}

function refusalText(code: number): string {
  if (code === VALIDATION_FAILED) return "the collection's validator refuses it";
  if (code === TOO_DEEP) return 'it is nested deeper than the server stores';
  if (code === IMMUTABLE_FIELD) return 'the target holds it under another _id, which no write changes';
  if (code === TOO_LARGE_FOR_CACHE) {
    return "it is too large for a transaction in the server's cache (TransactionTooLargeForCache)";
  }
  return `the server refuses it (code ${code})`;
}
