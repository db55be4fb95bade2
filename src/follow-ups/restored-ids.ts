/** The `_id`s that this tool wrote into a target in one run, from the journal. */

import { KeySet } from '../bson/key-set.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import type { Journal } from '../ledger/journal.ts';


import { isRestore, NOT_WRITTEN, writtenBy } from '../ledger/journal-entry.ts';
import { IndexSet } from '../selection/finish-collection.ts';


export interface RestoredId {
  /** Collection in the target. */
  readonly into: string;
  readonly id: RawValue;
}

/** Of entries that do not say which documents of the selection theirs are, so many `_id`s are remembered. */
const MOST_REMEMBERED = 200_000;

/**
 * In the order of writing: documents inserted or replaced and not taken back since. Each once, by one bit for each document of the
 * selection; of entries of format 1, which lack the documents' places, one that was brought back may come again in a journal of many.
 */
export async function* restoredIds(
  journal: Pick<Journal, 'entries'>,
): AsyncGenerator<RestoredId, void, undefined> {
  const seen = new Map<string, Seen>();
  for await (const entry of journal.entries()) {
    if (!isRestore(entry) || entry.state !== 'done') continue;
    const { into, ids, ordinals } = entry;
    const known = seen.get(into) ?? new Seen();
    seen.set(into, known);
    const written = writtenBy(entry);
    for (const [i, id] of ids.entries()) {
      // A document that somebody deleted and a later run brought back has two entries.
      if (written[i] !== NOT_WRITTEN && known.isNew(id, ordinals?.[i])) yield { into, id };
    }
  }
}

class Seen {
  readonly #places = new IndexSet();
  #keys = new KeySet();

  isNew(id: RawValue, ordinal: number | undefined): boolean {
    if (ordinal === undefined) {
      if (this.#keys.size >= MOST_REMEMBERED) this.#keys = new KeySet();
      return this.#keys.add(id);
    }
    return this.#places.add(ordinal);
  }
}

/** One line of NDJSON without its newline: `{"collection":"artworks","_id":{"$oid":"…"}}`, canonical Extended JSON. */
export function idLine({ into, id }: RestoredId): string {
  return `{"collection":${JSON.stringify(into)},"_id":${showValue(id)}}`;
}
