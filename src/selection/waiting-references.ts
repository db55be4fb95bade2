/**
 * Documents of a tree, or of a loop over collections, that came by before the parent that would choose them: which keys each waits
 * for, and which keys it would add. When a key turns up, all that hangs on it is followed to its end at once, so that a chain of any
 * depth costs one reading of its documents, in whatever order they lie.
 *
 * It only ever finds sooner what reading the documents again and again finds too. Its memory is fixed, 72 MiB and mostly untouched: a
 * document with one key for itself and one for its parent takes some 45 bytes of it, so about 1.5 million may wait. Of more, as
 * many wait in the next reading (`begin`), from where this one had no room.
 */
import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { BsonFault } from '../bson/elements.ts';
import { hashBytes } from '../bson/flat-sets.ts';
import type { KeySet } from '../bson/key-set.ts';
import type { RawValue } from '../bson/types.ts';
import type { Matcher } from '../query/compile-query.ts';
import { QueryFault } from '../query/query-fault.ts';
import type { Route } from './routes.ts';

const BLOCK_BITS = 20;
const BLOCK_BYTES = 1 << BLOCK_BITS;

export interface WaitingSpace {
  /** Keys in their table, at most; a power of two. A quarter stays free. */
  readonly slots: number;
  /** Blocks of 1 MiB for the keys themselves. */
  readonly blocks: number;
  /** 32-bit words for who waits for what. */
  readonly words: number;
}

const SPACE: WaitingSpace = { slots: 1 << 21, blocks: 40, words: 6 * 1024 * 1024 };

/** Of a key: its length, its first wait (0 = none), the set it is or would be in, and its canonical bytes. */
const LENGTH_AT = 0;
const WAIT_AT = 4;
const SET_AT = 8;
const KEY_AT = 10;

const anyKey = (): boolean => true;

/** A route with its query, compiled. */
interface WaitingRoute {
  readonly route: Route;
  readonly matches: Matcher | undefined;
}

export class WaitingReferences {
  readonly #space: WaitingSpace;
  /** Sets whose keys are waited for. */
  readonly #sets: readonly KeySet[];
  readonly #numbers: ReadonlyMap<KeySet, number>;
  /** Places of keys plus one; 0 = free. */
  readonly #table: Int32Array;
  readonly #blocks: Buffer[] = [];
  /** First free byte of the last block. */
  #end = BLOCK_BYTES;
  #keys = 0;
  /**
   * Of a document by one route: how many keys it would add (0 once it has), and their places. Of a wait: the document's index here,
   * and the next wait for the same key. Index 0 is none.
   */
  readonly #words: Int32Array;
  #used = 1;
  readonly #canonical = new CanonicalBytes();
  #entry = Buffer.allocUnsafe(256);
  readonly #adding: number[] = [];
  /** Documents in this reading, once for each route, and how many of the first had their turn in earlier ones. */
  #offered = 0;
  #hadTheirTurn = 0;
  /** `#offered` when there was no more room. */
  #cutAt: number | undefined;
  #isComplete = true;

  constructor(routes: readonly Route[], space: WaitingSpace = SPACE) {
    this.#space = space;
    this.#sets = [...new Set(routes.flatMap(({ parent }) => (parent === undefined ? [] : [parent.keys])))];
    this.#numbers = new Map(this.#sets.map((keys, number) => [keys, number]));
    this.#table = new Int32Array(space.slots);
    this.#words = new Int32Array(space.words);
  }

  /** Before each reading of all documents: none waits. */
  begin(): void {
    this.#table.fill(0);
    this.#blocks.length = 0;
    this.#end = BLOCK_BYTES;
    this.#keys = 0;
    this.#used = 1;
    this.#hadTheirTurn = this.#cutAt ?? 0;
    this.#offered = 0;
    this.#cutAt = undefined;
    this.#isComplete = this.#hadTheirTurn === 0;
  }

  /** Every document that was not chosen in this reading waits: what is not chosen by now never will be. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The document is chosen by the route, which has put the keys it adds into their sets. */
  chosen({ feeds }: Route, bytes: Buffer, start: number): void {
    this.#offered++;
    for (const { path, keys } of feeds) {
      if (!this.#numbers.has(keys)) continue;
      path.some(bytes, start, (value) => {
        const place = this.#placeOf(keys, value, false);
        if (place !== undefined) this.#release(place);
        return false;
      });
    }
  }

  /** The document would be chosen by the route, for all that is known of it, and refers to no known parent. */
  wait({ route, matches }: WaitingRoute, bytes: Buffer, start: number): void {
    const { parent, feeds } = route;
    this.#offered++;
    if (parent === undefined || !feeds.some(({ keys }) => this.#numbers.has(keys))) return;
    if (this.#offered <= this.#hadTheirTurn || this.#cutAt !== undefined) return;
    try {
      if (!parent.path.some(bytes, start, anyKey)) return;
      if (matches !== undefined && !matches(bytes, start)) return;
      if (!this.#note(route, bytes, start)) this.#hasNoRoom();
    } catch (error) {
      // A fault only where the document is wanted, which another reading finds out.
      if (!(error instanceof BsonFault || error instanceof QueryFault)) throw error;
      this.#isComplete = false;
    }
  }

  #hasNoRoom(): void {
    // One that has no room even alone is left to the readings.
    this.#cutAt = this.#offered - (this.#offered - 1 > this.#hadTheirTurn ? 1 : 0);
    this.#isComplete = false;
  }

  /** False where there is no room. What was noted of it by then is true all the same. */
  #note({ parent, feeds }: Route, bytes: Buffer, start: number): boolean {
    const adding = this.#adding;
    adding.length = 0;
    let hasRoom = true;
    for (const { path, keys } of feeds) {
      if (!this.#numbers.has(keys)) continue;
      path.some(bytes, start, (value) => {
        const place = this.#placeOf(keys, value, true);
        if (place === undefined) hasRoom = false;
        else adding.push(place);
        return !hasRoom;
      });
    }
    if (adding.length === 0) return hasRoom;
    const document = this.#used;
    if (!hasRoom || document + 1 + adding.length > this.#words.length) return false;
    this.#words[document] = adding.length;
    this.#words.set(adding, document + 1);
    this.#used += 1 + adding.length;
    const { path, keys } = parent as NonNullable<Route['parent']>;
    path.some(bytes, start, (value) => {
      hasRoom = this.#waitFor(this.#placeOf(keys, value, true), document);
      return !hasRoom;
    });
    return hasRoom;
  }

  #waitFor(place: number | undefined, document: number): boolean {
    if (place === undefined || this.#used + 2 > this.#words.length) return false;
    const block = this.#blockOf(place);
    const at = (place & (BLOCK_BYTES - 1)) + WAIT_AT;
    this.#words[this.#used] = document;
    this.#words[this.#used + 1] = block.readInt32LE(at);
    block.writeInt32LE(this.#used, at);
    this.#used += 2;
    return true;
  }

  /** The key at the place is known: whoever waits for it adds its own keys, and so on. */
  #release(place: number): void {
    const words = this.#words;
    const known = [place];
    for (let next = known.pop(); next !== undefined; next = known.pop()) {
      const block = this.#blockOf(next);
      const at = (next & (BLOCK_BYTES - 1)) + WAIT_AT;
      let wait = block.readInt32LE(at);
      block.writeInt32LE(0, at);
      for (; wait !== 0; wait = words[wait + 1] as number) {
        const document = words[wait] as number;
        const count = words[document] as number;
        words[document] = 0;
        for (let i = 1; i <= count; i++) {
          const added = words[document + i] as number;
          this.#add(added);
          known.push(added);
        }
      }
    }
  }

  #add(place: number): void {
    const block = this.#blockOf(place);
    const at = place & (BLOCK_BYTES - 1);
    const end = at + KEY_AT + block.readInt32LE(at + LENGTH_AT);
    this.#sets[block.readUInt16LE(at + SET_AT)]?.addCanonical(block.subarray(at + KEY_AT, end));
  }

  #blockOf(place: number): Buffer {
    return this.#blocks[place >>> BLOCK_BITS] as Buffer;
  }

  /** Where the key of a set lies; undefined where it does not, or has no room. */
  #placeOf(keys: KeySet, value: RawValue, isWanted: boolean): number | undefined {
    const length = this.#setEntry(keys, value);
    const entry = this.#entry;
    const mask = this.#table.length - 1;
    let slot = hashBytes(entry, { start: SET_AT, end: length }, 0) & mask;
    for (;;) {
      const place = this.#table[slot] as number;
      if (place === 0) break;
      if (this.#isAt(place - 1, length)) return place - 1;
      slot = (slot + 1) & mask;
    }
    if (!isWanted || length > BLOCK_BYTES || this.#keys * 4 >= this.#table.length * 3) return undefined;
    if (this.#end + length > BLOCK_BYTES) {
      if (this.#blocks.length === this.#space.blocks) return undefined;
      this.#blocks.push(Buffer.allocUnsafeSlow(BLOCK_BYTES));
      this.#end = 0;
    }
    const place = ((this.#blocks.length - 1) << BLOCK_BITS) + this.#end;
    entry.copy(this.#blockOf(place), this.#end, 0, length);
    this.#end += length;
    this.#keys++;
    this.#table[slot] = place + 1;
    return place;
  }

  /** Makes the entry of a key that nobody waits for; returns its length. */
  #setEntry(keys: KeySet, value: RawValue): number {
    const { bytes, length } = this.#canonical.set(value);
    if (KEY_AT + length > this.#entry.length) this.#entry = Buffer.allocUnsafe(2 * (KEY_AT + length));
    this.#entry.writeInt32LE(length, LENGTH_AT);
    this.#entry.writeInt32LE(0, WAIT_AT);
    this.#entry.writeUInt16LE(this.#numbers.get(keys) as number, SET_AT);
    bytes.copy(this.#entry, KEY_AT, 0, length);
    return KEY_AT + length;
  }

  /** Whether the entry at the place is of the same key. */
  #isAt(place: number, length: number): boolean {
    const block = this.#blockOf(place);
    const at = place & (BLOCK_BYTES - 1);
    if (block.readInt32LE(at + LENGTH_AT) !== length - KEY_AT) return false;
    const entry = this.#entry;
    for (let i = SET_AT; i < length; i++) if (block[at + i] !== entry[i]) return false;
    return true;
  }
}
