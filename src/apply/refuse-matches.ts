/** `whenMatched: fail`: one existing document that differs stops the run before anything is written. */

import { showValue } from '../bson/show.ts';
import { inFlight } from '../comparison/in-flight.ts';
import { RestorePlanError } from '../errors.ts';
import type { Run } from '../run.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { findCounterparts } from '../target/counterparts.ts';
import type { Target } from '../target/target.ts';
import { admit } from './admit.ts';
import { LOOKUP_BATCH, LOOKUPS_IN_FLIGHT } from './lookup-batches.ts';

const NAMED = 10;

export interface MatchQuestion {
  readonly target: Pick<Target, 'reader'>;
  readonly selection: Selection;
}

/**
 * Throws CONFLICTS, or the signal's reason between batches. Identical documents are no match: they are what this selection
 * restores, perhaps by an earlier run of it.
 */
export async function refuseMatches(
  { signal }: Run,
  { target: { reader }, selection }: MatchQuestion,
  isExcepted: (selected: SelectedCollection, ordinal: number) => boolean,
): Promise<void> {
  const matches: string[] = [];
  let count = 0;
  for (const selected of selection.manifest.collections) {
    if (selected.whenMatched !== 'fail') continue;
    const collection = await reader.collection(selected.into);
    if (collection === undefined) continue;
    const batches = readBatches(selection, selected.collection, LOOKUP_BATCH);
    for await (const different of inFlight(batches, LOOKUPS_IN_FLIGHT, async (batch) => {
      signal.throwIfAborted();
      const { run, positions } = admit(batch);
      const there = await findCounterparts({ reader, collection, run, positions });
      return positions
        .filter((each) => there.presence(each) === 'other' && !isExcepted(selected, batch.first + each))
        .map((each) => run.id(each));
    })) {
      count += different.length;
      for (const id of different) {
        if (matches.length < NAMED) matches.push(`${selected.into} ${showValue(id)}`);
      }
    }
  }
  if (count === 0) return;
  const named = matches.join(', ') + (count > matches.length ? ', …' : '');
  throw new RestorePlanError(
    'CONFLICTS',
    `${reader.name} holds ${count} of the selected documents with other content, and the plan says whenMatched: fail (${named})`,
    {
      hint: 'Nothing was written. Look at them with `plan dry-run --full`, then narrow the query or change whenMatched.',
    },
  );
}
