/**
 * Bytes for a BSON value such that two values are equal in MongoDB's sense exactly when their bytes are: 1, 1.0, NumberLong(1)
 * and decimal 1.00 have one key, a string and a symbol of the same letters too.
 *
 * One encoder writes into one buffer of its own, so looking keys up allocates nothing but for exotic decimals.
 */

import { splitCodeWithScope, typePlace } from './compare-values.ts';
import { findId } from './documents.ts';
import { BsonFault, elements, type RawElement } from './elements.ts';
import {
  compareNumbers,
  type Decimal,
  type ExactNumber,
  encodeDecimal128,
  isNumber,
  parseDecimal,
  readNumber,
  showDecimal,
} from './numbers.ts';
import { BSON, type RawValue } from './types.ts';

/** Kinds of numeric keys, after the place of numbers. */
const INTEGER = 1;
const DOUBLE = 2;
const DECIMAL = 3;

const MAX_NESTING = 200;
const TWO_POW_63 = 2 ** 63;

/** Holds one canonical key at a time, in a buffer that is reused: `bytes[0, length)`. */
export class CanonicalBytes {
  bytes: Buffer = Buffer.allocUnsafe(256);
  length = 0;
  /** sorted: objects are equal whatever the order of their fields, as in a JSON schema. */
  private readonly fields: 'ordered' | 'sorted';

  constructor(fields: 'ordered' | 'sorted' = 'ordered') {
    this.fields = fields;
  }

  /** Replaces what it holds by the key of `value`. */
  set(value: RawValue): this {
    this.length = 0;
    this.value(value, 0);
    return this;
  }

  private value(value: RawValue, depth: number): void {
    const { bytes, type, start, end } = value;
    if (isNumber(type)) {
      this.number(readNumber(value));
      return;
    }
    this.byte(typePlace(type) + 1);
    if (type === BSON.STRING || type === BSON.SYMBOL) {
      this.raw(bytes, start, end);
    } else if (type === BSON.OBJECT || type === BSON.ARRAY) {
      this.nested(value, depth + 1);
    } else if (type === BSON.CODE_WITH_SCOPE) {
      const { code, scope } = splitCodeWithScope(value);
      this.raw(bytes, code.start, code.end);
      this.nested(scope, depth + 1);
    } else {
      this.raw(bytes, start, end);
    }
  }

  private nested(value: RawValue, depth: number): void {
    if (depth > MAX_NESTING)
      throw new BsonFault(`value is nested deeper than ${MAX_NESTING} levels`, value.start);
    const items = [...elements(value.bytes, value.start)];
    if (this.fields === 'sorted' && value.type === BSON.OBJECT) items.sort(byKey);
    for (const item of items) {
      this.byte(1);
      this.raw(item.bytes, item.keyStart, item.start);
      this.value(item, depth);
    }
    this.byte(0);
  }

  private number(number: ExactNumber): void {
    if (typeof number === 'object') {
      this.decimal(number);
      return;
    }
    this.byte(typePlace(BSON.INT32) + 1);
    const isInteger =
      typeof number === 'bigint' ||
      (Number.isInteger(number) && number >= -TWO_POW_63 && number < TWO_POW_63);
    this.reserve(9);
    if (!isInteger) {
      this.byte(DOUBLE);
      this.length = this.bytes.writeDoubleLE(Number.isNaN(number) ? Number.NaN : number, this.length);
      return;
    }
    this.byte(INTEGER);
    if (typeof number === 'number' && number === (number | 0)) {
      this.length = this.bytes.writeInt32LE(number | 0, this.length);
      this.length = this.bytes.writeInt32LE(number < 0 ? -1 : 0, this.length);
    } else {
      this.length = this.bytes.writeBigInt64LE(BigInt(number), this.length);
    }
  }

  /** A decimal that is exactly a double or a 64-bit integer has that one's key. */
  private decimal(decimal: Decimal): void {
    const double = Number(showDecimal(decimal));
    if (compareNumbers(decimal, double) === 0) {
      this.number(double);
      return;
    }
    const integer =
      Number.isInteger(double) && Math.abs(double) <= TWO_POW_63 ? wholeNumber(decimal) : undefined;
    if (integer !== undefined && integer === BigInt.asIntN(64, integer)) {
      this.number(integer);
      return;
    }
    this.byte(typePlace(BSON.INT32) + 1);
    this.byte(DECIMAL);
    const text = Buffer.from(withoutTrailingZeros(decimal));
    this.raw(text, 0, text.length);
  }

  private byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Copies the bytes; callers see to it that lengths or terminators are among them. */
  private raw(source: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let to = this.length;
    // A short copy in JavaScript is cheaper than the call into native code.
    if (end - start > 64) source.copy(bytes, to, start, end);
    else for (let from = start; from < end; from++) bytes[to++] = source[from] as number;
    this.length += end - start;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + more));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

function byKey(a: RawElement, b: RawElement): number {
  return a.bytes.compare(b.bytes, b.keyStart, b.start, a.keyStart, a.start);
}

type Finite = Extract<Decimal, { kind: 'finite' }>;

function wholeNumber(decimal: Decimal): bigint | undefined {
  const { negative, coefficient, exponent } = reduced(decimal as Finite);
  if (exponent < 0) return undefined;
  return (negative ? -coefficient : coefficient) * 10n ** BigInt(exponent);
}

function withoutTrailingZeros(decimal: Decimal): string {
  const { negative, coefficient, exponent } = reduced(decimal as Finite);
  return `${negative ? '-' : ''}${coefficient}e${exponent}`;
}

function reduced(decimal: Finite): Finite {
  let { coefficient, exponent } = decimal;
  while (coefficient !== 0n && coefficient % 10n === 0n) {
    coefficient /= 10n;
    exponent++;
  }
  return { ...decimal, coefficient, exponent };
}

const shared = new CanonicalBytes();

/** The value's canonical bytes as text, one character per byte: for a Map or a Set. */
export function canonicalKey(value: RawValue): string {
  const { bytes, length } = shared.set(value);
  return bytes.toString('latin1', 0, length);
}

/** That of a document's `_id`; empty for a document that has none. */
export function idKey(document: Buffer): string {
  const id = findId(document);
  return id === undefined ? '' : canonicalKey(id);
}

/** Type byte and bytes of a BSON value, without a key. */
export interface BareValue {
  readonly type: number;
  readonly bytes: Buffer;
}

/** Types whose canonical bytes are the value's own, after the place of the type. */
const PLAIN_TYPES = new Map(
  [
    ...[BSON.STRING, BSON.BINARY, BSON.OBJECT_ID, BSON.BOOL, BSON.DATE, BSON.TIMESTAMP],
    ...[BSON.MIN_KEY, BSON.MAX_KEY],
  ].map((type) => [typePlace(type) + 1, type] as const),
);
const NUMBERS = typePlace(BSON.INT32) + 1;

/**
 * The way back from canonical bytes to a value: to one of those that they stand for.
 * Undefined for documents, arrays, code and the like, and for regular expressions, which in a query mean something else
 * than themselves.
 */
export function readCanonical(key: Buffer): BareValue | undefined {
  if (key[0] === NUMBERS) return numberOf(key);
  const type = PLAIN_TYPES.get(key[0] as number);
  return type === undefined ? undefined : { type, bytes: key.subarray(1) };
}

function numberOf(key: Buffer): BareValue {
  switch (key[1]) {
    case INTEGER:
      return { type: BSON.INT64, bytes: key.subarray(2) };
    case DOUBLE:
      return { type: BSON.DOUBLE, bytes: key.subarray(2) };
    case DECIMAL:
      return {
        type: BSON.DECIMAL128,
        bytes: encodeDecimal128(parseDecimal(key.toString('latin1', 2)) as Decimal),
      };
    default:
      throw new RangeError(`no kind of number has the canonical byte ${key[1]}`);
  }
}
