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

/**
 * Remembers which `_id`s were seen, in a fixed amount of memory: a blocked Bloom filter with four bits per `_id`.
 *
 * "Not seen" is certain. "Seen" is wrong for about 1 in 10,000 `_id`s once ten million were noted, so whoever is told "seen" looks again.
 */
export class IdFilter {
  readonly #bits = new Int32Array(WORDS);
  readonly #key = new CanonicalBytes();
  #scopes = 0;

  /** A number that keeps the `_id`s of one collection apart from all others. */
  newScope(): number {
    this.#scopes++;
    return Math.imul(this.#scopes, 0x9e3779b1);
  }

  /** Notes an `_id` and returns whether it may have been noted before. */
  note(id: RawValue, scope: number): boolean {
    let block: number;
    let bits: number;
    if (id.type === BSON.OBJECT_ID) {
      const a = wordAt(id.bytes, id.start);
      const b = wordAt(id.bytes, id.start + 4);
      const c = wordAt(id.bytes, id.start + 8);
      block = hashObjectId(a, b, c, scope);
      bits = hashObjectId(a, b, c, scope ^ SECOND_SEED);
    } else {
      const { bytes, length } = this.#key.set(id);
      block = hashBytes(bytes, { start: 0, end: length }, scope);
      bits = hashBytes(bytes, { start: 0, end: length }, scope ^ SECOND_SEED);
    }
    return this.#set(BLOCK_WORDS * (block & BLOCK_MASK), bits, block >>> 23);
  }

  /** Sets the four bits that 27 bits of `bits` and 9 of `more` name in a block; true when all were set. */
  #set(block: number, bits: number, more: number): boolean {
    const first = this.#setBit(block, bits & BIT_MASK);
    const second = this.#setBit(block, (bits >>> 9) & BIT_MASK);
    const third = this.#setBit(block, (bits >>> 18) & BIT_MASK);
    const fourth = this.#setBit(block, more & BIT_MASK);
    return (first & second & third & fourth) !== 0;
  }

  /** 1 when the bit was set before. */
  #setBit(block: number, bit: number): number {
    const at = block + (bit >>> 5);
    const word = this.#bits[at] as number;
    this.#bits[at] = word | (1 << (bit & 31));
    return (word >>> (bit & 31)) & 1;
  }
}
