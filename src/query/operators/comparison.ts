/**
 * Comparison: `$eq`, `$gt`, `$gte`, `$lt`, `$lte`, `$ne`, `$in`, `$nin`, and a plain value under a field.
 *
 * Values of different types never compare (type bracketing), with three exceptions: numbers compare across their four
 * types, a missing field equals null, and everything lies between MinKey and MaxKey. The frequent operands have tests of
 * their own, since these run once per document of a backup.
 */
import { compareValues, typePlace } from '../../bson/compare-values.ts';
import { elements, MISSING } from '../../bson/elements.ts';
import { KeySet } from '../../bson/key-set.ts';
import { compareNumbers, type ExactNumber, isNaNValue, isNumber, readNumber } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { regexValueTest } from '../regex/regex-test.ts';
import { type FieldOperator, holdsText, isOperatorDocument } from './operator.ts';

type Compile = FieldOperator['compile'];

const ordered: Compile = ({ combine, operator, operand, path }) => {
  if (operand.type === BSON.REGEX && operator !== '$eq') {
    throw new QueryFault(`${operator} cannot take a regular expression; $not with one can`, path);
  }
  return combine.leaf(comparisonTest(operator as Comparison, comparable(operand, path)));
};

const notEqual: Compile = (use) => {
  if (use.operand.type === BSON.REGEX) {
    throw new QueryFault('$ne cannot take a regular expression; $not with one can', use.path);
  }
  return use.combine.not(ordered({ ...use, operator: '$eq' }));
};

const isIn: Compile = ({ combine, operator, operand, path }) => {
  if (operand.type !== BSON.ARRAY) throw new QueryFault(`${operator} expects an array`, path);
  return combine.leaf(inTest(operand, path));
};

const comparing = (compile: Compile): FieldOperator => ({
  isDocument: false,
  compile,
  comparesText: holdsText,
});

export const COMPARISON: Readonly<Record<string, FieldOperator>> = {
  $eq: comparing(ordered),
  $gt: comparing(ordered),
  $gte: comparing(ordered),
  $lt: comparing(ordered),
  $lte: comparing(ordered),
  $ne: comparing(notEqual),
  $in: comparing(isIn),
  $nin: comparing((use) => use.combine.not(isIn(use))),
};

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

export type Comparison = '$eq' | '$gt' | '$gte' | '$lt' | '$lte';

/** What a comparison result must be. */
const ACCEPTS: Readonly<Record<Comparison, (order: number) => boolean>> = {
  $eq: (order) => order === 0,
  $gt: (order) => order > 0,
  $gte: (order) => order >= 0,
  $lt: (order) => order < 0,
  $lte: (order) => order <= 0,
};

/** A value against the operand of `$eq`, `$gt`, `$gte`, `$lt` or `$lte`. */
export function comparisonTest(operator: Comparison, operand: RawValue): ValueTest {
  if (operand.type === BSON.NULL) return nullTest(operator);
  if (operand.type === BSON.MIN_KEY || operand.type === BSON.MAX_KEY) return endTest(operator, operand.type);
  if (isNumber(operand.type)) return numberTest(operator, readNumber(operand));
  if (operator === '$eq') return equalityTest(operand);
  const accepts = ACCEPTS[operator];
  const place = typePlace(operand.type);
  return (value) => typePlace(value.type) === place && accepts(compareValues(value, operand));
}

function equalityTest(operand: RawValue): ValueTest {
  switch (operand.type) {
    case BSON.OBJECT_ID:
      return equalsObjectId(operand);
    case BSON.STRING:
    case BSON.SYMBOL:
      return equalsString(operand);
    default: {
      const place = typePlace(operand.type);
      return (value) => typePlace(value.type) === place && compareValues(value, operand) === 0;
    }
  }
}

function equalsObjectId({ bytes, start }: RawValue): ValueTest {
  const a = bytes.readInt32LE(start);
  const b = bytes.readInt32LE(start + 4);
  const c = bytes.readInt32LE(start + 8);
  return (value) =>
    value.type === BSON.OBJECT_ID &&
    // The counter at the end differs most often.
    value.bytes.readInt32LE(value.start + 8) === c &&
    value.bytes.readInt32LE(value.start + 4) === b &&
    value.bytes.readInt32LE(value.start) === a;
}

function equalsString(operand: RawValue): ValueTest {
  const length = operand.end - operand.start;
  const wanted = Buffer.from(operand.bytes.subarray(operand.start, operand.end));
  return (value) => {
    if (value.type !== BSON.STRING && value.type !== BSON.SYMBOL) return false;
    const { bytes, start } = value;
    if (value.end - start !== length) return false;
    for (let i = length - 1; i >= 0; i--) if (bytes[start + i] !== wanted[i]) return false;
    return true;
  };
}

function numberTest(operator: Comparison, operand: ExactNumber): ValueTest {
  const accepts = ACCEPTS[operator];
  if (isNaNValue(operand)) {
    const orEqual = operator !== '$gt' && operator !== '$lt';
    return (value) => orEqual && isNumber(value.type) && isNaNValue(readNumber(value));
  }
  const isEquality = operator === '$eq';
  return (value) => {
    if (!isNumber(value.type)) return false;
    const number = readNumber(value);
    if (isEquality && typeof number === 'number' && typeof operand === 'number') return number === operand;
    // NaN is below every number when sorting, but in a query it is neither below nor above.
    return !isNaNValue(number) && accepts(compareNumbers(number, operand));
  };
}

function nullTest(operator: Comparison): ValueTest {
  if (operator === '$gt' || operator === '$lt') return () => false;
  return (value) => value.type === BSON.NULL || value.type === MISSING;
}

/** MinKey and MaxKey compare with every type: all other values, missing ones too, lie between them. */
function endTest(operator: Comparison, end: number): ValueTest {
  const orEqual = operator !== '$gt' && operator !== '$lt';
  const others = end === BSON.MIN_KEY ? operator.startsWith('$gt') : operator.startsWith('$lt');
  return (value) => (value.type === end ? orEqual : others);
}

/** `$in`: the value equals one of a list, or matches one of the regular expressions in it. */
function inTest(list: RawValue, path: string): ValueTest {
  const keys = new KeySet();
  const patterns: ValueTest[] = [];
  let hasNull = false;
  for (const [index, item] of [...elements(list.bytes, list.start)].entries()) {
    const itemPath = `${path}.${index}`;
    if (item.type === BSON.UNDEFINED)
      throw new QueryFault('nothing can be compared with undefined', itemPath);
    if (isOperatorDocument(item))
      throw new QueryFault('operators cannot stand in a list of values', itemPath);
    if (item.type === BSON.REGEX) {
      patterns.push(regexValueTest(item, itemPath));
    } else {
      keys.add(item);
      if (item.type === BSON.NULL) hasNull = true;
    }
  }
  if (patterns.length === 0) return (value) => (value.isMissing() ? hasNull : keys.has(value));
  return (value) =>
    value.isMissing() ? hasNull : keys.has(value) || patterns.some((matches) => matches(value));
}
