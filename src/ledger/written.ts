/**
 * What the journal says was written: by earlier runs of a selection, for one that goes on from there, and in which order; and what
 * came of a batch of which it does not say.
 *
 * No ids are held: an entry says which documents of the selection it wrote by their place in it, and a byte for each place is
 * all that is kept of a journal, however long. Entries of format 1 have ids alone; the selection is read for those once more.
 */

import { canonicalKey } from '../bson/canonical-bytes.ts';
import { KeySet } from '../bson/key-set.ts';
import type { RawValue } from '../bson/types.ts';
import { readInTurn } from '../selection/file-batches.ts';
import { IndexSet } from '../selection/finish-collection.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { TargetReader, TargetWriter, WriteIdentity } from '../target/target.ts';
import type { BatchEnd, Journal } from './journal.ts';
import {
  asDocuments,
  isAsWritten,
  isRestore,
  type JournalEntry,
  NOT_WRITTEN,
  WRITTEN,
  writtenBy,
} from './journal-entry.ts';

/** Ids of entries of format 1 that are looked for in one reading of the selection: some 20 bytes each, */
const IDS_AT_ONCE = 2_000_000;
/** or some 200. */
const OPEN_IDS_AT_ONCE = 100_000;

const INSERTED = 1;
const REPLACED = 2;
const DOUBTFUL = 4;

/** A batch that was intended by a run that died before it could say what came of it, and of which the server does not know. */
interface OpenBatch extends Pick<JournalEntry, 'batch' | 'into'> {
  /** Places of its documents in the selection; undefined in an entry of format 1, whose ids are kept instead. */
  readonly ordinals: Uint32Array | undefined;
  readonly ids: readonly RawValue[];
}

/** Finds out what came of a batch and records it; undefined where nobody knows. */
export type SettleOpen = (entry: JournalEntry) => Promise<BatchEnd | undefined>;

export class EarlierRuns {
  /** Number of the journal's newest batch; 0 when there is none. */
  lastBatch = 0;
  readonly #selection: Selection;
  /** By collection in the target. */
  readonly #selected: ReadonlyMap<string, SelectedCollection>;
  /** By collection in the target: INSERTED, REPLACED and DOUBTFUL of each document, by its place in the selection. */
  readonly #written = new Map<string, Uint8Array>();
  readonly #open: OpenBatch[] = [];

  private constructor(selection: Selection) {
    this.#selection = selection;
    this.#selected = new Map(selection.manifest.collections.map((each) => [each.into, each]));
  }

  /**
   * `settleOpen` finds out what came of a batch that a run left open when it died, and records it; without it, and where nobody
   * knows, such a batch is doubtful as a whole. Memory: one byte for each document of the selection.
   */
  static async read(
    journal: Pick<Journal, 'entries'>,
    selection: Selection,
    settleOpen: SettleOpen = async () => undefined,
  ): Promise<EarlierRuns> {
    const earlier = new EarlierRuns(selection);
    let old = new OldEntries();
    for await (const found of journal.entries()) {
      const end = found.state === 'intended' ? await settleOpen(found) : undefined;
      const entry: JournalEntry =
        end === undefined ? found : { ...found, doubtful: [], ...end, state: 'done' };
      earlier.lastBatch = entry.batch;
      earlier.#noteOpen(entry);
      if (!isRestore(entry)) continue;
      if (entry.ordinals === undefined) old.add(entry);
      else earlier.#mark(entry, entry.ordinals);
      if (old.size < IDS_AT_ONCE) continue;
      await earlier.#markOld(old);
      old = new OldEntries();
    }
    await earlier.#markOld(old);
    return earlier;
  }

  /** How a document came to be in the target, that was found there as it is in the selection. `ordinal`: its place there. */
  outcomeOf(into: string, ordinal: number): 'insertedBefore' | 'replacedBefore' | 'doubtful' | 'identical' {
    const written = this.#written.get(into)?.[ordinal] ?? 0;
    if ((written & INSERTED) !== 0) return 'insertedBefore';
    if ((written & REPLACED) !== 0) return 'replacedBefore';
    return written === 0 ? 'identical' : 'doubtful';
  }

  /** Records what came of the batches left open, once every document has been looked at. */
  async settle(
    journal: Pick<Journal, 'record'>,
    isDoubtful: (into: string, ordinal: number) => boolean,
  ): Promise<void> {
    for (const batches of inPortions(this.#open)) {
      const places = await this.#placesOf(batches);
      for (const open of batches) {
        const ordinals = open.ordinals ?? open.ids.map((id) => places.get(placeKey(open.into, id)));
        const skipped: number[] = [];
        const doubtful: number[] = [];
        for (const [position, ordinal] of ordinals.entries()) {
          (ordinal !== undefined && isDoubtful(open.into, ordinal) ? doubtful : skipped).push(position);
        }
        await journal.record({ batch: open.batch, skipped, doubtful });
      }
    }
    this.#open.length = 0;
  }

  #noteOpen({ batch, action, into, state, ordinals, ids }: JournalEntry): void {
    if (state !== 'intended') return;
    // What a revert that died took out is in again by the end of this run, or was found missing and counted as such.
    const isRevert = action === 'remove' || action === 'putBack';
    this.#open.push({ batch, into, ordinals, ids: isRevert || ordinals !== undefined ? [] : ids });
  }

  #mark(entry: JournalEntry, ordinals: Uint32Array): void {
    const written = this.#writtenIn(entry.into);
    const codes = codesOf(entry);
    for (const [position, ordinal] of ordinals.entries()) {
      if (ordinal < written.length) written[ordinal]! |= codes[position] as number;
    }
  }

  async #markOld(old: OldEntries): Promise<void> {
    for (const [into, keysOf] of old.collections) {
      const written = this.#writtenIn(into);
      await this.#readIds(into, (id, ordinal) => {
        for (const [code, keys] of keysOf) if (keys.has(id)) written[ordinal]! |= code;
      });
    }
  }

  /** Places of the documents of entries of format 1, by `placeKey`. */
  async #placesOf(batches: readonly OpenBatch[]): Promise<Map<string, number>> {
    const old = batches.filter(({ ordinals }) => ordinals === undefined);
    const wanted = new Set(old.flatMap(({ into, ids }) => ids.map((id) => placeKey(into, id))));
    const places = new Map<string, number>();
    for (const into of new Set(old.map((each) => each.into))) {
      await this.#readIds(into, (id, ordinal) => {
        const key = placeKey(into, id);
        // Of several documents of one _id the first was restored.
        if (wanted.has(key) && !places.has(key)) places.set(key, ordinal);
      });
    }
    return places;
  }

  #writtenIn(into: string): Uint8Array {
    const written = this.#written.get(into) ?? new Uint8Array(this.#selected.get(into)?.count ?? 0);
    this.#written.set(into, written);
    return written;
  }

  async #readIds(into: string, see: (id: RawValue, ordinal: number) => void): Promise<void> {
    const selected = this.#selected.get(into);
    if (selected === undefined) return;
    for await (const batch of readInTurn(this.#selection, selected.collection)) {
      for (let i = 0; i < batch.length; i++) if (batch.idType(i) !== 0) see(batch.id(i), batch.first + i);
    }
  }
}

/** The same with the action by which a document was written. */
function codesOf(entry: JournalEntry): Uint8Array {
  const code = entry.action === 'insert' ? INSERTED : REPLACED;
  return writtenBy(entry).map((written) =>
    written === WRITTEN ? code : written === NOT_WRITTEN ? 0 : DOUBTFUL,
  );
}

/** `_id`s of entries of format 1, by collection in the target and what is said of them. */
class OldEntries {
  readonly collections = new Map<string, ReadonlyMap<number, KeySet>>();
  size = 0;

  add(entry: JournalEntry): void {
    const { into, ids } = entry;
    const keysOf =
      this.collections.get(into) ??
      new Map([INSERTED, REPLACED, DOUBTFUL].map((code) => [code, new KeySet()]));
    this.collections.set(into, keysOf);
    for (const [position, code] of codesOf(entry).entries()) keysOf.get(code)?.add(ids[position] as RawValue);
    this.size += ids.length;
  }
}

function placeKey(into: string, id: RawValue): string {
  return `${into}\0${canonicalKey(id)}`;
}

function* inPortions(batches: readonly OpenBatch[]): Generator<OpenBatch[]> {
  let portion: OpenBatch[] = [];
  let ids = 0;
  for (const batch of batches) {
    portion.push(batch);
    ids += batch.ids.length;
    if (ids < OPEN_IDS_AT_ONCE) continue;
    yield portion;
    portion = [];
    ids = 0;
  }
  if (portion.length > 0) yield portion;
}

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

/**
 * Finds out what came of a batch whose run died before it could say so. In this order, because each step rests on the one before:
 *
 * 1. What is in the target now, byte for byte as the entry has it?
 * 2. The server is asked which statements it carried out under the entry's identity: those documents are ours.
 * 3. The identity is used up, so that nothing sent under it can arrive any more.
 * 4. Once more: what is in the target? What was there in step 1 and is not ours is somebody else's. What came since is doubtful: it
 *    may have been on its way to the server in step 2.
 *
 * A conditional write is asked for as a whole: all of it was committed, or nothing. Where the server does not know, everything
 * that is there as the entry has it is doubtful.
 *
 * Undefined where the server does not know: to be decided by what is there when every document has been looked at.
 */
export async function settleOpenBatch(
  reader: TargetReader,
  writer: TargetWriter,
  entry: JournalEntry,
): Promise<BatchEnd | undefined> {
  const { identity, hashes, action } = entry;
  if (identity === undefined) return undefined;
  if (action !== 'insert') return settleConditional(writer, entry, identity);
  if (hashes === undefined) return undefined;
  return settleInserts(reader, writer, { ...entry, hashes, identity });
}

async function settleInserts(
  reader: TargetReader,
  writer: TargetWriter,
  entry: JournalEntry & { readonly hashes: Buffer; readonly identity: WriteIdentity },
): Promise<BatchEnd | undefined> {
  const { batch, into, ids, identity } = entry;
  const arrived = await writer.executedStatements(into, identity, ids);
  // The usual case: nothing is left that could still arrive, and the steps can be spared.
  if (arrived !== 'unknown' && arrived.size === ids.length) return { batch, skipped: [] };
  const before = await standing(reader, entry);
  const executed = await writer.executedStatements(into, identity, ids);
  await writer.endIdentity(into, identity);
  if (executed === 'unknown') return undefined;
  const after = await standing(reader, entry);
  const others = [...ids.keys()].filter((position) => !executed.has(position));
  const doubtful = others.filter((position) => after.has(position) && !before.has(position));
  const inDoubt = new Set(doubtful);
  return { batch, skipped: others.filter((position) => !inDoubt.has(position)), doubtful };
}

async function settleConditional(
  writer: TargetWriter,
  { batch, into, ids, action }: JournalEntry,
  identity: WriteIdentity,
): Promise<BatchEnd | undefined> {
  const settlement = await writer.settleTransaction(into, identity);
  if (settlement === 'committed') return { batch, skipped: [] };
  if (settlement === 'aborted') return { batch, skipped: [...ids.keys()] };
  // What a revert has taken out is in again by the end of this run, or was found missing and counted as such.
  return action === 'replace' || action === 'merge' ? undefined : { batch, skipped: [] };
}

/** Positions of the documents that the target holds, byte for byte as the entry wrote them or was to write them. */
async function standing(
  reader: TargetReader,
  { into, ids, hashes }: JournalEntry & { readonly hashes: Buffer },
): Promise<ReadonlySet<number>> {
  const positions = new Map(ids.map((id, position) => [canonicalKey(id), position]));
  const asked = asDocuments(ids);
  const found = new Set<number>();
  for await (const answer of reader.lookUp(into, asked, [...ids.keys()])) {
    const documents = answer.found;
    for (let i = 0; i < documents.length; i++) {
      const position = positions.get(canonicalKey(documents.id(i)));
      if (position === undefined) continue;
      if (isAsWritten(hashes, position, documents.document(i))) found.add(position);
    }
  }
  return found;
}
