/**
 * Finds what the target holds of a whole collection by reading the target's in its natural order, which costs the server less than half
 * of what looking up every `_id` does.
 *
 * Batches that were written side by side lie interleaved there: several runs of documents, of which each goes on where it was left.
 * A document that does not come up in time is left open, and is for the caller to look up; so is all the rest after a fault.
 */
import type { Documents } from '../bson/documents.ts';
import { CommandFailure } from './command-failure.ts';
import { Existing } from './existing.ts';

/** Batches that are held, and in which a document is looked for: more than are written side by side. */
export const BATCHES_SEARCHED = 16;
/** The same, by their bytes: a batch may be a single large document. */
const BYTES_SEARCHED = 32 * 1024 * 1024;
/** Documents found in none of them; with more of these the scan is not worth going on with. */
const MOST_STRANGERS = 20;

export interface Scanned {
  readonly documents: Documents;
  /** `same`, or not known to be there. */
  readonly there: Existing;
}

/** Every batch of documents in stored form, in order, with what was seen of it in `found`: the target's documents in any order. */
export async function* scanExisting(
  batches: AsyncIterable<Documents>,
  found: AsyncIterable<Documents>,
): AsyncGenerator<Scanned, void, undefined> {
  const source = batches[Symbol.asyncIterator]();
  const search = new Search();
  const open = async (): Promise<boolean> => {
    const { done, value } = await source.next();
    if (done !== true) search.open(value);
    return done !== true;
  };
  let strangers = 0;
  try {
    for await (const documents of untilFault(found)) {
      let isLate = false;
      for (let i = search.match(documents, 0); i < documents.length; ) {
        // What is still open in the first batch comes too late: its place is needed.
        if (search.isFull && !isLate) yield search.close();
        isLate = true;
        const isStranger = search.isFull || !(await open());
        if (isStranger) strangers++;
        const next = search.match(documents, isStranger ? i + 1 : i);
        if (next > i) isLate = false;
        i = next;
        while (search.isFirstSeen) yield search.close();
      }
      if (strangers > MOST_STRANGERS) break;
    }
    do {
      while (search.held.length > 0) yield search.close();
    } while (await open());
  } finally {
    await source.return?.();
  }
}

/** After a fault of the server the rest is looked up, which has patience, or names the fault. */
async function* untilFault<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item, void, undefined> {
  try {
    yield* items;
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
  }
}

interface Held extends Scanned {
  /** Of each document, by its position. */
  readonly idTails: Int32Array;
  unseen: number;
}

/** Documents of the batches go by their index within the collection. */
class Search {
  readonly held: Held[] = [];
  #bytes = 0;
  /** The next document of each run, the latest run first. */
  readonly #heads: number[] = [];
  /** The first document behind all that were met. */
  #frontier = 0;

  get isFull(): boolean {
    return this.held.length === BATCHES_SEARCHED || this.#bytes >= BYTES_SEARCHED;
  }

  /** Every document of the first batch was seen. */
  get isFirstSeen(): boolean {
    return this.held[0]?.unseen === 0;
  }

  open(batch: Documents): void {
    this.#bytes += batch.bytes.length;
    const idTails = new Int32Array(batch.length);
    for (let i = 0; i < batch.length; i++) idTails[i] = idTail(batch, i);
    this.held.push({ documents: batch, there: new Existing(batch), idTails, unseen: batch.length });
  }

  /** Lets go of the first batch. */
  close(): Scanned {
    const first = this.held.shift() as Held;
    this.#bytes -= first.documents.bytes.length;
    return first;
  }

  /** Marks what `documents` shows from `from` on; returns the first of them that is in no batch held, or their number. */
  match(documents: Documents, from: number): number {
    let i = from;
    while (i < documents.length && (this.#goesOn(documents, i) || this.#begins(documents, i))) i++;
    return i;
  }

  /** Whether document `i` is the next one of some run. */
  #goesOn(documents: Documents, i: number): boolean {
    const heads = this.#heads;
    for (let k = 0; k < heads.length; k++) {
      const index = heads[k] as number;
      const held = this.held.find(
        ({ documents: { first, length } }) => index >= first && index < first + length,
      );
      if (held === undefined || !this.#take(held, index - held.documents.first, documents, i)) continue;
      if (k > 0) heads.unshift(...heads.splice(k, 1));
      heads[0] = index + 1;
      return true;
    }
    return false;
  }

  /** Whether a run begins with document `i`: mostly not far behind the frontier, else among what was passed over. */
  #begins(documents: Documents, i: number): boolean {
    if (documents.idType(i) === 0) return false;
    const index =
      this.#find(documents, i, { from: this.#frontier, to: Number.POSITIVE_INFINITY }) ??
      this.#find(documents, i, { from: 0, to: this.#frontier });
    if (index === undefined) return false;
    this.#heads.unshift(index + 1);
    if (this.#heads.length > BATCHES_SEARCHED) this.#heads.pop();
    return true;
  }

  #find(documents: Documents, i: number, span: { from: number; to: number }): number | undefined {
    const tail = idTail(documents, i);
    for (const held of this.held) {
      const { documents: own, idTails, unseen } = held;
      const from = Math.max(span.from - own.first, 0);
      const end = Math.min(span.to - own.first, own.length);
      if (unseen === 0 || from >= end) continue;
      for (let at = idTails.indexOf(tail, from); at >= 0 && at < end; at = idTails.indexOf(tail, at + 1)) {
        if (own.idType(at) !== 0 && this.#take(held, at, documents, i)) return own.first + at;
      }
    }
    return undefined;
  }

  /** Where document `i` is the one at this position, marks it as seen. */
  #take(held: Held, position: number, documents: Documents, i: number): boolean {
    const { documents: own, there } = held;
    if (!own.equals(position, documents, i)) return false;
    if (there.presence(position) === 'absent') held.unseen--;
    there.markSame(position);
    this.#frontier = Math.max(this.#frontier, own.first + position + 1);
    return true;
  }
}

/** From the end of an `_id` of any type; nearly all differ in it, and comparing whole documents costs ten times as much. 0 without `_id`. */
function idTail(documents: Documents, i: number): number {
  const end = documents.idEnd(i); // behind at least nine bytes of the document
  if (end === 0) return 0;
  return documents.bytes.readInt32LE(end - 4) ^ documents.bytes.readInt32LE(end - 8);
}
