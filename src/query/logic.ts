/** Joins conditions; short forms for the frequent counts, because these run once per document. */

import { isNumber, readNumber } from '../bson/numbers.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Condition, DocumentScope } from './document-scope.ts';
import { anyValue, type LeafArrays, type ValueTest } from './field-path.ts';

export function all(conditions: readonly Condition[]): Condition {
  const [a, b, c] = conditions;
  if (a === undefined) return () => true;
  if (b === undefined) return a;
  if (c === undefined) return () => a() && b();
  if (conditions.length === 3) return () => a() && b() && c();
  return () => {
    for (const condition of conditions) if (!condition()) return false;
    return true;
  };
}

export function any(conditions: readonly Condition[]): Condition {
  const [a, b] = conditions;
  if (a === undefined) return () => false;
  if (b === undefined) return a;
  if (conditions.length === 2) return () => a() || b();
  return () => {
    for (const condition of conditions) if (condition()) return true;
    return false;
  };
}

export function not(condition: Condition): Condition {
  return () => !condition();
}

/** Whether the server takes a value for true: everything but false, zero, null and undefined. */
export function isTrue(value: RawValue): boolean {
  if (isNumber(value.type)) {
    const number = readNumber(value);
    if (typeof number !== 'object') return number !== 0 && number !== 0n;
    return number.kind !== 'finite' || number.coefficient !== 0n;
  }
  if (value.type === BSON.BOOL) return value.bytes[value.start] !== 0;
  return value.type !== BSON.NULL && value.type !== BSON.UNDEFINED;
}

/**
 * Two ways of putting tests of a field together.
 *
 * Over a path, each test asks for any of the path's values: `{a: {$gt: 1, $lt: 3}}` matches `{a: [0, 4]}`. Inside
 * `$elemMatch` all tests look at the one element at hand. The operators are compiled the same way for both.
 */
export interface Combination<Result> {
  leaf(test: ValueTest, arrays?: LeafArrays): Result;
  all(parts: readonly Result[]): Result;
  not(part: Result): Result;
}

export function overPath(scope: DocumentScope, path: string): Combination<Condition> {
  return { leaf: (test, arrays) => anyValue(scope, { path, test, ...(arrays && { arrays }) }), all, not };
}

export const OVER_ONE_VALUE: Combination<ValueTest> = {
  leaf: (test) => test,
  all: (parts) => (value) => parts.every((part) => part(value)),
  not: (part) => (value) => !part(value),
};
