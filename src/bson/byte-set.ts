/**
 * A set of byte strings without an object per entry: keys lie in blocks one after another, and a table of their places is
 * searched by open addressing, at most three quarters full. A key of 29 bytes costs about 45 bytes in all.
 */
import { hashBytes } from './key-hash.ts';

const BLOCK_BITS = 20;
const BLOCK_BYTES = 1 << BLOCK_BITS;
const FIRST_CAPACITY = 16;
const LENGTH_BYTES = 4;

export class ByteSet {
  /** Places of keys plus one; 0 = free. */
  private table = new Int32Array(FIRST_CAPACITY);
  private readonly blocks: Buffer[] = [];
  /** First free byte of the last block. */
  private end = BLOCK_BYTES;
  private used = 0;
  /** Keys too long for a block. */
  private readonly long = new Set<string>();

  get size(): number {
    return this.used + this.long.size;
  }

  /** Whether the first `length` bytes of `key` are in the set. */
  has(key: Buffer, length: number): boolean {
    if (length + LENGTH_BYTES > BLOCK_BYTES) return this.long.has(key.toString('latin1', 0, length));
    return this.table[this.slotOf(key, length)] !== 0;
  }

  /** All keys, in no particular order; each is lent until the next one. */
  *keys(): Generator<Buffer> {
    for (const place of this.table) {
      if (place === 0) continue;
      const block = this.blocks[(place - 1) >>> BLOCK_BITS] as Buffer;
      const at = (place - 1) & (BLOCK_BYTES - 1);
      const start = at + LENGTH_BYTES;
      yield block.subarray(start, start + block.readInt32LE(at));
    }
    for (const key of this.long) yield Buffer.from(key, 'latin1');
  }

  /** False when the key is already there. */
  add(key: Buffer, length: number): boolean {
    if (length + LENGTH_BYTES > BLOCK_BYTES) {
      const before = this.long.size;
      this.long.add(key.toString('latin1', 0, length));
      return this.long.size > before;
    }
    const slot = this.slotOf(key, length);
    if (this.table[slot] !== 0) return false;
    this.table[slot] = this.store(key, length) + 1;
    this.used++;
    if (this.used * 4 > this.table.length * 3) this.grow();
    return true;
  }

  private slotOf(key: Buffer, length: number): number {
    const mask = this.table.length - 1;
    let slot = hashBytes(key, { start: 0, end: length }, 0) & mask;
    for (;;) {
      const place = this.table[slot] as number;
      if (place === 0 || this.isAt(place - 1, key, length)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private isAt(place: number, key: Buffer, length: number): boolean {
    const block = this.blocks[place >>> BLOCK_BITS] as Buffer;
    const at = place & (BLOCK_BYTES - 1);
    if (block.readInt32LE(at) !== length) return false;
    for (let i = 0; i < length; i++) if (block[at + LENGTH_BYTES + i] !== key[i]) return false;
    return true;
  }

  private store(key: Buffer, length: number): number {
    if (this.end + LENGTH_BYTES + length > BLOCK_BYTES) {
      this.blocks.push(Buffer.allocUnsafeSlow(BLOCK_BYTES));
      this.end = 0;
    }
    const block = this.blocks.at(-1) as Buffer;
    const at = this.end;
    block.writeInt32LE(length, at);
    key.copy(block, at + LENGTH_BYTES, 0, length);
    this.end += LENGTH_BYTES + length;
    return ((this.blocks.length - 1) << BLOCK_BITS) + at;
  }

  private grow(): void {
    const old = this.table;
    this.table = new Int32Array(old.length * 2);
    const mask = this.table.length - 1;
    for (const place of old) {
      if (place === 0) continue;
      const block = this.blocks[(place - 1) >>> BLOCK_BITS] as Buffer;
      const at = (place - 1) & (BLOCK_BYTES - 1);
      const start = at + LENGTH_BYTES;
      let slot = hashBytes(block, { start, end: start + block.readInt32LE(at) }, 0) & mask;
      while (this.table[slot] !== 0) slot = (slot + 1) & mask;
      this.table[slot] = place;
    }
  }
}
