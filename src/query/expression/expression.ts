/** What an expression is once compiled, and how an operator reads its arguments: one, a list, or by name. */

import { DocumentBuilder } from '../../bson/document-builder.ts';
import { elements, keyOf, MISSING, type RawElement } from '../../bson/elements.ts';
import { type Decimal, encodeDecimal128 } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { DocumentScope } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';

export interface Expression {
  /** The value for the document that the scope read last; may be missing, and is good until the next document. */
  readonly evaluate: () => RawValue;
  /** The value is the same for every document. */
  readonly isConstant: boolean;
}

export interface ExpressionContext {
  readonly scope: DocumentScope;
  /** Dotted path inside the query, for faults. */
  readonly path: string;
  /** Compiles an operand; handed in, because operators hold expressions and expressions operators. */
  readonly compile: (operand: RawValue, context: ExpressionContext) => Expression;
}

export interface OperatorUse {
  readonly operator: string;
  readonly operand: RawElement;
  readonly context: ExpressionContext;
}

/** An operator that needs all its arguments before it can say anything. */
export interface EagerOperator {
  /** Least and most number of arguments. */
  readonly count: readonly [number, number];
  /**
   * The server works out the constants that stand first, or all that stand together, before it reads a document. It shows: of
   * 2147483647 + 1 it keeps an int64, an int64 product of constants is exact where the double of the whole product would be
   * rounded on the way, and constants that cannot be joined are an error even where no document is.
   */
  readonly joinsConstants?: 'first' | 'all';
  /** Throws QueryFault where the server would end the query with an error. */
  readonly apply: (values: readonly RawValue[], use: OperatorUse) => RawValue;
}

/** An operator that decides which of its arguments to look at, or takes them by name. */
export type LazyOperator = (use: OperatorUse) => Expression;

export function constant(value: RawValue): Expression {
  return { evaluate: () => value, isConstant: true };
}

/** An expression of other expressions. Of constants it is worked out now, so that its errors show before any document is read. */
export function derived(parts: readonly Expression[], evaluate: () => RawValue): Expression {
  return parts.every((part) => part.isConstant) ? constant(evaluate()) : { evaluate, isConstant: false };
}

/** An array holds the arguments; anything else is the only one. */
export function argumentsOf({ operand, context }: OperatorUse): Expression[] {
  if (operand.type !== BSON.ARRAY) return [context.compile(operand, context)];
  return [...elements(operand.bytes, operand.start)].map((item, index) =>
    context.compile(item, { ...context, path: `${context.path}.${index}` }),
  );
}

/** Arguments by name, for operators that take an object. */
export function namedArguments(
  { operator, operand, context }: OperatorUse,
  { required, optional }: { readonly required: readonly string[]; readonly optional: readonly string[] },
): Map<string, Expression> {
  const known = [...required, ...optional].join(', ');
  if (operand.type !== BSON.OBJECT)
    throw new QueryFault(`${operator} takes an object of ${known}`, context.path);
  const named = new Map<string, Expression>();
  for (const element of elements(operand.bytes, operand.start)) {
    const name = keyOf(element);
    if (named.has(name) || (!required.includes(name) && !optional.includes(name))) {
      throw new QueryFault(
        `${operator}: "${name}" is not known or comes twice; known are ${known}`,
        context.path,
      );
    }
    named.set(name, context.compile(element, { ...context, path: `${context.path}.${name}` }));
  }
  const absent = required.find((name) => !named.has(name));
  if (absent !== undefined) throw new QueryFault(`${operator} lacks "${absent}"`, context.path);
  return named;
}

// Values that expressions make: BSON values with bytes of their own, beside those that lie in documents.

const NOTHING = Buffer.alloc(0);

export const MISSING_VALUE: RawValue = { bytes: NOTHING, type: MISSING, start: 0, end: 0 };
export const NULL_VALUE: RawValue = { bytes: NOTHING, type: BSON.NULL, start: 0, end: 0 };
const TRUE: RawValue = made(BSON.BOOL, Buffer.from([1]));
const FALSE: RawValue = made(BSON.BOOL, Buffer.from([0]));

function made(type: number, bytes: Buffer): RawValue {
  return { bytes, type, start: 0, end: bytes.length };
}

export function booleanValue(value: boolean): RawValue {
  return value ? TRUE : FALSE;
}

export function doubleValue(value: number): RawValue {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(value);
  return made(BSON.DOUBLE, bytes);
}

export function int32Value(value: number): RawValue {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32LE(value);
  return made(BSON.INT32, bytes);
}

export function int64Value(value: bigint, type: number = BSON.INT64): RawValue {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64LE(value);
  return made(type, bytes);
}

export function decimalValue(value: Decimal): RawValue {
  return made(BSON.DECIMAL128, encodeDecimal128(value));
}

export function dateValue(epochMs: bigint): RawValue {
  return int64Value(epochMs, BSON.DATE);
}

export function textValue(text: Buffer): RawValue {
  const builder = new DocumentBuilder();
  builder.int32(text.length + 1);
  builder.raw(text);
  builder.byte(0);
  return made(BSON.STRING, builder.finish());
}

/** The bytes of a string, without length and NUL. */
export function textBytes({ bytes, start, end }: RawValue): Buffer {
  return bytes.subarray(start + 4, end - 1);
}

/** An array; a missing item becomes null. */
export function arrayValue(items: readonly RawValue[]): RawValue {
  const entries = items.map(
    (item, index) => [String(index), item.type === MISSING ? NULL_VALUE : item] as const,
  );
  return made(BSON.ARRAY, documentBytes(entries));
}

/** An object; missing values are left out. */
export function objectValue(entries: readonly (readonly [string, RawValue])[]): RawValue {
  return made(BSON.OBJECT, documentBytes(entries.filter(([, value]) => value.type !== MISSING)));
}

function documentBytes(entries: readonly (readonly [string, RawValue])[]): Buffer {
  const builder = new DocumentBuilder();
  const start = builder.beginDocument();
  for (const [key, value] of entries) {
    builder.element(value.type, key);
    builder.value(value);
  }
  builder.endDocument(start);
  return builder.finish();
}

/** Null, undefined or missing: what most operators pass on as null. */
export function isNullish({ type }: RawValue): boolean {
  return type === BSON.NULL || type === BSON.UNDEFINED || type === MISSING;
}
