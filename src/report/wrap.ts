/** Prose for the terminal: broken into lines that fit, and safe to print. */
import { columnsOf } from './columns.ts';
import { neutral, truncated } from './neutral.ts';

export interface Margins {
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
