/**
 * What happened behind the cut to the documents of one collection: not part of what is restored, but worth knowing of a document that is.
 *
 * An `_id` costs about 60 bytes.
 */
import type { RawValue } from '../bson/types.ts';
import { OP } from './entry.ts';
import { grown, IdTable } from './id-table.ts';

/** In the order of their numbers in files. deletedAgain: after it was inserted anew. */
export const LATER_ENDS = ['changed', 'deleted', 'insertedAgain', 'deletedAgain'] as const;
export type LaterEnd = (typeof LATER_ENDS)[number];

export interface LaterChange {
  readonly end: LaterEnd;
  /** Entries that touch it behind the cut. */
  readonly changes: number;
  /** When the first and the last of them were written, UTC milliseconds. */
  readonly first: number;
  readonly last: number;
}

/** What an oplog knows of one document. */
export interface DocumentPast {
  /** How many entries changed, inserted or deleted it before the cut; 0: it is as the backup has it. */
  readonly changes: number;
  /** The backup did not have it. */
  readonly isInserted: boolean;
  /** What happened to it behind the cut; absent: nothing, as far as was looked. */
  readonly later?: LaterChange;
}

/** How many documents of a collection have which past. */
export interface PastCounts {
  readonly rolled: number;
  readonly inserted: number;
  readonly later: Readonly<Record<LaterEnd, number>>;
}

export function noneLater(): Record<LaterEnd, number> {
  return { changed: 0, deleted: 0, insertedAgain: 0, deletedAgain: 0 };
}

/** Of what happened to a document on two shards: all of it. What happened at one time was a move. */
export function togetherLater(a: LaterChange, b: LaterChange): LaterChange {
  const isGone = ({ end }: LaterChange): boolean => end === 'deleted' || end === 'deletedAgain';
  const [before, after] = a.last < b.last || (a.last === b.last && isGone(a)) ? [a, b] : [b, a];
  const isMove = isGone(before) && before.last === after.last;
  const isAnew = isGone(before) && after.end === 'changed' && !isMove;
  return {
    end: isAnew ? 'insertedAgain' : after.end,
    changes: a.changes + b.changes - (isMove ? 1 : 0),
    first: Math.min(a.first, b.first),
    last: after.last,
  };
}

const FIRST_CAPACITY = 64;
const NOTHING = 0;

export class LaterChanges {
  readonly #ids: IdTable;
  /** By number of the `_id`: place in LATER_ENDS plus one. */
  #ends = new Uint8Array(FIRST_CAPACITY);
  #changes = new Uint32Array(FIRST_CAPACITY);
  #first = new Float64Array(FIRST_CAPACITY);
  #last = new Float64Array(FIRST_CAPACITY);

  /** `ids` may be shared with what else is known of the same documents. */
  constructor(ids: IdTable = new IdTable()) {
    this.#ids = ids;
  }

  /** What happened to it so far does not count. */
  forget(id: RawValue): void {
    const number = this.#ids.find(id);
    if (number < 0 || number >= this.#ends.length) return;
    this.#ends[number] = NOTHING;
    this.#changes[number] = 0;
  }

  /** An insert, update or delete of the document. `wall`: UTC milliseconds. */
  happened(op: number, id: RawValue, wall: number): void {
    if (op === OP.INSERT) this.#inserted(id, wall);
    else if (op === OP.DELETE) this.#deleted(id, wall);
    else this.#changed(id, wall);
  }

  #inserted(id: RawValue, wall: number): void {
    const number = this.#touch(id, wall);
    const isGone = this.#isAt(number, 'deleted') || this.#isAt(number, 'deletedAgain');
    if (isGone) this.#set(number, 'insertedAgain');
    else if (this.#ends[number] === NOTHING) this.#set(number, 'changed');
  }

  #changed(id: RawValue, wall: number): void {
    const number = this.#touch(id, wall);
    if (this.#ends[number] === NOTHING) this.#set(number, 'changed');
  }

  #deleted(id: RawValue, wall: number): void {
    const number = this.#touch(id, wall);
    this.#set(number, this.#isAt(number, 'insertedAgain') ? 'deletedAgain' : 'deleted');
  }

  /** Undefined: nothing happened to it. */
  of(id: RawValue): LaterChange | undefined {
    const number = this.#ids.find(id);
    if (number < 0 || !this.#changes[number]) return undefined;
    return {
      end: LATER_ENDS[(this.#ends[number] as number) - 1] as LaterEnd,
      changes: this.#changes[number] as number,
      first: this.#first[number] as number,
      last: this.#last[number] as number,
    };
  }

  #isAt(number: number, end: LaterEnd): boolean {
    return this.#ends[number] === LATER_ENDS.indexOf(end) + 1;
  }

  #set(number: number, end: LaterEnd): void {
    this.#ends[number] = LATER_ENDS.indexOf(end) + 1;
  }

  #touch(id: RawValue, wall: number): number {
    const number = this.#ids.numberOf(id);
    if (number >= this.#ends.length) {
      this.#ends = grown(this.#ends, new Uint8Array(number * 2));
      this.#changes = grown(this.#changes, new Uint32Array(number * 2));
      this.#first = grown(this.#first, new Float64Array(number * 2));
      this.#last = grown(this.#last, new Float64Array(number * 2));
    }
    if (this.#changes[number] === 0) this.#first[number] = wall;
    this.#changes[number] = (this.#changes[number] as number) + 1;
    this.#last[number] = wall;
    return number;
  }
}
