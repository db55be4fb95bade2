/**
 * The `{"$oid": …}` forms of Extended JSON: which object stands for a typed value, and its BSON bytes.
 *
 * Version 2 canonical and relaxed, plus the version 1 forms of older tools: `{"$binary": "…", "$type": "00"}`,
 * `{"$date": 1473771600000}`, `{"$regex": "…", "$options": ""}`. An object that has such a key but another shape is refused,
 * as the specification asks.
 */
import { DocumentBuilder } from './document-builder.ts';
import { ExtendedJsonFault, isUnicode, JsonDouble, type JsonObject, RepeatedKeys } from './extended-json.ts';
import { encodeDecimal128, parseDecimal } from './numbers.ts';
import { BSON } from './types.ts';

/** In a query `{"$regex": …}` is the operator; in a document it is version 1's form of a regular expression. */
export type Dialect = 'document' | 'query';

export interface TypedValue {
  readonly type: number;
  readonly value: Buffer;
  /** Only for code with scope: `value` then holds the code string alone. */
  readonly scope?: JsonObject;
}

interface Wrapper {
  /** Keys that may stand beside the naming key, and those that must. */
  readonly beside?: readonly string[];
  readonly required?: readonly string[];
  readonly expected: string;
  /** Undefined = wrong shape. */
  readonly read: (object: Map<unknown, unknown>) => TypedValue | undefined;
}

const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  $oid: {
    expected: '24 hexadecimal digits',
    read: (object) => {
      const hex = text(object, '$oid', /^[0-9a-f]{24}$/i);
      return hex === undefined ? undefined : { type: BSON.OBJECT_ID, value: Buffer.from(hex, 'hex') };
    },
  },
  $date: {
    expected: 'an ISO 8601 time with Z or an offset, or {"$numberLong": "milliseconds"}',
    read: (object) => {
      const ms = dateOf(object.get('$date'));
      return ms === undefined ? undefined : { type: BSON.DATE, value: int64(ms) };
    },
  },
  $numberInt: {
    expected: 'an integer of 32 bits as text',
    read: (object) => {
      const digits = text(object, '$numberInt', /^[+-]?\d{1,10}$/);
      const number = Number(digits);
      if (digits === undefined || number !== (number | 0)) return undefined;
      return { type: BSON.INT32, value: built((builder) => builder.int32(number)) };
    },
  },
  $numberLong: {
    expected: 'an integer of 64 bits as text',
    read: (object) => {
      const long = longOf(text(object, '$numberLong', /^[+-]?\d+$/));
      return long === undefined ? undefined : { type: BSON.INT64, value: int64(long) };
    },
  },
  $numberDouble: {
    expected: 'a number, "Infinity", "-Infinity" or "NaN" as text',
    read: (object) => {
      const digits = text(
        object,
        '$numberDouble',
        /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|-?Infinity|NaN)$/i,
      );
      const number = Number(digits);
      // Digits beyond the range of a double would become an infinity.
      if (digits === undefined || (/\d/.test(digits) && !Number.isFinite(number))) return undefined;
      return { type: BSON.DOUBLE, value: built((builder) => builder.double(number)) };
    },
  },
  $numberDecimal: {
    expected: 'a decimal number of at most 34 digits as text',
    read: (object) => {
      const decimal = parseDecimal(text(object, '$numberDecimal', /./s) ?? '');
      return decimal === undefined ? undefined : { type: BSON.DECIMAL128, value: encodeDecimal128(decimal) };
    },
  },
  $binary: {
    beside: ['$type'],
    expected: '{"base64": "…", "subType": "00"}',
    read: (object) => binaryOf(object),
  },
  $uuid: {
    expected: 'a UUID such as "73ffd264-44b3-4c69-90e8-e7d1dfc035d4"',
    read: (object) => {
      const uuid = text(object, '$uuid', /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
      if (uuid === undefined) return undefined;
      return { type: BSON.BINARY, value: binary(4, Buffer.from(uuid.replaceAll('-', ''), 'hex')) };
    },
  },
  $regularExpression: {
    expected: '{"pattern": "…", "options": "…"}',
    read: (object) => {
      const parts = exactly(object.get('$regularExpression'), ['pattern', 'options']);
      return parts === undefined ? undefined : regex(parts.get('pattern'), parts.get('options'));
    },
  },
  $timestamp: {
    expected: '{"t": seconds, "i": increment}, both integers of 32 bits without sign',
    read: (object) => {
      const parts = exactly(object.get('$timestamp'), ['t', 'i']);
      const seconds = uint32(parts?.get('t'));
      const increment = uint32(parts?.get('i'));
      if (seconds === undefined || increment === undefined) return undefined;
      const value = built((builder) => {
        builder.uint32(increment);
        builder.uint32(seconds);
      });
      return { type: BSON.TIMESTAMP, value };
    },
  },
  $minKey: { expected: '1', read: (object) => constant(object.get('$minKey') === 1, BSON.MIN_KEY) },
  $maxKey: { expected: '1', read: (object) => constant(object.get('$maxKey') === 1, BSON.MAX_KEY) },
  $undefined: {
    expected: 'true',
    read: (object) => constant(object.get('$undefined') === true, BSON.UNDEFINED),
  },
  $symbol: { expected: 'text', read: (object) => stringValue(BSON.SYMBOL, object.get('$symbol')) },
  $code: {
    beside: ['$scope'],
    expected: 'text, with an object as "$scope" if there is one',
    read: (object) => {
      const code = stringValue(BSON.CODE, object.get('$code'));
      if (code === undefined || !object.has('$scope')) return code;
      const scope = object.get('$scope');
      if (!(scope instanceof Map || scope instanceof RepeatedKeys)) return undefined;
      return { type: BSON.CODE_WITH_SCOPE, value: code.value, scope };
    },
  },
  $dbPointer: {
    expected: '{"$ref": "namespace", "$id": {"$oid": "…"}}',
    read: (object) => {
      const parts = exactly(object.get('$dbPointer'), ['$ref', '$id']);
      const namespace = stringValue(BSON.DB_POINTER, parts?.get('$ref'));
      const id = exactly(parts?.get('$id'), ['$oid']);
      const oid = id === undefined ? undefined : text(id, '$oid', /^[0-9a-f]{24}$/i);
      if (namespace === undefined || oid === undefined) return undefined;
      return { type: BSON.DB_POINTER, value: Buffer.concat([namespace.value, Buffer.from(oid, 'hex')]) };
    },
  },
};

/** Only in documents: in a query these two are operators. */
const LEGACY_REGEX: Wrapper = {
  beside: ['$options'],
  required: ['$options'],
  expected: 'a pattern and "$options", both text',
  read: (object) => regex(object.get('$regex'), object.get('$options')),
};

/** The typed value that `object` stands for; undefined when it is an ordinary object. Throws ExtendedJsonFault on a wrong shape. */
export function readTypeWrapper(
  object: Map<unknown, unknown>,
  where: { readonly path: string; readonly dialect: Dialect },
): TypedValue | undefined {
  for (const key of object.keys()) {
    if (typeof key !== 'string' || !key.startsWith('$')) continue;
    const wrapper = wrapperOf(key, object, where.dialect);
    if (wrapper === undefined) continue;
    const allowed = [key, ...(wrapper.beside ?? [])];
    const stranger = [...object.keys()].find((other) => !allowed.includes(other as string));
    if (stranger !== undefined) {
      throw new ExtendedJsonFault(`"${String(stranger)}" cannot stand beside "${key}"`, { path: where.path });
    }
    const typed = wrapper.read(object);
    if (typed === undefined) {
      throw new ExtendedJsonFault(`"${key}" expects ${wrapper.expected}`, { path: where.path });
    }
    return typed;
  }
  return undefined;
}

function wrapperOf(key: string, object: Map<unknown, unknown>, dialect: Dialect): Wrapper | undefined {
  if (key === '$regex' && dialect === 'document' && object.has('$options')) return LEGACY_REGEX;
  return Object.hasOwn(WRAPPERS, key) ? WRAPPERS[key] : undefined;
}

function text(object: Map<unknown, unknown>, key: string, pattern: RegExp): string | undefined {
  const value = object.get(key);
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}

/** `value` as a Map that has exactly these keys. */
function exactly(value: unknown, keys: readonly string[]): Map<unknown, unknown> | undefined {
  if (!(value instanceof Map) || value.size !== keys.length) return undefined;
  return keys.every((key) => value.has(key)) ? value : undefined;
}

function dateOf(value: unknown): bigint | undefined {
  if (typeof value === 'string') {
    const date = parseIsoDate(value);
    return date?.zoned ? BigInt(date.epochMs) : undefined;
  }
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value === 'bigint') return longOf(String(value));
  const long = exactly(value, ['$numberLong']);
  return long === undefined ? undefined : longOf(text(long, '$numberLong', /^[+-]?\d+$/));
}

function longOf(digits: string | undefined): bigint | undefined {
  if (digits === undefined) return undefined;
  const long = BigInt(digits.replace(/^\+/, ''));
  return BigInt.asIntN(64, long) === long ? long : undefined;
}

function binaryOf(object: Map<unknown, unknown>): TypedValue | undefined {
  const inner = object.get('$binary');
  const parts = object.has('$type')
    ? legacyBinary(inner, object.get('$type'))
    : exactly(inner, ['base64', 'subType']);
  const data = parts === undefined ? undefined : text(parts, 'base64', /^[A-Za-z0-9+/]*={0,2}$/);
  const subType = parts === undefined ? undefined : text(parts, 'subType', /^[0-9a-f]{1,2}$/i);
  if (data === undefined || subType === undefined || data.length % 4 !== 0) return undefined;
  return { type: BSON.BINARY, value: binary(Number.parseInt(subType, 16), Buffer.from(data, 'base64')) };
}

function legacyBinary(base64: unknown, subType: unknown): Map<unknown, unknown> {
  const digits = typeof subType === 'number' ? subType.toString(16) : subType;
  return new Map([
    ['base64', base64],
    ['subType', digits],
  ]);
}

function binary(subType: number, data: Buffer): Buffer {
  return built((builder) => {
    // Subtype 2 (deprecated) repeats the length inside.
    const isOld = subType === 2;
    builder.int32(data.length + (isOld ? 4 : 0));
    builder.byte(subType);
    if (isOld) builder.int32(data.length);
    builder.raw(data);
  });
}

function regex(pattern: unknown, options: unknown): TypedValue | undefined {
  if (typeof pattern !== 'string' || typeof options !== 'string') return undefined;
  if (pattern.includes('\0') || options.includes('\0')) return undefined;
  if (!isUnicode(pattern) || !isUnicode(options)) return undefined;
  const value = built((builder) => {
    builder.cstring(pattern);
    // The specification wants the letters of the options in order.
    builder.cstring([...options].sort().join(''));
  });
  return { type: BSON.REGEX, value };
}

function stringValue(type: number, value: unknown): TypedValue | undefined {
  if (typeof value !== 'string' || !isUnicode(value)) return undefined;
  return { type, value: built((builder) => builder.string(value)) };
}

function constant(matches: boolean, type: number): TypedValue | undefined {
  return matches ? { type, value: Buffer.alloc(0) } : undefined;
}

function uint32(value: unknown): number | undefined {
  const number = value instanceof JsonDouble ? value.value : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 0xffffffff
    ? number
    : undefined;
}

function int64(value: bigint): Buffer {
  return built((builder) => builder.int64(value));
}

function built(write: (builder: DocumentBuilder) => void): Buffer {
  const builder = new DocumentBuilder();
  write(builder);
  return builder.finish();
}
/** Dates as ISO 8601 text: milliseconds since 1970 in UTC, as BSON holds them. */

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/;

interface IsoDate {
  readonly epochMs: number;
  /** False when the text has a time of day but neither Z nor an offset; `epochMs` then reads it as UTC. */
  readonly zoned: boolean;
}

/** Reads a calendar date with an optional time and offset. Undefined for anything else, for dates that do not exist and for parts of a millisecond. */
export function parseIsoDate(text: string): IsoDate | undefined {
  const match = ISO.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fraction = (match[7] ?? '').padEnd(3, '0');
  if (/[^0]/.test(fraction.slice(3))) return undefined;
  const date = new Date(0);
  // setUTCFullYear, because Date.UTC takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, Number(fraction.slice(0, 3)));
  const exists =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!exists) return undefined;
  const offset = offsetMinutes(match[8] ?? 'Z');
  if (offset === undefined) return undefined;
  return {
    epochMs: date.getTime() - offset * 60_000,
    zoned: match[8] !== undefined || match[4] === undefined,
  };
}

function offsetMinutes(text: string): number | undefined {
  if (text === 'Z') return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(3).replace(':', '') || 0);
  if (hours > 23 || minutes > 59) return undefined;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

const LAST_TIME = 8.64e15;

/** Whether a value is a time that a `Date` can hold, UTC milliseconds; what is none cannot be shown. */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= LAST_TIME;
}

/** `2016-09-13T13:00:00Z`, with milliseconds where there are any; undefined outside the years 0 to 9999, which have no such form. */
export function showIsoDate(epochMs: number): string | undefined {
  if (!(epochMs >= -62_167_219_200_000 && epochMs < 253_402_300_800_000)) return undefined;
  return new Date(epochMs).toISOString().replace('.000Z', 'Z');
}
