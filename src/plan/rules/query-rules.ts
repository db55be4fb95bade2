/** Reads and compiles every query of the plan; what the engine cannot answer exactly is a fault at its place. */
import type { QueryFault } from '../../query/query-fault.ts';
import { queryFaults } from '../../query/query-faults.ts';
import { SHELL_CONSTRUCTORS } from '../../query/shell-constructors.ts';
import { faultAt, type Place, type PlanFault, quoted } from '../fault.ts';
import { nearest } from '../nearest.ts';
import {
  eachScalar,
  headOf,
  holdsUnjudged,
  type MapNode,
  nodeAt,
  orderedValue,
  type PathPart,
  type PlanNode,
} from '../nodes.ts';
import { collectionEntries } from './structure.ts';

export function queryRules(root: MapNode): PlanFault[] {
  const queries = collectionEntries(root).flatMap(({ path, name }) => [
    { path: [...path, 'query'], name },
    { path: [...path, 'softDelete'], name },
  ]);
  return queries.flatMap(({ path, name }) => {
    const node = nodeAt(root, ...path);
    if (node === undefined || !isQuery(node) || holdsUnjudged(node)) return [];
    const brokenOut = brokenOutVariables(node);
    if (brokenOut.length > 0) return brokenOut;
    const misread = misreadTexts(node);
    // What an operator says of a text that is misread helps nobody.
    const others = queryFaults(orderedValue(node), name).filter(
      ({ path: at }) => !misread.some((each) => each.path === at),
    );
    return [
      ...emptyValues(node),
      ...misread.map(({ fault }) => fault),
      ...others.map((fault) => queryFault(node, fault)),
    ];
  });
}

/** A fault of an unknown operator ends in the list of those that there are. */
function queryFault(query: PlanNode, { message, path, expected }: QueryFault): PlanFault {
  const [problem = '', supported] = withoutValues(message, query).split('; supported are ');
  // A text has one place for all that is in it, so the path is said.
  const where = query.kind === 'scalar' && path !== '' ? `${withoutValues(path, query)}: ` : '';
  return faultAt(placeInQuery(query, path), 'query', {
    message: where + problem,
    expected: supported === undefined ? expected && withoutValues(expected, query) : `one of ${supported}`,
    suggestion:
      supported === undefined ? undefined : nearest(path.split('.').at(-1) ?? '', supported.split(', ')),
  });
}

function isQuery(node: PlanNode): boolean {
  return (
    node.kind === 'map' || (node.kind === 'scalar' && typeof node.value === 'string' && node.value !== '')
  );
}

/** The key or value that a dotted path inside the query leads to, as far as it can be followed. Keys may hold dots. */
function placeInQuery(query: PlanNode, path: string): Place {
  let node = query;
  let place = headOf(query);
  let rest = path;
  while (rest !== '') {
    const step = stepInto(node, rest);
    if (step === undefined) break;
    ({ node, place, rest } = step);
  }
  return place;
}

function stepInto(node: PlanNode, path: string): { node: PlanNode; place: Place; rest: string } | undefined {
  if (node.kind === 'map') {
    for (const [key, entry] of node.entries) {
      if (path === key || path.startsWith(`${key}.`))
        return { node: entry.value, place: entry.keyPlace, rest: path.slice(key.length + 1) };
    }
  }
  if (node.kind === 'list') {
    const [index = ''] = path.split('.', 1);
    const item = node.items[Number(index)];
    if (item !== undefined) return { node: item, place: headOf(item), rest: path.slice(index.length + 1) };
  }
  return undefined;
}

/** The fault may quote the query; what came from a variable goes back to being its name. */
function withoutValues(message: string, query: PlanNode): string {
  let out = message;
  eachScalar(query, ({ value, written }) => {
    if (typeof value === 'string' && typeof written === 'string' && value !== written && value !== '') {
      out = out.replaceAll(value, written);
    }
  });
  return out;
}

// What a query says and nobody means: values that are not there, texts in the place of types, variables that end a text.

/** `{ sold:true }` is to YAML a key `sold:true` without a value, so null: it would match every document there is. */
function emptyValues(node: PlanNode): PlanFault[] {
  if (node.kind === 'list') return node.items.flatMap(emptyValues);
  if (node.kind === 'scalar') return [];
  return [...node.entries].flatMap(([key, { keyPlace, value }]) => {
    if (!isEmpty(value)) return emptyValues(value);
    const [, field, rest] = /^([^:]+):\s*(.+)$/s.exec(key) ?? [];
    const expected =
      field === undefined
        ? 'a value, or null written out'
        : `a plain space after the colon, as in ${quoted(`${field}: ${rest}`)}`;
    return [faultAt(keyPlace, 'query', { message: `${quoted(key)} has no value`, expected })];
  });
}

/** A null that nobody wrote. */
function isEmpty(node: PlanNode): boolean {
  if (node.kind !== 'scalar' || node.value !== null) return false;
  return !/^(?:null|~)$/i.test(sourceOf(node));
}

/** With what languages and libraries put before the name: `BSON::ObjectId('…')`, `new mongoose.Types.ObjectId(…)`. */
const CONSTRUCTOR = new RegExp(
  `^(?:new )?(?:[A-Za-z]+(?:::|\\.)){0,3}(?:${Object.keys(SHELL_CONSTRUCTORS).join('|').replaceAll('.', '\\.')})\\(.*\\)$`,
  's',
);
const DATE = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s?(?:[Zz]|[+-]\d{2}:?\d{2})?)?$/;
/** What stands below them is text, or is checked by the reader of Extended JSON. */
const OF_TEXT = /^\$(?:date|regex|options|comment|symbol|code|ref|db|oid|uuid|number\w+)$/;

/** Words that are no text in YAML 1.1 or in a programming language, with what YAML 1.2 writes for them. */
const WORDS: readonly (readonly [word: RegExp, written: string])[] = [
  [/^(?:y|yes|on)$/i, 'true'],
  [/^(?:n|no|off)$/i, 'false'],
  [/^(?:nil|None|undefined)$/, 'null'],
  [/^-?(?:NaN|Infinity)$/, '{ $numberDouble: "$&" }'],
  [/^MinKey(?:\(\))?$/, '{ $minKey: 1 }'],
  [/^MaxKey(?:\(\))?$/, '{ $maxKey: 1 }'],
];
/** `1_000`, `0b101`: integers of YAML 1.1 and of most languages. */
const OTHER_INTEGER = /^[-+]?(?:\d{1,15}(?:_\d{1,15})+|0b[01]{1,52})$/;
/** A literal of JavaScript, Ruby or Perl: no slash inside that is not escaped or in brackets. `/var/log/` is none. */
const REGEX_LITERAL = /^\/((?:[^/\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+)\/([a-z]*)$/s;

/** A text of a query that its author did not mean as text. */
interface Misreading {
  /** Dotted path inside the query. */
  readonly path: string;
  readonly fault: PlanFault;
}

/** In a map, `ObjectId("…")`, a bare date, `yes` and `/^J/` are text to YAML: nobody would see why they match nothing. */
function misreadTexts(query: PlanNode): Misreading[] {
  const found: Misreading[] = [];
  if (query.kind !== 'map') return found;
  eachScalar(query, (node, path) => {
    if (typeof node.value !== 'string') return;
    const details = misreadText(node.value, { path, isPlain: sourceOf(node) === node.value });
    if (details !== undefined)
      found.push({ path: path.join('.'), fault: faultAt(node.place, 'query', details) });
  });
  return found;
}

interface TextInQuery {
  readonly path: readonly PathPart[];
  /** Written without quotes. */
  readonly isPlain: boolean;
}

function misreadText(
  value: string,
  { path, isPlain }: TextInQuery,
): { readonly message: string; readonly expected: string } | undefined {
  // To compile the pattern takes 5 ms, a tenth of what `plan validate` takes.
  if (value.endsWith(')') && CONSTRUCTOR.test(value)) {
    const name = value.slice(0, value.indexOf('('));
    const expected = 'Extended JSON, such as { $oid: … }, or the whole query in single quotes';
    return { message: `${name}(…) is plain text in a map`, expected };
  }
  if (!isPlain) return undefined;
  const literal = REGEX_LITERAL.exec(value);
  if (isOfText(path) && (literal === null || !isPattern(path))) return undefined;
  if (literal !== null) {
    const [, pattern = '', flags = ''] = literal;
    const expected = `${regexRemedy({ pattern, options: flags.replace(/[^imsx]/g, '') }, path)}quotes if it is text`;
    return { message: `${value} is text here, not a regular expression`, expected };
  }
  if (DATE.test(value)) {
    const expected = `{ $date: ${value} }, or quotes if it is text`;
    return { message: `${value} is text here and matches no date`, expected };
  }
  if (OTHER_INTEGER.test(value)) {
    const sign = value.startsWith('-') ? '-' : '';
    const expected = `${sign}${Number(value.replace(/[-+_]/g, ''))}, or quotes if it is text`;
    return { message: `${value} is text here, not a number`, expected };
  }
  const word = WORDS.find(([pattern]) => pattern.test(value));
  if (word === undefined) return undefined;
  const expected = `${value.replace(word[0], word[1])}, or quotes if it is text`;
  return { message: `${value} is text here`, expected };
}

function isOfText(path: readonly PathPart[]): boolean {
  return OF_TEXT.test(String(path.at(-1))) || path.at(-2) === '$regularExpression' || isPattern(path);
}

/** The text of a regular expression stands there, without slashes. */
function isPattern(path: readonly PathPart[]): boolean {
  const key = path.at(-1);
  if (key === 'pattern') return path.at(-2) === '$regularExpression' || path.includes('$jsonSchema');
  return key === '$regex' || (key === 'regex' && path.includes('$expr'));
}

/** What to write at this path for a regular expression, with a comma behind it; empty where none can stand. */
function regexRemedy(
  { pattern, options }: { readonly pattern: string; readonly options: string },
  path: readonly PathPart[],
): string {
  const text = `'${pattern.replaceAll("'", "''")}'`;
  const operator = `$regex: ${text}${options === '' ? '' : `, $options: ${options}`}`;
  const key = path.at(-1);
  if (typeof key === 'number')
    return `{ $regularExpression: { pattern: ${text}, options: "${options}" } }, or `;
  if (key === '$regex' || key === '$eq') return `${operator}, or `;
  if (isPattern(path)) return `${key}: ${text}, or `;
  if (key === '$ne') return `$not: { ${operator} }, or `;
  if (key === undefined || (key.startsWith('$') && key !== '$not')) return '';
  return `${key}: { ${operator} }, or `;
}

/** In a query in shell syntax a variable is text among text: a quote in its value would end the text it stands in. */
function brokenOutVariables(query: PlanNode): PlanFault[] {
  if (query.kind !== 'scalar' || typeof query.value !== 'string' || typeof query.written !== 'string')
    return [];
  const around = query.written.replace(/\$\$\{|\$\{[^}]*\}/g, '');
  if (around.trim() === '' || delimiters(query.value) === delimiters(around)) return [];
  const message =
    'the value of a variable holds a quote, a backslash or a line end, which may change the query around it';
  const expected = 'the query as a map, where a variable is always one value';
  return [faultAt(query.place, 'query', { message, expected })];
}

const delimiters = (text: string): number => text.match(/["'`\\\r\n]/g)?.length ?? 0;

/** The value in the characters of the file, quotes included. */
function sourceOf({ place }: PlanNode): string {
  return place.text.text.slice(place.start, place.end);
}
