/**
 * A byte form of BSON values in which two values that MongoDB calls equal have the same bytes: type byte, then the value.
 *
 * Numbers are written by value (int32 1, int64 1, double 1.0 and decimal 1.00 are one key), symbols as strings, embedded
 * documents element by element in their order. Nothing is rounded: 2^53 + 1 stays itself.
 */
import { type ExactNumber, isNaNValue, readNumber } from './compare-numbers.ts';
import { type Decimal, encodeDecimal128 } from './decimal128.ts';
import { ElementCursor } from './element-cursor.ts';
import { BSON, type RawValue } from './types.ts';

const FIRST_BYTES = 256;
/** A decimal with a larger exponent than this is not turned into an integer to look for an equal double or int64. */
const LARGEST_DOUBLE_EXPONENT = 308;

/** Holds one canonical key at a time, in a buffer that is reused: `bytes[0, length)`. */
export class CanonicalBytes {
  bytes = Buffer.alloc(FIRST_BYTES);
  length = 0;

  /** Replaces what it holds by the key of `value`. */
  set(value: RawValue): this {
    this.length = 0;
    this.#write(value);
    return this;
  }

  #write(value: RawValue): void {
    switch (value.type) {
      case BSON.INT32:
      case BSON.INT64:
      case BSON.DOUBLE:
      case BSON.DECIMAL128:
        this.#writeNumber(readNumber(value));
        break;
      case BSON.SYMBOL:
        this.#writeRaw(BSON.STRING, value);
        break;
      case BSON.OBJECT:
      case BSON.ARRAY:
        this.#writeDocument(value);
        break;
      default:
        this.#writeRaw(value.type, value);
    }
  }

  #writeRaw(type: number, { bytes, start, end }: RawValue): void {
    this.#reserve(1 + end - start);
    this.bytes[this.length] = type;
    bytes.copy(this.bytes, this.length + 1, start, end);
    this.length += 1 + end - start;
  }

  #writeDocument(value: RawValue): void {
    const element = new ElementCursor().open(value.bytes, value.start, value.end);
    const array = value.type === BSON.ARRAY;
    this.#writeByte(value.type);
    while (element.next()) {
      this.#write(element);
      // The names of an array's elements carry no meaning.
      if (array) continue;
      this.#reserve(element.start - element.keyStart);
      element.bytes.copy(this.bytes, this.length, element.keyStart, element.start);
      this.length += element.start - element.keyStart;
    }
    this.#writeByte(0);
  }

  #writeNumber(number: ExactNumber): void {
    const simple = simplest(number);
    this.#reserve(17);
    if (typeof simple === 'number') {
      this.bytes[this.length] = BSON.DOUBLE;
      this.bytes.writeDoubleLE(simple, this.length + 1);
      this.length += 9;
    } else if (typeof simple === 'bigint') {
      this.bytes[this.length] = BSON.INT64;
      this.bytes.writeBigInt64LE(simple, this.length + 1);
      this.length += 9;
    } else {
      this.bytes[this.length] = BSON.DECIMAL128;
      encodeDecimal128(simple).copy(this.bytes, this.length + 1);
      this.length += 17;
    }
  }

  #writeByte(byte: number): void {
    this.#reserve(1);
    this.bytes[this.length++] = byte;
  }

  #reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = Buffer.alloc(Math.max(2 * this.bytes.length, this.length + more));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

/** The one form of a number: a double where one is exactly it, else an int64, else a decimal without trailing zeros. */
function simplest(number: ExactNumber): ExactNumber {
  if (typeof number === 'number') return Number.isNaN(number) ? Number.NaN : number + 0;
  if (typeof number === 'bigint') {
    const double = Number(number);
    return BigInt(double) === number ? double : number;
  }
  if (isNaNValue(number)) return Number.NaN;
  if (number.kind === 'infinity') return number.negative ? -Infinity : Infinity;
  if (number.kind !== 'finite' || number.coefficient === 0n) return 0;
  return simplestDecimal(number);
}

function simplestDecimal(decimal: Decimal & { readonly kind: 'finite' }): ExactNumber {
  let { coefficient, exponent } = decimal;
  while (coefficient % 10n === 0n) {
    coefficient /= 10n;
    exponent++;
  }
  const sign = decimal.negative ? -1n : 1n;
  const double = Number(`${sign * coefficient}e${exponent}`);
  if (exponent >= 0 && exponent <= LARGEST_DOUBLE_EXPONENT) {
    const whole = sign * coefficient * 10n ** BigInt(exponent);
    if (Number.isFinite(double) && BigInt(double) === whole) return double;
    if (BigInt.asIntN(64, whole) === whole) return whole;
  }
  if (exponent < 0 && isExactly(double, sign * coefficient, -exponent)) return double;
  // The exponent may now exceed what Decimal128 allows; its 14 bits still hold it, and a key is never read back.
  return { ...decimal, coefficient, exponent };
}

/** Whether the double is coefficient / 10^places: a fraction in lowest terms is a double only if its denominator is a power of two. */
function isExactly(double: number, coefficient: bigint, places: number): boolean {
  if (!Number.isFinite(double) || double === 0) return false;
  // Dividing by 5^places must leave no rest, or the denominator is no power of two; 34 digits hold at most 48 fives.
  if (places > 48 || coefficient % 5n ** BigInt(places) !== 0n) return false;
  const numerator = coefficient / 5n ** BigInt(places);
  // double × 2^places is exact: a power of two only moves the exponent.
  return BigInt(double * 2 ** places) === numerator;
}
