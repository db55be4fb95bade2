/** Faults of YAML itself, in words that help. */
import { type Document, isCollection, isScalar, type Node, visit, type YAMLError } from 'yaml';
import { faultAt, type Place, type PlanFault, type PlanText } from './fault.ts';

/** A fault of the library, in this program's words where its own would not help. */
export function syntaxFault(document: Document, text: PlanText, error: YAMLError): PlanFault {
  const start = Math.min(error.pos[0], text.text.length);
  const place: Place = { text, start, end: Math.max(start, error.pos[1]) };
  const fault = (at: Place, message: string, expected?: string) => faultAt(at, 'yaml', { message, expected });

  if (text.text.slice(start - 1, start + 1) === '${') {
    return fault({ ...place, start: start - 1 }, 'a variable inside { } or [ ] needs quotes', `"\${NAME}"`);
  }
  const space = foreignIndent(place);
  if (space !== undefined) {
    const code = text.text.charCodeAt(space.start).toString(16).padStart(4, '0').toUpperCase();
    return fault(space, `a space of another kind (U+${code}) is used for indentation`, 'plain spaces');
  }
  // The library points to where the text ran out; what was opened is what the reader looks for.
  if (error.message.startsWith('Missing closing')) {
    return fault(openedBefore(document, place, isQuoted), 'a quote is opened here and not closed');
  }
  if (/ end with a [\]}]$/.test(error.message)) {
    const opened = openedBefore(document, place, (node) => isFlow(node) && !isClosed(node, text));
    return fault(
      { ...opened, end: opened.start + 1 },
      `a ${text.text[opened.start]} is opened here and not closed`,
    );
  }
  if (/^Unexpected flow-(?:seq|map)-start/.test(error.message)) {
    const expected = "quotes around it, or { $regex: '…' } for a regular expression in a query";
    return fault(
      { ...place, end: start + 1 },
      `a ${text.text[start]} inside a text without quotes`,
      expected,
    );
  }
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return fault(place, 'a tab is used for indentation', 'spaces');
    case 'TAG_RESOLVE_FAILED':
      return fault(place, `a plan has no tags such as ${text.text.slice(start, place.end)}`, 'plain values');
    case 'BAD_DIRECTIVE':
      return fault(place, 'a directive that a plan does not know', 'no % directives');
    case 'BLOCK_AS_IMPLICIT_KEY':
      return fault(
        place,
        'a second key on the same line',
        'quotes around a text that holds a colon and a space',
      );
    case 'BAD_SCALAR_START':
      return fault(place, lowerFirst(error.message), 'quotes around it if it is text');
    default:
      return fault(place, `not valid YAML: ${lowerFirst(error.message.replace(/\s+/g, ' '))}`);
  }
}

/** Text from a chat or a web page may be indented by no-break spaces, which look like spaces and are letters to YAML. */
function foreignIndent({ text, start }: Place): Place | undefined {
  const lineStart = text.text.lastIndexOf('\n', start - 1) + 1;
  const [indent] = /^[ \t]*[^\S \t\r\n]/.exec(text.text.slice(lineStart)) ?? [];
  if (indent === undefined) return undefined;
  const end = lineStart + indent.length;
  return { text, start: end - 1, end };
}

const isQuoted = (node: Node) => isScalar(node) && node.type?.startsWith('QUOTE') === true;
const isFlow = (node: Node) => isCollection(node) && node.flow === true;

function isClosed(node: Node, text: PlanText): boolean {
  return /[\]}]/.test(text.text[(node.range?.[1] ?? 0) - 1] ?? '');
}

/** The last such node that begins before the place and reaches it; the place itself when there is none. */
function openedBefore(document: Document, place: Place, isSuch: (node: Node) => boolean): Place {
  let found = place;
  visit(document, {
    Node(_, node) {
      const [from, , to] = node.range ?? [0, 0, 0];
      if (isSuch(node) && from < place.start && to >= place.start)
        found = { ...place, start: from, end: from + 1 };
    },
  });
  return found;
}

/** One mistake makes the library stumble several times; the first on each line, and what it still understood, is kept. */
export function withoutConsequences(faults: readonly PlanFault[]): PlanFault[] {
  return faults.filter(
    (fault, i) =>
      i === 0 ||
      (!/in YAML stream/.test(fault.message) &&
        !faults.slice(0, i).some((earlier) => earlier.line === fault.line)),
  );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
