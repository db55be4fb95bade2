import { neutral, truncated } from './escape.ts';

/** Text measured and cut in terminal columns. */

/** Ranges that terminals draw two columns wide: East Asian wide and full-width characters, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** One column per character: nearly all text, told in one pass. */
const PLAIN = /^[\x20-\x7e]*$/;

export function columnsOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += WIDE.test(character) ? 2 : /\p{Mn}/u.test(character) ? 0 : 1;
  return columns;
}

/** At most `columns` wide; what was cut off is marked by an ellipsis. */
export function fitted(text: string, columns: number): string {
  if (text.length > columns && PLAIN.test(text.slice(0, columns))) return `${text.slice(0, columns - 1)}…`;
  if (columnsOf(text) <= columns) return text;
  let kept = '';
  let left = columns - 1;
  for (const character of text) {
    left -= columnsOf(character);
    if (left < 0) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Padded with spaces to `columns`; never cut. */
export function padded(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - columnsOf(text)));
}

// Prose for the terminal: broken into lines that fit, and safe to print.

interface Margins {
  /** Width of the terminal. */
  readonly columns: number;
  /** Spaces before every line. */
  readonly indent?: number;
  /** Stands before the first line, such as `- `; later lines are indented as far as the text after it. */
  readonly mark?: string;
  /** Further spaces before every line but the first. */
  readonly hanging?: number;
}

/** Characters of one text. Whoever writes more into a plan or a document cannot push the rest of the page away. */
const LONGEST = 4_000;

/** Broken at spaces; a longer word is broken where it must be. Without newlines. */
export function wrapped(text: string, { columns, indent = 0, mark = '', hanging = 0 }: Margins): string[] {
  const margin = ' '.repeat(indent);
  const later = margin + ' '.repeat(columnsOf(mark) + hanging);
  const lines = broken(neutral(truncated(text, LONGEST)), columns - later.length);
  // Once more: what was harmless within the text may be a workflow command at the start of a line.
  return lines.map((line, index) => `${index === 0 ? margin + mark : later}${neutral(line)}`);
}

function broken(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  let width = 0;
  for (const word of text.split(' ')) {
    const wordWidth = columnsOf(word);
    if (line !== '' && width + 1 + wordWidth <= columns) {
      line += ` ${word}`;
      width += 1 + wordWidth;
      continue;
    }
    if (line !== '') lines.push(line);
    const pieces = wordWidth <= columns ? [word] : cutInto(word, Math.max(2, columns));
    line = pieces.pop() ?? '';
    width = columnsOf(line);
    for (const piece of pieces) lines.push(piece);
  }
  lines.push(line);
  return lines;
}

/** Pieces of at most `columns` columns, in one pass. */
function cutInto(word: string, columns: number): string[] {
  const pieces: string[] = [];
  let piece = '';
  let left = columns;
  for (const character of word) {
    const width = columnsOf(character);
    if (width > left) {
      pieces.push(piece);
      piece = '';
      left = columns;
    }
    piece += character;
    left -= width;
  }
  return [...pieces, piece];
}
/** Colours by meaning. Without colours the words and symbols beside them carry the same meaning. */
export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly odd: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly strong: (text: string) => string;
}

const plain = (text: string): string => text;
const UNPAINTED: Paint = { good: plain, bad: plain, odd: plain, quiet: plain, strong: plain };

const sgr =
  (on: number, off: number) =>
  (text: string): string =>
    text === '' ? '' : `\u001b[${on}m${text}\u001b[${off}m`;

const COLORS: Paint = {
  good: sgr(32, 39),
  bad: sgr(31, 39),
  odd: sgr(33, 39),
  quiet: sgr(2, 22),
  strong: sgr(1, 22),
};

export function paintWith(color: boolean): Paint {
  return color ? COLORS : UNPAINTED;
}

export interface PageStyle {
  readonly paint: Paint;
  /** Terminal columns. */
  readonly columns: number;
  /** Lines about documents are neither cut nor wrapped: a program reads them. */
  readonly wholeLines?: boolean;
}

/** One of the two text streams. Writing never throws, also when the reader has gone away. */
export interface TextWriter {
  readonly isTTY: boolean;
  /** Width of the terminal in columns; 80 where there is none. */
  readonly columns: number;
  /** Secrets are struck out on the way. */
  write(text: string): void;
  /** Settles when the reader can take more; await it between chunks of a long output. */
  drained(): Promise<void>;
}
