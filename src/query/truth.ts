/** Whether the server takes a value for true: everything but false, zero, null and undefined. */
import { isNumber, readNumber } from '../bson/compare-numbers.ts';
import { BSON, type RawValue } from '../bson/types.ts';

export function isTrue(value: RawValue): boolean {
  if (isNumber(value.type)) {
    const number = readNumber(value);
    if (typeof number !== 'object') return number !== 0 && number !== 0n;
    return number.kind !== 'finite' || number.coefficient !== 0n;
  }
  if (value.type === BSON.BOOL) return value.bytes[value.start] !== 0;
  return value.type !== BSON.NULL && value.type !== BSON.UNDEFINED;
}
