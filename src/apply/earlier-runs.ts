/** What earlier runs of the same selection left in the journal, for a run that goes on from there. */
import { KeySet } from '../bson/key-set.ts';
import type { RawValue } from '../bson/types.ts';
import type { Journal } from '../ledger/journal.ts';
import type { JournalEntry } from '../ledger/journal-entry.ts';

/** `_id`s in one collection of the target that the journal says were written, or may have been. */
class WrittenIds {
  readonly inserted: KeySet = new KeySet();
  readonly replaced: KeySet = new KeySet();
  /** Found in the target as they were written; only kept while there are batches left open. */
  readonly confirmed: KeySet = new KeySet();
}

export class EarlierRuns {
  /** Number of the journal's newest batch; 0 when there is none. */
  lastBatch = 0;
  readonly #collections = new Map<string, WrittenIds>();
  /** Batches that were intended by a run that died before it could say what came of them. */
  readonly #leftOpen: JournalEntry[] = [];

  /** Memory: some 20 bytes per ObjectId that was written before. */
  static async read(journal: Journal): Promise<EarlierRuns> {
    const earlier = new EarlierRuns();
    for await (const entry of journal.entries()) earlier.#add(entry);
    return earlier;
  }

  /** How a document came to be in the target, that was found there as it is in the selection. */
  outcomeOf(into: string, id: RawValue): 'insertedBefore' | 'replacedBefore' | 'identical' {
    const written = this.#collections.get(into);
    if (written === undefined) return 'identical';
    const inserted = written.inserted.has(id);
    if (!inserted && !written.replaced.has(id)) return 'identical';
    if (this.#leftOpen.length > 0) written.confirmed.add(id);
    return inserted ? 'insertedBefore' : 'replacedBefore';
  }

  /** Records what came of the batches left open, once every document has been looked at. */
  async settle(journal: Journal): Promise<void> {
    for (const { batch, into, ids, action } of this.#leftOpen) {
      // What a revert that died took out is in again by now, or was found missing and counted as such.
      if (action === 'remove' || action === 'putBack') {
        await journal.record({ batch, skipped: [] });
        continue;
      }
      const confirmed = this.#collections.get(into)?.confirmed;
      const skipped = [...ids.keys()].filter((position) => !confirmed?.has(ids[position] as RawValue));
      await journal.record({ batch, skipped });
    }
    this.#leftOpen.length = 0;
  }

  #add(entry: JournalEntry): void {
    this.lastBatch = entry.batch;
    const { action, state, into } = entry;
    if (state === 'intended') this.#leftOpen.push(entry);
    if (state === 'reverted' || (action !== 'insert' && action !== 'replace')) return;
    const collection = this.#collections.get(into) ?? new WrittenIds();
    this.#collections.set(into, collection);
    const written = action === 'insert' ? collection.inserted : collection.replaced;
    const skipped = new Set(entry.skipped);
    for (const [position, id] of entry.ids.entries()) if (!skipped.has(position)) written.add(id);
  }
}
