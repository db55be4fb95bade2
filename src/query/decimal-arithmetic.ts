/**
 * Decimal128 arithmetic as the server does it: 34 digits, halves rounded to even, and doubles taken over with 15 digits.
 */
import type { ExactNumber } from '../bson/compare-numbers.ts';
import type { Decimal } from '../bson/decimal128.ts';

export type FiniteDecimal = Extract<Decimal, { kind: 'finite' }>;

const DOUBLE_DIGITS = 15;

/** A number of any type as a decimal. A double becomes its nearest decimal of 15 digits, as everywhere in the server. */
export function toDecimal(number: ExactNumber): Decimal {
  if (typeof number === 'object') return number;
  if (typeof number === 'bigint' || Number.isSafeInteger(number)) return integerDecimal(BigInt(number));
  if (Number.isNaN(number)) return { kind: 'nan', negative: false };
  if (!Number.isFinite(number)) return { kind: 'infinity', negative: number < 0 };
  return doubleDecimal(number);
}

function integerDecimal(integer: bigint): FiniteDecimal {
  const negative = integer < 0n;
  return { kind: 'finite', negative, coefficient: negative ? -integer : integer, exponent: 0 };
}

function doubleDecimal(number: number): FiniteDecimal {
  const magnitude = Math.abs(number);
  // Exactly as many digits as the double has before rounding, so that the power of ten is right.
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

/** Quotient of two positive integers, rounded to the nearest, halves to even. */
export function roundedQuotient(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = 2n * (numerator % denominator);
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

/** Whether `number` is a whole multiple of `divisor`, both finite, the divisor not zero. */
export function isMultipleOf(number: FiniteDecimal, divisor: FiniteDecimal): boolean {
  const shift = number.exponent - divisor.exponent;
  if (number.coefficient === 0n) return true;
  if (shift >= 0) return (number.coefficient * 10n ** BigInt(shift)) % divisor.coefficient === 0n;
  return number.coefficient % (divisor.coefficient * 10n ** BigInt(-shift)) === 0n;
}
