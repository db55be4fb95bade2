/** Comparison, logic, choice, arrays, types and text. */

import { compareValues } from '../../bson/compare-values.ts';
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { exactInteger, isNumber } from '../../bson/numbers.ts';
import { typeName } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { isTrue } from '../operators/operator.ts';
import { QueryFault } from '../query-fault.ts';
import {
  argumentsOf,
  booleanValue,
  constant,
  derived,
  type EagerOperator,
  type Expression,
  int32Value,
  isNullish,
  type LazyOperator,
  MISSING_VALUE,
  NULL_VALUE,
  namedArguments,
  type OperatorUse,
  textBytes,
  textValue,
} from './expression.ts';

/** As in a query, but a missing value is false too. */
export function isTruthy(value: RawValue): boolean {
  return value.type !== MISSING_VALUE.type && isTrue(value);
}

function compared(a: RawValue, b: RawValue): number {
  return compareValues(a, b, 'computed');
}

function comparison(accepts: (order: number) => boolean): EagerOperator {
  return {
    count: [2, 2],
    apply: ([a, b]) => booleanValue(accepts(compared(a as RawValue, b as RawValue))),
  };
}

export const EAGER_OPERATORS: Readonly<Record<string, EagerOperator>> = {
  $eq: comparison((order) => order === 0),
  $ne: comparison((order) => order !== 0),
  $gt: comparison((order) => order > 0),
  $gte: comparison((order) => order >= 0),
  $lt: comparison((order) => order < 0),
  $lte: comparison((order) => order <= 0),
  $cmp: {
    count: [2, 2],
    apply: ([a, b]) => int32Value(Math.sign(compared(a as RawValue, b as RawValue))),
  },
  $not: { count: [1, 1], apply: ([value]) => booleanValue(!isTruthy(value as RawValue)) },
  $in: {
    count: [2, 2],
    apply: ([value, list], use) =>
      booleanValue(items(list as RawValue, use).some((item) => compared(value as RawValue, item) === 0)),
  },
  $size: { count: [1, 1], apply: ([list], use) => int32Value(items(list as RawValue, use).length) },
  $isArray: { count: [1, 1], apply: ([value]) => booleanValue((value as RawValue).type === BSON.ARRAY) },
  $isNumber: { count: [1, 1], apply: ([value]) => booleanValue(isNumber((value as RawValue).type)) },
  $type: { count: [1, 1], apply: ([value]) => textValue(Buffer.from(typeOf(value as RawValue))) },
  $arrayElemAt: {
    count: [2, 2],
    apply: ([list, index], use) => itemAt(list as RawValue, index as RawValue, use),
  },
  $first: { count: [1, 1], apply: ([list], use) => itemAt(list as RawValue, int32Value(0), use) },
  $last: { count: [1, 1], apply: ([list], use) => itemAt(list as RawValue, int32Value(-1), use) },
  $concat: { count: [0, Number.POSITIVE_INFINITY], apply: concatenated, joinsConstants: 'all' },
  $strLenBytes: {
    count: [1, 1],
    apply: ([text], use) => int32Value(textOperand(text as RawValue, use).length),
  },
  $strLenCP: {
    count: [1, 1],
    apply: ([text], use) =>
      int32Value(textOperand(text as RawValue, use).filter((byte) => (byte & 0xc0) !== 0x80).length),
  },
  $toLower: {
    count: [1, 1],
    apply: ([text], use) => withCase(text as RawValue, use, { from: 0x41, to: 0x5a, by: 0x20 }),
  },
  $toUpper: {
    count: [1, 1],
    apply: ([text], use) => withCase(text as RawValue, use, { from: 0x61, to: 0x7a, by: -0x20 }),
  },
};

export const LAZY_OPERATORS: Readonly<Record<string, LazyOperator>> = {
  $literal: ({ operand }) => constant(operand),
  $and: (use) => logic(use, { decisive: false }),
  $or: (use) => logic(use, { decisive: true }),
  $cond: (use) => {
    const [condition, then, otherwise] = condArguments(use);
    if (condition.isConstant) return isTruthy(condition.evaluate()) ? then : otherwise;
    return derived([condition, then, otherwise], () =>
      isTruthy(condition.evaluate()) ? then.evaluate() : otherwise.evaluate(),
    );
  },
  $ifNull: (use) => {
    const given = argumentsOf(use);
    if (given.length < 2) throw new QueryFault('$ifNull takes two arguments or more', use.context.path);
    const parts = untilConstant(given);
    return derived(parts, () => {
      for (const part of parts.slice(0, -1)) {
        const value = part.evaluate();
        if (!isNullish(value)) return value;
      }
      return (parts.at(-1) as Expression).evaluate();
    });
  },
  $switch: switchOperator,
};

/** `decisive` in any place is the result; as a constant it is that before a document is read, and the rest is never worked out. */
function logic(use: OperatorUse, { decisive }: { decisive: boolean }): Expression {
  const parts = argumentsOf(use);
  const decides = (part: Expression): boolean => isTruthy(part.evaluate()) === decisive;
  if (parts.some((part) => part.isConstant && decides(part))) return constant(booleanValue(decisive));
  return derived(parts, () => booleanValue(parts.some(decides) === decisive));
}

/** What `$ifNull` can come to: without the constants that are null, up to the first that is not. */
function untilConstant(given: readonly Expression[]): Expression[] {
  const isNull = (part: Expression): boolean => part.isConstant && isNullish(part.evaluate());
  const parts = given.filter((part, index) => index === given.length - 1 || !isNull(part));
  const end = parts.findIndex((part) => part.isConstant);
  return end < 0 ? parts : parts.slice(0, end + 1);
}

/** The items of an array operand. */
function items(list: RawValue, { operator, context }: OperatorUse): RawElement[] {
  if (list.type !== BSON.ARRAY) {
    throw new QueryFault(`${operator} needs an array and a document holds ${typeOf(list)}`, context.path);
  }
  return [...elements(list.bytes, list.start)];
}

function typeOf({ type }: RawValue): string {
  return type === MISSING_VALUE.type ? 'missing' : typeName(type);
}

function itemAt(list: RawValue, index: RawValue, use: OperatorUse): RawValue {
  if (isNullish(list) || isNullish(index)) return NULL_VALUE;
  const all = items(list, use);
  const at = exactInteger(index);
  if (at === undefined || at !== BigInt.asIntN(32, at)) {
    throw new QueryFault(`${use.operator} needs an integer of 32 bits as position`, use.context.path);
  }
  return all.at(Number(at)) ?? MISSING_VALUE;
}

function concatenated(values: readonly RawValue[], use: OperatorUse): RawValue {
  const texts: Buffer[] = [];
  for (const value of values) {
    if (isNullish(value)) return NULL_VALUE;
    texts.push(textOperand(value, use));
  }
  return textValue(Buffer.concat(texts));
}

function textOperand(value: RawValue, { operator, context }: OperatorUse): Buffer {
  if (value.type !== BSON.STRING) {
    throw new QueryFault(`${operator} needs text and a document holds ${typeOf(value)}`, context.path);
  }
  return textBytes(value);
}

/** ASCII letters only, as on the server. */
function withCase(
  value: RawValue,
  use: OperatorUse,
  shift: { from: number; to: number; by: number },
): RawValue {
  if (isNullish(value)) return textValue(Buffer.alloc(0));
  const text = textOperand(value, use).map((byte) =>
    byte >= shift.from && byte <= shift.to ? byte + shift.by : byte,
  );
  return textValue(Buffer.from(text));
}

function condArguments(use: OperatorUse): readonly [Expression, Expression, Expression] {
  if (use.operand.type === BSON.OBJECT) {
    const named = namedArguments(use, { required: ['if', 'then', 'else'], optional: [] });
    return [named.get('if'), named.get('then'), named.get('else')] as unknown as readonly [
      Expression,
      Expression,
      Expression,
    ];
  }
  const parts = argumentsOf(use);
  if (parts.length !== 3) throw new QueryFault('$cond takes a condition and two values', use.context.path);
  return parts as unknown as readonly [Expression, Expression, Expression];
}

function switchOperator(use: OperatorUse): Expression {
  const { operand, context } = use;
  const fields = operand.type === BSON.OBJECT ? [...elements(operand.bytes, operand.start)] : [];
  const branchList = fields.find((field) => keyOf(field) === 'branches');
  const fallback = fields.find((field) => keyOf(field) === 'default');
  const isKnown = fields.length === (branchList ? 1 : 0) + (fallback ? 1 : 0);
  if (branchList?.type !== BSON.ARRAY || !isKnown) {
    throw new QueryFault('$switch takes "branches", an array, and "default"', context.path);
  }
  const branches = [...elements(branchList.bytes, branchList.start)].map((branch, index) => {
    const branchUse = {
      ...use,
      operand: branch,
      context: { ...context, path: `${context.path}.branches.${index}` },
    };
    const named = namedArguments(branchUse, { required: ['case', 'then'], optional: [] });
    return { condition: named.get('case') as Expression, result: named.get('then') as Expression };
  });
  if (branches.length === 0) throw new QueryFault('$switch needs at least one branch', context.path);
  let otherwise = fallback && context.compile(fallback, context);
  const open: typeof branches = [];
  for (const branch of branches) {
    if (!branch.condition.isConstant) {
      open.push(branch);
    } else if (isTruthy(branch.condition.evaluate())) {
      otherwise = branch.result;
      break;
    }
  }
  const noBranch = (): QueryFault =>
    new QueryFault('$switch: no branch holds for a document, and there is no default', context.path);
  if (open.length === 0) {
    if (otherwise === undefined) throw noBranch();
    return otherwise;
  }
  const evaluate = (): RawValue => {
    const branch = open.find(({ condition }) => isTruthy(condition.evaluate()));
    const result = branch?.result ?? otherwise;
    if (result === undefined) throw noBranch();
    return result.evaluate();
  };
  return { evaluate, isConstant: false };
}
