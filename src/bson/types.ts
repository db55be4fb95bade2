/** BSON element type bytes (bsonspec.org, version 1.1). */
export const BSON = {
  DOUBLE: 0x01,
  STRING: 0x02,
  OBJECT: 0x03,
  ARRAY: 0x04,
  BINARY: 0x05,
  UNDEFINED: 0x06,
  OBJECT_ID: 0x07,
  BOOL: 0x08,
  DATE: 0x09,
  NULL: 0x0a,
  REGEX: 0x0b,
  DB_POINTER: 0x0c,
  CODE: 0x0d,
  SYMBOL: 0x0e,
  CODE_WITH_SCOPE: 0x0f,
  INT32: 0x10,
  TIMESTAMP: 0x11,
  INT64: 0x12,
  DECIMAL128: 0x13,
  MIN_KEY: 0xff,
  MAX_KEY: 0x7f,
} as const;

/**
 * One value inside a raw BSON document: where its bytes lie, nothing decoded.
 * `start` is the offset of the first value byte (after type byte and key), `end` the offset after the last.
 */
export interface RawValue {
  readonly bytes: Buffer;
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** The value in memory of its own. */
export function copyOf({ type, bytes, start, end }: RawValue): RawValue {
  return { type, bytes: Buffer.from(bytes.subarray(start, end)), start: 0, end: end - start };
}

/** The smallest document: an int32 length and the terminator. */
export const MIN_DOCUMENT_BYTES = 5;

/** What the official tools accept: 16 MiB and 16 KiB (bsondump has the most room). */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 + 16 * 1024;
