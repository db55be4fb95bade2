/** Values that expressions make: BSON values with bytes of their own, beside those that lie in documents. */

import { DocumentBuilder } from '../../bson/document-builder.ts';
import { MISSING } from '../../bson/element-cursor.ts';
import { type Decimal, encodeDecimal128 } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';

const NOTHING = Buffer.alloc(0);

export const MISSING_VALUE: RawValue = { bytes: NOTHING, type: MISSING, start: 0, end: 0 };
export const NULL_VALUE: RawValue = { bytes: NOTHING, type: BSON.NULL, start: 0, end: 0 };
const TRUE: RawValue = made(BSON.BOOL, Buffer.from([1]));
const FALSE: RawValue = made(BSON.BOOL, Buffer.from([0]));

function made(type: number, bytes: Buffer): RawValue {
  return { bytes, type, start: 0, end: bytes.length };
}

export function booleanValue(value: boolean): RawValue {
  return value ? TRUE : FALSE;
}

export function doubleValue(value: number): RawValue {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(value);
  return made(BSON.DOUBLE, bytes);
}

export function int32Value(value: number): RawValue {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32LE(value);
  return made(BSON.INT32, bytes);
}

export function int64Value(value: bigint, type: number = BSON.INT64): RawValue {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64LE(value);
  return made(type, bytes);
}

export function decimalValue(value: Decimal): RawValue {
  return made(BSON.DECIMAL128, encodeDecimal128(value));
}

export function dateValue(epochMs: bigint): RawValue {
  return int64Value(epochMs, BSON.DATE);
}

export function textValue(text: Buffer): RawValue {
  const builder = new DocumentBuilder();
  builder.int32(text.length + 1);
  builder.raw(text);
  builder.byte(0);
  return made(BSON.STRING, builder.finish());
}

/** The bytes of a string, without length and NUL. */
export function textBytes({ bytes, start, end }: RawValue): Buffer {
  return bytes.subarray(start + 4, end - 1);
}

/** An array; a missing item becomes null. */
export function arrayValue(items: readonly RawValue[]): RawValue {
  const entries = items.map(
    (item, index) => [String(index), item.type === MISSING ? NULL_VALUE : item] as const,
  );
  return made(BSON.ARRAY, documentBytes(entries));
}

/** An object; missing values are left out. */
export function objectValue(entries: readonly (readonly [string, RawValue])[]): RawValue {
  return made(BSON.OBJECT, documentBytes(entries.filter(([, value]) => value.type !== MISSING)));
}

function documentBytes(entries: readonly (readonly [string, RawValue])[]): Buffer {
  const builder = new DocumentBuilder();
  const start = builder.beginDocument();
  for (const [key, value] of entries) {
    builder.element(value.type, key);
    builder.raw(value.bytes.subarray(value.start, value.end));
  }
  builder.endDocument(start);
  return builder.finish();
}

/** Null, undefined or missing: what most operators pass on as null. */
export function isNullish({ type }: RawValue): boolean {
  return type === BSON.NULL || type === BSON.UNDEFINED || type === MISSING;
}
