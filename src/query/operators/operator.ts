/**
 * What a query operator is: one row in the table of its chapter of MongoDB's manual (the other files of this folder). The row says
 * how the operator is compiled and whether it compares text; compile-query.ts joins the tables.
 *
 * Every operator of MongoDB is either in one of them or in `query-fault.ts` with the reason; anything else is no operator.
 */
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { isNumber, readNumber } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import {
  anyValue,
  type Condition,
  type DocumentScope,
  type LeafArrays,
  type ValueTest,
} from '../field-path.ts';

export type Operator = FieldOperator | DocumentOperator;

/** Stands under a field: `{field: {$gt: 5, $exists: true}}`. */
export interface FieldOperator {
  readonly isDocument: false;
  readonly compile: <Result>(use: FieldUse<Result>) => Result;
  readonly comparesText: ComparesText;
}

/** Stands for a whole document, in place of a field: `{$or: […]}`. */
export interface DocumentOperator {
  readonly isDocument: true;
  readonly compile: (operand: RawElement, context: FilterContext) => Condition;
  readonly comparesText: ComparesText;
}

/** Whether the operator compares text, so that its answer depends on a collation. */
type ComparesText = (operand: RawElement, language: QueryLanguage) => boolean;

/** The whole language; handed to each operator, because filters hold operators and operators filters. */
export interface QueryLanguage {
  operator(name: string): Operator | undefined;
  compileFilter(filter: RawValue, context: FilterContext): Condition;
  compileOperators<Result>(operators: RawValue, context: OperatorContext<Result>): Result;
  filterComparesText(filter: RawValue): boolean;
  operatorsCompareText(operators: RawValue): boolean;
}

export interface FilterContext {
  readonly scope: DocumentScope;
  /** Dotted path inside the query, for faults. */
  readonly path: string;
  /** Inside `$elemMatch`, where the document at hand is not the whole one. */
  readonly isNested: boolean;
  readonly language: QueryLanguage;
}

export interface OperatorContext<Result> {
  readonly combine: Combination<Result>;
  readonly path: string;
  readonly language: QueryLanguage;
}

export interface FieldUse<Result> extends OperatorContext<Result> {
  readonly operator: string;
  readonly operand: RawElement;
  /** All operators of the same document, for `$regex` with `$options`. */
  readonly siblings: readonly RawElement[];
}

/**
 * An object whose first key starts with `$` holds operators, unless it is a reference (`$ref` and `$id`), which is a value.
 * `partial`: any one of `$ref`, `$id` and `$db` makes it a reference, as under `$elemMatch`.
 */
export function isOperatorDocument(value: RawValue, { partial = false } = {}): boolean {
  if (value.type !== BSON.OBJECT) return false;
  const keys = children(value).map(keyOf);
  if (keys[0]?.startsWith('$') !== true) return false;
  if (partial) return !['$ref', '$id', '$db'].some((part) => keys.includes(part));
  return !(keys.includes('$ref') && keys.includes('$id'));
}

/** The elements of a document or an array. */
export function children(value: RawValue): RawElement[] {
  return [...elements(value.bytes, value.start)];
}

/** Whether there is text anywhere in a value. */
export function holdsText(value: RawValue): boolean {
  if (value.type === BSON.STRING || value.type === BSON.SYMBOL) return true;
  return (value.type === BSON.OBJECT || value.type === BSON.ARRAY) && children(value).some(holdsText);
}

/** `comparesText` of operators that do not look at text, or look at it byte by byte whatever the collation. */
export const comparesNoText = (): boolean => false;

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
interface Combination<Result> {
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

// Joined conditions: short forms for the frequent counts, because these run once per document.

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
