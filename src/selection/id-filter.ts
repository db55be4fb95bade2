import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { hashBytes, hashObjectId, wordAt } from '../bson/key-hash.ts';
import { BSON, type RawValue } from '../bson/types.ts';

/** 32 MiB, of which only the pages that are written to take memory. */
const WORDS = 1 << 23;
/** A block is one cache line: all bits of an `_id` lie in it, so a question costs one cache miss. */
const BLOCK_WORDS = 16;
const BLOCK_MASK = WORDS / BLOCK_WORDS - 1;
const BIT_MASK = 32 * BLOCK_WORDS - 1;
const SECOND_SEED = 0x5bd1e995;
/** `_id`s looked up together: their cache misses then overlap, which makes each five times cheaper. */
const TOGETHER = 512;
/** Suspects held per collection. */
const MOST_SUSPECTS = 200_000;

/**
 * Remembers which `_id`s were seen, in a fixed amount of memory: a blocked Bloom filter with four bits per `_id`.
 *
 * "Not seen" is certain. "Seen" is wrong for about 1 in 10,000 `_id`s once ten million were noted, so whoever is told "seen" looks again.
 */
export class IdFilter {
  readonly #bits = new Int32Array(WORDS);
  #scopes = 0;

  /** A number that keeps the `_id`s of one collection apart from all others. */
  newScope(): number {
    this.#scopes++;
    return Math.imul(this.#scopes, 0x9e3779b1);
  }

  /** Notes an `_id`, given as two hashes, and returns whether it may have been noted before. */
  note(first: number, second: number): boolean {
    const bits = this.#bits;
    const block = BLOCK_WORDS * (first & BLOCK_MASK);
    // Four places of 9 bits each: what the block left over of the first hash, and three quarters of the second.
    const all =
      setBit(bits, block, first >>> 23) &
      setBit(bits, block, second) &
      setBit(bits, block, second >>> 9) &
      setBit(bits, block, second >>> 18);
    return all !== 0;
  }
}

/** Sets a bit of a block; 1 when it was set before. */
function setBit(bits: Int32Array, block: number, bit: number): number {
  const at = block + ((bit & BIT_MASK) >>> 5);
  const word = bits[at] as number;
  bits[at] = word | (1 << (bit & 31));
  return (word >>> (bit & 31)) & 1;
}

/** Watches the `_id`s of one collection for repetitions. */
export class IdWatch {
  readonly #filter: IdFilter;
  readonly #scope: number;
  readonly #key = new CanonicalBytes();
  readonly #hashes = new Int32Array(2 * TOGETHER);
  #waiting = 0;
  #noted = 0;
  /** Indexes of documents whose `_id` may have come before, in order; undefined when they became too many to be held. */
  #suspects: number[] | undefined = [];

  constructor(filter: IdFilter) {
    this.#filter = filter;
    this.#scope = filter.newScope();
  }

  /** Notes the `_id` of the next document. */
  note(id: RawValue): void {
    const at = 2 * this.#waiting;
    if (id.type === BSON.OBJECT_ID) {
      const a = wordAt(id.bytes, id.start);
      const b = wordAt(id.bytes, id.start + 4);
      const c = wordAt(id.bytes, id.start + 8);
      this.#hashes[at] = hashObjectId(a, b, c, this.#scope);
      this.#hashes[at + 1] = hashObjectId(a, b, c, this.#scope ^ SECOND_SEED);
    } else {
      const { bytes, length } = this.#key.set(id);
      this.#hashes[at] = hashBytes(bytes, { start: 0, end: length }, this.#scope);
      this.#hashes[at + 1] = hashBytes(bytes, { start: 0, end: length }, this.#scope ^ SECOND_SEED);
    }
    if (++this.#waiting === TOGETHER) this.#lookUp();
  }

  /** Indexes, in order, of documents whose `_id` may have come before; empty is certain, undefined means that any may. */
  suspects(): readonly number[] | undefined {
    this.#lookUp();
    return this.#suspects;
  }

  #lookUp(): void {
    for (let i = 0; i < this.#waiting; i++) {
      const seen = this.#filter.note(this.#hashes[2 * i] as number, this.#hashes[2 * i + 1] as number);
      if (seen) this.#suspects?.push(this.#noted + i);
    }
    this.#noted += this.#waiting;
    this.#waiting = 0;
    if ((this.#suspects?.length ?? 0) > MOST_SUSPECTS) this.#suspects = undefined;
  }
}
