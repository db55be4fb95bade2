/**
 * Reads a query in the shell's syntax, such as `{ partner_id: ObjectId("57d17993a09a6759d8000d9e") }`.
 *
 * The text is parsed, never run: only literals, and calls of the constructors below with literal arguments, have a meaning.
 * What JavaScript itself would alter silently (a repeated key, an integer beyond 2^53, the current time) is refused.
 */
import { createRequire } from 'node:module';
import type {
  CallExpression,
  Expression,
  Literal,
  NewExpression,
  ObjectExpression,
  SpreadElement,
} from 'acorn';
import { JsonDouble, type JsonValue } from '../bson/extended-json.ts';
import { QueryFault } from './query-fault.ts';
import { SHELL_CONSTRUCTORS } from './shell-constructors.ts';

/** Extended JSON tree of the query; throws QueryFault. */
export function readShellQuery(text: string): JsonValue {
  const tree = parse(text);
  if (tree.type === 'CallExpression' || tree.type === 'NewExpression') {
    throw new QueryFault('this is one value; a query is an object: { field: value }');
  }
  return readExpression(tree, '');
}

function parse(text: string): Expression {
  // Loaded when the first shell query comes, synchronously: most plans have none, and checking a plan must start fast.
  const { parse: parseScript } = createRequire(import.meta.url)('acorn') as typeof import('acorn');
  let program: ReturnType<typeof parseScript>;
  try {
    program = parseScript(`(${text}\n)`, { ecmaVersion: 2022, sourceType: 'script' });
  } catch (cause) {
    const at = (cause as { pos?: number }).pos;
    const where = at === undefined ? '' : ` (character ${Math.min(Math.max(at, 1), text.length + 1)})`;
    throw new QueryFault(`not a query in shell syntax${where}`, '', cause);
  }
  const [statement, ...more] = program.body;
  if (statement?.type !== 'ExpressionStatement' || more.length > 0) {
    throw new QueryFault('a query is one object: { field: value }');
  }
  return statement.expression;
}

function readExpression(node: Expression | SpreadElement, path: string): JsonValue {
  switch (node.type) {
    case 'Literal':
      return readLiteral(node, path);
    case 'ObjectExpression':
      return readObject(node, path);
    case 'ArrayExpression':
      return node.elements.map((item, index) => {
        const itemPath = joinPath(path, String(index));
        if (item === null) throw new QueryFault('an array has a hole here', itemPath);
        return readExpression(item, itemPath);
      });
    case 'UnaryExpression':
      if (node.operator === '-' || node.operator === '+') {
        return negated(readExpression(node.argument, path), { minus: node.operator === '-', path });
      }
      break;
    case 'Identifier':
      if (node.name === 'undefined') return new Map([['$undefined', true]]);
      if (node.name === 'NaN' || node.name === 'Infinity') return new JsonDouble(Number(node.name));
      if (node.name === 'MinKey' || node.name === 'MaxKey') return callConstructor(node.name, [], path);
      throw new QueryFault(`"${node.name}" has no meaning here; text needs quotes`, path);
    case 'CallExpression':
    case 'NewExpression':
      return readCall(node, path);
  }
  throw new QueryFault(
    'only values and constructors such as ObjectId("…") can stand here; nothing is run',
    path,
  );
}

function readLiteral(node: Literal, path: string): JsonValue {
  if (node.regex) {
    const { pattern, flags } = node.regex;
    return callConstructor('RegExp', [pattern, flags], path);
  }
  const { value } = node;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new QueryFault('number is too large for a double', path);
    if (!Number.isInteger(value) || /^\d*\./.test(node.raw ?? '')) return new JsonDouble(value);
    if (Number.isSafeInteger(value)) return value;
    throw new QueryFault(
      'integer beyond 2^53 has lost digits; write NumberLong("…") or NumberDecimal("…")',
      path,
    );
  }
  if (
    typeof value === 'string' ||
    typeof value === 'boolean' ||
    typeof value === 'bigint' ||
    value === null
  ) {
    return value;
  }
  throw new QueryFault('a value of this kind has no place in a query', path);
}

function readObject(node: ObjectExpression, path: string): JsonValue {
  const object = new Map<string, JsonValue>();
  for (const property of node.properties) {
    if (property.type !== 'Property' || property.computed || property.method || property.kind !== 'init') {
      throw new QueryFault('only plain keys with values can stand in an object', path);
    }
    const key = keyText(property.key as Expression, path);
    const keyPath = joinPath(path, key);
    if (property.shorthand) throw new QueryFault(`"${key}" has no value`, keyPath);
    if (object.has(key))
      throw new QueryFault(`"${key}" comes twice; JavaScript would drop the first one`, keyPath);
    object.set(key, readExpression(property.value, keyPath));
  }
  return object;
}

function keyText(node: Expression, path: string): string {
  if (node.type === 'Identifier') return node.name;
  if (node.type === 'Literal') return String(node.value);
  throw new QueryFault('a key must be a name or text', path);
}

function negated(value: JsonValue, { minus, path }: { minus: boolean; path: string }): JsonValue {
  const sign = minus ? -1 : 1;
  if (typeof value === 'number') return minus && value === 0 ? new JsonDouble(-0) : sign * value;
  if (typeof value === 'bigint') return BigInt(sign) * value;
  if (value instanceof JsonDouble) return new JsonDouble(sign * value.value);
  throw new QueryFault('a sign can stand before a number only', path);
}

function readCall(node: CallExpression | NewExpression, path: string): JsonValue {
  if (node.callee.type !== 'Identifier') {
    throw new QueryFault('methods are not run here; write the value itself', path);
  }
  const { name } = node.callee;
  if (name === 'Date' && node.type === 'CallExpression') {
    throw new QueryFault('Date(…) without "new" is text, not a date; write ISODate("…")', path);
  }
  return callConstructor(
    name,
    node.arguments.map((argument) => readExpression(argument, path)),
    path,
  );
}

function callConstructor(name: string, values: readonly JsonValue[], path: string): JsonValue {
  const known = Object.hasOwn(SHELL_CONSTRUCTORS, name) ? SHELL_CONSTRUCTORS[name] : undefined;
  if (known === undefined) {
    const names = Object.keys(SHELL_CONSTRUCTORS).join(', ');
    throw new QueryFault(`${name}(…) is not known here; known are ${names}`, path);
  }
  const value = known.read(values);
  if (value === undefined) throw new QueryFault(`${name} is written ${known.expected}`, path);
  return value;
}

function joinPath(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
