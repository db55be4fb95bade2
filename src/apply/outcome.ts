/** What became of each document of a selection, one byte per document, and the counts made of it. */
import type { RunCollection, RunCounts } from '../ledger/run-record.ts';

/**
 * `…Before`: an earlier run of the same selection wrote it (its journal says so), and it is still as it was written.
 * doubtful: it is there as in the selection, and nobody can tell any more whether a run of it wrote it.
 * kept: the target has another document of that `_id`, and the plan says to leave it.
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
  const { inserted, replaced, kept, conflict, refused, excepted, heldBack, doubtful } = tally;
  const identical = tally.identical + tally.insertedBefore + tally.replacedBefore;
  return { inserted, identical, replaced, kept, conflict, refused, heldBack, excepted, doubtful };
}

/** What is to be recorded of a run that stopped: it may not have come to documents that an earlier one accounted for. */
export function countsSoFar(
  now: readonly RunCollection[],
  before: readonly RunCollection[],
): readonly RunCollection[] {
  return now.map((counts) => {
    const then = before.find(({ collection }) => collection === counts.collection);
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
  const { identical, kept, conflict, refused, excepted, heldBack, doubtful } = tally;
  const inserted = tally.inserted + tally.insertedBefore;
  const replaced = tally.replaced + tally.replacedBefore;
  return { inserted, identical, replaced, kept, conflict, refused, heldBack, excepted, doubtful };
}
