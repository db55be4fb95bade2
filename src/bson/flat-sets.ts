/**
 * Sets of millions of keys in flat tables, without an object per key; and the hashes they go by, which are not for anything that
 * an adversary must not steer.
 */

const FIRST_CAPACITY = 16;
const WORDS = 3;
/** Below this a table grows fourfold: moving all ids again and again is what costs. 6 MiB. */
const SMALL_CAPACITY = 1 << 19;

/**
 * A set of ObjectIds: open addressing over packed 12-byte keys, at most three quarters full.
 * 1,000,000 ids take 24 MiB (30 MiB for a moment while the table grows); a lookup reads one or two cache lines.
 */
export class ObjectIdSet {
  private table: Int32Array = new Int32Array(FIRST_CAPACITY * WORDS);
  private mask = FIRST_CAPACITY - 1;
  private used = 0;
  /** The id of twelve zero bytes marks a free place, so it is kept aside. */
  private hasZero = false;

  /** A set that `share` of another one described, perhaps in another thread. */
  static of({ table, used, hasZero }: SharedObjectIds): ObjectIdSet {
    const set = new ObjectIdSet();
    set.table = new Int32Array(table);
    set.mask = set.table.length / WORDS - 1;
    set.used = used;
    set.hasZero = hasZero;
    return set;
  }

  get size(): number {
    return this.used + (this.hasZero ? 1 : 0);
  }

  /** Moves into memory that threads can share, without a second copy. Nothing may be added afterwards. */
  share(): SharedObjectIds {
    this.table = shared(this.table);
    const { buffer } = this.table;
    return { table: buffer as SharedArrayBuffer, used: this.used, hasZero: this.hasZero };
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

/** What another thread needs to look ids up in the same memory. */
export interface SharedObjectIds {
  readonly table: SharedArrayBuffer;
  readonly used: number;
  readonly hasZero: boolean;
}

/** The same words in memory that threads can share. */
function shared(words: Int32Array): Int32Array {
  if (words.buffer instanceof SharedArrayBuffer) return words;
  const copy = new Int32Array(new SharedArrayBuffer(words.byteLength));
  copy.set(words);
  return copy;
}

/** As many as a table lookup can be spread over while their cache lines stay in the first-level cache. */
export const IDS_TOGETHER = 512;

/**
 * Some ObjectIds that are put into an `ObjectIdSet`, or looked up in it, together: first all places are worked out, then all are
 * touched, then compared. A large table misses the cache for nearly every id; asked for together, the misses overlap.
 * Measured with 1,000,000 ids, Node 20: 172 → 58 ns for a lookup, 150 → 75 ns for an addition.
 */
export class ObjectIdBatch {
  count = 0;
  /** Three words of each id. */
  readonly words = new Int32Array(3 * IDS_TOGETHER);
  /** For the set: where it begins to look for each. */
  readonly slots = new Int32Array(IDS_TOGETHER);
  /** For the set: what it found there first. Nobody looks at it; to have read it brings the place into the cache. */
  readonly touched = new Int32Array(IDS_TOGETHER);

  get isFull(): boolean {
    return this.count === IDS_TOGETHER;
  }

  /** Copies the id at `start`; there must be room. */
  push(bytes: Buffer, start: number): void {
    const at = 3 * this.count++;
    this.words[at] = bytes.readInt32LE(start);
    this.words[at + 1] = bytes.readInt32LE(start + 4);
    this.words[at + 2] = bytes.readInt32LE(start + 8);
  }
}

const BLOCK_BITS = 20;
const BLOCK_BYTES = 1 << BLOCK_BITS;
const LENGTH_BYTES = 4;

/**
 * A set of byte strings: keys lie in blocks one after another, and a table of their places is searched by open addressing, at
 * most three quarters full. A key of 29 bytes costs about 45 bytes in all.
 */
export class ByteSet {
  /** Places of keys plus one; 0 = free. */
  private table: Int32Array = new Int32Array(FIRST_CAPACITY);
  private readonly blocks: Buffer[] = [];
  /** First free byte of the last block. */
  private end = BLOCK_BYTES;
  private used = 0;
  /** Keys too long for a block. */
  private readonly long = new Set<string>();

  /** A set that `share` of another one described, perhaps in another thread. */
  static of({ table, blocks, end, used, long }: SharedBytes): ByteSet {
    const set = new ByteSet();
    set.table = new Int32Array(table);
    set.blocks.push(...blocks.map((block) => Buffer.from(block)));
    set.end = end;
    set.used = used;
    for (const key of long) set.long.add(key);
    return set;
  }

  get size(): number {
    return this.used + this.long.size;
  }

  /** Moves into memory that threads can share. Nothing may be added afterwards. */
  share(): SharedBytes {
    this.table = shared(this.table);
    for (const [i, block] of this.blocks.entries()) {
      if (block.buffer instanceof SharedArrayBuffer) continue;
      const copy = Buffer.from(new SharedArrayBuffer(block.length));
      block.copy(copy);
      this.blocks[i] = copy;
    }
    return {
      table: this.table.buffer as SharedArrayBuffer,
      blocks: this.blocks.map(({ buffer }) => buffer as unknown as SharedArrayBuffer),
      end: this.end,
      used: this.used,
      long: [...this.long],
    };
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

/** What another thread needs to look keys up in the same memory. */
export interface SharedBytes {
  readonly table: SharedArrayBuffer;
  readonly blocks: readonly SharedArrayBuffer[];
  readonly end: number;
  readonly used: number;
  readonly long: readonly string[];
}

/** 32-bit hash of the 12 bytes of an ObjectId, given as three words. Another `seed` gives an independent hash. */
export function hashObjectId(a: number, b: number, c: number, seed: number): number {
  return finish(mix(mix(mix(seed, a), b), c));
}

/** 32-bit hash of `bytes[start, end)`. Another `seed` gives an independent hash. */
export function hashBytes(
  bytes: Buffer,
  { start, end }: { start: number; end: number },
  seed: number,
): number {
  let hash = seed ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) hash = mix(hash, wordAt(bytes, at));
  let last = 0;
  for (; at < end; at++) last = (last << 8) | (bytes[at] as number);
  return finish(mix(hash, last));
}

/** The little-endian word at `at`, as a signed 32-bit integer; faster than readInt32LE, which checks its bounds again. */
export function wordAt(bytes: Buffer, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** One round and the finish of MurmurHash3 (Austin Appleby, public domain). */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
