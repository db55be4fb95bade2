/** Operands that the server wants to be integers, in whatever numeric type they come. */

import { elements } from '../bson/elements.ts';
import { isNumber, readNumber, truncateDecimal } from '../bson/numbers.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { ValueTest } from './field-path.ts';
import { QueryFault } from './query-fault.ts';

/** The value as a bigint when it is a number without a fraction within 64 bits; otherwise undefined. */
export function exactInteger(value: RawValue): bigint | undefined {
  const { integer, exact } = toInteger(value);
  return exact ? integer : undefined;
}

/** The value cut to an integer (towards zero) within 64 bits; undefined when it is no number, NaN, infinite or too large. */
function truncatedInteger(value: RawValue): bigint | undefined {
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

/** `$mod: [divisor, remainder]`, on the integer part of a number; the remainder has the sign of the number, as in C. */
export function modTest(operand: RawValue, path: string): ValueTest {
  const parts = operand.type === BSON.ARRAY ? [...elements(operand.bytes, operand.start)] : [];
  const [divisor, remainder] = parts.map(truncatedInteger);
  if (parts.length !== 2 || divisor === undefined || remainder === undefined) {
    throw new QueryFault('$mod expects [divisor, remainder], two numbers within 64 bits', path);
  }
  if (divisor === 0n) throw new QueryFault('$mod: the divisor cannot be 0', path);
  const smallDivisor = Number(divisor);
  const smallRemainder = Number(remainder);
  const isSmall = Number.isSafeInteger(smallDivisor) && Number.isSafeInteger(smallRemainder);
  return (value) => {
    if (!isNumber(value.type)) return false;
    const number = readNumber(value);
    if (isSmall && typeof number === 'number' && Math.abs(number) <= Number.MAX_SAFE_INTEGER) {
      return Math.trunc(number) % smallDivisor === smallRemainder;
    }
    const integer = truncatedInteger(value);
    return integer !== undefined && integer % divisor === remainder;
  };
}
