import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { hashBytes } from '../bson/flat-sets.ts';
import type { RawValue } from '../bson/types.ts';

const FIRST_CAPACITY = 64;
const BLOCK_BYTES = 1 << 20;
/** Length before each key. */
const KEY_HEADER = 4;

/**
 * Numbers `_id`s in the order in which they come, from 0 on. Numbers of several types that are equal are one `_id`, as to a server.
 *
 * Keys lie in blocks one after another, and a table of their places is searched by open addressing: an ObjectId costs about 35 bytes.
 */
export class IdTable {
  readonly #key = new CanonicalBytes();
  /** Numbers of `_id`s plus one; 0 = free. At most three quarters are used. */
  #slots = new Int32Array(FIRST_CAPACITY);
  /** By number: where the key lies, counted through all blocks as if each had its full size. */
  #places = new Float64Array(FIRST_CAPACITY);
  readonly #blocks: Buffer[] = [];
  #blockUsed = BLOCK_BYTES;
  #size = 0;
  #keyBytes = 0;

  /** What it takes of memory, about. */
  get bytes(): number {
    return this.#keyBytes + this.#slots.byteLength + this.#places.byteLength;
  }

  get size(): number {
    return this.#size;
  }

  /** The number of an `_id`; -1 where it did not come by. */
  find(id: RawValue): number {
    if (this.#size === 0) return -1;
    const { bytes, length } = this.#key.set(id);
    return (this.#slots[this.#slotOf(bytes, length)] as number) - 1;
  }

  /** The same of its canonical bytes. */
  findKey(key: Buffer): number {
    return this.#size === 0 ? -1 : (this.#slots[this.#slotOf(key, key.length)] as number) - 1;
  }

  /** The number of an `_id`, the next free one where it is new. */
  numberOf(id: RawValue): number {
    const { bytes, length } = this.#key.set(id);
    const slot = this.#slotOf(bytes, length);
    const there = this.#slots[slot] as number;
    if (there > 0) return there - 1;
    const number = this.#size++;
    this.#slots[slot] = this.#size;
    if (number === this.#places.length) this.#places = grown(this.#places, new Float64Array(number * 2));
    this.#places[number] = this.#store(bytes, length);
    if (this.#size * 4 > this.#slots.length * 3) this.#grow();
    return number;
  }

  /** The canonical bytes of an `_id`, lent. */
  key(number: number): Buffer {
    const place = this.#places[number] as number;
    const block = this.#blocks[Math.floor(place / BLOCK_BYTES)] as Buffer;
    const start = (place % BLOCK_BYTES) + KEY_HEADER;
    return block.subarray(start, start + block.readInt32LE(start - KEY_HEADER));
  }

  #slotOf(key: Buffer, length: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashBytes(key, { start: 0, end: length }, 0) & mask;
    for (;;) {
      const number = this.#slots[slot] as number;
      if (number === 0 || this.#isKey(number - 1, key, length)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isKey(number: number, key: Buffer, length: number): boolean {
    const place = this.#places[number] as number;
    const block = this.#blocks[Math.floor(place / BLOCK_BYTES)] as Buffer;
    const at = place % BLOCK_BYTES;
    if (block.readInt32LE(at) !== length) return false;
    for (let i = 0; i < length; i++) if (block[at + KEY_HEADER + i] !== key[i]) return false;
    return true;
  }

  /** A key that is longer than a block has one of its own. */
  #store(key: Buffer, length: number): number {
    if (this.#blockUsed + KEY_HEADER + length > BLOCK_BYTES) {
      this.#blocks.push(Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, KEY_HEADER + length)));
      this.#blockUsed = 0;
    }
    const block = this.#blocks.at(-1) as Buffer;
    const at = this.#blockUsed;
    block.writeInt32LE(length, at);
    key.copy(block, at + KEY_HEADER, 0, length);
    this.#blockUsed += KEY_HEADER + length;
    this.#keyBytes += KEY_HEADER + length;
    return (this.#blocks.length - 1) * BLOCK_BYTES + at;
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.#size; number++) {
      const key = this.key(number);
      let slot = hashBytes(key, { start: 0, end: key.length }, 0) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }
}

/** `larger` with the numbers of `old` at its beginning. */
export function grown<Numbers extends Float64Array | Uint32Array | Uint8Array>(
  old: Numbers,
  larger: Numbers,
): Numbers {
  larger.set(old);
  return larger;
}
