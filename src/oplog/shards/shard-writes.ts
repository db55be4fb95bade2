/**
 * What happened to the documents of one collection on all shards of a cluster, whichever shard it was.
 *
 * A migration copies a document to another shard and takes it away from the first some time later, which is no change of it. Until then both hold
 * it, and only the one that owns it by now takes writes: what another shard still holds of a document that was written there last is an orphan.
 * (Before 6.0 a write of many documents went to orphans as well.) An `_id` costs about 60 bytes.
 */
import { findId } from '../../bson/documents.ts';
import { elements, keyOf, valueAt } from '../../bson/elements.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { commitTimestampOf, compareTimestamps, OP, type OplogEntry, type Timestamp } from '../entry.ts';
import { grown, IdTable } from '../id-table.ts';
import type { DocumentPast } from '../later.ts';
import { NO_RECORD, type RecordLog } from '../record-log.ts';
import { idOf } from '../touched.ts';
import type { AcrossShards } from '../windows/across-shards.ts';

const FIRST_CAPACITY = 64;

/** What is known of the last write. */
const DELETED = 1;
/** The shard that wrote it has given it away since. */
const GIVEN_AWAY = 2;

export class ShardWrites {
  readonly #log: RecordLog;
  readonly #ids = new IdTable();
  /** By number of the `_id`, of the last write that no migration made: when, 0 seconds for none; by which shard; what is known of it. */
  #seconds = new Uint32Array(FIRST_CAPACITY);
  #ordinals = new Uint32Array(FIRST_CAPACITY);
  #shards = new Uint8Array(FIRST_CAPACITY);
  #flags = new Uint8Array(FIRST_CAPACITY);
  /** The record with the key, of shard and document, that this write names; NO_RECORD: it names none. */
  #keys = new Float64Array(FIRST_CAPACITY);
  #changes = new Uint32Array(FIRST_CAPACITY);
  #inBackup = new Uint8Array(FIRST_CAPACITY);

  /** `log`: where the keys are kept. */
  constructor(log: RecordLog) {
    this.#log = log;
  }

  /** `shard` wrote a document at `at`; of each shard in the order of time. */
  written(shard: number, id: RawValue, at: Timestamp, { op, bytes, o, o2 }: OplogEntry): void {
    const number = this.#numberOf(id);
    this.#changes[number] = (this.#changes[number] as number) + 1;
    const isDeleted = op === OP.DELETE;
    const last = { seconds: this.#seconds[number] as number, ordinal: this.#ordinals[number] as number };
    const order = compareTimestamps(at, last);
    // At one time it is deleted and inserted where a transaction moves it to another shard key.
    if (order < 0 || (order === 0 && isDeleted)) return;
    this.#seconds[number] = at.seconds;
    this.#ordinals[number] = at.ordinal;
    this.#shards[number] = shard;
    this.#flags[number] = isDeleted ? DELETED : 0;
    const key = isDeleted ? o : o2;
    this.#keys[number] =
      key < 0 ? NO_RECORD : this.#log.append(NO_RECORD, 0, bytes, key, key + bytes.readInt32LE(key));
  }

  /** A migration copied it to `shard`, or took it away from there; of each shard in the order of time, with what it wrote. */
  moved(shard: number, id: RawValue, { op }: OplogEntry): void {
    const number = this.#numberOf(id);
    const flags = this.#flags[number] as number;
    if (this.#shards[number] !== shard || (flags & DELETED) !== 0) return;
    this.#flags[number] = op === OP.DELETE ? flags | GIVEN_AWAY : flags & ~GIVEN_AWAY;
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
    if (number < 0 || this.#seconds[number] === 0 || this.#shards[number] === shard) return false;
    const record = this.#keys[number] as number;
    if (record < 0 || this.#flags[number] === GIVEN_AWAY) return false;
    const { bytes: keys, start: key } = this.#log.read(record);
    return hasKey(bytes, start, keys, key);
  }

  pastOf(id: RawValue): DocumentPast | undefined {
    const number = this.find(id);
    if (number < 0) return undefined;
    const changes = this.#changes[number] as number;
    return { changes, isInserted: changes > 0 && this.#inBackup[number] === 0 };
  }

  #numberOf(id: RawValue): number {
    const number = this.#ids.numberOf(id);
    if (number === this.#seconds.length) {
      this.#seconds = grown(this.#seconds, new Uint32Array(number * 2));
      this.#ordinals = grown(this.#ordinals, new Uint32Array(number * 2));
      this.#shards = grown(this.#shards, new Uint8Array(number * 2));
      this.#flags = grown(this.#flags, new Uint8Array(number * 2));
      this.#keys = grown(this.#keys, new Float64Array(number * 2));
      this.#changes = grown(this.#changes, new Uint32Array(number * 2));
      this.#inBackup = grown(this.#inBackup, new Uint8Array(number * 2));
    }
    return number;
  }
}

/**
 * Whether the document has the shard key that a write names: under one `_id`, two shards may hold documents that have nothing to do with each
 * other.
 */
function hasKey(bytes: Buffer, start: number, keys: Buffer, key: number): boolean {
  const document = { bytes, type: BSON.OBJECT, start, end: start + bytes.readInt32LE(start) };
  for (const named of elements(keys, key)) {
    const path = keyOf(named);
    if (path === '_id') continue;
    const value = valueAt(document, path);
    if (value === 'array') return false; // no shard key has one
    const isThere =
      value !== undefined &&
      value.type === named.type &&
      bytes.compare(keys, named.start, named.end, value.start, value.end) === 0;
    // A document without the field is kept as if that were null.
    if (!isThere && !(value === undefined && named.type === BSON.NULL)) return false;
  }
  return true;
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
  if (isMigration(entry, container)) ofCollection.moved(number, id, entry);
  else ofCollection.written(number, id, commitTimestampOf(container) ?? container, entry);
}
