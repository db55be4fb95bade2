/** Faults of YAML itself, in words that help. */
import { type Document, visit, type YAMLError } from 'yaml';
import { faultAt, type Place, type PlanFault } from './fault.ts';
import type { PlanText } from './plan-text.ts';

/** A fault of the library, in this program's words where its own would not help. */
export function syntaxFault(document: Document, text: PlanText, error: YAMLError): PlanFault {
  const start = Math.min(error.pos[0], text.text.length);
  let place: Place = { text, start, end: Math.max(start, error.pos[1]) };
  const own = SYNTAX_WORDS[error.code];
  if (own !== undefined) return faultAt(place, 'yaml', own);
  if (error.message.startsWith('Missing closing')) {
    // The library points to where the text ran out; the quote that was opened is what the reader looks for.
    visit(document, {
      Scalar(_, node) {
        const [from, to] = node.range ?? [0, 0];
        if (node.type?.startsWith('QUOTE') && from < start && to >= start)
          place = { text, start: from, end: from + 1 };
      },
    });
    return faultAt(place, 'yaml', { message: 'a quote is opened here and not closed' });
  }
  const message = lowerFirst(error.message.replace(/\s+/g, ' '));
  return faultAt(place, 'yaml', { message: `not valid YAML: ${message}` });
}

const SYNTAX_WORDS: Readonly<Record<string, { message: string; expected: string } | undefined>> = {
  TAB_AS_INDENT: { message: 'a tab is used for indentation', expected: 'spaces' },
  TAG_RESOLVE_FAILED: { message: 'a tag that a plan does not know', expected: 'plain values, without !tags' },
  BAD_DIRECTIVE: { message: 'a directive that a plan does not know', expected: 'no % directives' },
};

/** One mistake makes the library stumble several times on the same line; the first is the one to read. */
export function firstOfEachLine(faults: readonly PlanFault[]): PlanFault[] {
  return faults.filter((fault, i) => !faults.slice(0, i).some((earlier) => earlier.line === fault.line));
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
