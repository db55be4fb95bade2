/**
 * One entry of an oplog, or one operation inside an `applyOps`: where its fields lie, nothing decoded.
 *
 * One object is reused for a whole oplog, so that reading allocates nothing. Fields come in any order and are found by name; fields
 * that do not change what an entry does to a document (`t`, `h`, `tid`, `rid`, `stmtId`, …) are passed over.
 */
import { BsonFault, findElement, valueEnd } from '../bson/elements.ts';
import { isTime, showIsoDate } from '../bson/extended-json-types.ts';
import { BSON, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from '../bson/types.ts';
import { NEWER_SERVER, OplogFault } from './faults.ts';

/** A BSON Timestamp: seconds since 1970 and a number within the second. Strictly rising within one replica set. */
export interface Timestamp {
  readonly seconds: number;
  readonly ordinal: number;
}

/** Negative: a before b. */
export function compareTimestamps(a: Timestamp, b: Timestamp): number {
  return a.seconds - b.seconds || a.ordinal - b.ordinal;
}

/** The times of one entry. */
export interface Moment extends Timestamp {
  /** The primary's clock, UTC milliseconds; NaN where nothing says it. */
  readonly wall: number;
}

/** The times alone, which stay what they are when the entry is read anew. */
export function momentOf({ seconds, ordinal, wall }: Moment): Moment {
  return { seconds, ordinal, wall };
}

/** A moment that only a name tells. */
export function timeless(time: Timestamp): Moment {
  return { ...time, wall: Number.NaN };
}

/** `1795937204,3 (2026-11-22T08:50:04.123Z)`; of an entry without a wall, the second of its timestamp. */
export function showMoment(moment: Moment): string {
  return `${showTimestamp(moment)} (${showIsoDate(timeOf(moment))})`;
}

/** UTC milliseconds; of an entry without a wall, the second of its timestamp. */
export function timeOf({ seconds, wall }: Moment): number {
  return Number.isNaN(wall) ? seconds * 1000 : wall;
}

/** Where a replay ends, exclusive: before the first entry that a primary wrote at this time (UTC milliseconds) or later, or that has this timestamp. */
export type Cut = { readonly wall: number } | { readonly ts: Timestamp } | 'end';

/** Whether an entry is the first that does not count, or one behind it. */
export function isBehind(entry: Moment, cut: Exclude<Cut, 'end'>): boolean {
  if ('ts' in cut) return compareTimestamps(entry, cut.ts) >= 0;
  return Number.isNaN(entry.wall) ? entry.seconds >= Math.floor(cut.wall / 1000) : entry.wall >= cut.wall;
}

/** A clock this far from the oplog's own time, near a cut, is worth telling. */
const CLOCK_DRIFT_MS = 2_000;
const NEAR_CUT_MS = 60_000;

export function driftsNear({ seconds, wall }: Moment, cut: number): boolean {
  return Math.abs(wall - cut) <= NEAR_CUT_MS && Math.abs(wall - seconds * 1000) > CLOCK_DRIFT_MS;
}

/** `1795937204,3`, as MongoDB's tools write it. */
export function showTimestamp({ seconds, ordinal }: Timestamp): string {
  return `${seconds},${ordinal}`;
}

/** The letters of `op` as one number. */
const letters = (op: string): number => [...op].reduce((sum, letter) => sum * 256 + letter.charCodeAt(0), 0);

export const OP = {
  INSERT: letters('i'),
  UPDATE: letters('u'),
  DELETE: letters('d'),
  COMMAND: letters('c'),
  NOOP: letters('n'),
  /** Bookkeeping of servers after 8.2: containers and keys, no documents. */
  CONTAINER_INSERT: letters('ci'),
  CONTAINER_UPDATE: letters('cu'),
  CONTAINER_DELETE: letters('cd'),
  KEY_MATERIAL: letters('km'),
} as const;

const UUID_BYTES = 16;
/** A binary value: length, subtype, bytes. */
const BINARY_HEADER = 5;
/** The version of entries that is known here; servers have written it since 2.4. */
const ENTRY_VERSION = 2;
const NOWHERE = -1;
const NOTHING = Buffer.alloc(0);

export class OplogEntry implements Timestamp {
  bytes: Buffer = NOTHING;
  /** The entry is `bytes[start, end)`. */
  start = 0;
  end = 0;
  /** 0,0 for an operation inside an `applyOps`. */
  seconds = 0;
  ordinal = 0;
  /** The primary's clock, UTC milliseconds; NaN where the entry has none (before 3.6). */
  wall: number = Number.NaN;
  /** See OP; 0 where it is missing or longer than it ever was. */
  op = 0;
  /** The namespace's text is `bytes[nsStart, nsEnd)`. */
  nsStart = 0;
  nsEnd = 0;
  /** Where the 16 bytes of the collection's UUID start; -1: none. */
  ui = NOWHERE;
  /** Where the documents `o` and `o2` start; -1: none. */
  o = NOWHERE;
  o2 = NOWHERE;
  /** Where the session's document and the transaction's number (int64) start; -1: none. */
  lsid = NOWHERE;
  txnNumber = NOWHERE;
  /** Whether an earlier entry of the same transaction or session is pointed to. */
  hasPrevious = false;
  fromMigrate = false;
  /** An update that makes its document where there is none. */
  upsert = false;
  /** How the operations of an `applyOps` belong together: 0 (as a transaction) where the entry says nothing. */
  multiOpType = 0;
  #opStart = 0;
  #opEnd = 0;

  /** Reads the entry at `start`, whose frame is sound. Throws BsonFault, or OplogFault for a version that is not known here. */
  read(bytes: Buffer, start: number): this {
    this.#forget(bytes, start);
    const last = this.end - 1;
    let at = start + 4;
    while (at < last) {
      const type = bytes[at] as number;
      const key = at + 1;
      let value = key;
      while (bytes[value] !== 0) value++;
      const length = value++ - key;
      at = usualEnd(bytes, type, value);
      if (at < 0 || at > last) at = valueEnd(bytes, type, value, last);
      if (length === 2) this.#twoLetters(bytes[key] as number, bytes[key + 1] as number, type, value);
      else if (length === 1) this.#oneLetter(bytes[key] as number, type, value);
      else if (length === 4 || length >= 9) this.#longField(length, key, type, value);
    }
    return this;
  }

  /** Takes over the time of the entry that it is part of. */
  at({ seconds, ordinal, wall }: OplogEntry): this {
    this.seconds = seconds;
    this.ordinal = ordinal;
    this.wall = wall;
    return this;
  }

  /** The namespace, for messages and for what is rarely looked at. */
  get ns(): string {
    return this.bytes.toString('utf8', this.nsStart, this.nsEnd);
  }

  get opText(): string {
    return this.bytes.toString('utf8', this.#opStart, this.#opEnd);
  }

  /** Whether it belongs to a transaction's or a retryable write's session. */
  get hasSession(): boolean {
    return this.lsid !== NOWHERE && this.txnNumber !== NOWHERE;
  }

  /** Session and transaction number as one key. */
  get transaction(): string {
    const { bytes, lsid, txnNumber } = this;
    const session = bytes.toString('latin1', lsid, lsid + bytes.readInt32LE(lsid));
    return session + bytes.toString('latin1', txnNumber, txnNumber + 8);
  }

  /** The collection's UUID as 32 hex digits; empty where there is none. */
  get uuid(): string {
    return this.ui === NOWHERE ? '' : this.bytes.toString('hex', this.ui, this.ui + UUID_BYTES);
  }

  #forget(bytes: Buffer, start: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = start + bytes.readInt32LE(start);
    this.seconds = 0;
    this.ordinal = 0;
    this.wall = Number.NaN;
    this.op = 0;
    this.nsStart = 0;
    this.nsEnd = 0;
    this.ui = NOWHERE;
    this.o = NOWHERE;
    this.o2 = NOWHERE;
    this.lsid = NOWHERE;
    this.txnNumber = NOWHERE;
    this.hasPrevious = false;
    this.fromMigrate = false;
    this.upsert = false;
    this.multiOpType = 0;
    this.#opStart = 0;
    this.#opEnd = 0;
  }

  /** o, b, v. */
  #oneLetter(key: number, type: number, value: number): void {
    if (key === KEY.V) refuseVersion(this.bytes, type, value);
    else if (key === KEY.O) this.o = documentAt('o', type, value);
    else if (key === KEY.B) this.upsert = type === BSON.BOOL && this.bytes[value] === 1;
  }

  /** ts, op, ns, ui, o2. */
  #twoLetters(first: number, second: number, type: number, value: number): void {
    const { bytes } = this;
    switch (first * 256 + second) {
      case KEY.TS:
        if (type !== BSON.TIMESTAMP) throw new BsonFault('ts is not a timestamp', value);
        this.ordinal = bytes.readUInt32LE(value);
        this.seconds = bytes.readUInt32LE(value + 4);
        break;
      case KEY.OP:
        this.#readOp(type, value);
        break;
      case KEY.NS:
        if (type !== BSON.STRING) throw new BsonFault('ns is not a string', value);
        this.nsStart = value + 4;
        this.nsEnd = value + 3 + bytes.readInt32LE(value);
        break;
      case KEY.UI:
        this.#readUuid(type, value);
        break;
      case KEY.O2:
        this.o2 = documentAt('o2', type, value);
        break;
      default:
    }
  }

  #readUuid(type: number, value: number): void {
    const { bytes } = this;
    const isUuid = type === BSON.BINARY && bytes.readInt32LE(value) === UUID_BYTES && bytes[value + 4] === 4;
    if (!isUuid) throw new BsonFault('ui is not a UUID', value);
    this.ui = value + BINARY_HEADER;
  }

  #readOp(type: number, value: number): void {
    const { bytes } = this;
    if (type !== BSON.STRING) throw new BsonFault('op is not a string', value);
    const length = bytes.readInt32LE(value) - 1;
    this.#opStart = value + 4;
    this.#opEnd = value + 4 + length;
    if (length === 1) this.op = bytes[value + 4] as number;
    else if (length === 2) this.op = (bytes[value + 4] as number) * 256 + (bytes[value + 5] as number);
  }

  /** Fields of longer names: wall, lsid, txnNumber, prevOpTime, fromMigrate, multiOpType. */
  #longField(length: number, key: number, type: number, value: number): void {
    const { bytes } = this;
    if (isKey(bytes, key, length, WALL)) {
      if (type === BSON.DATE) this.wall = wallAt(bytes, value);
    } else if (isKey(bytes, key, length, LSID)) {
      this.lsid = documentAt('lsid', type, value);
    } else if (isKey(bytes, key, length, TXN_NUMBER)) {
      if (type !== BSON.INT64) throw new BsonFault('txnNumber is not an int64', value);
      this.txnNumber = value;
    } else if (isKey(bytes, key, length, PREV_OP_TIME)) {
      this.hasPrevious = type === BSON.OBJECT && pointsSomewhere(bytes, value);
    } else if (isKey(bytes, key, length, FROM_MIGRATE)) {
      this.fromMigrate = type === BSON.BOOL && bytes[value] === 1;
    } else if (isKey(bytes, key, length, MULTI_OP_TYPE)) {
      this.multiOpType = type === BSON.INT32 ? bytes.readInt32LE(value) : NOWHERE;
    }
  }
}

/**
 * The end of a value of the kinds that entries are made of, -1 for any other or where it is no sound one; not yet held against the end of the
 * entry. `valueEnd` alone takes almost twice as long for a whole entry.
 */
function usualEnd(bytes: Buffer, type: number, value: number): number {
  if (type === BSON.TIMESTAMP || type === BSON.INT64 || type === BSON.DATE) return value + 8;
  if (type !== BSON.STRING && type !== BSON.OBJECT && type !== BSON.BINARY) return NOWHERE;
  const size =
    (bytes[value] as number) |
    ((bytes[value + 1] as number) << 8) |
    ((bytes[value + 2] as number) << 16) |
    ((bytes[value + 3] as number) << 24);
  if (size < MIN_DOCUMENT_BYTES || size > MAX_DOCUMENT_BYTES) return NOWHERE;
  if (type === BSON.STRING) return value + 4 + size;
  if (type === BSON.BINARY) return value + BINARY_HEADER + size;
  return bytes[value + size - 1] === 0 ? value + size : NOWHERE;
}

const KEY = {
  O: letters('o'),
  B: letters('b'),
  V: letters('v'),
  TS: letters('ts'),
  OP: letters('op'),
  NS: letters('ns'),
  UI: letters('ui'),
  O2: letters('o2'),
} as const;
const WALL = Buffer.from('wall');
const LSID = Buffer.from('lsid');
const TXN_NUMBER = Buffer.from('txnNumber');
const PREV_OP_TIME = Buffer.from('prevOpTime');
const FROM_MIGRATE = Buffer.from('fromMigrate');
const MULTI_OP_TYPE = Buffer.from('multiOpType');

function isKey(bytes: Buffer, at: number, length: number, key: Buffer): boolean {
  if (length !== key.length) return false;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== key[i]) return false;
  return true;
}

function documentAt(name: string, type: number, value: number): number {
  if (type !== BSON.OBJECT) throw new BsonFault(`${name} is not a document`, value);
  return value;
}

function refuseVersion(bytes: Buffer, type: number, value: number): void {
  const version =
    type === BSON.INT32
      ? bytes.readInt32LE(value)
      : type === BSON.INT64
        ? bytes.readInt32LE(value + 4) * 2 ** 32 + bytes.readUInt32LE(value)
        : NOWHERE;
  if (version === ENTRY_VERSION) return;
  throw new OplogFault(
    `it is an entry of version ${version}, and only version ${ENTRY_VERSION} is known here`,
    NEWER_SERVER,
  );
}

/** Throws BsonFault for a time that no server has, and no page could show. */
function wallAt(bytes: Buffer, value: number): number {
  // Exact for 285,000 years; a BigInt for each entry costs more than the rest of it.
  const wall = bytes.readInt32LE(value + 4) * 2 ** 32 + bytes.readUInt32LE(value);
  if (!isTime(wall)) throw new BsonFault('wall is no time', value);
  return wall;
}

/** Whether an optime `{ts, t}` points at an entry; the first of a chain has {ts: 0,0, t: -1}. */
function pointsSomewhere(bytes: Buffer, start: number): boolean {
  const last = start + bytes.readInt32LE(start) - 1;
  let at = start + 4;
  while (at < last) {
    const type = bytes[at] as number;
    let value = at + 1;
    while (bytes[value] !== 0) value++;
    value++;
    if (type === BSON.TIMESTAMP) return bytes.readInt32LE(value) !== 0 || bytes.readInt32LE(value + 4) !== 0;
    at = valueEnd(bytes, type, value, last);
  }
  return false;
}

const COMMIT_TIMESTAMP = Buffer.from('commitTimestamp');

/** When a transaction of several shards was committed, on all of them alike; undefined for every other entry. */
export function commitTimestampOf({ op, bytes, o }: OplogEntry): Timestamp | undefined {
  const value = op === OP.COMMAND ? findElement(bytes, o, COMMIT_TIMESTAMP) : undefined;
  if (value?.type !== BSON.TIMESTAMP) return undefined;
  return { seconds: bytes.readUInt32LE(value.start + 4), ordinal: bytes.readUInt32LE(value.start) };
}

/** When what an entry does could be seen, UTC milliseconds: a prepared transaction before its outcome was written. */
export function tookEffectAt(entry: OplogEntry): number {
  const commit = commitTimestampOf(entry);
  return commit === undefined ? timeOf(entry) : commit.seconds * 1000;
}
