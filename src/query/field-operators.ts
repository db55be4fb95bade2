/**
 * The operators that stand under a field: `{field: {$gt: 5, $exists: true}}`.
 *
 * Every operator of MongoDB is either here or in `operator-faults.ts` with the reason; anything else is no operator.
 */

import { ElementCursor } from '../bson/element-cursor.ts';
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { type BitOperator, bitsTest } from './bits-test.ts';
import { type Comparison, comparisonTest, inTest } from './comparison-tests.ts';
import { type Condition, DocumentScope } from './document-scope.ts';
import type { ValueTest } from './field-path.ts';
import { exactInteger, modTest } from './integer-operand.ts';
import { type Combination, isTrue, OVER_ONE_VALUE } from './logic.ts';
import { isOperatorDocument } from './operator-document.ts';
import { QueryFault, unknownOperator } from './query-fault.ts';
import { readRegexOperators, regexTest, regexValueTest } from './regex-test.ts';
import { typeTest } from './type-test.ts';

/** Compiles a filter over documents; handed in, because filters hold operators and `$elemMatch` holds filters. */
type CompileFilter = (filter: RawValue, context: FilterContext) => Condition;

export interface FilterContext {
  readonly scope: DocumentScope;
  /** Dotted path inside the query, for faults. */
  readonly path: string;
  /** Inside `$elemMatch`, where the document at hand is not the whole one. */
  readonly isNested: boolean;
}

interface OperatorContext<Result> {
  readonly combine: Combination<Result>;
  readonly path: string;
  readonly compileFilter: CompileFilter;
}

interface Use<Result> extends OperatorContext<Result> {
  readonly operator: string;
  readonly operand: RawElement;
  /** All operators of the same document, for `$regex` with `$options`. */
  readonly siblings: readonly RawElement[];
}

type Compile = <Result>(use: Use<Result>) => Result;

const comparison: Compile = ({ combine, operator, operand, path }) => {
  if (operand.type === BSON.REGEX && operator !== '$eq') {
    throw new QueryFault(`${operator} cannot take a regular expression; $not with one can`, path);
  }
  return combine.leaf(comparisonTest(operator as Comparison, comparable(operand, path)));
};

const isIn: Compile = ({ combine, operator, operand, path }) => {
  if (operand.type !== BSON.ARRAY) throw new QueryFault(`${operator} expects an array`, path);
  return combine.leaf(inTest(operand, path));
};

const bits: Compile = ({ combine, operator, operand, path }) =>
  combine.leaf(bitsTest(operator as BitOperator, operand, path));

const FIELD_OPERATORS: Readonly<Record<string, Compile>> = {
  $eq: comparison,
  $gt: comparison,
  $gte: comparison,
  $lt: comparison,
  $lte: comparison,
  $ne: (use) => {
    if (use.operand.type === BSON.REGEX) {
      throw new QueryFault('$ne cannot take a regular expression; $not with one can', use.path);
    }
    return use.combine.not(comparison({ ...use, operator: '$eq' }));
  },
  $in: isIn,
  $nin: (use) => use.combine.not(isIn(use)),
  $not: (use) => use.combine.not(negated(use)),
  $exists: ({ combine, operand }) => {
    const exists = combine.leaf((value) => !value.isMissing());
    return isTrue(operand) ? exists : combine.not(exists);
  },
  $type: ({ combine, operand, path }) => combine.leaf(typeTest(operand, path)),
  $mod: ({ combine, operand, path }) => combine.leaf(modTest(operand, path)),
  $regex: ({ combine, siblings, path }) => combine.leaf(regexTest(readRegexOperators(siblings, path), path)),
  $options: ({ combine, siblings, path }) => {
    if (!siblings.some((sibling) => keyOf(sibling) === '$regex')) {
      throw new QueryFault('$options needs a $regex beside it', path);
    }
    return combine.all([]);
  },
  $all: (use) => use.combine.all(allOf(use)),
  $elemMatch: (use) => use.combine.leaf(elementMatch(use), 'whole'),
  $size: ({ combine, operand, path }) => {
    const size = Number(exactInteger(operand) ?? -1);
    if (size < 0 || size > 0x7fffffff) throw new QueryFault('$size expects a count', path);
    return combine.leaf(hasSize(size), 'whole');
  },
  $bitsAllSet: bits,
  $bitsAllClear: bits,
  $bitsAnySet: bits,
  $bitsAnyClear: bits,
};

export function compileOperators<Result>(operators: RawValue, context: OperatorContext<Result>): Result {
  const siblings = [...elements(operators.bytes, operators.start)];
  return context.combine.all(
    siblings.map((operand) => {
      const operator = keyOf(operand);
      const path = `${context.path}.${operator}`;
      const compile = Object.hasOwn(FIELD_OPERATORS, operator) ? FIELD_OPERATORS[operator] : undefined;
      if (compile === undefined) throw unknownOperator(operator, Object.keys(FIELD_OPERATORS), path);
      return compile({ ...context, operator, operand, siblings, path });
    }),
  );
}

/** The test of a plain value, `{field: value}`: equality, or a match of a regular expression. */
export function plainValueTest(operand: RawValue, path: string): ValueTest {
  return operand.type === BSON.REGEX
    ? regexValueTest(operand, path)
    : comparisonTest('$eq', comparable(operand, path));
}

function comparable(operand: RawValue, path: string): RawValue {
  if (operand.type === BSON.UNDEFINED) throw new QueryFault('nothing can be compared with undefined', path);
  return operand;
}

function negated<Result>(use: Use<Result>): Result {
  const { operand, combine, path } = use;
  if (operand.type === BSON.REGEX) return combine.leaf(regexValueTest(operand, path));
  if (operand.type !== BSON.OBJECT || operand.end - operand.start === 5) {
    throw new QueryFault('$not expects operators or a regular expression', path);
  }
  return compileOperators(operand, use);
}

function allOf<Result>(use: Use<Result>): Result[] {
  const { operand, combine, path } = use;
  if (operand.type !== BSON.ARRAY) throw new QueryFault('$all expects an array', path);
  const items = [...elements(operand.bytes, operand.start)];
  // All of nothing: the server lets it match nothing.
  if (items.length === 0) return [combine.leaf(() => false)];
  const matches = items.map((item) => firstElement(item));
  if (matches[0] !== undefined && keyOf(matches[0]) === '$elemMatch') {
    return matches.map((match, index) => {
      const itemPath = `${path}.${index}`;
      if (match === undefined || keyOf(match) !== '$elemMatch') {
        throw new QueryFault('$all takes either $elemMatch in every place or in none', itemPath);
      }
      return combine.leaf(elementMatch({ ...use, operand: match, path: itemPath }), 'whole');
    });
  }
  return items.map((item, index) => {
    const first = matches[index];
    if (first !== undefined && Object.hasOwn(FIELD_OPERATORS, keyOf(first))) {
      throw new QueryFault('$all cannot hold operators other than $elemMatch', `${path}.${index}`);
    }
    return combine.leaf(plainValueTest(item, `${path}.${index}`));
  });
}

function firstElement(value: RawValue): RawElement | undefined {
  if (value.type !== BSON.OBJECT) return undefined;
  const first = elements(value.bytes, value.start).next();
  return first.done ? undefined : first.value;
}

/** Operators that stand for a whole document keep `$elemMatch` from looking at plain values. */
const DOCUMENT_OPERATORS = [
  '$and',
  '$or',
  '$nor',
  '$expr',
  '$jsonSchema',
  '$comment',
  '$alwaysTrue',
  '$alwaysFalse',
];

function elementMatch<Result>({ operand, path, compileFilter }: Use<Result>): ValueTest {
  if (operand.type !== BSON.OBJECT) throw new QueryFault('$elemMatch expects an object', path);
  const first = firstElement(operand);
  const isAboutValues =
    first !== undefined &&
    isOperatorDocument(operand, { partial: true }) &&
    !DOCUMENT_OPERATORS.includes(keyOf(first));
  return isAboutValues
    ? anyElement(compileOperators(operand, { combine: OVER_ONE_VALUE, path, compileFilter }))
    : anyDocumentElement((scope) => compileFilter(operand, { scope, path, isNested: true }));
}

// `$elemMatch` and `$size`: what looks at an array as a whole.

/** Any element that is a document (or an array, its positions taken as fields) and matches the filter. */
function anyDocumentElement(compileFilter: (scope: DocumentScope) => Condition): ValueTest {
  const scope = new DocumentScope();
  const condition = compileFilter(scope);
  return anyElement((item) => {
    if (item.type !== BSON.OBJECT && item.type !== BSON.ARRAY) return false;
    scope.read(item.bytes, item.start);
    return condition();
  });
}

/** Any element that passes the test, taken as it is: arrays in the array are not gone through. */
function anyElement(test: ValueTest): ValueTest {
  const item = new ElementCursor();
  return (value) => {
    if (value.type !== BSON.ARRAY) return false;
    item.open(value.bytes, value.start, value.end);
    while (item.next()) if (test(item)) return true;
    return false;
  };
}

function hasSize(size: number): ValueTest {
  const item = new ElementCursor();
  return (value) => {
    if (value.type !== BSON.ARRAY) return false;
    item.open(value.bytes, value.start, value.end);
    let count = 0;
    while (count <= size && item.next()) count++;
    return count === size;
  };
}
