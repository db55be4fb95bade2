/**
 * BSON numbers, exactly: comparison across int32, int64, double and Decimal128; Decimal128 decoded, encoded and as text, in the BID
 * encoding (IEEE 754-2008).
 *
 * 2^53 + 1 as an int64 is not 2^53 as a double, and decimal 0.1 is not double 0.1. No value is rounded to be compared.
 * NaN equals NaN and is smaller than every other number, as in MongoDB's sort order.
 */
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

// Integers, in whatever numeric type they come.

/** The value as a bigint when it is a number without a fraction within 64 bits; otherwise undefined. */
export function exactInteger(value: RawValue): bigint | undefined {
  const { integer, exact } = toInteger(value);
  return exact ? integer : undefined;
}

/** The value cut to an integer (towards zero) within 64 bits; undefined when it is no number, NaN, infinite or too large. */
export function truncatedInteger(value: RawValue): bigint | undefined {
  return toInteger(value).integer;
}

const NONE = { integer: undefined, exact: false };

function toInteger(value: RawValue): { integer: bigint | undefined; exact: boolean } {
  if (!isNumber(value.type)) return NONE;
  const number = readNumber(value);
  if (typeof number === 'bigint') return { integer: number, exact: true };
  if (typeof number === 'number') {
    if (!Number.isFinite(number)) return NONE;
    return within64Bits(BigInt(Math.trunc(number)), Number.isInteger(number));
  }
  if (number.kind !== 'finite') return NONE;
  const cut = truncateDecimal(number);
  return cut === undefined ? NONE : within64Bits(cut.integer, cut.exact);
}

function within64Bits(integer: bigint, exact: boolean): { integer: bigint | undefined; exact: boolean } {
  return integer === BigInt.asIntN(64, integer) ? { integer, exact } : NONE;
}

/** A finite value is ±coefficient × 10^exponent. */
export type Decimal =
  | {
      readonly kind: 'finite';
      readonly negative: boolean;
      readonly coefficient: bigint;
      readonly exponent: number;
    }
  | { readonly kind: 'infinity'; readonly negative: boolean }
  | { readonly kind: 'nan'; readonly negative: boolean };

const MAX_DIGITS = 34;
const MAX_COEFFICIENT = 10n ** 34n - 1n;
const EXPONENT_BIAS = 6176;
export const MIN_EXPONENT = -6176;
export const MAX_EXPONENT = 6111;

/** Decodes the 16 little-endian bytes at `start`. A coefficient that is not canonical (above 10^34 - 1) counts as zero, as IEEE 754 says. */
export function readDecimal128(bytes: Buffer, start: number): Decimal {
  const low = bytes.readBigUInt64LE(start);
  const high = bytes.readBigUInt64LE(start + 8);
  const negative = high >> 63n === 1n;
  const combination = Number((high >> 58n) & 0x1fn);
  if (combination === 0x1f) return { kind: 'nan', negative };
  if (combination === 0x1e) return { kind: 'infinity', negative };
  if (combination >> 3 === 3) {
    // The long-coefficient form always exceeds 34 digits, so only sign and exponent count.
    const exponent = Number((high >> 47n) & 0x3fffn) - EXPONENT_BIAS;
    return { kind: 'finite', negative, coefficient: 0n, exponent };
  }
  const exponent = Number((high >> 49n) & 0x3fffn) - EXPONENT_BIAS;
  const coefficient = ((high & 0x1ffffffffffffn) << 64n) | low;
  return {
    kind: 'finite',
    negative,
    coefficient: coefficient > MAX_COEFFICIENT ? 0n : coefficient,
    exponent,
  };
}

/** The 16 bytes of a decimal whose coefficient and exponent are in range. */
export function encodeDecimal128(decimal: Decimal): Buffer {
  let high = decimal.negative ? 1n << 63n : 0n;
  let low = 0n;
  if (decimal.kind === 'nan') high |= 0x1fn << 58n;
  else if (decimal.kind === 'infinity') high |= 0x1en << 58n;
  else {
    high |= BigInt(decimal.exponent + EXPONENT_BIAS) << 49n;
    high |= decimal.coefficient >> 64n;
    low = decimal.coefficient & 0xffffffffffffffffn;
  }
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(low, 0);
  bytes.writeBigUInt64LE(high, 8);
  return bytes;
}

/** A digit has one place in it, so that a long text that is no number is not tried again for each of its parts. */
const NUMBER = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:e([+-]?\d+))?$/i;

/** Reads a decimal from text. Undefined when it is not a number or cannot be held exactly in 34 digits: nothing is rounded. */
export function parseDecimal(text: string): Decimal | undefined {
  if (/^[+-]?nan$/i.test(text)) return { kind: 'nan', negative: text.startsWith('-') };
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return { kind: 'infinity', negative: text.startsWith('-') };
  const match = NUMBER.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = match[4] ?? '', , power = '0'] = match;
  const negative = sign === '-';
  let digits = (whole + fraction).replace(/^0+/, '');
  let exponent = Number(power) - fraction.length;
  if (digits === '') {
    exponent = Math.min(MAX_EXPONENT, Math.max(MIN_EXPONENT, exponent));
    return { kind: 'finite', negative, coefficient: 0n, exponent };
  }
  while ((digits.length > MAX_DIGITS || exponent < MIN_EXPONENT) && digits.endsWith('0')) {
    digits = digits.slice(0, -1);
    exponent += 1;
  }
  while (exponent > MAX_EXPONENT && digits.length < MAX_DIGITS) {
    digits += '0';
    exponent -= 1;
  }
  if (digits.length > MAX_DIGITS || exponent < MIN_EXPONENT || exponent > MAX_EXPONENT) return undefined;
  return { kind: 'finite', negative, coefficient: BigInt(digits), exponent };
}

/** Text in the form of the Decimal128 specification; parsing it gives the same bytes for every canonical value. */
export function showDecimal(decimal: Decimal): string {
  if (decimal.kind === 'nan') return 'NaN';
  const sign = decimal.negative ? '-' : '';
  if (decimal.kind === 'infinity') return `${sign}Infinity`;
  const digits = decimal.coefficient.toString();
  const { exponent } = decimal;
  const adjusted = exponent + digits.length - 1;
  if (exponent > 0 || adjusted < -6) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits[0]}${fraction}E${adjusted < 0 ? '' : '+'}${adjusted}`;
  }
  if (exponent === 0) return sign + digits;
  const point = digits.length + exponent;
  if (point > 0) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  return `${sign}0.${'0'.repeat(-point)}${digits}`;
}

/** The integer part (towards zero) and whether nothing was cut off. Undefined beyond 10^40, to keep the integer small. */
function truncateDecimal(
  decimal: Extract<Decimal, { kind: 'finite' }>,
): { integer: bigint; exact: boolean } | undefined {
  const { coefficient, exponent } = decimal;
  const sign = decimal.negative ? -1n : 1n;
  if (coefficient === 0n) return { integer: 0n, exact: true };
  if (exponent >= 0) {
    return exponent > 40 ? undefined : { integer: sign * coefficient * 10n ** BigInt(exponent), exact: true };
  }
  const power = 10n ** BigInt(Math.min(-exponent, MAX_DIGITS + 1));
  return { integer: sign * (coefficient / power), exact: coefficient % power === 0n };
}
