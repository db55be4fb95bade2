/** The `_id`s that this tool wrote into a target for one selection, from the journal. */

import { KeySet } from '../bson/key-set.ts';
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import type { Journal } from '../ledger/journal.ts';

export interface RestoredId {
  /** Collection in the target. */
  readonly into: string;
  readonly id: RawValue;
}

/** Each once, in the order of writing: documents inserted or replaced and not taken back since. */
export async function* restoredIds(
  journal: Pick<Journal, 'entries'>,
): AsyncGenerator<RestoredId, void, undefined> {
  const seen = new Map<string, KeySet>();
  for await (const { action, state, into, ids, skipped } of journal.entries()) {
    if ((action !== 'insert' && action !== 'replace') || state !== 'done') continue;
    const known = seen.get(into) ?? new KeySet();
    seen.set(into, known);
    const untouched = new Set(skipped);
    for (const [i, id] of ids.entries()) {
      // A document that somebody deleted and a later run brought back has two entries.
      if (!untouched.has(i) && known.add(id)) yield { into, id };
    }
  }
}

/** One line of NDJSON without its newline: `{"collection":"artworks","_id":{"$oid":"…"}}`, canonical Extended JSON. */
export function idLine({ into, id }: RestoredId): string {
  return `{"collection":${JSON.stringify(into)},"_id":${showValue(id)}}`;
}
