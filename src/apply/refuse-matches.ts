/** `whenMatched: fail`: one existing document that differs stops the run before anything is written. */

import { showValue } from '../bson/show.ts';
import { meet } from '../comparison/meet.ts';
import { RestorePlanError } from '../errors.ts';
import type { Run } from '../run.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';

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
  run: Run,
  { target: { reader }, selection }: MatchQuestion,
  isExcepted: (selected: SelectedCollection, ordinal: number) => boolean,
): Promise<void> {
  const matches: string[] = [];
  let count = 0;
  for (const selected of selection.manifest.collections) {
    if (selected.whenMatched !== 'fail') continue;
    const collection = await reader.collection(selected.into);
    if (collection === undefined) continue;
    const meeting = { selection, name: selected.collection, reader, collection } as const;
    const differing = meet(run, { ...meeting, needs: 'presence' }, async ({ stored, positions, there }) =>
      positions
        .filter((each) => there.presence(each) === 'other' && !isExcepted(selected, stored.first + each))
        .map((each) => stored.id(each)),
    );
    for await (const different of differing) {
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
