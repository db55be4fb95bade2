/** What is noted when a document is deleted or changed in a window: the state that it is rolled to, and what decides whether it counts. */
import type { Timestamp } from '../entry.ts';
import { grown } from '../id-table.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';

/** Kinds of notes: whether the document itself has to be looked at. */
export const CERTAIN = 0;
export const UNLESS_EXPIRED = 1;
export const IF_FIELDS_DIFFER = 2;
/** Only if it was deleted here because its shard key changed. */
export const IF_MOVED = 3;

export interface Note {
  readonly kind: number;
  /** The document's state before, and after. */
  readonly before: number;
  readonly after: number;
  readonly wall: number;
  /** Entries that made it what it was before. */
  readonly changes: number;
  /** When it takes effect: of a transaction of several shards, on all of them. */
  readonly at: Timestamp;
  /** State of the TTL indexes. */
  readonly ttl: number;
}

const FIRST_CAPACITY = 64;
/** State before, state after, wall, changes so far, state of the TTL indexes, timestamp. */
const NOTE_BYTES = 8 + 8 + 8 + 4 + 4 + 8;

/** The notes of a window, of each document a chain. */
export class Notes {
  readonly #log: RecordLog;
  /** By number of the document: the newest note of it. */
  #newest = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);
  /** Of changed documents, alike: the state after the newest change that counts, and the one that the document was given in. */
  #after = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);
  #given = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);
  readonly #note = Buffer.alloc(NOTE_BYTES);

  constructor(log: RecordLog) {
    this.#log = log;
  }

  /** The newest note of a document; NO_RECORD where it has none. */
  newestOf(number: number): number {
    return this.#newest[number] ?? NO_RECORD;
  }

  /** Whether nothing more has to be looked at; false where there is no note. */
  isCertain(number: number): boolean {
    const newest = this.newestOf(number);
    return newest !== NO_RECORD && this.#log.read(newest).kind === CERTAIN;
  }

  /** All notes of a document, oldest first. */
  of(number: number): number[] {
    return [...this.#log.chain(this.newestOf(number))];
  }

  /** A change that counts made this of the document, which has a note. */
  became(number: number, after: number): void {
    if (number >= this.#after.length) {
      const size = Math.max(number + 1, this.#after.length * 2);
      this.#after = grown(this.#after, new Float64Array(size).fill(NO_RECORD));
      this.#given = grown(this.#given, new Float64Array(size).fill(NO_RECORD));
    }
    this.#after[number] = after;
  }

  /** A changed document is given in this state. */
  gave(number: number, state: number): void {
    if (number < this.#given.length) this.#given[number] = state;
  }

  /** From the state that it was given in to the one after the newest change that counts; undefined where `became` was not told. */
  changeOf(number: number): { readonly from: number; readonly to: number } | undefined {
    const to = this.#after[number] ?? NO_RECORD;
    return to === NO_RECORD ? undefined : { from: this.#given[number] as number, to };
  }

  /** `isLast`: those before it do not matter any more. */
  add(number: number, { kind, before, after, wall, changes, ttl, at }: Note, isLast: boolean): void {
    const note = this.#note;
    note.writeDoubleLE(before, 0);
    note.writeDoubleLE(after, 8);
    note.writeDoubleLE(wall, 16);
    note.writeUInt32LE(changes, 24);
    note.writeUInt32LE(ttl, 28);
    note.writeUInt32LE(at.seconds, 32);
    note.writeUInt32LE(at.ordinal, 36);
    if (number >= this.#newest.length) {
      const larger = new Float64Array(Math.max(number + 1, this.#newest.length * 2)).fill(NO_RECORD);
      larger.set(this.#newest);
      this.#newest = larger;
    }
    const previous = isLast ? NO_RECORD : (this.#newest[number] as number);
    this.#newest[number] = this.#log.append(previous, kind, note, 0, NOTE_BYTES);
  }

  read(note: number): Note {
    const { kind, bytes, start } = this.#log.read(note);
    return {
      kind,
      before: bytes.readDoubleLE(start),
      after: bytes.readDoubleLE(start + 8),
      wall: bytes.readDoubleLE(start + 16),
      changes: bytes.readUInt32LE(start + 24),
      ttl: bytes.readUInt32LE(start + 28),
      at: { seconds: bytes.readUInt32LE(start + 32), ordinal: bytes.readUInt32LE(start + 36) },
    };
  }
}
