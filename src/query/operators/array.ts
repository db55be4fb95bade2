/** Arrays: `$all`, `$elemMatch` and `$size`; and the parts of a reference, which stand as fields of their own under `$elemMatch`. */
import { ElementCursor, elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { exactInteger } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { type Condition, DocumentScope, type ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { plainValueTest } from './comparison.ts';
import {
  children,
  comparesNoText,
  type DocumentOperator,
  type FieldUse,
  holdsText,
  isOperatorDocument,
  type Operator,
  OVER_ONE_VALUE,
  overPath,
} from './operator.ts';

/** A part of a reference, as in `{$elemMatch: {$id: 5}}`. */
const referencePart: DocumentOperator = {
  isDocument: true,
  compile: (operand, { scope, path }) => overPath(scope, keyOf(operand)).leaf(plainValueTest(operand, path)),
  comparesText: holdsText,
};

export const ARRAY: Readonly<Record<string, Operator>> = {
  $all: {
    isDocument: false,
    compile: (use) => use.combine.all(allOf(use)),
    comparesText: (operand, language) =>
      children(operand).some((item) =>
        isElementMatch(item) ? language.operatorsCompareText(item) : holdsText(item),
      ),
  },
  $elemMatch: {
    isDocument: false,
    compile: (use) => use.combine.leaf(elementMatch(use), 'whole'),
    comparesText: (operand, language) =>
      language.operatorsCompareText(operand) || language.filterComparesText(operand),
  },
  $size: {
    isDocument: false,
    compile: ({ combine, operand, path }) => {
      const size = Number(exactInteger(operand) ?? -1);
      if (size < 0 || size > 0x7fffffff) throw new QueryFault('$size expects a count', path);
      return combine.leaf(hasSize(size), 'whole');
    },
    comparesText: comparesNoText,
  },
  $ref: referencePart,
  $id: referencePart,
  $db: referencePart,
};

function allOf<Result>(use: FieldUse<Result>): Result[] {
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
    if (first !== undefined && use.language.operator(keyOf(first))?.isDocument === false) {
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

function isElementMatch(value: RawValue): boolean {
  const first = firstElement(value);
  return first !== undefined && keyOf(first) === '$elemMatch';
}

/** Operators that stand for a whole document keep `$elemMatch` from looking at plain values. */
function elementMatch<Result>({ operand, path, language }: FieldUse<Result>): ValueTest {
  if (operand.type !== BSON.OBJECT) throw new QueryFault('$elemMatch expects an object', path);
  const first = firstElement(operand);
  const isAboutValues =
    first !== undefined &&
    isOperatorDocument(operand, { partial: true }) &&
    language.operator(keyOf(first))?.isDocument !== true;
  return isAboutValues
    ? anyElement(language.compileOperators(operand, { combine: OVER_ONE_VALUE, path, language }))
    : anyDocumentElement((scope) =>
        language.compileFilter(operand, { scope, path, isNested: true, language }),
      );
}

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
