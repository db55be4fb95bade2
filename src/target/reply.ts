/** Reads what our commands need of raw replies. Offsets and bytes; documents are never decoded. */
import { deserialize } from 'bson';
import { elements, keyOf } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Reply } from './commands.ts';

export interface CursorReply {
  /** Whole documents of the first batch, views of the reply. */
  readonly documents: Buffer[];
  /** 0n when the first batch held everything. */
  readonly id: bigint;
}

/** First batch of a `find`, `aggregate`, `listCollections` or `listIndexes` reply. */
export function readCursor(reply: Reply): CursorReply {
  const cursor = asBuffer(reply['cursor']);
  let documents: Buffer[] = [];
  let id = 0n;
  for (const element of elements(cursor)) {
    const key = keyOf(element);
    if (key === 'firstBatch' || key === 'nextBatch') documents = arrayDocuments(element);
    if (key === 'id') id = cursor.readBigInt64LE(element.start);
  }
  return { documents, id };
}

/**
 * The documents of a raw array, in order. Hot: runs over every byte-compared document, so it steps from length to length
 * and looks at nothing but the array keys between them.
 */
function arrayDocuments(array: RawValue): Buffer[] {
  const { bytes } = array;
  const last = array.end - 1;
  const documents: Buffer[] = [];
  let at = array.start + 4;
  while (at < last) {
    at++;
    while (bytes[at] !== 0) at++;
    const start = at + 1;
    at = start + bytes.readInt32LE(start);
    documents.push(bytes.subarray(start, at));
  }
  return documents;
}

export interface WriteFault {
  /** Position of the document in the command. */
  readonly index: number;
  readonly code: number;
  /** Fields of the violated unique index, for a duplicate key. */
  readonly keyPattern: readonly string[] | undefined;
}

/** The per-document errors of a write reply; the driver's own error objects lose some of them (FAULTS.md, section 1.4). */
export function readWriteFaults(reply: Reply): WriteFault[] {
  const faults = reply['writeErrors'];
  if (!Array.isArray(faults)) return [];
  return faults.map((raw) => {
    const fault = deserialize(asBuffer(raw), { raw: true });
    const pattern = fault['keyPattern'];
    return {
      index: fault['index'] as number,
      code: fault['code'] as number,
      keyPattern: pattern === undefined ? undefined : [...elements(asBuffer(pattern))].map(keyOf),
    };
  });
}

/** js-bson hands out views of any byte type; ours are Buffers over the same memory. */
export function asBuffer(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) throw new TypeError('the server sent a reply of an unknown shape');
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Types that the server never stores as `_id`; asking for them would match something else or fail. */
export function canBeStoredAsId(value: RawValue): boolean {
  return value.type !== BSON.ARRAY && value.type !== BSON.REGEX && value.type !== BSON.UNDEFINED;
}
