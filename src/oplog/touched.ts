import { findId, storedForm } from '../bson/documents.ts';
import type { RawValue } from '../bson/types.ts';
import { OP, type OplogEntry } from './entry.ts';
import { OplogFault, WithoutBase } from './faults.ts';
import { grown, IdTable } from './id-table.ts';
import { NO_RECORD, type RecordLog } from './record-log.ts';
import { DocumentWriter } from './updates/document-writer.ts';
import { applyUpdate, updateKind } from './updates/update.ts';

/** In place of a record: the document was deleted. */
export const DELETED = -2;

/** Kinds of records. A deletion holds when it was (double), and points back to what the document was before. */
const WHOLE = 0;
const CHANGE = 1;
const DELETION = 2;

const FIRST_CAPACITY = 64;

const WITHOUT_DOCUMENT =
  'an update changes it, or it was deleted, and neither the backup nor the oplog has the document as it was before: it was inserted before the oplog begins, and the backup lacks it';

/** Takes a document that an oplog made or changed; the bytes are lent. */
export type TakeDocument = (bytes: Buffer, start: number, end: number) => void;

/** Takes a document as it was just before its last deletion, and when that was, UTC milliseconds; the bytes are lent. */
export type TakeDeleted = (bytes: Buffer, start: number, wall: number) => void;

/**
 * The documents of one collection that an oplog touches, and what happened to each, in order.
 *
 * Their `_id`s lie in memory, about 48 bytes for an ObjectId with all that belongs to it; the changes lie in a RecordLog. What a document was
 * before it was inserted or replaced is forgotten at once, and so is what it was before it was deleted, unless `remove` keeps it.
 */
export class TouchedDocuments {
  readonly #log: RecordLog;
  readonly #ids: IdTable;
  /** By number of the `_id`: the newest record of its chain; where it is a deletion, as `deletedBy` has it. */
  #newest = new Float64Array(FIRST_CAPACITY).fill(NO_RECORD);
  #changes = new Uint32Array(FIRST_CAPACITY);
  /** Whether the backup has the document; whether it came from another shard. */
  #met = new Uint8Array(FIRST_CAPACITY);
  #arrived = new Uint8Array(FIRST_CAPACITY);
  readonly #writers = [new DocumentWriter(), new DocumentWriter()] as const;
  readonly #time = Buffer.alloc(8);

  /** `ids` may be shared with what else is known of the same documents. */
  constructor(log: RecordLog, ids: IdTable = new IdTable()) {
    this.#log = log;
    this.#ids = ids;
  }

  /** How many documents were touched. */
  get size(): number {
    return this.#ids.size;
  }

  /**
   * Keeps what an insert, update or delete does; returns the document's number. `isMigrated`: it only brought the document to or from another shard,
   * and is no change of it. Throws OplogFault for what cannot be followed.
   */
  take(operation: OplogEntry, isMigrated = false): number {
    const number = this.#take(operation);
    if (!isMigrated) return number;
    this.#changes[number] = (this.#changes[number] as number) - 1;
    if (operation.op === OP.INSERT) this.#arrived[number] = 1;
    return number;
  }

  #take(operation: OplogEntry): number {
    const { bytes, op, o, upsert } = operation;
    const id = idOf(operation);
    if (op === OP.INSERT) return this.#put(id, bytes, o);
    if (op === OP.DELETE) return this.#remove(id);
    if (updateKind(bytes, o) === 'whole') return this.#put(id, bytes, o);
    if (upsert) throw new OplogFault('it is an update that may make its document, which is not known here');
    return this.#change(id, bytes, o);
  }

  /** The document is the one at `start` now, which no entry made it: its number. */
  know(id: RawValue, bytes: Buffer, start: number): number {
    const number = this.#put(id, bytes, start);
    this.#changes[number] = (this.#changes[number] as number) - 1;
    return number;
  }

  /** The document at `start` was inserted, or replaces what was there. */
  #put(id: RawValue, bytes: Buffer, start: number): number {
    const document = storedForm(bytes, start);
    const number = this.#numberOf(id);
    this.#newest[number] = this.#log.append(NO_RECORD, WHOLE, document, 0, document.length);
    return number;
  }

  /** The update at `start`, a diff or modifiers, changed the document. */
  #change(id: RawValue, bytes: Buffer, start: number): number {
    const number = this.#numberOf(id);
    const end = start + bytes.readInt32LE(start);
    this.#newest[number] = this.#log.append(this.stateOf(number), CHANGE, bytes, start, end);
    return number;
  }

  /** Takes a deletion, of which `rollDeleted` is to tell. `wall`: when it was, UTC milliseconds. */
  remove(operation: OplogEntry, wall: number): void {
    const before = this.stateOf(this.find(idOf(operation)));
    const number = this.take(operation);
    this.#time.writeDoubleLE(wall);
    this.#newest[number] = deletedBy(this.#log.append(before, DELETION, this.#time, 0, this.#time.length));
  }

  #remove(id: RawValue): number {
    // First the number: it may bring a larger table.
    const number = this.#numberOf(id);
    this.#newest[number] = DELETED;
    return number;
  }

  /** No document is left. */
  removeAll(): void {
    this.#newest.fill(DELETED, 0, this.size);
  }

  /** What the document is now, for `rollTo`; a record that is not to be read is DELETED, or NO_RECORD: as the backup has it. */
  stateOf(number: number): number {
    return number < 0 ? NO_RECORD : Math.max(this.#newest[number] as number, DELETED);
  }

  /** The number of a touched document; -1 where it was not touched. */
  find(id: RawValue): number {
    return this.#ids.find(id);
  }

  /** The canonical bytes of the `_id`, lent. */
  idKey(number: number): Buffer {
    return this.#ids.key(number);
  }

  /** How many entries changed, inserted or deleted it. */
  changesOf(number: number): number {
    return this.#changes[number] as number;
  }

  /** Whether the backup had it, as far as it was read. */
  isMet(number: number): boolean {
    return this.#met[number] === 1;
  }

  /** Neither the backup had it, as far as it was read, nor another shard, as far as it is known here. */
  isInserted(number: number): boolean {
    return this.#met[number] === 0 && this.#arrived[number] === 0;
  }

  /** The backup is read (again) from its beginning. */
  beginReading(): void {
    this.#met.fill(0);
  }

  /** The numbers of the documents that were not rolled since `beginReading`, in the order in which they were first touched. */
  *notInBackup(): Generator<number> {
    for (let number = 0; number < this.size; number++) if (this.#met[number] === 0) yield number;
  }

  /**
   * Hands on what became of a document: of the backup's at `start` of `base`, or of one that the backup does not have. False: it was
   * deleted. Throws CannotRoll, or OplogFault where an update has a form that is not known here.
   */
  roll(number: number, base: Buffer | undefined, start: number, take: TakeDocument): boolean {
    if (base !== undefined) this.meet(number);
    return this.rollTo(this.stateOf(number), base, start, take);
  }

  /** Hands on a document that `remove` took last, as it was just before; nothing of another one. Throws as `roll` does. */
  rollDeleted(number: number, base: Buffer | undefined, start: number, take: TakeDeleted): void {
    const newest = this.#newest[number] as number;
    if (newest >= DELETED) return;
    const deletion = this.#log.read(deletedBy(newest));
    const wall = deletion.bytes.readDoubleLE(deletion.start);
    this.rollTo(deletion.previous, base, start, (bytes, at) => take(bytes, at, wall));
  }

  /** The backup has it. */
  meet(number: number): void {
    this.#met[number] = 1;
  }

  /** The same for a state that a document had on the way. `from`: the state that `base` is in, where it is not the backup's. */
  rollTo(
    state: number,
    base: Buffer | undefined,
    start: number,
    take: TakeDocument,
    from: number = NO_RECORD,
  ): boolean {
    if (state === DELETED) return false;
    let bytes = base;
    let at = start;
    let turn: 0 | 1 = 0;
    const chain = this.#log.chain(state);
    // A whole document makes those before it meaningless: the chain may begin later.
    for (const each of from === NO_RECORD ? chain : chain.slice(chain.indexOf(from) + 1)) {
      const record = this.#log.read(each);
      const writer = this.#writers[turn].clear();
      turn = turn === 0 ? 1 : 0;
      if (record.kind === WHOLE) {
        writer.copy(record.bytes, record.start, record.end);
      } else {
        if (bytes === undefined || record.previous === DELETED) throw new WithoutBase(WITHOUT_DOCUMENT);
        applyUpdate(bytes, at, record.bytes, record.start, writer);
      }
      bytes = writer.bytes;
      at = 0;
    }
    if (bytes === undefined) throw new WithoutBase(WITHOUT_DOCUMENT);
    take(bytes, at, at + bytes.readInt32LE(at));
    return true;
  }

  #numberOf(id: RawValue): number {
    const number = this.#ids.numberOf(id);
    if (number === this.#newest.length) {
      this.#newest = grown(this.#newest, new Float64Array(number * 2).fill(NO_RECORD));
      this.#changes = grown(this.#changes, new Uint32Array(number * 2));
      this.#met = grown(this.#met, new Uint8Array(number * 2));
      this.#arrived = grown(this.#arrived, new Uint8Array(number * 2));
    }
    this.#changes[number] = (this.#changes[number] as number) + 1;
    return number;
  }
}

/** The number of a deletion's record as the newest of a document, below DELETED; and back. */
function deletedBy(record: number): number {
  return DELETED - 1 - record;
}

/** The `_id` of the document that an insert, update or delete is about. Throws OplogFault where there is none. */
export function idOf({ bytes, op, o, o2 }: OplogEntry): RawValue {
  return idIn(bytes, op === OP.UPDATE && o2 >= 0 ? o2 : o);
}

/** Throws OplogFault where there is none. */
export function idIn(bytes: Buffer, start: number): RawValue {
  const id = findId(bytes, start);
  if (id === undefined) throw new OplogFault('it names no _id');
  return id;
}
