/**
 * `$add $subtract $multiply $divide $mod $abs $ceil $floor $trunc $round`, with the server's result types: int32, then int64,
 * then double where integers overflow; a decimal wherever one takes part.
 */
import { type ExactNumber, isNumber, readNumber } from '../../bson/numbers.ts';
import { typeName } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import {
  addDecimals,
  divideDecimals,
  isZero,
  moduloDecimals,
  multiplyDecimals,
  negated,
  type Rounding,
  toDecimal,
  toWhole,
} from '../decimal-arithmetic.ts';
import { QueryFault } from '../query-fault.ts';
import {
  dateValue,
  decimalValue,
  doubleValue,
  type EagerOperator,
  int32Value,
  int64Value,
  isNullish,
  MISSING_VALUE,
  NULL_VALUE,
  type OperatorUse,
} from './expression.ts';

const ANY_COUNT: readonly [number, number] = [0, Number.POSITIVE_INFINITY];

export const ARITHMETIC_OPERATORS: Readonly<Record<string, EagerOperator>> = {
  $add: { count: ANY_COUNT, apply: sum, joinsConstants: 'first' },
  $multiply: { count: ANY_COUNT, apply: multiply, joinsConstants: 'first' },
  $subtract: { count: [2, 2], apply: ([a, b], use) => subtract(a as RawValue, b as RawValue, use) },
  $divide: { count: [2, 2], apply: ([a, b], use) => divide(a as RawValue, b as RawValue, use) },
  $mod: { count: [2, 2], apply: ([a, b], use) => modulo(a as RawValue, b as RawValue, use) },
  $abs: { count: [1, 1], apply: ([value], use) => unary(value as RawValue, use, absolute) },
  $ceil: {
    count: [1, 1],
    apply: ([value], use) => unary(value as RawValue, use, wholeWithin34Digits('up', Math.ceil)),
  },
  $floor: {
    count: [1, 1],
    apply: ([value], use) => unary(value as RawValue, use, wholeWithin34Digits('down', Math.floor)),
  },
  $trunc: {
    count: [1, 1],
    apply: ([value], use) => unary(value as RawValue, use, whole('cut', Math.trunc)),
  },
  $round: {
    count: [1, 1],
    apply: ([value], use) => unary(value as RawValue, use, whole('even', roundHalfToEven)),
  },
};

/** From left to right; the first null ends it, whatever comes after. */
function sum(values: readonly RawValue[], use: OperatorUse): RawValue {
  let total = int32Value(0);
  for (const value of values) {
    if (isNullish(value)) return NULL_VALUE;
    total = add(total, value, use);
  }
  // Of int32s alone the sum is one again, however large it was on the way.
  const isOfInt32s = total.type === BSON.INT64 && values.every(({ type }) => type === BSON.INT32);
  return isOfInt32s ? integerResult(toInteger(total), BSON.INT32, () => toDouble(total)) : total;
}

/** The widest of two numeric types: int32, int64, double, decimal. */
function widest(a: number, b: number): number {
  const wider = [BSON.DECIMAL128, BSON.DOUBLE, BSON.INT64].find((type) => a === type || b === type);
  return wider ?? BSON.INT32;
}

function requireNumbers(values: readonly RawValue[], { operator, context }: OperatorUse): void {
  const wrong = values.find((value) => !isNumber(value.type));
  if (wrong === undefined) return;
  const name = wrong.type === MISSING_VALUE.type ? 'missing' : typeName(wrong.type);
  throw new QueryFault(`${operator} needs numbers and a document holds ${name}`, context.path);
}

function toInteger(value: RawValue): bigint {
  return BigInt(readNumber(value) as number | bigint);
}

function toDouble(value: RawValue): number {
  return Number(readNumber(value) as number | bigint);
}

function decimalOf(value: RawValue): ReturnType<typeof toDecimal> {
  return toDecimal(readNumber(value));
}

/** int32 where both sides were and it fits, else int64, else a double. */
function integerResult(integer: bigint, type: number, overflowed: () => number): RawValue {
  if (type === BSON.INT32 && integer === BigInt.asIntN(32, integer)) return int32Value(Number(integer));
  return integer === BigInt.asIntN(64, integer) ? int64Value(integer) : doubleValue(overflowed());
}

function add(a: RawValue, b: RawValue, use: OperatorUse): RawValue {
  if (a.type === BSON.DATE && b.type === BSON.DATE) {
    throw new QueryFault('$add takes one date only', use.context.path);
  }
  if (a.type === BSON.DATE) return moveDate(a, b, { sign: 1n, use });
  if (b.type === BSON.DATE) return moveDate(b, a, { sign: 1n, use });
  requireNumbers([a, b], use);
  const type = widest(a.type, b.type);
  if (type === BSON.DECIMAL128) return decimalValue(addDecimals(decimalOf(a), decimalOf(b)));
  if (type === BSON.DOUBLE) return doubleValue(toDouble(a) + toDouble(b));
  return integerResult(toInteger(a) + toInteger(b), type, () => toDouble(a) + toDouble(b));
}

function subtract(a: RawValue, b: RawValue, use: OperatorUse): RawValue {
  if (isNullish(a) || isNullish(b)) return NULL_VALUE;
  if (a.type === BSON.DATE) {
    // Between dates more than 292 million years apart the server's result wraps around, too.
    if (b.type === BSON.DATE)
      return int64Value(BigInt.asIntN(64, a.bytes.readBigInt64LE(a.start) - b.bytes.readBigInt64LE(b.start)));
    return moveDate(a, b, { sign: -1n, use });
  }
  requireNumbers([a, b], use);
  const type = widest(a.type, b.type);
  if (type === BSON.DECIMAL128) return decimalValue(addDecimals(decimalOf(a), negated(decimalOf(b))));
  if (type === BSON.DOUBLE) return doubleValue(toDouble(a) - toDouble(b));
  return integerResult(toInteger(a) - toInteger(b), type, () => toDouble(a) - toDouble(b));
}

/** A date moved by milliseconds: a fraction of one is rounded, halves away from zero. */
function moveDate(date: RawValue, by: RawValue, { sign, use }: { sign: bigint; use: OperatorUse }): RawValue {
  requireNumbers([by], use);
  const number = readNumber(by);
  const step = milliseconds(number, use);
  const ms = date.bytes.readBigInt64LE(date.start) + sign * (step ?? 0n);
  if (step === undefined || ms !== BigInt.asIntN(64, ms))
    throw new QueryFault(`${use.operator} leaves the range of dates`, use.context.path);
  return dateValue(ms);
}

/** Undefined when it is not within 64 bits, whatever date it would lead to. */
function milliseconds(number: ExactNumber, { operator, context }: OperatorUse): bigint | undefined {
  if (typeof number === 'bigint') return number;
  if (typeof number === 'object') {
    throw new QueryFault(`${operator} of a date and a decimal is not supported`, context.path);
  }
  if (!Number.isFinite(number)) return undefined;
  const whole = BigInt(Math.sign(number) * Math.round(Math.abs(number)));
  return whole === BigInt.asIntN(64, whole) ? whole : undefined;
}

/** Integers are multiplied as doubles besides; those are the product once it leaves 64 bits. */
function multiply(values: readonly RawValue[], use: OperatorUse): RawValue {
  let integer = 1n;
  let double = 1;
  let decimal = toDecimal(1n);
  let type: number = BSON.INT32;
  for (const value of values) {
    if (isNullish(value)) return NULL_VALUE;
    requireNumbers([value], use);
    const before = type;
    type = widest(type, value.type);
    if (type === BSON.DECIMAL128) {
      if (before !== BSON.DECIMAL128) decimal = toDecimal(before === BSON.DOUBLE ? double : integer);
      decimal = multiplyDecimals(decimal, decimalOf(value));
      continue;
    }
    double *= toDouble(value);
    if (type === BSON.DOUBLE) continue;
    integer *= toInteger(value);
    if (integer !== BigInt.asIntN(64, integer)) type = BSON.DOUBLE;
  }
  if (type === BSON.DECIMAL128) return decimalValue(decimal);
  return type === BSON.DOUBLE ? doubleValue(double) : integerResult(integer, type, () => double);
}

function divide(a: RawValue, b: RawValue, use: OperatorUse): RawValue {
  if (isNullish(a) || isNullish(b)) return NULL_VALUE;
  requireNumbers([a, b], use);
  requireDivisor(b, use);
  if (widest(a.type, b.type) === BSON.DECIMAL128)
    return decimalValue(divideDecimals(decimalOf(a), decimalOf(b)));
  return doubleValue(toDouble(a) / toDouble(b));
}

function modulo(a: RawValue, b: RawValue, use: OperatorUse): RawValue {
  if (isNullish(a) || isNullish(b)) return NULL_VALUE;
  requireNumbers([a, b], use);
  requireDivisor(b, use);
  const type = widest(a.type, b.type);
  if (type === BSON.DECIMAL128) return decimalValue(moduloDecimals(decimalOf(a), decimalOf(b)));
  if (type === BSON.DOUBLE) return doubleValue(toDouble(a) % toDouble(b));
  return integerResult(toInteger(a) % toInteger(b), type, () => 0);
}

function requireDivisor(divisor: RawValue, { operator, context }: OperatorUse): void {
  const number = readNumber(divisor);
  const isNone = typeof number === 'object' ? isZero(number) : Number(number) === 0;
  if (isNone) throw new QueryFault(`${operator} by zero in a document`, context.path);
}

function unary(
  value: RawValue,
  use: OperatorUse,
  apply: (value: RawValue, use: OperatorUse) => RawValue,
): RawValue {
  if (isNullish(value)) return NULL_VALUE;
  requireNumbers([value], use);
  return apply(value, use);
}

function absolute(value: RawValue, { context }: OperatorUse): RawValue {
  const number = readNumber(value);
  if (typeof number === 'object') return decimalValue({ ...number, negative: false });
  if (value.type === BSON.DOUBLE) return doubleValue(Math.abs(number as number));
  const integer = toInteger(value);
  if (integer === -(2n ** 63n))
    throw new QueryFault('$abs of the smallest int64 in a document', context.path);
  return integerResult(integer < 0n ? -integer : integer, value.type, () => 0);
}

function whole(rounding: Rounding, ofDouble: (number: number) => number) {
  return (value: RawValue): RawValue => {
    const number = readNumber(value);
    if (typeof number === 'object')
      return decimalValue(number.kind === 'finite' ? toWhole(number, rounding) : number);
    return value.type === BSON.DOUBLE ? doubleValue(ofDouble(number as number)) : value;
  };
}

/** `$ceil` and `$floor` of a decimal that has more than 34 digits before the point are NaN, also where it is whole. */
function wholeWithin34Digits(rounding: Rounding, ofDouble: (number: number) => number) {
  const round = whole(rounding, ofDouble);
  return (value: RawValue): RawValue => {
    const number = readNumber(value);
    if (typeof number !== 'object' || number.kind === 'nan') return round(value);
    const isTooLarge =
      number.kind === 'infinity' ||
      (number.coefficient !== 0n && number.coefficient.toString().length + number.exponent > 34);
    return isTooLarge ? decimalValue({ kind: 'nan', negative: false }) : round(value);
  };
}

function roundHalfToEven(number: number): number {
  const floor = Math.floor(number);
  const fraction = number - floor;
  if (fraction !== 0.5) return Math.round(number);
  return floor % 2 === 0 ? floor : floor + 1;
}
