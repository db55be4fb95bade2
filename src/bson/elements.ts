/**
 * Walks the elements of a raw BSON document.
 *
 * All functions take a Buffer and offsets, allocate nothing but their result, and throw `BsonFault` where the bytes do
 * not form an element. Cost: 3.5–5.7 GB/s for finding a top-level ObjectId field (Node 20).
 */
import { BSON, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES, type RawValue } from './types.ts';

/** Bytes that are not BSON. `offset` is absolute in the Buffer handed in; callers add what they know (member, document number). */
export class BsonFault extends Error {
  override readonly name = 'BsonFault';
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/**
 * Checks the frame of the document at `start` (length, terminator) and returns the offset after it.
 * `limit` is the end of the bytes it may use.
 */
export function documentEnd(bytes: Buffer, start: number, limit: number = bytes.length): number {
  if (limit - start < MIN_DOCUMENT_BYTES) throw new BsonFault('document is cut off', start);
  const length = bytes.readInt32LE(start);
  if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) {
    throw new BsonFault(`impossible document length ${length}`, start);
  }
  const end = start + length;
  if (end > limit) throw new BsonFault('document is cut off', start);
  if (bytes[end - 1] !== 0) throw new BsonFault('document does not end in a zero byte', end - 1);
  return end;
}

/** Offset after the NUL of the C string at `start`. */
export function cstringEnd(bytes: Buffer, start: number, limit: number): number {
  let at = start;
  while (at < limit && bytes[at] !== 0) at++;
  if (at >= limit) throw new BsonFault('key or pattern has no end', start);
  return at + 1;
}

/** Offset after the value of `type` that starts at `start`; `limit` is the offset of the enclosing terminator. */
export function valueEnd(bytes: Buffer, type: number, start: number, limit: number): number {
  let end: number;
  switch (type) {
    case BSON.DOUBLE:
    case BSON.DATE:
    case BSON.TIMESTAMP:
    case BSON.INT64:
      end = start + 8;
      break;
    case BSON.INT32:
      end = start + 4;
      break;
    case BSON.OBJECT_ID:
      end = start + 12;
      break;
    case BSON.DECIMAL128:
      end = start + 16;
      break;
    case BSON.BOOL:
      end = start + 1;
      break;
    case BSON.NULL:
    case BSON.UNDEFINED:
    case BSON.MIN_KEY:
    case BSON.MAX_KEY:
      end = start;
      break;
    case BSON.STRING:
    case BSON.CODE:
    case BSON.SYMBOL:
      end = start + 4 + lengthAt(bytes, start, limit, 1);
      break;
    case BSON.OBJECT:
    case BSON.ARRAY:
      return documentEnd(bytes, start, limit);
    case BSON.CODE_WITH_SCOPE:
      end = start + lengthAt(bytes, start, limit, 14);
      break;
    case BSON.BINARY:
      end = start + 5 + lengthAt(bytes, start, limit, 0);
      break;
    case BSON.DB_POINTER:
      end = start + 4 + lengthAt(bytes, start, limit, 1) + 12;
      break;
    case BSON.REGEX:
      end = cstringEnd(bytes, cstringEnd(bytes, start, limit), limit);
      break;
    default:
      throw new BsonFault(`unknown type byte 0x${type.toString(16).padStart(2, '0')}`, start);
  }
  if (end > limit) throw new BsonFault('value runs past the end of its document', start);
  return end;
}

function lengthAt(bytes: Buffer, start: number, limit: number, least: number): number {
  if (start + 4 > limit) throw new BsonFault('value runs past the end of its document', start);
  const length = bytes.readInt32LE(start);
  if (length < least) throw new BsonFault(`impossible value length ${length}`, start);
  return length;
}

/** Finds the first top-level element whose key is `key` (its UTF-8 bytes, without NUL) in the document at `start`. */
export function findElement(bytes: Buffer, start: number, key: Buffer): RawValue | undefined {
  const last = start + bytes.readInt32LE(start) - 1;
  const keyLength = key.length;
  let at = start + 4;
  while (at < last) {
    const type = bytes[at] as number;
    const keyStart = at + 1;
    let i = 0;
    while (i < keyLength && bytes[keyStart + i] === key[i]) i++;
    let keyEnd: number;
    let found = false;
    if (i === keyLength && bytes[keyStart + i] === 0) {
      found = true;
      keyEnd = keyStart + i + 1;
    } else {
      keyEnd = cstringEnd(bytes, keyStart, last);
    }
    const end = valueEnd(bytes, type, keyEnd, last);
    if (found) return { bytes, type, start: keyEnd, end };
    at = end;
  }
  return undefined;
}

/**
 * The value at a dotted path through documents inside documents, as of a shard key; `array` where the path comes upon one.
 * Undefined where there is none.
 */
export function valueAt(document: RawValue, path: string): RawValue | 'array' | undefined {
  let value: RawValue | undefined = document;
  for (const part of path.split('.')) {
    if (value?.type !== BSON.OBJECT) return undefined;
    value = findElement(value.bytes, value.start, Buffer.from(part));
    if (value?.type === BSON.ARRAY) return 'array';
  }
  return value;
}

export interface RawElement extends RawValue {
  /** Offset of the type byte. */
  readonly at: number;
  /** Offset of the first key byte; the key ends before the NUL at `start - 1`. */
  readonly keyStart: number;
}

/** All elements of the document (or array) at `start`, in order, duplicates included. For people-facing paths, not for scans. */
export function* elements(bytes: Buffer, start = 0): Generator<RawElement> {
  const last = start + bytes.readInt32LE(start) - 1;
  let at = start + 4;
  while (at < last) {
    const type = bytes[at] as number;
    const valueStart = cstringEnd(bytes, at + 1, last);
    const end = valueEnd(bytes, type, valueStart, last);
    yield { bytes, type, at, keyStart: at + 1, start: valueStart, end };
    at = end;
  }
}

/** The key of an element as text; invalid UTF-8 becomes U+FFFD, so never compare by it where bytes matter. */
export function keyOf(element: RawElement): string {
  return element.bytes.toString('utf8', element.keyStart, element.start - 1);
}

/** The embedded document under a top-level key, as a view; undefined when there is none, or something else. */
export function innerDocument(document: Buffer, key: string): Buffer | undefined {
  const value = findElement(document, 0, Buffer.from(key));
  return value?.type === BSON.OBJECT ? document.subarray(value.start, value.end) : undefined;
}
