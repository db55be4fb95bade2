/**
 * `$expr`: expressions of the aggregation language, as far as they agree with the server on every value tried.
 *
 * An expression that would end the server's query with an error (text added to a number, division by zero) ends the selection
 * with a QueryFault: documents are then not silently left out.
 */
import { ElementCursor, elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { Condition, DocumentScope } from '../field-path.ts';
import { QueryFault, unknownOperator } from '../query-fault.ts';
import { ARITHMETIC_OPERATORS } from './arithmetic-operators.ts';
import { DATE_OPERATORS } from './date-operators.ts';
import {
  argumentsOf,
  arrayValue,
  constant,
  derived,
  type EagerOperator,
  type Expression,
  type ExpressionContext,
  type LazyOperator,
  MISSING_VALUE,
  type OperatorUse,
  objectValue,
  textBytes,
} from './expression.ts';
import { EAGER_OPERATORS, isTruthy, LAZY_OPERATORS } from './general-operators.ts';

const EAGER: Readonly<Record<string, EagerOperator>> = { ...EAGER_OPERATORS, ...ARITHMETIC_OPERATORS };
const LAZY: Readonly<Record<string, LazyOperator>> = { ...LAZY_OPERATORS, ...DATE_OPERATORS };

/** The condition that an expression's value is true. Throws QueryFault now or, where a document's values are to blame, later. */
export function compileExpr(
  operand: RawValue,
  { scope, path }: { scope: DocumentScope; path: string },
): Condition {
  const { evaluate } = compileExpression(operand, { scope, path });
  return () => isTruthy(evaluate());
}

/** The expression itself, for those who want its value. */
export function compileExpression(
  operand: RawValue,
  place: { scope: DocumentScope; path: string },
): Expression {
  return compile(operand, { ...place, compile });
}

function compile(operand: RawValue, context: ExpressionContext): Expression {
  switch (operand.type) {
    case BSON.STRING: {
      const text = textBytes(operand).toString();
      return text.startsWith('$') ? fieldReference(text, context) : constant(operand);
    }
    case BSON.ARRAY: {
      const items = [...elements(operand.bytes, operand.start)].map((item, index) =>
        compile(item, { ...context, path: `${context.path}.${index}` }),
      );
      return derived(items, () => arrayValue(items.map((item) => held(item.evaluate()))));
    }
    case BSON.OBJECT:
      return compileObject(operand, context);
    default:
      return constant(operand);
  }
}

function compileObject(operand: RawValue, context: ExpressionContext): Expression {
  const fields = [...elements(operand.bytes, operand.start)];
  const [first, ...more] = fields;
  if (first !== undefined && keyOf(first).startsWith('$')) {
    if (more.length > 0) throw new QueryFault('an expression is an object with one operator', context.path);
    return compileOperator(first, context);
  }
  const entries = fields.map((field) => {
    const name = keyOf(field);
    if (name === '' || name.startsWith('$') || name.includes('.')) {
      throw new QueryFault(`"${name}" cannot name a field in an expression`, context.path);
    }
    return [name, compile(field, { ...context, path: `${context.path}.${name}` })] as const;
  });
  if (new Set(entries.map(([name]) => name)).size < entries.length) {
    throw new QueryFault('an object in an expression names a field twice', context.path);
  }
  return derived(
    entries.map(([, value]) => value),
    () => objectValue(entries.map(([name, value]) => [name, held(value.evaluate())])),
  );
}

function compileOperator(operand: RawElement, context: ExpressionContext): Expression {
  const operator = keyOf(operand);
  const use: OperatorUse = {
    operator,
    operand,
    context: { ...context, path: `${context.path}.${operator}` },
  };
  if (Object.hasOwn(LAZY, operator)) return (LAZY[operator] as LazyOperator)(use);
  if (!Object.hasOwn(EAGER, operator)) {
    throw unknownOperator(operator, [...Object.keys(EAGER), ...Object.keys(LAZY)], context.path);
  }
  const { count, apply, joinsConstants } = EAGER[operator] as EagerOperator;
  const given = argumentsOf(use);
  if (given.length < count[0] || given.length > count[1]) {
    const wanted = count[0] === count[1] ? String(count[0]) : `${count[0]} or more`;
    throw new QueryFault(`${operator} takes ${wanted} arguments, not ${given.length}`, use.context.path);
  }
  const result = (parts: readonly Expression[]): RawValue =>
    apply(
      parts.map((part) => held(part.evaluate())),
      use,
    );
  const parts = joinsConstants ? constantsJoined(given, joinsConstants, result) : given;
  return derived(parts, () => result(parts));
}

/** Each run of constants (or only the one in front) as the one constant that it comes to. */
function constantsJoined(
  parts: readonly Expression[],
  which: 'first' | 'all',
  result: (parts: readonly Expression[]) => RawValue,
): readonly Expression[] {
  const joined: Expression[] = [];
  let run: Expression[] = [];
  const endRun = (): void => {
    joined.push(...(run.length > 1 ? [constant(result(run))] : run));
    run = [];
  };
  for (const part of parts) {
    if (part.isConstant && (which === 'all' || joined.length === 0)) {
      run.push(part);
    } else {
      endRun();
      joined.push(part);
    }
  }
  endRun();
  return joined;
}

/** A value that stays when the cursor it stands on moves: the same field may be read again for the next argument. */
function held({ bytes, type, start, end }: RawValue): RawValue {
  return { bytes, type, start, end };
}

// `"$a.b"` and `"$$ROOT"`: a field of the document at hand. Not like the paths of a query: an array at the end is the value, as a whole; an
// array on the way gives an array of what its documents hold; and a number is a field name, never a position.

/** Takes a value apart along the rest of a path. */
type FieldLookup = (value: RawValue) => RawValue;

/** `text` starts with `$`. */
function fieldReference(text: string, { scope, path }: ExpressionContext): Expression {
  const names = fieldNames(text, path);
  const document = scope.wholeDocument();
  if (!text.startsWith('$$')) {
    const lookUp = fieldLookup(names, path);
    return { evaluate: () => lookUp(document), isConstant: false };
  }
  const [variable, ...rest] = names;
  if (variable === 'REMOVE' && rest.length === 0) return constant(MISSING_VALUE);
  if (variable !== 'ROOT' && variable !== 'CURRENT') {
    throw new QueryFault(
      `$$${variable} is not supported here; supported are $$ROOT, $$CURRENT and $$REMOVE`,
      path,
    );
  }
  const lookUp = fieldLookup(rest, path);
  return { evaluate: () => lookUp(document), isConstant: false };
}

function fieldNames(text: string, path: string): string[] {
  const names = text.replace(/^\$\$?/, '').split('.');
  // The parts of a reference (DBRef) are fields like others, but not of the document itself.
  const isNoField = (name: string, i: number): boolean =>
    name === '' ||
    name.includes('\0') ||
    (name.startsWith('$') && !(i > 0 && /^\$(?:id|ref|db)$/.test(name)));
  if (names.some(isNoField)) {
    throw new QueryFault(`"${text}" is no field: a name is empty, starts with $ or holds a NUL`, path);
  }
  return names;
}

function fieldLookup(names: readonly string[], path: string): FieldLookup {
  return names.reduceRight<FieldLookup>(
    (next, name) => into(name, { next, path }),
    (value) => value,
  );
}

function into(name: string, { next, path }: { next: FieldLookup; path: string }): FieldLookup {
  const key = Buffer.from(name);
  const field = new ElementCursor();
  const second = new ElementCursor();
  const ofDocument: FieldLookup = (value) => {
    field.open(value.bytes, value.start, value.end);
    if (!field.find(key)) return MISSING_VALUE;
    // Which of the two the server takes depends on what else it needs of the document.
    if (second.openBehind(field).find(key)) {
      throw new QueryFault(`a document holds "${name}" twice, which no expression can tell apart`, path);
    }
    return next(field);
  };
  return (value) => {
    if (value.type === BSON.OBJECT) return ofDocument(value);
    if (value.type !== BSON.ARRAY) return MISSING_VALUE;
    const found: RawValue[] = [];
    const item = new ElementCursor().open(value.bytes, value.start, value.end);
    while (item.next()) {
      if (item.type !== BSON.OBJECT) continue;
      const { bytes, type, start, end } = ofDocument(item);
      if (type !== MISSING_VALUE.type) found.push({ bytes, type, start, end });
    }
    return arrayValue(found);
  };
}
