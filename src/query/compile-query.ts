/**
 * Compiles a query document into a matcher over raw BSON.
 *
 * The answer is the server's (MongoDB 8): test/differential.test.ts asks both. What cannot be matched exactly is refused here,
 * by name, before any document is read.
 */
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { type Condition, DocumentScope } from './document-scope.ts';
import { compileExpr } from './expression/compile-expression.ts';
import { compileOperators, type FilterContext, plainValueTest } from './field-operators.ts';
import { exactInteger } from './integer-operand.ts';
import { compileSchema } from './json-schema/compile-schema.ts';
import { all, any, not, overPath } from './logic.ts';
import { isOperatorDocument } from './operator-document.ts';
import { QueryFault, unknownOperator } from './query-fault.ts';

/**
 * Whether the document at `start` matches. The document's frame must have been checked; damaged insides throw BsonFault.
 * A matcher keeps its place in the document, so it is not to be called while it is at work.
 */
export type Matcher = (bytes: Buffer, start: number) => boolean;

/** Compiles a raw BSON query; throws QueryFault. */
export function compileQuery(query: Buffer): Matcher {
  const scope = new DocumentScope();
  const filter = { bytes: query, type: BSON.OBJECT, start: 0, end: query.length };
  const condition = compileFilter(filter, { scope, path: '', isNested: false });
  return (bytes, start) => {
    scope.read(bytes, start);
    return condition();
  };
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

type Compile = (operand: RawElement, context: FilterContext) => Condition;

/** A part of a reference as a field of its own, as in `{$elemMatch: {$id: 5}}`. */
const referencePart: Compile = (operand, { scope, path }) =>
  overPath(scope, keyOf(operand)).leaf(plainValueTest(operand, path));

const always =
  (result: boolean): Compile =>
  (operand, { path }) => {
    if (exactInteger(operand) !== 1n) throw new QueryFault(`${keyOf(operand)} expects 1`, path);
    return () => result;
  };

const DOCUMENT_OPERATORS: Readonly<Record<string, Compile>> = {
  $and: (operand, context) => all(compileClauses(operand, context)),
  $or: (operand, context) => any(compileClauses(operand, context)),
  $nor: (operand, context) => not(any(compileClauses(operand, context))),
  $jsonSchema: (operand, { scope, path }) => {
    const matches = compileSchema(operand, path);
    const document = scope.wholeDocument();
    return () => matches(document);
  },
  $expr: (operand, { scope, path, isNested }) => {
    if (isNested)
      throw new QueryFault('$expr stands for the whole document and cannot be inside $elemMatch', path);
    return compileExpr(operand, { scope, path });
  },
  $comment: () => () => true,
  $alwaysTrue: always(true),
  $alwaysFalse: always(false),
  $ref: referencePart,
  $id: referencePart,
  $db: referencePart,
};

function compileDocumentOperator(operator: string, operand: RawElement, context: FilterContext): Condition {
  const compile = Object.hasOwn(DOCUMENT_OPERATORS, operator) ? DOCUMENT_OPERATORS[operator] : undefined;
  if (compile === undefined) throw unknownOperator(operator, Object.keys(DOCUMENT_OPERATORS), context.path);
  return compile(operand, context);
}

function compileClauses(operand: RawElement, context: FilterContext): Condition[] {
  const operator = keyOf(operand);
  const clauses = operand.type === BSON.ARRAY ? [...elements(operand.bytes, operand.start)] : [];
  if (clauses.length === 0)
    throw new QueryFault(`${operator} expects an array with at least one query`, context.path);
  return clauses.map((clause, index) => {
    const path = `${context.path}.${index}`;
    if (clause.type !== BSON.OBJECT)
      throw new QueryFault(`${operator} expects queries, which are objects`, path);
    return compileFilter(clause, { ...context, path });
  });
}

function compileField(field: string, element: RawElement, context: FilterContext): Condition {
  const { scope, path } = context;
  if (field.endsWith('.'))
    throw new QueryFault('a field path that ends in a dot has no certain meaning', path);
  const combine = overPath(scope, field);
  return isOperatorDocument(element)
    ? compileOperators(element, { combine, path, compileFilter })
    : combine.leaf(plainValueTest(element, path));
}
