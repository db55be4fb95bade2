/** What the journal says this selection put into one target: the ids, and where the before-images of replaced documents lie. */
import { canonicalKey } from '../bson/canonical-key.ts';
import type { DocumentRun } from '../bson/document-run.ts';
import { KeySet } from '../bson/key-set.ts';
import type { RawValue } from '../bson/types.ts';
import type { Journal } from '../ledger/journal.ts';
import type { JournalEntry } from '../ledger/journal-entry.ts';

interface ImagePlace {
  readonly entry: JournalEntry;
  readonly order: number;
}

/** Entries whose images are kept at hand: batches are reverted in the order in which they were applied. */
const IMAGES_AT_HAND = 4;

export class RestoredIds {
  /** Number of the journal's newest batch; 0 when there is none. */
  lastBatch = 0;
  readonly #journal: Journal;
  readonly #inserted = new Map<string, KeySet>();
  readonly #replaced = new Map<string, Map<string, ImagePlace>>();
  readonly #images = new Map<JournalEntry, Promise<Buffer[]>>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async read(journal: Journal): Promise<RestoredIds> {
    const restored = new RestoredIds(journal);
    for await (const entry of journal.entries()) restored.#add(entry);
    return restored;
  }

  /** A document that was replaced existed before, so replaced wins where both are recorded. */
  actionOn(into: string, id: RawValue): 'inserted' | 'replaced' | undefined {
    if (this.#replaced.get(into)?.has(canonicalKey(id))) return 'replaced';
    return this.#inserted.get(into)?.has(id) ? 'inserted' : undefined;
  }

  /**
   * Those of the documents that this selection wrote; the others are none of a revert's business. In groups to be looked at one
   * after the other: what was inserted, then of what was replaced one journal entry at a time, whose images fit into memory and
   * into one command together. The images of a whole batch may not: what was replaced may have been far larger.
   */
  groups(into: string, run: DocumentRun, positions: readonly number[]): number[][] {
    const inserted: number[] = [];
    const replaced = new Map<JournalEntry, number[]>();
    for (const position of positions) {
      const id = run.id(position);
      const entry = this.#replaced.get(into)?.get(canonicalKey(id))?.entry;
      if (entry === undefined) {
        if (this.#inserted.get(into)?.has(id)) inserted.push(position);
        continue;
      }
      const group = replaced.get(entry);
      if (group === undefined) replaced.set(entry, [position]);
      else group.push(position);
    }
    return [inserted, ...replaced.values()].filter((group) => group.length > 0);
  }

  /** The document as it was before it was last replaced. */
  async imageOf(into: string, id: RawValue): Promise<Buffer | undefined> {
    const place = this.#replaced.get(into)?.get(canonicalKey(id));
    if (place === undefined) return undefined;
    let images = this.#images.get(place.entry);
    if (images === undefined) {
      images = this.#journal.images(place.entry);
      this.#images.set(place.entry, images);
      const [oldest] = this.#images.keys();
      if (this.#images.size > IMAGES_AT_HAND && oldest !== undefined) this.#images.delete(oldest);
    }
    return (await images)[place.order];
  }

  #add(entry: JournalEntry): void {
    const { action, state, into, ids } = entry;
    this.lastBatch = entry.batch;
    if (state === 'reverted' || action === 'remove' || action === 'putBack') return;
    const skipped = new Set([...entry.skipped, ...entry.doubtful]);
    const inserted = this.#inserted.get(into) ?? new KeySet();
    this.#inserted.set(into, inserted);
    const replaced = this.#replaced.get(into) ?? new Map<string, ImagePlace>();
    this.#replaced.set(into, replaced);
    // The ids are dropped from the entry that is kept for its images; they are in the sets now.
    const kept = { ...entry, ids: [] };
    for (const [order, id] of ids.entries()) {
      if (skipped.has(order)) continue;
      if (action === 'insert') inserted.add(id);
      else replaced.set(canonicalKey(id), { entry: kept, order });
    }
  }
}
