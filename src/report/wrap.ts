/** Prose for the terminal. */
import { neutral } from './neutral.ts';

export interface Wrapping {
  /** Columns; a longer word stands on a line of its own. */
  readonly width: number;
  readonly indent: number;
  /** Stands before the first line, such as `- `; later lines are indented as far as the text after it. */
  readonly mark: string;
}

/** The text in lines, made safe to print, newline at the end. */
export function wrapped(text: string, { width, indent, mark }: Wrapping): string {
  const hanging = ' '.repeat(indent + mark.length);
  const lines: string[] = [];
  let line = ' '.repeat(indent) + mark;
  let isEmpty = true;
  for (const word of neutral(text).split(/\s+/)) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = hanging;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return `${[...lines, line].join('\n')}\n`;
}
