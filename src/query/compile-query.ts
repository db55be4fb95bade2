/**
 * Compiles a query document into a matcher over raw BSON.
 *
 * The answer is the server's (MongoDB 8): test/differential.test.ts asks both. What cannot be matched exactly is refused here,
 * by name, before any document is read.
 */
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { comparisonTest } from './comparison-tests.ts';
import { type Condition, DocumentScope } from './document-scope.ts';
import { anyValue } from './field-path.ts';
import { inTest } from './in-test.ts';
import { all, any, not } from './logic.ts';
import { QueryFault } from './query-fault.ts';
import { isTrue } from './truth.ts';
import { typeTest } from './type-test.ts';

/** Whether the document at `start` matches. The frame must have been checked; damaged insides throw BsonFault. Not to be used concurrently. */
export type Matcher = (bytes: Buffer, start: number) => boolean;

/** Compiles a raw BSON query; throws QueryFault. */
export function compileQuery(query: Buffer): Matcher {
  const scope = new DocumentScope();
  const condition = compileFilter(
    { bytes: query, type: BSON.OBJECT, start: 0, end: query.length },
    { scope, path: '' },
  );
  return (bytes, start) => {
    scope.read(bytes, start);
    return condition();
  };
}

interface Context {
  readonly scope: DocumentScope;
  /** Dotted path inside the query, for faults. */
  readonly path: string;
}

/** One field's operator with its operand. */
interface FieldOperator {
  readonly field: string;
  readonly operator: string;
  readonly operand: RawElement;
  /** All operators beside it, for those that come in pairs. */
  readonly siblings: readonly RawElement[];
}

function compileFilter(filter: RawValue, context: Context): Condition {
  return all(
    [...elements(filter.bytes, filter.start)].map((element) => {
      const key = keyOf(element);
      const path = context.path === '' ? key : `${context.path}.${key}`;
      return key.startsWith('$')
        ? compileLogic(key, element, { ...context, path })
        : compileField(key, element, { ...context, path });
    }),
  );
}

const TOP_LEVEL: Readonly<Record<string, (operand: RawElement, context: Context) => Condition>> = {
  $and: (operand, context) => all(compileClauses('$and', operand, context)),
  $or: (operand, context) => any(compileClauses('$or', operand, context)),
  $nor: (operand, context) => not(any(compileClauses('$nor', operand, context))),
  $comment: () => () => true,
};

function compileLogic(operator: string, operand: RawElement, context: Context): Condition {
  const compile = Object.hasOwn(TOP_LEVEL, operator) ? TOP_LEVEL[operator] : undefined;
  if (compile === undefined) throw unsupported(operator, Object.keys(TOP_LEVEL), context.path);
  return compile(operand, context);
}

function compileClauses(operator: string, operand: RawElement, context: Context): Condition[] {
  if (operand.type !== BSON.ARRAY) throw new QueryFault(`${operator} expects an array`, context.path);
  const clauses = [...elements(operand.bytes, operand.start)];
  if (clauses.length === 0) throw new QueryFault(`${operator} expects at least one clause`, context.path);
  return clauses.map((clause, index) => {
    const path = `${context.path}.${index}`;
    if (clause.type !== BSON.OBJECT) throw new QueryFault(`${operator} expects objects`, path);
    return compileFilter(clause, { ...context, path });
  });
}

function compileField(field: string, element: RawElement, context: Context): Condition {
  if (isOperatorDocument(element)) return compileOperators(field, element, context);
  return anyValue(context.scope, { path: field, test: operandTest(element, context.path) });
}

/** A plain value stands for `$eq`. */
function operandTest(operand: RawValue, path: string) {
  if (operand.type === BSON.UNDEFINED) throw new QueryFault('undefined cannot be compared', path);
  if (operand.type === BSON.REGEX) throw new QueryFault('regular expressions are not supported yet', path);
  return comparisonTest('$eq', operand);
}

function isOperatorDocument(value: RawValue): boolean {
  if (value.type !== BSON.OBJECT) return false;
  const first = elements(value.bytes, value.start).next();
  return !first.done && value.bytes[first.value.keyStart] === 0x24 && !isReference(value);
}

/** `{$ref, $id}` is a value (a DBRef), not a set of operators. */
function isReference(value: RawValue): boolean {
  const keys = [...elements(value.bytes, value.start)].map(keyOf);
  return keys.includes('$ref') && keys.includes('$id');
}

function compileOperators(field: string, operators: RawValue, context: Context): Condition {
  const siblings = [...elements(operators.bytes, operators.start)];
  return all(
    siblings.map((operand) => {
      const operator = keyOf(operand);
      const path = `${context.path}.${operator}`;
      const compile = Object.hasOwn(FIELD_OPERATORS, operator) ? FIELD_OPERATORS[operator] : undefined;
      if (compile === undefined) throw unsupported(operator, Object.keys(FIELD_OPERATORS), path);
      return compile({ field, operator, operand, siblings }, { ...context, path });
    }),
  );
}

const FIELD_OPERATORS: Readonly<Record<string, (use: FieldOperator, context: Context) => Condition>> = {
  $eq: compileComparison,
  $gt: compileComparison,
  $gte: compileComparison,
  $lt: compileComparison,
  $lte: compileComparison,
  $ne: (use, context) => not(compileComparison({ ...use, operator: '$eq' }, context)),
  $in: compileIn,
  $nin: (use, context) => not(compileIn(use, context)),
  $exists: ({ field, operand }, { scope }) => {
    const exists = anyValue(scope, { path: field, test: (value) => !value.isMissing() });
    return isTrue(operand) ? exists : not(exists);
  },
  $type: ({ field, operand }, { scope, path }) =>
    anyValue(scope, { path: field, test: typeTest(operand, path) }),
  $not: ({ field, operand }, context) => {
    if (!isOperatorDocument(operand)) throw new QueryFault('$not expects operators', context.path);
    return not(compileOperators(field, operand, context));
  },
  $comment: () => () => true,
};

function compileComparison({ field, operator, operand }: FieldOperator, { scope, path }: Context): Condition {
  if (operand.type === BSON.UNDEFINED) throw new QueryFault('undefined cannot be compared', path);
  const test = comparisonTest(operator as Parameters<typeof comparisonTest>[0], operand);
  return anyValue(scope, { path: field, test });
}

function compileIn({ field, operator, operand }: FieldOperator, { scope, path }: Context): Condition {
  if (operand.type !== BSON.ARRAY) throw new QueryFault(`${operator} expects an array`, path);
  return anyValue(scope, { path: field, test: inTest(operand, path) });
}

function unsupported(operator: string, supported: readonly string[], path: string): QueryFault {
  return new QueryFault(`${operator} is not supported here; supported are ${supported.join(', ')}`, path);
}
