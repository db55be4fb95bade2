/**
 * Queries as they are pasted: a whole command of the shell, Ruby, output of mongosh, a filter without its braces.
 *
 * What has one exact meaning is understood; for the rest a fault says what to write. Nothing is run.
 */
import { createRequire } from 'node:module';
import type {
  CallExpression,
  Expression,
  Literal,
  NewExpression,
  ObjectExpression,
  Program,
  SpreadElement,
} from 'acorn';
import { QueryFault } from './query-fault.ts';

/** This file is the parser's only door. */
export type { CallExpression, Expression, Literal, NewExpression, ObjectExpression, SpreadElement };

interface PastedFilter {
  readonly filter: Expression;
  /** Collection that the command asked; undefined for a filter alone. */
  readonly collection: string | undefined;
}

const STRING = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/.source;
const BARE_OBJECT_ID = new RegExp(`${STRING}|\\b(Object[Ii][dD])\\(\\s*([0-9a-fA-F]{24})\\s*\\)`, 'g');
/** `:key =>`, `=>` and `BSON::` */
const RUBY = new RegExp(`${STRING}|:([A-Za-z_]\\w*)\\s*=>|(=>)|(\\bBSON::)`, 'g');
const BEGINS_WITH_KEY = new RegExp(`^\\s*(?:[\\w$]+|${STRING})\\s*:`);

/** The one expression of a pasted text; `text` is what its offsets count in. Throws QueryFault. */
export function parsePasted(pasted: string): { readonly tree: Expression; readonly text: string } {
  const plain = pasted.replace(/;\s*$/, '');
  const quoted = plain.replace(BARE_OBJECT_ID, (all, name?: string, hex?: string) =>
    name === undefined ? all : `${name}("${hex}")`,
  );
  const ruby = quoted.replace(RUBY, (all, key?: string, arrow?: string, namespace?: string) => {
    if (key !== undefined) return `"${key}":`;
    return arrow === undefined ? (namespace === undefined ? all : '') : ':';
  });
  let cause: unknown;
  for (const text of new Set([plain, quoted, ruby])) {
    const attempts = [text, ...(BEGINS_WITH_KEY.test(text) ? [`{${text}\n}`] : [])];
    for (const attempt of attempts) {
      const program = attempted(attempt);
      if (program instanceof SyntaxError) {
        cause ??= program;
        continue;
      }
      if (text === ruby && ruby !== quoted) refuseRubyPatterns(attempt);
      const [statement, ...more] = program.body;
      if (statement?.type !== 'ExpressionStatement' || more.length > 0)
        throw new QueryFault('a query is one object: { field: value }');
      return { tree: statement.expression, text: attempt };
    }
  }
  throw unreadable(plain, cause);
}

/** A line end before the closing bracket, so that a comment at the end does not take it in. */
function attempted(text: string): Program | SyntaxError {
  // Loaded when the first shell query comes, synchronously: most plans have none, and checking a plan must start fast.
  const { parse } = createRequire(import.meta.url)('acorn') as typeof import('acorn');
  try {
    return parse(`(${text}\n)`, { ecmaVersion: 2022, sourceType: 'script' });
  } catch (error) {
    if (error instanceof SyntaxError) return error;
    throw error;
  }
}

/** In Ruby `^` and `$` stand at every line, and its driver says so to the server. */
function refuseRubyPatterns(text: string): void {
  const without = text.replace(new RegExp(STRING, 'g'), '');
  if (!without.includes('/')) return;
  throw new QueryFault(
    'a regular expression of Ruby begins and ends at lines, which cannot be seen here',
    '',
    {
      expected: '{ $regex: "…", $options: "m" }, or without "m" where ^ and $ mean the whole text',
    },
  );
}

function unreadable(text: string, cause: unknown): QueryFault {
  const at = (cause as { pos?: number } | undefined)?.pos;
  const where = at === undefined ? '' : ` (character ${Math.min(Math.max(at, 1), text.length + 1)})`;
  const [, message, expected] = SIGNS.find(([sign]) => sign.test(text)) ?? OTHERWISE;
  return new QueryFault(`${message}${where}`, '', { cause, expected });
}

type Sign = readonly [sign: RegExp, message: string, expected: string];

const OTHERWISE: Sign = [
  /^/,
  'not a query in shell syntax',
  'the filter alone, as mongosh takes it: { field: value }',
];

/** What people paste, by its looks. */
const SIGNS: readonly Sign[] = [
  [
    /[\u201c\u201d\u2018\u2019\u00ab\u00bb]/,
    'not a query in shell syntax: it has curly quotes',
    'straight quotes, " or \'',
  ],
  [/\bbson\.[MDEA]\s*[{[]/, 'this is Go', 'the filter as mongosh takes it: { field: value }'],
  [/->|\$\w+\s*=|\bMongoDB\\/, 'this is PHP', 'the filter as mongosh takes it: { field: value }'],
  [
    /\[(?:Object|Array)\]|\bmore items?\b|<ref \*/,
    'output that mongosh has cut short',
    'EJSON.stringify(…) of it',
  ],
  [/\b(?:SELECT|WHERE)\b/, 'this is SQL', 'the filter as mongosh takes it: { field: value }'],
];

/** Commands whose only argument chooses the documents as a plan does. */
const EXACT = ['find', 'deleteMany', 'remove', 'countDocuments', 'count'];
/** What may follow such a command without choosing other documents. */
const HARMLESS = ['pretty', 'toArray', 'count', 'itcount', 'size', 'explain'];

/** The filter of an expression that is a filter, or a command of the shell; `text` is the source of the tree. Throws QueryFault. */
export function filterOf(tree: Expression, text: string): PastedFilter {
  if (tree.type === 'SequenceExpression') {
    throw new QueryFault(
      `${tree.expressions.length} values stand here; a query is one object, and a plan has no projection`,
      '',
      alone(tree.expressions[0], text),
    );
  }
  const calls = callsOf(tree);
  const [first, ...following] = calls;
  if (first === undefined) {
    const [argument] = tree.type === 'CallExpression' ? tree.arguments : [];
    if (argument?.type !== 'ObjectExpression') return { filter: tree, collection: undefined };
    throw new QueryFault('this is a command, and nothing is run here', '', alone(argument, text));
  }
  const [filter] = first.args;
  const what = alone(first.name === 'aggregate' ? matchOf(filter) : filter, text);
  if (filter === undefined || filter.type === 'SpreadElement')
    throw new QueryFault(`${first.name}() has no filter`, '', {
      expected: 'the filter; {} takes every document',
    });
  if (!EXACT.includes(first.name))
    throw new QueryFault(`${first.name}(…) is not what a plan does; it takes a filter`, '', what);
  if (first.args.length > 1)
    throw new QueryFault(`${first.name}(…) has more than a filter, which a plan has no use for`, '', what);
  const more = following.find(({ name, args }) => !HARMLESS.includes(name) || args.length > 0);
  if (more !== undefined)
    throw new QueryFault(
      `${more.name}(…) has no place here: a plan takes all documents that match`,
      '',
      what,
    );
  return { filter, collection: first.collection };
}

/** Of a text from a document or a command; longer ones are not repeated. */
const MOST_SHOWN = 200;

function alone(node: Expression | SpreadElement | undefined, text: string): { readonly expected: string } {
  // Offsets count from the bracket put before the text.
  const source = node === undefined ? '' : text.slice(node.start - 1, node.end - 1);
  const isShown = node?.type === 'ObjectExpression' && source.length <= MOST_SHOWN;
  return { expected: isShown ? `the filter alone: ${source}` : 'the filter alone: { field: value }' };
}

/** The filter of `[{ $match: filter }, …]`. */
function matchOf(pipeline: Expression | SpreadElement | undefined): Expression | undefined {
  const stage = pipeline?.type === 'ArrayExpression' ? pipeline.elements[0] : undefined;
  const property = stage?.type === 'ObjectExpression' ? stage.properties[0] : undefined;
  if (property?.type !== 'Property') return undefined;
  const { key, value } = property;
  return key.type === 'Identifier' && key.name === '$match' ? value : undefined;
}

interface Call {
  readonly name: string;
  readonly args: CallExpression['arguments'];
  /** Where it is the first. */
  readonly collection: string | undefined;
}

/** `db.artworks.find(…).sort(…)` as its calls; empty for what does not begin with `db`. */
function callsOf(tree: Expression): Call[] {
  const calls: Call[] = [];
  let node: Expression = tree;
  while (node.type === 'CallExpression' && node.callee.type === 'MemberExpression') {
    const { callee, arguments: args } = node;
    const name = nameOf(callee);
    if (name === undefined || callee.object.type === 'Super') return [];
    const collection = collectionOf(callee.object);
    calls.unshift({ name, args, collection });
    if (collection !== undefined) return calls;
    node = callee.object;
  }
  return [];
}

/** The collection that `db.x`, `db.x.y`, `db["x"]`, `db.getCollection("x")` and `db.collection("x")` stand for. */
function collectionOf(node: Expression): string | undefined {
  if (node.type === 'MemberExpression') {
    const name = nameOf(node);
    if (name === undefined || node.object.type === 'Super') return undefined;
    if (isDatabase(node.object)) return name;
    const above = collectionOf(node.object);
    return above === undefined ? undefined : `${above}.${name}`;
  }
  if (node.type !== 'CallExpression' || node.callee.type !== 'MemberExpression') return undefined;
  const {
    callee,
    arguments: [argument],
  } = node;
  const isGetter = ['getCollection', 'collection'].includes(nameOf(callee) ?? '');
  if (!isGetter || callee.object.type === 'Super' || !isDatabase(callee.object)) return undefined;
  return argument?.type === 'Literal' && typeof argument.value === 'string' ? argument.value : undefined;
}

const isDatabase = (node: Expression): boolean => node.type === 'Identifier' && node.name === 'db';

/** Name of the member that `a.name` or `a["name"]` asks for. */
export function nameOf(node: Expression): string | undefined {
  if (node.type !== 'MemberExpression') return undefined;
  const { property, computed } = node;
  if (!computed) return property.type === 'Identifier' ? property.name : undefined;
  return property.type === 'Literal' && typeof property.value === 'string' ? property.value : undefined;
}
