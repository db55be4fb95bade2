/**
 * Repeated `_id`s, found while the documents come by: which of a collection's may have come before, in a fixed amount of memory for all.
 */
import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { hashBytes, hashObjectId, wordAt } from '../bson/flat-sets.ts';
import { BSON, type RawValue } from '../bson/types.ts';

/** 16 MiB, of which only the pages that are written to take memory. */
const WORDS = 1 << 22;
/** A block is one cache line: all bits of an `_id` lie in it, so a question costs one cache miss. */
const BLOCK_WORDS = 16;
const BLOCK_MASK = WORDS / BLOCK_WORDS - 1;
const BIT_MASK = 32 * BLOCK_WORDS - 1;
/** `_id`s in the first table. So many leave it so empty that a wrong "seen", for which the file is gone through again, is unlikely at all. */
const FIRST_TABLE_IDS = 1_000_000;
/** Makes two more places out of both hashes. */
const THIRD_FACTOR = 0x9e3779b1;
/** `_id`s looked up together: their cache misses then overlap, which makes each five times cheaper. */
const IDS_NOTED_TOGETHER = 512;

/**
 * Remembers which `_id`s were seen, in a fixed amount of memory: a blocked Bloom filter with six bits per `_id`, 16 MiB of it for the
 * first million and as much for all others.
 *
 * "Not seen" is certain. "Seen" is wrong for none of two million `_id`s, and for 3 in 10,000 of ten million (measured), so whoever is told
 * "seen" looks again.
 */
export class IdFilter {
  readonly #first = new Int32Array(WORDS);
  #second: Int32Array | undefined;
  /** What was read to bring blocks into the cache. */
  readonly #touched = new Int32Array(IDS_NOTED_TOGETHER);
  #noted = 0;
  #scopes = 0;

  /** A number that keeps the `_id`s of one collection apart from all others. */
  newScope(): number {
    this.#scopes++;
    return Math.imul(this.#scopes, 0x9e3779b1);
  }

  /**
   * Notes `count` (at most `IDS_NOTED_TOGETHER`) `_id`s, each given as two hashes, and sets `seen[i]` to 1 where it may have been noted
   * before, else to 0.
   */
  noteAll(hashes: Int32Array, count: number, seen: Uint8Array): void {
    seen.fill(0, 0, count);
    if (this.#noted >= FIRST_TABLE_IDS) {
      this.#second ??= new Int32Array(WORDS);
      this.#approach(this.#first, hashes, count);
      for (let i = 0; i < count; i++)
        seen[i] = bitsAt(this.#first, hashes[2 * i] as number, hashes[2 * i + 1] as number);
    }
    const table = this.#second ?? this.#first;
    this.#approach(table, hashes, count);
    for (let i = 0; i < count; i++)
      seen[i] = (seen[i] as number) | setBits(table, hashes[2 * i] as number, hashes[2 * i + 1] as number);
    this.#noted += count;
  }

  /** Reads every block once, in a loop that does nothing else, so that the cache misses overlap. */
  #approach(table: Int32Array, hashes: Int32Array, count: number): void {
    const touched = this.#touched;
    for (let i = 0; i < count; i++)
      touched[i] = table[BLOCK_WORDS * ((hashes[2 * i] as number) & BLOCK_MASK)] as number;
  }
}

/** Sets the six bits of an `_id`; 1 when all were set before. Nine bits of a hash name each. */
function setBits(table: Int32Array, first: number, second: number): number {
  const block = BLOCK_WORDS * (first & BLOCK_MASK);
  const third = Math.imul(first ^ (second >>> 5), THIRD_FACTOR);
  return (
    setBit(table, block, first >>> 23) &
    setBit(table, block, second) &
    setBit(table, block, second >>> 9) &
    setBit(table, block, second >>> 18) &
    setBit(table, block, third >>> 14) &
    setBit(table, block, third >>> 23)
  );
}

/** 1 when the six bits of an `_id` are set. */
function bitsAt(table: Int32Array, first: number, second: number): number {
  const block = BLOCK_WORDS * (first & BLOCK_MASK);
  const third = Math.imul(first ^ (second >>> 5), THIRD_FACTOR);
  return (
    bitAt(table, block, first >>> 23) &
    bitAt(table, block, second) &
    bitAt(table, block, second >>> 9) &
    bitAt(table, block, second >>> 18) &
    bitAt(table, block, third >>> 14) &
    bitAt(table, block, third >>> 23)
  );
}

/** Sets a bit of a block; 1 when it was set before. */
function setBit(table: Int32Array, block: number, bit: number): number {
  const at = block + ((bit & BIT_MASK) >>> 5);
  const word = table[at] as number;
  table[at] = word | (1 << (bit & 31));
  return (word >>> (bit & 31)) & 1;
}

function bitAt(table: Int32Array, block: number, bit: number): number {
  return ((table[block + ((bit & BIT_MASK) >>> 5)] as number) >>> (bit & 31)) & 1;
}

/** For the second hash of an `_id`. */
const SECOND_SEED = 0x5bd1e995;
/** Suspects held per collection. */
const MOST_SUSPECTS = 200_000;

/** `_id`s that are looked up together. */
interface Batch {
  readonly key: CanonicalBytes;
  readonly hashes: Int32Array;
  readonly seen: Uint8Array;
}

function newBatch(): Batch {
  return {
    key: new CanonicalBytes(),
    hashes: new Int32Array(2 * IDS_NOTED_TOGETHER),
    seen: new Uint8Array(IDS_NOTED_TOGETHER),
  };
}

/** Of collections that rest. */
const spare: Batch[] = [];

/** Watches the `_id`s of one collection for repetitions. */
export class IdWatch {
  readonly #filter: IdFilter;
  readonly #scope: number;
  #batch: Batch | undefined;
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
    this.#batch ??= spare.pop() ?? newBatch();
    const { hashes, key } = this.#batch;
    const at = 2 * this.#waiting;
    if (id.type === BSON.OBJECT_ID) {
      const a = wordAt(id.bytes, id.start);
      const b = wordAt(id.bytes, id.start + 4);
      const c = wordAt(id.bytes, id.start + 8);
      hashes[at] = hashObjectId(a, b, c, this.#scope);
      hashes[at + 1] = hashObjectId(a, b, c, this.#scope ^ SECOND_SEED);
    } else {
      const { bytes, length } = key.set(id);
      hashes[at] = hashBytes(bytes, { start: 0, end: length }, this.#scope);
      hashes[at + 1] = hashBytes(bytes, { start: 0, end: length }, this.#scope ^ SECOND_SEED);
    }
    if (++this.#waiting === IDS_NOTED_TOGETHER) this.#lookUp();
  }

  /** Indexes, in order, of documents whose `_id` may have come before; empty is certain, undefined means that any may. */
  suspects(): readonly number[] | undefined {
    this.#lookUp();
    return this.#suspects;
  }

  /** Gives back its memory until the next `_id` comes: there may be thousands of collections. */
  rest(): void {
    this.#lookUp();
    if (this.#batch !== undefined) spare.push(this.#batch);
    this.#batch = undefined;
  }

  #lookUp(): void {
    if (this.#batch === undefined) return;
    const { hashes, seen } = this.#batch;
    this.#filter.noteAll(hashes, this.#waiting, seen);
    for (let i = 0; i < this.#waiting; i++) if (seen[i] === 1) this.#suspects?.push(this.#noted + i);
    this.#noted += this.#waiting;
    this.#waiting = 0;
    if ((this.#suspects?.length ?? 0) > MOST_SUSPECTS) this.#suspects = undefined;
  }
}
