/** Text of reports: neutral on a terminal, in a log, in Markdown and HTML alike as far as characters go, and bounded in length. */
import { neutral, truncated } from './neutral.ts';

/** Reasons, warnings, locations: characters. */
const LINE_LIMIT = 1000;
/** The server allows 255 bytes for database and collection together. */
const NAME_LIMIT = 255;
const LINES_LIMIT = 100;

/** One line of at most `limit` characters. Cut before it is made neutral: a 1 MB string should cost no more than a short one. */
export function line(text: string, limit = LINE_LIMIT): string {
  return truncated(neutral(truncated(text, limit)), limit);
}

/** A name of a plan, database, collection or field. */
export function name(text: string): string {
  return line(text, NAME_LIMIT);
}

/** The first lines of a text that may have several; none when it is empty. */
export function lines(text: string): string[] {
  const trimmed = text.trim();
  return trimmed === '' ? [] : trimmed.split(/\r\n|[\n\r]/, LINES_LIMIT).map((each) => line(each));
}
