/**
 * What a window's documents met with on all shards of a cluster, as far as it decides which shard gives one back.
 *
 * Each shard tells its own deletions and changes. Of a document that was deleted on several shards the last deletion counts, of one that was
 * changed on several the first change. A transaction that moves a document to another shard key deletes it on one shard and inserts it on another, at
 * one commit timestamp: that is no deletion. Where two shards give a document all the same, whoever joins them refuses it by its `_id`, unless
 * both give the same. An `_id` costs about 50 bytes.
 */
import type { RawValue } from '../../bson/types.ts';
import { compareTimestamps, type Timestamp } from '../entry.ts';
import { grown, IdTable } from '../id-table.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';

const FIRST_CAPACITY = 64;
/** Commit timestamp before a document that was moved. */
const MOVE_HEADER = 8;

export class AcrossShards {
  readonly #which: 'first' | 'last';
  readonly #log: RecordLog;
  readonly #ids = new IdTable();
  /** By number of the `_id`: when what is certain happened, 0 seconds for never, and on which shard. */
  #seconds = new Uint32Array(FIRST_CAPACITY);
  #ordinals = new Uint32Array(FIRST_CAPACITY);
  #shards = new Uint8Array(FIRST_CAPACITY);
  readonly #movedIds = new IdTable();
  /** By number of the `_id` there: the newest move. */
  #moves = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);

  /** `log`: where documents are kept that were moved. */
  constructor(kind: 'deleted' | 'changed', log: RecordLog) {
    this.#which = kind === 'deleted' ? 'last' : 'first';
    this.#log = log;
  }

  /** It was deleted, or changed, on a shard, whatever else is found out of it. */
  settled(shard: number, id: RawValue, at: Timestamp): void {
    const number = this.#ids.numberOf(id);
    if (number === this.#seconds.length) {
      this.#seconds = grown(this.#seconds, new Uint32Array(number * 2));
      this.#ordinals = grown(this.#ordinals, new Uint32Array(number * 2));
      this.#shards = grown(this.#shards, new Uint8Array(number * 2));
    }
    const known = this.#settledAt(number);
    if (known.seconds > 0 && !this.#counts(at, known)) return;
    this.#seconds[number] = at.seconds;
    this.#ordinals[number] = at.ordinal;
    this.#shards[number] = shard;
  }

  /** A transaction of several shards, committed at `at`, inserted the document at `start`. */
  inserted(id: RawValue, at: Timestamp, bytes: Buffer, start: number): void {
    const number = this.#movedIds.numberOf(id);
    if (number === this.#moves.length)
      this.#moves = grown(this.#moves, new Float64Array(number * 2).fill(NO_RECORD));
    const length = bytes.readInt32LE(start);
    const record = Buffer.allocUnsafe(MOVE_HEADER + length);
    record.writeUInt32LE(at.seconds, 0);
    record.writeUInt32LE(at.ordinal, 4);
    bytes.copy(record, MOVE_HEADER, start, start + length);
    this.#moves[number] = this.#log.append(this.#moves[number] as number, 0, record, 0, record.length);
  }

  /** What the document with these canonical bytes as its `_id`, deleted by what was committed at `at`, became on another shard; undefined: it was deleted. */
  movedTo(key: Buffer, at: Timestamp): Buffer | undefined {
    const number = this.#movedIds.findKey(key);
    for (const each of number < 0 ? [] : this.#log.chain(this.#moves[number] as number)) {
      const { bytes, start, end } = this.#log.read(each);
      const time = { seconds: bytes.readUInt32LE(start), ordinal: bytes.readUInt32LE(start + 4) };
      if (compareTimestamps(time, at) === 0) return Buffer.from(bytes.subarray(start + MOVE_HEADER, end));
    }
    return undefined;
  }

  /** Another shard gives the document: what happened to it there comes later, or for a change earlier. */
  isElsewhere(shard: number, key: Buffer, at: Timestamp): boolean {
    const number = this.#ids.findKey(key);
    return number >= 0 && this.#shards[number] !== shard && this.#counts(this.#settledAt(number), at);
  }

  #settledAt(number: number): Timestamp {
    return { seconds: this.#seconds[number] as number, ordinal: this.#ordinals[number] as number };
  }

  /** Rather than another one. */
  #counts(one: Timestamp, other: Timestamp): boolean {
    const order = compareTimestamps(one, other);
    return this.#which === 'last' ? order > 0 : order < 0;
  }
}

/** The shard that a window is of, and what all of them know together. */
export interface ShardOfWindow {
  readonly number: number;
  readonly across: AcrossShards;
}
