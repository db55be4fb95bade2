/**
 * What happened to the documents of one collection on all shards of a cluster, whichever shard it was.
 *
 * A migration copies a document to another shard and takes it away from the first some time later, which is no change of it. Until then both hold
 * it, and only the one that owns it by now takes writes. A write names the shard key that the document had, and may leave it with another one, on the
 * same shard: so it is kept which shard wrote under each key last. What another shard still holds under that key is an orphan. (Before 6.0 a write
 * of many documents went to orphans as well.) Two shards may also hold documents that have nothing to do with each other under one `_id`; then
 * their keys differ. An `_id` costs about 75 bytes.
 */
import { findId } from '../../bson/documents.ts';
import type { RawValue } from '../../bson/types.ts';
import { commitTimestampOf, compareTimestamps, OP, type OplogEntry, type Timestamp } from '../entry.ts';
import { grown, IdTable } from '../id-table.ts';
import type { DocumentPast } from '../later.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';
import { idOf } from '../touched.ts';
import type { AcrossShards } from '../windows/across-shards.ts';
import { DocumentKeys } from './document-keys.ts';

const FIRST_CAPACITY = 64;

/** What is known of the last write under a key. */
const GONE = 1; // it deleted the document, or gave it another key
const GIVEN_AWAY = 2; // the shard that wrote it holds it no more, since a migration

/** In place of a number of a write: there is none. */
const NONE = 0;

export class ShardWrites {
  readonly #log: RecordLog;
  readonly #ids = new IdTable();
  readonly #keys = new DocumentKeys();
  /** By number of the `_id`: its newest key, by the number of the write under it; the newest record of what migrations did to it. */
  #newest = new Uint32Array(FIRST_CAPACITY);
  #moves = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);
  #changes = new Uint32Array(FIRST_CAPACITY);
  #inBackup = new Uint8Array(FIRST_CAPACITY);
  /** By number, from 1 on, of the last write under a key that no migration made: when; by which shard; what is known of it; the `_id`'s key before. */
  #count = 0;
  #key = new Uint32Array(FIRST_CAPACITY);
  #seconds = new Uint32Array(FIRST_CAPACITY);
  #ordinals = new Uint32Array(FIRST_CAPACITY);
  #shards = new Uint8Array(FIRST_CAPACITY);
  #flags = new Uint8Array(FIRST_CAPACITY);
  #before = new Uint32Array(FIRST_CAPACITY);
  readonly #move = Buffer.alloc(9);

  /** `log`: where it is kept what migrations did. */
  constructor(log: RecordLog) {
    this.#log = log;
  }

  /** `shard` wrote a document at `at`; of each shard in the order of time. Throws OplogFault. */
  written(shard: number, id: RawValue, at: Timestamp, entry: OplogEntry): void {
    const number = this.#numberOf(id);
    this.#changes[number] = (this.#changes[number] as number) + 1;
    const named = this.#keys.named(entry);
    const after = this.#keys.after(entry, named);
    if (after !== named) this.#wrote(this.#writeOf(number, named), shard, at, GONE);
    if (after !== undefined) this.#wrote(this.#writeOf(number, after), shard, at, 0);
  }

  #wrote(write: number, shard: number, at: Timestamp, flags: number): void {
    const order = compareTimestamps(at, this.#timeOf(write));
    // A transaction writes several times at one time: on one shard in this order.
    if (order < 0 || (order === 0 && flags === GONE && this.#shards[write] !== shard)) return;
    this.#seconds[write] = at.seconds;
    this.#ordinals[write] = at.ordinal;
    this.#shards[write] = shard;
    this.#flags[write] = flags;
  }

  /** A migration brought it to `shard` at `at`, changed it there, or took it away; of each shard in the order of time, with what it wrote. */
  moved(shard: number, id: RawValue, at: Timestamp, { op }: OplogEntry): void {
    const number = this.#numberOf(id);
    const isAway = op === OP.DELETE;
    for (let write = this.#newest[number] as number; write !== NONE; write = this.#before[write] as number) {
      if (this.#shards[write] === shard && this.#flags[write] !== GONE)
        this.#flags[write] = isAway ? GIVEN_AWAY : 0;
    }
    const move = this.#move;
    move.writeUInt32LE(at.seconds, 0);
    move.writeUInt32LE(at.ordinal, 4);
    move[8] = isAway ? 1 : 0;
    this.#moves[number] = this.#log.append(this.#moves[number] as number, shard, move, 0, move.length);
  }

  beginReading(): void {
    this.#inBackup.fill(0);
  }

  /** The number of an `_id`; -1: nothing happened to it anywhere. */
  find(id: RawValue): number {
    return this.#ids.find(id);
  }

  /** The dump of some shard has it. */
  meet(number: number): void {
    this.#inBackup[number] = 1;
  }

  /** Whether the document at `start`, which `shard` still holds, is another shard's by now, or was deleted there. */
  isOrphan(shard: number, bytes: Buffer, start: number): boolean {
    const id = findId(bytes, start);
    const number = id === undefined ? -1 : this.find(id);
    const write = number < 0 ? NONE : this.#lastWriteOf(number, bytes, start);
    if (write === NONE || this.#shards[write] === shard) return false;
    if (this.#flags[write] !== GIVEN_AWAY) return true;
    // Whoever was brought it since has it as it was written. Of one who had it like that already, no entry says so.
    const holders = this.#broughtSince(number, this.#timeOf(write));
    return holders.size > 0 && !holders.has(shard);
  }

  pastOf(id: RawValue): DocumentPast | undefined {
    const number = this.find(id);
    if (number < 0) return undefined;
    const changes = this.#changes[number] as number;
    return { changes, isInserted: changes > 0 && this.#inBackup[number] === 0 };
  }

  /** The last write under a key of the document at `start`. */
  #lastWriteOf(number: number, bytes: Buffer, start: number): number {
    let last = NONE;
    if (this.#newest[number] === NONE) return last;
    for (const key of this.#keys.of(bytes, start)) {
      const write = this.#writeUnder(number, key);
      if (write !== NONE && (last === NONE || compareTimestamps(this.#timeOf(write), this.#timeOf(last)) > 0))
        last = write;
    }
    return last;
  }

  /** The shards to which migrations brought it after a time, and that hold it still. */
  #broughtSince(number: number, time: Timestamp): Set<number> {
    const holders = new Set<number>();
    for (const each of this.#log.chain(this.#moves[number] as number)) {
      const { kind: shard, bytes, start } = this.#log.read(each);
      const at = { seconds: bytes.readUInt32LE(start), ordinal: bytes.readUInt32LE(start + 4) };
      if (compareTimestamps(at, time) <= 0) continue;
      if (bytes[start + 8] === 1) holders.delete(shard);
      else holders.add(shard);
    }
    return holders;
  }

  #timeOf(write: number): Timestamp {
    return { seconds: this.#seconds[write] as number, ordinal: this.#ordinals[write] as number };
  }

  /** The write under a key of the `_id` with that number; NONE: there was none. */
  #writeUnder(number: number, key: number): number {
    let write = this.#newest[number] as number;
    while (write !== NONE && this.#key[write] !== key) write = this.#before[write] as number;
    return write;
  }

  #writeOf(number: number, key: number): number {
    const known = this.#writeUnder(number, key);
    if (known !== NONE) return known;
    const write = ++this.#count;
    if (write === this.#key.length) {
      this.#key = grown(this.#key, new Uint32Array(write * 2));
      this.#seconds = grown(this.#seconds, new Uint32Array(write * 2));
      this.#ordinals = grown(this.#ordinals, new Uint32Array(write * 2));
      this.#shards = grown(this.#shards, new Uint8Array(write * 2));
      this.#flags = grown(this.#flags, new Uint8Array(write * 2));
      this.#before = grown(this.#before, new Uint32Array(write * 2));
    }
    this.#key[write] = key;
    this.#before[write] = this.#newest[number] as number;
    this.#newest[number] = write;
    return write;
  }

  #numberOf(id: RawValue): number {
    const number = this.#ids.numberOf(id);
    if (number === this.#newest.length) {
      this.#newest = grown(this.#newest, new Uint32Array(number * 2));
      this.#moves = grown(this.#moves, new Float64Array(number * 2).fill(NO_RECORD));
      this.#changes = grown(this.#changes, new Uint32Array(number * 2));
      this.#inBackup = grown(this.#inBackup, new Uint8Array(number * 2));
    }
    return number;
  }
}

/** Which shard an oplog is of. */
export interface ShardScope {
  readonly number: number;
  /** For each of the collections: what happened to its documents on any shard. */
  readonly writes: readonly ShardWrites[];
  /** For each of them, and each of its windows. */
  readonly across: readonly (readonly AcrossShards[])[];
}

/** Whether it only brings documents from one shard to another. */
export function isMigration(entry: OplogEntry, container: OplogEntry): boolean {
  return entry.fromMigrate || container.fromMigrate;
}

export function noteWrite(
  { number, writes }: ShardScope,
  index: number,
  entry: OplogEntry,
  container: OplogEntry,
): void {
  const id = idOf(entry);
  const ofCollection = writes[index] as ShardWrites;
  if (isMigration(entry, container)) ofCollection.moved(number, id, container, entry);
  else ofCollection.written(number, id, commitTimestampOf(container) ?? container, entry);
}
