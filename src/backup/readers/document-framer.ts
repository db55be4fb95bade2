import { advice } from '../../advice.ts';
import { BsonFault, documentEnd } from '../../bson/elements.ts';
import { MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import type { MemberInfo, WholeDocuments } from '../backup.ts';

/** Bytes of a document that were not all there yet are kept in a buffer that starts this small and grows to the document. */
const FIRST_CARRY_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
/** Documents given at a time: enough that a step costs nothing by the document, and so few that small ones stay in the cache. */
const MOST_TOGETHER = 4096;

/**
 * Cuts the chunks of one member, or of one after the other, into documents.
 *
 * A document inside a chunk is given where it lies; only one that spans chunks is copied, so the cost per chunk is one
 * such copy, and per document one length and one terminator read. A document with a bad frame is thrown as a BsonFault whose offset counts
 * from the start of the member, after those before it were given; `documents` then includes it.
 */
export class DocumentFramer {
  /** Documents of the member begun so far. */
  documents = 0;
  /** Offset within the member of the next byte to arrive. */
  #position = 0;
  #carry = Buffer.allocUnsafeSlow(0);
  #carried = 0;
  readonly #starts = new Int32Array(MOST_TOGETHER + 1);

  /** The documents that are whole by now, lent until the next are asked for. The chunk is needed until there are no more. */
  *push(chunk: Buffer): Generator<WholeDocuments, void, undefined> {
    let at = 0;
    if (this.#carried > 0) {
      at = this.#completeCarried(chunk);
      if (this.#isCarryWhole()) {
        const bytes = this.#carry.subarray(0, this.#carried);
        this.#carried = 0;
        yield {
          bytes,
          starts: this.#starts,
          count: this.#frame(bytes, 0, this.#position + at - bytes.length),
        };
      }
    }
    for (let count = this.#frame(chunk, at, this.#position); count > 0; ) {
      at = this.#starts[count] as number;
      yield { bytes: chunk, starts: this.#starts, count };
      count = this.#frame(chunk, at, this.#position);
    }
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
    this.#position += chunk.length;
  }

  /** The member ended; what comes next is another one. Throws when bytes of an unfinished document are left. */
  end(): void {
    if (this.#carried > 0) {
      this.documents++;
      const start = this.#position - this.#carried;
      throw new BsonFault(`the last ${this.#carried} bytes are not a whole document`, start);
    }
    this.documents = 0;
    this.#position = 0;
    // One large document is no reason to hold its memory for all members that follow.
    if (this.#carry.length > FIRST_CARRY_BYTES) this.#carry = Buffer.allocUnsafeSlow(0);
  }

  /**
   * Notes where the next documents from `from` on start, and where the last of them ends; returns how many. 0: the next is not all
   * there. A bad frame is left until it is the next, and then thrown. `base`: offset within the member of byte 0.
   */
  #frame(bytes: Buffer, from: number, base: number): number {
    const starts = this.#starts;
    const limit = bytes.length;
    let at = from;
    let count = 0;
    while (count < MOST_TOGETHER && limit - at >= LENGTH_BYTES) {
      const length = bytes.readInt32LE(at);
      const plausible = length >= MIN_DOCUMENT_BYTES && length <= MAX_DOCUMENT_BYTES;
      if (plausible && length > limit - at) break;
      if (!plausible || bytes[at + length - 1] !== 0) {
        if (count > 0) break;
        this.documents++;
        placed(base, () => documentEnd(bytes, at));
      }
      starts[count++] = at;
      at += length;
      starts[count] = at;
    }
    this.documents += count;
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
    const length = this.#carry.readInt32LE(0);
    if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) {
      this.documents++;
      const begin = this.#position + taken - this.#carried;
      throw new BsonFault(`impossible document length ${length}`, begin);
    }
    const more = Math.min(length - this.#carried, chunk.length - taken);
    this.#keep(chunk, taken, taken + more);
    return taken + more;
  }

  #isCarryWhole(): boolean {
    return this.#carried >= LENGTH_BYTES && this.#carried === this.#carry.readInt32LE(0);
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

/** Throws a BsonFault of `check` with its offset in the member. */
function placed(base: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw error instanceof BsonFault ? new BsonFault(error.message, base + error.offset) : error;
  }
}

/** Bytes of a member that are no document. `document` counts from 1; the fault's offset from the start of the member. */
export function damagedDocument(fault: BsonFault, member: MemberInfo, document: number): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${member.path}: document ${document} is damaged, at byte ${fault.offset} of the member: ${fault.message}`,
    {
      hint: advice`Nothing of this backup was used. Take another backup, for instance the next older one: ${{ command: 'backups' }} lists them.`,
      cause: fault,
      facts: { member: member.path, collection: member.collection, document, offset: fault.offset },
    },
  );
}
