/**
 * The lines around a place, with line numbers and a row of carets under it. Columns line up in a terminal: tabs and
 * control characters take one column, credentials are starred out, long lines are cut around the place.
 */
import { hideCredentials } from './credentials.ts';
import type { Place } from './fault.ts';
import { type PlanText, positionOf } from './plan-text.ts';

const LINES_BEFORE = 2;
const LINES_AFTER = 1;
const MAX_WIDTH = 100;

export function codeFrame(place: Place): string {
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
