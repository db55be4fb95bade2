/** What a query says and nobody means: values that are not there, texts in the place of types, variables that end a text. */
import { SHELL_CONSTRUCTORS } from '../../query/shell-constructors.ts';
import { quoted } from '../code-frame.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { eachScalar, type PlanNode } from '../nodes.ts';

/** `{ sold:true }` is to YAML a key `sold:true` without a value, so null: it would match every document there is. */
export function emptyValues(node: PlanNode): PlanFault[] {
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

const CONSTRUCTOR = new RegExp(`^(?:new )?(?:${Object.keys(SHELL_CONSTRUCTORS).join('|')})\\(.*\\)$`, 's');
const DATE = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s?(?:[Zz]|[+-]\d{2}:?\d{2})?)?$/;
/** What stands below them is text. */
const OF_TEXT: ReadonlySet<unknown> = new Set(['$date', '$regex', '$comment']);

/** In a map, `ObjectId("…")` and a bare date are text to YAML: they would match no ObjectId and no date, and nobody would see why. */
export function misreadTexts(query: PlanNode): PlanFault[] {
  const faults: PlanFault[] = [];
  if (query.kind !== 'map') return faults;
  eachScalar(query, (node, path) => {
    const { value, place } = node;
    if (typeof value !== 'string') return;
    if (CONSTRUCTOR.test(value)) {
      const name = value.slice(0, value.indexOf('('));
      const message = `${name}(…) is plain text in a map`;
      const expected = 'Extended JSON, such as { $oid: … }, or the whole query in single quotes';
      faults.push(faultAt(place, 'query', { message, expected }));
    } else if (DATE.test(value) && sourceOf(node) === value && !OF_TEXT.has(path.at(-1))) {
      const message = `${value} is text here and matches no date`;
      const expected = `{ $date: ${value} }, or quotes if it is text`;
      faults.push(faultAt(place, 'query', { message, expected }));
    }
  });
  return faults;
}

/** In a query in shell syntax a variable is text among text: a quote in its value would end the text it stands in. */
export function brokenOutVariables(query: PlanNode): PlanFault[] {
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
