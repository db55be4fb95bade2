/** Faults of a plan as an author reads them: where, what, what would be right, and the lines themselves. */
import type { PlanFault } from '../../plan/fault.ts';
import { neutral } from '../neutral.ts';
import { type Paint, paintWith } from '../paint.ts';

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
