/**
 * Decimal128 arithmetic as the server does it: exact, then rounded to 34 digits with halves to even; doubles are taken over
 * with 15 digits.
 */
import { type Decimal, type ExactNumber, MAX_EXPONENT, MIN_EXPONENT } from '../bson/numbers.ts';

type FiniteDecimal = Extract<Decimal, { kind: 'finite' }>;

const DOUBLE_DIGITS = 15;
const DECIMAL_DIGITS = 34;

const NAN: Decimal = { kind: 'nan', negative: false };

/** A number of any type as a decimal. A double becomes its nearest decimal of 15 digits, as everywhere in the server. */
export function toDecimal(number: ExactNumber): Decimal {
  if (typeof number === 'object') return number;
  if (typeof number === 'bigint') return integerDecimal(number);
  if (Number.isNaN(number)) return NAN;
  if (!Number.isFinite(number)) return { kind: 'infinity', negative: number < 0 };
  return Number.isSafeInteger(number) && Math.abs(number) < 10 ** DOUBLE_DIGITS
    ? integerDecimal(BigInt(number))
    : doubleDecimal(number);
}

function integerDecimal(integer: bigint): FiniteDecimal {
  const negative = integer < 0n;
  return { kind: 'finite', negative, coefficient: negative ? -integer : integer, exponent: 0 };
}

function doubleDecimal(number: number): FiniteDecimal {
  const magnitude = Math.abs(number);
  // More digits than rounding to 15 looks at, so that the power of ten is the one before rounding.
  const power = Number(magnitude.toExponential(40).split('e')[1]);
  const exponent = power - DOUBLE_DIGITS + 1;
  const { numerator, denominator } = fractionOf(magnitude);
  const coefficient =
    exponent >= 0
      ? roundedQuotient(numerator, denominator * 10n ** BigInt(exponent))
      : roundedQuotient(numerator * 10n ** BigInt(-exponent), denominator);
  return { kind: 'finite', negative: number < 0, coefficient, exponent };
}

/** A positive finite double as an exact fraction. */
function fractionOf(magnitude: number): { numerator: bigint; denominator: bigint } {
  let scaled = magnitude;
  let twos = 0;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    twos++;
  }
  return { numerator: BigInt(scaled), denominator: 2n ** BigInt(twos) };
}

/** Quotient of two integers that are not negative, rounded to the nearest, halves to even. */
function roundedQuotient(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = 2n * (numerator % denominator);
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

/** ±integer × 10^exponent as a decimal of at most 34 digits within the range of exponents. */
function rounded(integer: bigint, exponent: number): Decimal {
  const negative = integer < 0n;
  let coefficient = negative ? -integer : integer;
  let power = exponent;
  const excess = Math.max(coefficient.toString().length - DECIMAL_DIGITS, MIN_EXPONENT - power);
  if (excess > 0) {
    coefficient = roundedQuotient(coefficient, 10n ** BigInt(excess));
    power += excess;
    // Rounding up may have made a 35th digit.
    if (coefficient === 10n ** BigInt(DECIMAL_DIGITS))
      return rounded(negative ? -coefficient : coefficient, power);
  }
  while (power > MAX_EXPONENT && coefficient !== 0n && coefficient.toString().length < DECIMAL_DIGITS) {
    coefficient *= 10n;
    power--;
  }
  if (coefficient === 0n) power = Math.min(power, MAX_EXPONENT);
  if (power > MAX_EXPONENT) return { kind: 'infinity', negative };
  return { kind: 'finite', negative, coefficient, exponent: power };
}

function signed({ negative, coefficient }: FiniteDecimal): bigint {
  return negative ? -coefficient : coefficient;
}

export function negated(decimal: Decimal): Decimal {
  return { ...decimal, negative: !decimal.negative };
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind === 'nan' || b.kind === 'nan') return NAN;
  if (a.kind === 'infinity') return b.kind === 'infinity' && a.negative !== b.negative ? NAN : a;
  if (b.kind === 'infinity') return b;
  if (a.coefficient === 0n) return b;
  if (b.coefficient === 0n) return a;
  const exponent = Math.min(a.exponent, b.exponent);
  const sum =
    signed(a) * 10n ** BigInt(a.exponent - exponent) + signed(b) * 10n ** BigInt(b.exponent - exponent);
  return rounded(sum, exponent);
}

export function multiplyDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind === 'nan' || b.kind === 'nan') return NAN;
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    return isZero(a) || isZero(b) ? NAN : { kind: 'infinity', negative };
  }
  return rounded(signed(a) * signed(b), a.exponent + b.exponent);
}

/** The divisor is not zero. */
export function divideDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind === 'nan' || b.kind === 'nan') return NAN;
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity') return b.kind === 'infinity' ? NAN : { kind: 'infinity', negative };
  if (b.kind === 'infinity') return integerDecimal(0n);
  // Two more digits than are kept, and a last one that says whether anything is left over.
  const shift = Math.max(
    0,
    DECIMAL_DIGITS + 2 + b.coefficient.toString().length - a.coefficient.toString().length,
  );
  const numerator = a.coefficient * 10n ** BigInt(shift);
  const quotient = (numerator / b.coefficient) * 10n + (numerator % b.coefficient === 0n ? 0n : 1n);
  return rounded(negative ? -quotient : quotient, a.exponent - b.exponent - shift - 1);
}

/** Remainder with the sign of the dividend; the divisor is not zero. */
export function moduloDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind !== 'finite' || b.kind === 'nan') return NAN;
  if (b.kind === 'infinity') return a;
  const exponent = Math.min(a.exponent, b.exponent);
  const left = signed(a) * 10n ** BigInt(a.exponent - exponent);
  const right = b.coefficient * 10n ** BigInt(b.exponent - exponent);
  return rounded(left % right, exponent);
}

export type Rounding = 'down' | 'up' | 'cut' | 'even';

/** A finite decimal as a whole number. */
export function toWhole(decimal: FiniteDecimal, rounding: Rounding): Decimal {
  if (decimal.exponent >= 0) return decimal;
  const power = 10n ** BigInt(Math.min(-decimal.exponent, DECIMAL_DIGITS + 2));
  const cut = decimal.coefficient / power;
  const isWhole = cut * power === decimal.coefficient;
  const away = (rounding === 'up' && !decimal.negative) || (rounding === 'down' && decimal.negative);
  const even = roundedQuotient(decimal.coefficient, power);
  const coefficient = rounding === 'even' ? even : !isWhole && away ? cut + 1n : cut;
  return { ...decimal, coefficient, exponent: 0 };
}

export function isZero(decimal: Decimal): boolean {
  return decimal.kind === 'finite' && decimal.coefficient === 0n;
}

/** Whether `number` is a whole multiple of `divisor`, both finite, the divisor not zero. */
export function isMultipleOf(number: FiniteDecimal, divisor: FiniteDecimal): boolean {
  const remainder = moduloDecimals(number, divisor);
  return isZero(remainder);
}
