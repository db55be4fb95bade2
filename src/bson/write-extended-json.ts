/**
 * Turns an Extended JSON tree into BSON: canonical and relaxed version 2, and the older forms people still write.
 *
 * Nothing is dropped, reordered or rounded; what cannot be held exactly is refused with the dotted path of the value.
 * Plain integers become int32 or int64 by size, numbers with a fraction doubles.
 */
import { DocumentBuilder } from './document-builder.ts';
import {
  ExtendedJsonFault,
  isUnicode,
  JsonDouble,
  type JsonValue,
  MAX_DEPTH,
  RepeatedKeys,
} from './extended-json.ts';
import { type Dialect, readTypeWrapper, type TypedValue } from './extended-json-types.ts';
import { BSON } from './types.ts';

interface WriteOptions {
  readonly dialect?: Dialect;
  /** Told of the dotted path of every integer without its type, as relaxed Extended JSON writes int32, int64 and some doubles. */
  readonly onPlainInteger?: (path: string) => void;
}

/** BSON document of an Extended JSON object; throws ExtendedJsonFault. */
export function writeExtendedJson(value: unknown, options: WriteOptions = {}): Buffer {
  if (!isObject(value)) throw new ExtendedJsonFault('expected an object');
  const writer = new Writer(options);
  writer.document([...value], { path: '', depth: 0 });
  return writer.finish();
}

interface Where {
  readonly path: string;
  readonly depth: number;
}

class Writer {
  private readonly builder = new DocumentBuilder();
  private readonly dialect: Dialect;
  private readonly options: WriteOptions;

  constructor(options: WriteOptions) {
    this.dialect = options.dialect ?? 'document';
    this.options = options;
  }

  finish(): Buffer {
    return this.builder.finish();
  }

  document(entries: readonly (readonly [unknown, unknown])[], place: Where): void {
    if (place.depth > MAX_DEPTH) {
      throw new ExtendedJsonFault(`nested deeper than ${MAX_DEPTH} levels`, { path: place.path });
    }
    const start = this.builder.beginDocument();
    for (const [key, value] of entries) {
      if (typeof key !== 'string') throw new ExtendedJsonFault('a key must be text', { path: place.path });
      const path = place.path === '' ? key : `${place.path}.${key}`;
      if (key.includes('\0')) throw new ExtendedJsonFault('a key cannot hold a NUL character', { path });
      requireUnicode(key, path);
      this.element(key, value, { path, depth: place.depth + 1 });
    }
    this.builder.endDocument(start);
  }

  private element(key: string, value: unknown, place: Where): void {
    const { builder } = this;
    if (typeof value === 'string') {
      requireUnicode(value, place.path);
      builder.element(BSON.STRING, key);
      builder.string(value);
    } else if (typeof value === 'number' || typeof value === 'bigint' || value instanceof JsonDouble) {
      this.number(key, value, place.path);
    } else if (typeof value === 'boolean') {
      builder.element(BSON.BOOL, key);
      builder.byte(value ? 1 : 0);
    } else if (value === null) {
      builder.element(BSON.NULL, key);
    } else if (Array.isArray(value)) {
      builder.element(BSON.ARRAY, key);
      this.document(
        value.map((item, index) => [String(index), item] as const),
        place,
      );
    } else if (isObject(value)) {
      this.object(key, value, place);
    } else {
      throw new ExtendedJsonFault('a value of this kind has no place in BSON', { path: place.path });
    }
  }

  private object(key: string, value: Map<unknown, unknown> | RepeatedKeys, place: Where): void {
    const typed =
      value instanceof Map ? readTypeWrapper(value, { path: place.path, dialect: this.dialect }) : undefined;
    if (typed === undefined) {
      this.builder.element(BSON.OBJECT, key);
      this.document([...value], place);
    } else {
      this.typed(key, typed, place);
    }
  }

  private typed(key: string, { type, value, scope }: TypedValue, place: Where): void {
    this.builder.element(type, key);
    if (scope === undefined) {
      this.builder.raw(value);
      return;
    }
    // Code with scope is framed like a document: its own length, the code, the scope.
    const inner = new Writer(this.options);
    inner.document([...scope], place);
    const scopeBytes = inner.finish();
    this.builder.int32(4 + value.length + scopeBytes.length);
    this.builder.raw(value);
    this.builder.raw(scopeBytes);
  }

  private number(key: string, value: number | bigint | JsonDouble, path: string): void {
    const { builder } = this;
    const double = value instanceof JsonDouble ? value.value : value;
    if (typeof double === 'number' && (value instanceof JsonDouble || !isPlainInteger(double))) {
      builder.element(BSON.DOUBLE, key);
      builder.double(double);
      return;
    }
    if (typeof double === 'number' && !Number.isSafeInteger(double)) {
      const advice = 'write {"$numberLong": "…"}, {"$numberDouble": "…"} or {"$numberDecimal": "…"}';
      throw new ExtendedJsonFault(`integer beyond 2^53 has lost digits; ${advice}`, { path });
    }
    this.options.onPlainInteger?.(path);
    const integer = BigInt(double);
    if (integer >= -0x80000000n && integer <= 0x7fffffffn) {
      builder.element(BSON.INT32, key);
      builder.int32(Number(integer));
    } else if (integer === BigInt.asIntN(64, integer)) {
      builder.element(BSON.INT64, key);
      builder.int64(integer);
    } else {
      throw new ExtendedJsonFault('integer does not fit in 64 bits; write {"$numberDecimal": "…"}', { path });
    }
  }
}

function isPlainInteger(number: number): boolean {
  return Number.isInteger(number) && !Object.is(number, -0);
}

function isObject(value: unknown): value is Map<string, JsonValue> | RepeatedKeys {
  return value instanceof Map || value instanceof RepeatedKeys;
}

function requireUnicode(text: string, path: string): void {
  if (!isUnicode(text)) {
    throw new ExtendedJsonFault('text holds half a surrogate pair, which is not Unicode', { path });
  }
}
