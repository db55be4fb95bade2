/**
 * Logic: `$and`, `$or`, `$nor` of whole filters, and `$not` under a field.
 *
 * Alone because: each chapter of the manual is a file of its own.
 */
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import type { Condition } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { regexValueTest } from '../regex/regex-test.ts';
import {
  all,
  any,
  children,
  type DocumentOperator,
  type FieldUse,
  type FilterContext,
  not,
  type Operator,
} from './operator.ts';

const joining = (join: (clauses: readonly Condition[]) => Condition): DocumentOperator => ({
  isDocument: true,
  compile: (operand, context) => join(clausesOf(operand, context)),
  comparesText: (operand, language) =>
    children(operand).some((clause) => language.filterComparesText(clause)),
});

export const LOGICAL: Readonly<Record<string, Operator>> = {
  $and: joining(all),
  $or: joining(any),
  $nor: joining((clauses) => not(any(clauses))),
  $not: {
    isDocument: false,
    compile: (use) => use.combine.not(negated(use)),
    comparesText: (operand, language) =>
      operand.type === BSON.OBJECT && language.operatorsCompareText(operand),
  },
};

function clausesOf(operand: RawElement, context: FilterContext): Condition[] {
  const operator = keyOf(operand);
  const clauses = operand.type === BSON.ARRAY ? [...elements(operand.bytes, operand.start)] : [];
  if (clauses.length === 0)
    throw new QueryFault(`${operator} expects an array with at least one query`, context.path);
  return clauses.map((clause, index) => {
    const path = `${context.path}.${index}`;
    if (clause.type !== BSON.OBJECT)
      throw new QueryFault(`${operator} expects queries, which are objects`, path);
    return context.language.compileFilter(clause, { ...context, path });
  });
}

function negated<Result>(use: FieldUse<Result>): Result {
  const { operand, combine, path } = use;
  if (operand.type === BSON.REGEX) return combine.leaf(regexValueTest(operand, path));
  if (operand.type !== BSON.OBJECT || operand.end - operand.start === 5) {
    throw new QueryFault('$not expects operators or a regular expression', path);
  }
  return use.language.compileOperators(operand, use);
}
