/**
 * Exact comparison of BSON numbers across int32, int64, double and Decimal128.
 *
 * 2^53 + 1 as an int64 is not 2^53 as a double, and decimal 0.1 is not double 0.1. No value is rounded to be compared.
 * NaN equals NaN and is smaller than every other number, as in MongoDB's sort order.
 */
import { type Decimal, readDecimal128 } from './decimal128.ts';
import { BSON, type RawValue } from './types.ts';

/** A number as JavaScript can hold it exactly. An int64 comes as a bigint only where a double would lose digits. */
export type ExactNumber = number | bigint | Decimal;

const TWO_POW_32 = 4294967296;
/** An int64 whose high word lies within ±2^20 is below 2^53 and exact as a double. */
const SAFE_HIGH_WORD = 0x100000;

/** Reads a numeric value; call it only for the four numeric types. */
export function readNumber(value: RawValue): ExactNumber {
  const { bytes, start } = value;
  switch (value.type) {
    case BSON.INT32:
      return bytes.readInt32LE(start);
    case BSON.DOUBLE:
      return bytes.readDoubleLE(start);
    case BSON.INT64: {
      const high = bytes.readInt32LE(start + 4);
      if (high >= -SAFE_HIGH_WORD && high < SAFE_HIGH_WORD) {
        return high * TWO_POW_32 + bytes.readUInt32LE(start);
      }
      return bytes.readBigInt64LE(start);
    }
    default:
      return readDecimal128(bytes, start);
  }
}

export function isNumber(type: number): boolean {
  return type === BSON.INT32 || type === BSON.DOUBLE || type === BSON.INT64 || type === BSON.DECIMAL128;
}

export function isNaNValue(number: ExactNumber): boolean {
  return typeof number === 'object'
    ? number.kind === 'nan'
    : typeof number === 'number' && Number.isNaN(number);
}

/** Negative, zero or positive. */
export function compareNumbers(a: ExactNumber, b: ExactNumber): number {
  if (typeof a !== 'object' && typeof b !== 'object') {
    // Relational operators between number and bigint compare mathematical values (ECMA-262, BigInt::lessThan).
    if (a < b) return -1;
    if (a > b) return 1;
    return compareNaN(isNaNValue(a), isNaNValue(b));
  }
  if (isNaNValue(a) || isNaNValue(b)) return compareNaN(isNaNValue(a), isNaNValue(b));
  const left = toScaled(a);
  const right = toScaled(b);
  if (left.sign !== right.sign) return left.sign - right.sign;
  if (left.sign === 0) return 0;
  return left.sign * compareMagnitudes(left, right);
}

function compareNaN(a: boolean, b: boolean): number {
  return a === b ? 0 : a ? -1 : 1;
}

/** sign × coefficient × 2^two × 10^ten; an infinity has a coefficient of zero and a sign. */
interface Scaled {
  readonly sign: number;
  readonly coefficient: bigint;
  readonly two: number;
  readonly ten: number;
}

const ZERO: Scaled = { sign: 0, coefficient: 0n, two: 0, ten: 0 };

function toScaled(number: ExactNumber): Scaled {
  if (typeof number === 'object') {
    if (number.kind !== 'finite') return { ...ZERO, sign: number.negative ? -1 : 1 };
    if (number.coefficient === 0n) return ZERO;
    return {
      sign: number.negative ? -1 : 1,
      coefficient: number.coefficient,
      two: 0,
      ten: number.exponent,
    };
  }
  if (number === 0 || number === 0n) return ZERO;
  const sign = number < 0 ? -1 : 1;
  if (typeof number === 'bigint') return { ...ZERO, sign, coefficient: sign < 0 ? -number : number };
  if (!Number.isFinite(number)) return { ...ZERO, sign };
  return { ...scaleDouble(Math.abs(number)), sign };
}

/** Splits a positive finite double in its integer mantissa and power of two. */
function scaleDouble(magnitude: number): Scaled {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, magnitude);
  const bits = view.getBigUint64(0);
  const fraction = bits & 0xfffffffffffffn;
  const biased = Number(bits >> 52n);
  if (biased === 0) return { sign: 1, coefficient: fraction, two: -1074, ten: 0 };
  return { sign: 1, coefficient: fraction | (1n << 52n), two: biased - 1075, ten: 0 };
}

function compareMagnitudes(a: Scaled, b: Scaled): number {
  const aInfinite = a.coefficient === 0n;
  const bInfinite = b.coefficient === 0n;
  if (aInfinite || bInfinite) return Number(aInfinite) - Number(bInfinite);
  // Far apart is decided by the order of magnitude, which keeps the powers below small enough to be cheap.
  const apart = orderOfMagnitude(a) - orderOfMagnitude(b);
  if (Math.abs(apart) > 2) return apart;
  const left =
    a.coefficient * 2n ** BigInt(Math.max(0, a.two - b.two)) * 10n ** BigInt(Math.max(0, a.ten - b.ten));
  const right =
    b.coefficient * 2n ** BigInt(Math.max(0, b.two - a.two)) * 10n ** BigInt(Math.max(0, b.ten - a.ten));
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Within one of log10. */
function orderOfMagnitude(number: Scaled): number {
  return number.coefficient.toString().length + number.two * Math.LOG10E * Math.LN2 + number.ten;
}
