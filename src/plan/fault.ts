/**
 * What is wrong with a plan, and where: one fault per mistake, collected and never thrown one by one.
 * A fault never holds the value of a variable or a credential, so it may be shown anywhere.
 */
import { codeFrame } from './code-frame.ts';
import { type PlanText, positionOf } from './plan-text.ts';

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
  readonly related: readonly RelatedPlace[];
  /** The lines around the place, marked; empty when the file could not be read as text. */
  readonly frame: string;
}

export interface RelatedPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface FaultDetails {
  readonly expected?: string | undefined;
  readonly suggestion?: string | undefined;
  readonly related?: readonly { readonly place: Place; readonly message: string }[];
}

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
    message: details.message,
    expected: details.expected,
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
