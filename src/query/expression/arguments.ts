/** Reads the arguments of an operator: one, a list, or by name. */
import { elements, keyOf } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { QueryFault } from '../query-fault.ts';
import type { Expression, OperatorUse } from './expression.ts';

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
