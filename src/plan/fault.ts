/**
 * What is wrong with a plan, and where: one fault per mistake, collected and never thrown one by one.
 * A fault never holds the value of a variable or a credential, so it may be shown anywhere.
 */
import { advice } from '../advice.ts';
import { RestorePlanError } from '../errors.ts';
import { neutral, truncated } from '../text/escape.ts';
import { type Paint, paintWith } from '../text/terminal.ts';
import { type HiddenRange, hideCredentials } from './credentials.ts';

/** Kind of fault; stable, so that a check may be told apart by it (SARIF rule, `--json`). */
export type FaultRule =
  | 'file'
  | 'encoding'
  | 'yaml'
  | 'duplicate-key'
  | 'number'
  | 'extends'
  | 'variable'
  | 'credential'
  | 'unknown-key'
  | 'missing-key'
  | 'type'
  | 'value'
  | 'source'
  | 'time'
  | 'namespace'
  | 'collections'
  | 'query'
  | 'targets'
  | 'follow-ups';

/** A stretch of a plan file: offsets in its text, `end` exclusive. */
export interface Place {
  readonly text: PlanText;
  readonly start: number;
  readonly end: number;
}

export interface PlanFault {
  readonly rule: FaultRule;
  /** note: the plan is valid, but the operator should know. */
  readonly severity: 'error' | 'note';
  /** The file as it was named. */
  readonly file: string;
  /** From 1; columns count UTF-16 units, as editors do. */
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly message: string;
  /** What would have been right. */
  readonly expected: string | undefined;
  /** The nearest right word: "did you mean …?" */
  readonly suggestion: string | undefined;
  /** Other places that belong to the fault, such as the first of two duplicates. */
  readonly related: readonly {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly message: string;
  }[];
  /** The lines around the place, marked; empty when the file could not be read as text. */
  readonly frame: string;
}

export interface FaultDetails {
  readonly expected?: string | undefined;
  readonly suggestion?: string | undefined;
  readonly related?: readonly { readonly place: Place; readonly message: string }[];
}

/** Characters. Names and numbers that a plan holds stand in messages, and a plan can hold one of 700 kB. */
const LONGEST = 1_000;

export function faultAt(
  place: Place,
  rule: FaultRule,
  details: FaultDetails & { readonly message: string },
): PlanFault {
  const start = positionOf(place.text, place.start);
  const end = positionOf(place.text, Math.max(place.end, place.start));
  return {
    rule,
    severity: 'error',
    file: place.text.file,
    line: start.line,
    column: start.column,
    endLine: end.line,
    endColumn: end.column,
    message: truncated(details.message, LONGEST),
    expected: details.expected === undefined ? undefined : truncated(details.expected, LONGEST),
    suggestion: details.suggestion,
    related: (details.related ?? []).map(({ place: other, message }) => ({
      file: other.text.file,
      ...positionOf(other.text, other.start),
      message,
    })),
    frame: codeFrame(place),
  };
}

export function noteAt(
  place: Place,
  rule: FaultRule,
  details: FaultDetails & { readonly message: string },
): PlanFault {
  return { ...faultAt(place, rule, details), severity: 'note' };
}

/** A fault of a file that has no readable text: at its first character, without a frame. */
export function faultOfFile(
  file: string,
  rule: 'file' | 'encoding',
  message: string,
  expected?: string,
): PlanFault {
  const start = { line: 1, column: 1, endLine: 1, endColumn: 1 };
  return {
    rule,
    severity: 'error',
    file,
    ...start,
    message,
    expected,
    suggestion: undefined,
    related: [],
    frame: '',
  };
}

/** `file:line:col` of a place, the form editors and terminals open. */
export function whereIs(place: Place): string {
  const { line, column } = positionOf(place.text, place.start);
  return `${place.text.file}:${line}:${column}`;
}

/** In the order of the files given, then of their lines; the same fault at the same place counts once. */
export function inReadingOrder(faults: readonly PlanFault[], files: readonly string[]): PlanFault[] {
  const seen = new Set<string>();
  return faults
    .filter((fault) => {
      const key = `${fault.file}:${fault.line}:${fault.column}:${fault.message}`;
      return !seen.has(key) && seen.add(key) !== undefined;
    })
    .sort((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column);
}

/** A plan file as text. */
export interface PlanText {
  /** As the file was named on the command line or, for a base, relative to the file that extends it. */
  readonly file: string;
  readonly absolutePath: string;
  /** Without byte order mark. */
  readonly text: string;
  /** Offset in `text` of the first character of each line. */
  readonly lineStarts: readonly number[];
  /** Credentials found in the text: never shown, whatever is wrong nearby. Parsing may find more and adds them. */
  readonly hidden: HiddenRange[];
}

/** Line and column, from 1, of an offset; the offset may be the end of the text. */
export function positionOf(text: PlanText, offset: number): { line: number; column: number } {
  const { lineStarts } = text;
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (lineStarts[low] as number) + 1 };
}

/**
 * The lines around a place, with line numbers and a row of carets under it. Columns line up in a terminal: tabs and
 * control characters take one column, credentials are starred out, long lines are cut around the place.
 */
const LINES_BEFORE = 2;
const LINES_AFTER = 1;
const MAX_WIDTH = 100;

function codeFrame(place: Place): string {
  const { text, lineStarts } = place.text;
  if (text.trim() === '') return '';
  const start = positionOf(place.text, place.start);
  const end = positionOf(place.text, place.end);
  const lineText = (line: number): string =>
    withoutCredentials(place.text, lineStarts[line - 1] as number, lineStarts[line] ?? text.length)
      .replace(/[\r\n]+$/, '')
      .replace(/\t/g, ' ')
      .replace(UNPRINTABLE, '\u00b7');

  const first = Math.max(1, start.line - LINES_BEFORE);
  const last = Math.min(lineStarts.length, start.line + LINES_AFTER);
  // The window of columns that is shown keeps the place in view.
  const cut = start.column > MAX_WIDTH - 20 ? start.column - 40 : 0;
  const gutter = String(last).length;
  const rows: string[] = [];
  for (let line = first; line <= last; line++) {
    const full = lineText(line);
    if (line === lineStarts.length && full === '' && line !== start.line) continue;
    const mark = line === start.line ? '>' : ' ';
    const shown = full.slice(cut, cut + MAX_WIDTH);
    rows.push(`${mark} ${String(line).padStart(gutter)} | ${shown}`.trimEnd());
    if (line !== start.line) continue;
    const endColumn = end.line === start.line ? end.column : full.length + 1;
    const width = Math.max(1, Math.min(endColumn, cut + MAX_WIDTH + 1) - start.column);
    rows.push(`  ${' '.repeat(gutter)} | ${' '.repeat(start.column - 1 - cut)}${'^'.repeat(width)}`);
  }
  return rows.join('\n');
}

/** The text from offset `from` up to `to`. */
function withoutCredentials({ text, hidden }: PlanText, from: number, to: number): string {
  const inside = hidden.filter(({ start, end }) => start < to && end > from);
  const ranges = inside.map((range) => ({
    ...range,
    start: Math.max(0, range.start - from),
    end: Math.min(range.end, to) - from,
  }));
  return hideCredentials(text.slice(from, to), ranges);
}

/** Control characters, marks that reorder or hide text, and spaces that only look like one: a terminal would show something else. */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to take out
  /[\u0000-\u0008\u000b-\u001f\u007f-\u00a0\u061c\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb]/g;

/** A name or value from the plan, quoted for a message: one line, no control characters, at most 80 characters. */
export function quoted(value: string): string {
  const plain = value.replace(/[\t\n\r]+/g, ' ').replace(UNPRINTABLE, '\u00b7');
  return `"${plain.length > 80 ? `${plain.slice(0, 77)}...` : plain}"`;
}

// Faults as an author reads them: where, what, what would be right, and the lines themselves.

/** A page of faults stays readable up to here; the rest is counted. */
const MAX_SHOWN = 50;

/** One block per fault, a blank line after each; empty without faults. */
export function faultsText(faults: readonly PlanFault[], color: boolean): string {
  const paint = paintWith(color);
  const blocks = faults.slice(0, MAX_SHOWN).map((fault) => `${faultBlock(fault, paint)}\n`);
  const more = faults.length - blocks.length;
  return blocks.join('') + (more > 0 ? `and ${more} more\n\n` : '');
}

/** One line per note; empty without notes. A note needs no frame: nothing has to be corrected there. */
export function notesText(notes: readonly PlanFault[], color: boolean): string {
  const paint = paintWith(color);
  return notes
    .map((note) => {
      const nearby = note.suggestion === undefined ? '' : ` (did you mean ${neutral(note.suggestion)}?)`;
      return `${paint.quiet(whereOf(note))} ${paint.odd('note:')} ${neutral(note.message)}${nearby}\n`;
    })
    .join('');
}

function whereOf(fault: PlanFault): string {
  return `${neutral(fault.file)}:${fault.line}:${fault.column}:`;
}

function faultBlock(fault: PlanFault, paint: Paint): string {
  const lines = [`${paint.strong(whereOf(fault))} ${paint.bad('error:')} ${neutral(fault.message)}`];
  if (fault.expected !== undefined) lines.push(`  expected: ${neutral(fault.expected)}`);
  if (fault.suggestion !== undefined) {
    lines.push(`  did you mean ${paint.good(neutral(`"${fault.suggestion}"`))}?`);
  }
  for (const { file, line, column, message } of fault.related) {
    lines.push(`  ${neutral(file)}:${line}:${column}: ${neutral(message)}`);
  }
  if (fault.frame !== '') lines.push(...fault.frame.split('\n').map((line) => paintFrame(line, paint)));
  return `${lines.join('\n')}\n`;
}

function paintFrame(line: string, paint: Paint): string {
  const clean = neutral(line);
  if (/^\s*\|\s*\^+$/.test(clean)) return `  ${paint.bad(clean)}`;
  return `  ${clean.startsWith('>') ? clean : paint.quiet(clean)}`;
}

/** `2 faults, 1 note` */
export function faultCount(faults: readonly PlanFault[], notes: readonly PlanFault[]): string {
  const count = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`;
  const parts = [
    ...(faults.length > 0 ? [count(faults.length, 'fault')] : []),
    ...(notes.length > 0 ? [count(notes.length, 'note')] : []),
  ];
  return parts.join(', ');
}

/** PLAN_INVALID, with all of it. */
export function planFailure(faults: readonly PlanFault[], notes: readonly PlanFault[]): RestorePlanError {
  const shown = faultsText(faults, false);
  return new RestorePlanError(
    'PLAN_INVALID',
    `the plan has ${faultCount(faults, notes)}\n\n${shown}`.trimEnd(),
    {
      hint: faults.every(({ rule }) => rule === 'file')
        ? advice`Name the file of a plan; ${{ command: 'init' }} writes a new one.`
        : advice`Correct it, and check it with ${{ command: 'validate' }}.`,
      facts: {
        faults: faults.map(({ file, line, column, rule, message }) => ({
          file,
          line,
          column,
          rule,
          message,
        })),
      },
    },
  );
}
