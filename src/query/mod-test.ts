/** `$mod: [divisor, remainder]`, on the integer part of a number; the remainder has the sign of the number, as in C. */

import { isNumber, readNumber } from '../bson/compare-numbers.ts';
import { elements } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { ValueTest } from './field-path.ts';
import { truncatedInteger } from './integer-operand.ts';
import { QueryFault } from './query-fault.ts';

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
