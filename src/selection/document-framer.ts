import { BsonFault, documentEnd } from '../bson/elements.ts';
import { IDS_TOGETHER } from '../bson/flat-sets.ts';
import { MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from '../bson/types.ts';

/** What is done with the documents of a member. All methods are synchronous and see bytes that are only lent to them. */
export interface DocumentConsumer {
  /** Told of the `count` documents that `wants` will be asked about next; `starts` are their offsets. */
  lookAhead?(bytes: Buffer, starts: ArrayLike<number>, count: number): void;
  /** Decides about the document in `bytes[start, end)`, whose frame is sound. */
  wants(bytes: Buffer, start: number, end: number): boolean;
  /** Takes a run of wanted documents that lie back to back in `bytes[start, end)`. */
  append(bytes: Buffer, start: number, end: number): void;
}

/** Bytes of a document that were not all there yet are kept in a buffer that starts this small and grows to the document. */
const FIRST_CARRY_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
/** Documents framed before the first of them is asked about. */
const DOCUMENTS_TOGETHER = IDS_TOGETHER;

/**
 * Cuts the chunks of one member into documents.
 *
 * A document inside a chunk is looked at where it lies; only one that spans chunks is copied, so the cost per chunk is one
 * such copy, and per document one length and one terminator read. Wanted neighbours are handed on as one run.
 * A fault is thrown as BsonFault whose offset counts from the start of the member; `documents` then includes the bad one.
 */
export class DocumentFramer {
  /** Documents begun so far. */
  documents = 0;
  readonly #consumer: DocumentConsumer;
  /** Offset within the member of the next byte to arrive. */
  #position = 0;
  #carry = Buffer.allocUnsafeSlow(0);
  #carried = 0;
  readonly #starts = new Int32Array(DOCUMENTS_TOGETHER + 1);

  constructor(consumer: DocumentConsumer) {
    this.#consumer = consumer;
  }

  push(chunk: Buffer): void {
    const from = this.#carried === 0 ? 0 : this.#completeCarried(chunk);
    const rest = this.#cut(chunk, from, this.#position);
    if (rest < chunk.length) this.#keep(chunk, rest, chunk.length);
    this.#position += chunk.length;
  }

  /** The member ended. Throws when bytes of an unfinished document are left. */
  end(): void {
    if (this.#carried === 0) return;
    this.documents++;
    const start = this.#position - this.#carried;
    throw new BsonFault(`the last ${this.#carried} bytes are not a whole document`, start);
  }

  /** Cuts `bytes` from `from` on; returns where the first document begins that is not all there. `base` is the member offset of byte 0. */
  #cut(bytes: Buffer, from: number, base: number): number {
    const consumer = this.#consumer;
    const starts = this.#starts;
    let at = from;
    let runStart = -1;
    try {
      for (;;) {
        const count = this.#frame(bytes, at);
        if (count === 0) break;
        consumer.lookAhead?.(bytes, starts, count);
        for (let i = 0; i < count; i++) {
          this.documents++;
          const end = starts[i + 1] as number;
          if (consumer.wants(bytes, at, end)) {
            if (runStart < 0) runStart = at;
          } else if (runStart >= 0) {
            consumer.append(bytes, runStart, at);
            runStart = -1;
          }
          at = end;
        }
      }
    } catch (error) {
      if (error instanceof BsonFault) throw new BsonFault(error.message, base + error.offset);
      throw error;
    }
    if (runStart >= 0) consumer.append(bytes, runStart, at);
    return at;
  }

  /**
   * Notes where the next documents from `from` on start, and where the last of them ends; returns how many. 0: the next is not all
   * there. A bad frame is left until it is the next, and then thrown.
   */
  #frame(bytes: Buffer, from: number): number {
    const starts = this.#starts;
    const limit = bytes.length;
    let at = from;
    let count = 0;
    while (count < DOCUMENTS_TOGETHER && limit - at >= LENGTH_BYTES) {
      const length = bytes.readInt32LE(at);
      const plausible = length >= MIN_DOCUMENT_BYTES && length <= MAX_DOCUMENT_BYTES;
      if (plausible && length > limit - at) break;
      if (!plausible || bytes[at + length - 1] !== 0) {
        if (count > 0) break;
        this.documents++;
        documentEnd(bytes, at, limit);
      }
      starts[count++] = at;
      at += length;
      starts[count] = at;
    }
    return count;
  }

  /** Adds what is missing to the kept document, as far as `chunk` has it; returns how many bytes of `chunk` it took. */
  #completeCarried(chunk: Buffer): number {
    let taken = 0;
    if (this.#carried < LENGTH_BYTES) {
      taken = Math.min(LENGTH_BYTES - this.#carried, chunk.length);
      this.#keep(chunk, 0, taken);
      if (this.#carried < LENGTH_BYTES) return taken;
    }
    const begin = this.#position + taken - this.#carried;
    const length = this.#carry.readInt32LE(0);
    if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) {
      this.documents++;
      throw new BsonFault(`impossible document length ${length}`, begin);
    }
    const more = Math.min(length - this.#carried, chunk.length - taken);
    this.#keep(chunk, taken, taken + more);
    if (this.#carried === length) {
      this.#carried = 0;
      this.#cut(this.#carry.subarray(0, length), 0, begin);
    }
    return taken + more;
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    const needed = this.#carried + end - start;
    if (needed > this.#carry.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#carry.length, FIRST_CARRY_BYTES));
      this.#carry.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    chunk.copy(this.#carry, this.#carried, start, end);
    this.#carried = needed;
  }
}
