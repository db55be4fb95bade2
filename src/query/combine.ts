/**
 * Two ways of putting tests of a field together.
 *
 * Over a path, each test asks for any of the path's values: `{a: {$gt: 1, $lt: 3}}` matches `{a: [0, 4]}`. Inside
 * `$elemMatch` all tests look at the one element at hand. The operators are compiled the same way for both.
 */
import type { Condition, DocumentScope } from './document-scope.ts';
import { anyValue, type LeafArrays, type ValueTest } from './field-path.ts';
import { all, not } from './logic.ts';

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
