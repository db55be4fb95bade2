/**
 * A set of ObjectIds in one flat table: open addressing over packed 12-byte keys, at most three quarters full.
 *
 * 1,000,000 ids take 24 MiB (30 MiB for a moment while the table grows); a lookup reads one or two cache lines.
 */
import { hashObjectId } from './key-hash.ts';
import type { ObjectIdBatch } from './object-id-batch.ts';

const WORDS = 3;
const FIRST_CAPACITY = 16;
/** Below this a table grows fourfold: moving all ids again and again is what costs. 6 MiB. */
const SMALL_CAPACITY = 1 << 19;

export class ObjectIdSet {
  private table = new Int32Array(FIRST_CAPACITY * WORDS);
  private mask = FIRST_CAPACITY - 1;
  private used = 0;
  /** The id of twelve zero bytes marks a free place, so it is kept aside. */
  private hasZero = false;

  get size(): number {
    return this.used + (this.hasZero ? 1 : 0);
  }

  has(bytes: Buffer, start: number): boolean {
    const a = bytes.readInt32LE(start);
    const b = bytes.readInt32LE(start + 4);
    const c = bytes.readInt32LE(start + 8);
    if ((a | b | c) === 0) return this.hasZero;
    return this.isUsed(this.placeFrom(this.slotOf(a, b, c), a, b, c));
  }

  /** False when the id is already there. */
  add(bytes: Buffer, start: number): boolean {
    const a = bytes.readInt32LE(start);
    const b = bytes.readInt32LE(start + 4);
    const c = bytes.readInt32LE(start + 8);
    if ((a | b | c) === 0) {
      const isNew = !this.hasZero;
      this.hasZero = true;
      return isNew;
    }
    const place = this.placeFrom(this.slotOf(a, b, c), a, b, c);
    if (this.isUsed(place)) return false;
    this.put(place, a, b, c);
    this.used++;
    if (this.used * 4 > (this.mask + 1) * 3) this.grow();
    return true;
  }

  /** Adds the ids of a batch and empties it. */
  addAll(batch: ObjectIdBatch): void {
    while ((this.used + batch.count) * 4 > (this.mask + 1) * 3) this.grow();
    this.approach(batch);
    const { words, slots, count } = batch;
    for (let i = 0; i < count; i++) {
      const a = words[3 * i] as number;
      const b = words[3 * i + 1] as number;
      const c = words[3 * i + 2] as number;
      if ((a | b | c) === 0) {
        this.hasZero = true;
        continue;
      }
      const place = this.placeFrom(slots[i] as number, a, b, c);
      if (this.isUsed(place)) continue;
      this.put(place, a, b, c);
      this.used++;
    }
    batch.count = 0;
  }

  /** Sets `found[i]` to 1 or 0 for every id of a batch, and empties it. */
  findAll(batch: ObjectIdBatch, found: Uint8Array): void {
    this.approach(batch);
    const { words, slots, count } = batch;
    for (let i = 0; i < count; i++) {
      const a = words[3 * i] as number;
      const b = words[3 * i + 1] as number;
      const c = words[3 * i + 2] as number;
      const isThere =
        (a | b | c) === 0 ? this.hasZero : this.isUsed(this.placeFrom(slots[i] as number, a, b, c));
      found[i] = isThere ? 1 : 0;
    }
    batch.count = 0;
  }

  /** All ids, 12 bytes each, in no particular order. */
  packed(): Buffer {
    const { table } = this;
    const ids = Buffer.alloc(this.size * 12);
    let to = this.hasZero ? 12 : 0;
    for (let at = 0; at < table.length; at += WORDS) {
      if (!this.isUsed(at)) continue;
      for (let word = 0; word < WORDS; word++) to = ids.writeInt32LE(table[at + word] as number, to);
    }
    return ids;
  }

  /** Works out where each id of a batch begins to be looked for, and then reads there; two loops, so that the reads can overlap. */
  private approach({ words, slots, touched, count }: ObjectIdBatch): void {
    const { table } = this;
    for (let i = 0; i < count; i++) {
      slots[i] = this.slotOf(words[3 * i] as number, words[3 * i + 1] as number, words[3 * i + 2] as number);
    }
    for (let i = 0; i < count; i++) touched[i] = table[(slots[i] as number) * WORDS] as number;
  }

  private slotOf(a: number, b: number, c: number): number {
    return hashObjectId(a, b, c, 0) & this.mask;
  }

  /** Index of the id in the table, looking from `slot` on, or of the free place where it belongs. */
  private placeFrom(from: number, a: number, b: number, c: number): number {
    const { table, mask } = this;
    let slot = from;
    for (;;) {
      const at = slot * WORDS;
      const third = table[at + 2];
      if (third === c && table[at] === a && table[at + 1] === b) return at;
      if (third === 0 && table[at] === 0 && table[at + 1] === 0) return at;
      slot = (slot + 1) & mask;
    }
  }

  private isUsed(at: number): boolean {
    const { table } = this;
    return table[at] !== 0 || table[at + 1] !== 0 || table[at + 2] !== 0;
  }

  private put(at: number, a: number, b: number, c: number): void {
    const { table } = this;
    table[at] = a;
    table[at + 1] = b;
    table[at + 2] = c;
  }

  private grow(): void {
    const old = this.table;
    this.mask = (this.mask + 1) * (this.mask < SMALL_CAPACITY ? 4 : 2) - 1;
    this.table = new Int32Array((this.mask + 1) * WORDS);
    for (let at = 0; at < old.length; at += WORDS) {
      const a = old[at] as number;
      const b = old[at + 1] as number;
      const c = old[at + 2] as number;
      if ((a | b | c) !== 0) this.put(this.placeFrom(this.slotOf(a, b, c), a, b, c), a, b, c);
    }
  }
}
