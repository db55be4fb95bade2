/**
 * Compiles a query document into a matcher over raw BSON.
 *
 * The answer is the server's (MongoDB 8): test/differential.test.ts asks both. What cannot be matched exactly is refused here,
 * by name, before any document is read.
 */
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { type Condition, DocumentScope } from './field-path.ts';
import { ARRAY } from './operators/array.ts';
import { BITWISE } from './operators/bitwise.ts';
import { COMPARISON, plainValueTest } from './operators/comparison.ts';
import { ELEMENT } from './operators/element.ts';
import { EVALUATION } from './operators/evaluation.ts';
import { LOGICAL } from './operators/logical.ts';
import {
  all,
  children,
  type FilterContext,
  holdsText,
  isOperatorDocument,
  type Operator,
  type OperatorContext,
  overPath,
  type QueryLanguage,
} from './operators/operator.ts';
import { QueryFault, unknownOperator } from './query-fault.ts';

const OPERATORS: Readonly<Record<string, Operator>> = {
  ...COMPARISON,
  ...LOGICAL,
  ...ELEMENT,
  ...EVALUATION,
  ...ARRAY,
  ...BITWISE,
};

const LANGUAGE: QueryLanguage = {
  operator,
  compileFilter,
  compileOperators,
  filterComparesText,
  operatorsCompareText,
};

/**
 * Whether the document at `start` matches. The document's frame must have been checked; damaged insides throw BsonFault.
 * A matcher keeps its place in the document, so it is not to be called while it is at work.
 */
export type Matcher = (bytes: Buffer, start: number) => boolean;

/** Compiles a raw BSON query; throws QueryFault. */
export function compileQuery(query: Buffer): Matcher {
  const scope = new DocumentScope();
  const filter = { bytes: query, type: BSON.OBJECT, start: 0, end: query.length };
  const condition = compileFilter(filter, { scope, path: '', isNested: false, language: LANGUAGE });
  return (bytes, start) => {
    scope.read(bytes, start);
    return condition();
  };
}

/**
 * Whether a query compares text, so that its answer depends on the collation of the collection it is asked of.
 *
 * A matcher compares text byte by byte. On a server, a collection made with a collation compares it by that language's rules
 * instead, for instance without regard to case. Regular expressions, schemas and everything but text are the same for both.
 */
export function comparesText(query: Buffer): boolean {
  return filterComparesText({ bytes: query, type: BSON.OBJECT, start: 0, end: query.length });
}

function operator(name: string): Operator | undefined {
  return Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
}

function unknown(name: string, isDocument: boolean, path: string): QueryFault {
  const supported = Object.keys(OPERATORS).filter((other) => OPERATORS[other]?.isDocument === isDocument);
  return unknownOperator(name, supported, path);
}

function compileFilter(filter: RawValue, context: FilterContext): Condition {
  return all(
    [...elements(filter.bytes, filter.start)].map((element) => {
      const key = keyOf(element);
      const path = context.path === '' ? key : `${context.path}.${key}`;
      return key.startsWith('$')
        ? compileDocumentOperator(key, element, { ...context, path })
        : compileField(key, element, { ...context, path });
    }),
  );
}

function compileDocumentOperator(name: string, operand: RawElement, context: FilterContext): Condition {
  const row = operator(name);
  if (!row?.isDocument) throw unknown(name, true, context.path);
  return row.compile(operand, context);
}

function compileField(field: string, element: RawElement, context: FilterContext): Condition {
  const { scope, path, language } = context;
  if (field.endsWith('.'))
    throw new QueryFault('a field path that ends in a dot has no certain meaning', path);
  const combine = overPath(scope, field);
  return isOperatorDocument(element)
    ? compileOperators(element, { combine, path, language })
    : combine.leaf(plainValueTest(element, path));
}

function compileOperators<Result>(operators: RawValue, context: OperatorContext<Result>): Result {
  const siblings = children(operators);
  return context.combine.all(
    siblings.map((operand) => {
      const name = keyOf(operand);
      const path = `${context.path}.${name}`;
      const row = operator(name);
      if (row === undefined || row.isDocument) throw unknown(name, false, path);
      return row.compile({ ...context, operator: name, operand, siblings, path });
    }),
  );
}

function filterComparesText(filter: RawValue): boolean {
  return children(filter).some((element) => {
    const row = operator(keyOf(element));
    if (row?.isDocument) return row.comparesText(element, LANGUAGE);
    return isOperatorDocument(element) ? operatorsCompareText(element) : holdsText(element);
  });
}

function operatorsCompareText(operators: RawValue): boolean {
  return children(operators).some((operand) => {
    const row = operator(keyOf(operand));
    return row?.isDocument === false && row.comparesText(operand, LANGUAGE);
  });
}
