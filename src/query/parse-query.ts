/**
 * Reads a query as people write it into raw BSON.
 *
 * Two forms: the YAML value itself (nested Maps, arrays and scalars, Extended JSON inside), or a string in the shell's
 * syntax, such as `{ partner_id: ObjectId("57d17993a09a6759d8000d9e") }`. Either way nothing is reordered, rounded or run.
 *
 * Text is parsed: only literals, and calls of the shell's constructors with literal arguments, have a meaning. What else people
 * paste (a whole command, Ruby) is understood where it has one meaning: see pasted-query.ts. What JavaScript itself would alter
 * silently (a repeated key, an integer beyond 2^53, the current time) is refused.
 */
import { ExtendedJsonFault, JsonDouble, type JsonValue } from '../bson/extended-json.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import {
  type CallExpression,
  type Expression,
  filterOf,
  type Literal,
  type NewExpression,
  nameOf,
  type ObjectExpression,
  parsePasted,
  type SpreadElement,
} from './pasted-query.ts';
import { QueryFault } from './query-fault.ts';
import { SHELL_CONSTRUCTORS } from './shell-constructors.ts';

/** Raw BSON query document; throws QueryFault. `collection`: a command of the shell must ask this one. */
export function parseQuery(value: unknown, collection?: string): Buffer {
  const tree = typeof value === 'string' ? readShellQuery(value, collection) : value;
  try {
    return writeExtendedJson(tree, { dialect: 'query' });
  } catch (cause) {
    if (cause instanceof ExtendedJsonFault) throw new QueryFault(cause.message, cause.path, { cause });
    throw cause;
  }
}

/** Extended JSON tree of the query; throws QueryFault. `collection`: the one that a whole command must ask. */
export function readShellQuery(text: string, collection?: string): JsonValue {
  const pasted = parsePasted(text);
  const { filter, collection: asked } = filterOf(pasted.tree, pasted.text);
  if (asked !== undefined && collection !== undefined && asked !== collection) {
    throw new QueryFault(`the command asks ${asked}, and this entry restores ${collection}`, '', {
      expected: `a query of ${collection}`,
    });
  }
  if (filter.type === 'CallExpression' || filter.type === 'NewExpression') {
    throw new QueryFault('this is one value; a query is an object: { field: value }');
  }
  return readExpression(filter, '');
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
      if (['nil', 'None'].includes(node.name)) return null;
      if (node.name === 'True' || node.name === 'False') return node.name === 'True';
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
  const name = calleeName(node.callee)?.replace(NAMESPACE, '');
  if (name === undefined || (name.includes('.') && !Object.hasOwn(SHELL_CONSTRUCTORS, name))) {
    throw new QueryFault('methods are not run here; write the value itself', path);
  }
  if (name === 'Date' && node.type === 'CallExpression') {
    throw new QueryFault('Date(…) without "new" is text, not a date; write ISODate("…")', path);
  }
  return callConstructor(
    name,
    node.arguments.map((argument) => digitsOf(argument) ?? readExpression(argument, path)),
    path,
  );
}

/** What drivers and libraries put before the names of types. */
const NAMESPACE = /^(?:mongoose\.(?:Types|mongo)|Types|mongodb|mongo|bson(?:\.[a-z]\w*)?|BSON)\./;

/** `ObjectId`, `Long.fromString`, `mongoose.Types.ObjectId`; undefined for what is not made of names. */
function calleeName(callee: CallExpression['callee']): string | undefined {
  if (callee.type === 'Identifier') return callee.name;
  if (callee.type !== 'MemberExpression' || callee.object.type === 'Super') return undefined;
  const [above, name] = [calleeName(callee.object), nameOf(callee)];
  return above === undefined || name === undefined ? undefined : `${above}.${name}`;
}

/** The 24 digits of an ObjectId without quotes, which JavaScript may take for a number. */
function digitsOf(node: Expression | SpreadElement): string | undefined {
  if (node.type !== 'Literal' || typeof node.value !== 'number') return undefined;
  return /^[\da-f]{24}$/i.test(node.raw ?? '') ? node.raw : undefined;
}

function callConstructor(name: string, values: readonly JsonValue[], path: string): JsonValue {
  const known = Object.hasOwn(SHELL_CONSTRUCTORS, name) ? SHELL_CONSTRUCTORS[name] : undefined;
  if (known === undefined) {
    const names = Object.keys(SHELL_CONSTRUCTORS)
      .filter((each) => !each.includes('.'))
      .join(', ');
    throw new QueryFault(`${name}(…) is not known here; known are ${names}`, path);
  }
  const value = known.read(values);
  if (value === undefined) throw new QueryFault(`${name} is written ${known.expected}`, path);
  return value;
}

function joinPath(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
