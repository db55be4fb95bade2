/**
 * Text from a backup, a target or a plan, made safe to print where a terminal or a CI log would read commands in it.
 *
 * Control characters (C0, C1, line and paragraph separators), bidirectional marks and invisible format characters become
 * `\uXXXX`. `::` at the start of a line and `##[` anywhere are workflow commands to a CI runner; their first character is
 * escaped the same way, so that a reader still sees what stands there.
 */
import { unicodeEscape } from '../bson/show.ts';

const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Most text has none of these, and a report neutralises a hundred megabytes. */
const SUSPICIOUS = /[^ -~]|::|##\[/;

export function neutral(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return text
    .replace(UNSAFE, unicodeEscape)
    .replace(/\u{e0001}|[\u{e0020}-\u{e007f}]/gu, (tag) => `\\u{${tag.codePointAt(0)?.toString(16)}}`)
    .replace(/^(\s*):(?=:)/, '$1\\u003a')
    .replaceAll('##[', '\\u0023#[');
}

/** At most `limit` characters (code points are kept whole), the cut marked by an ellipsis. */
export function truncated(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const end = limit - 1;
  const splitsPair = /[\ud800-\udbff]/.test(text[end - 1] ?? '');
  return `${text.slice(0, Math.max(0, splitsPair ? end - 1 : end))}…`;
}

// Text of reports: neutral on a terminal, in a log, in Markdown and HTML alike as far as characters go, and bounded in length.

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

// Words of command lines and plans that an operator can copy.

/** As a POSIX shell reads it back: in single quotes where it has to be. Control characters stay visible, not copyable. */
export function shellWord(text: string): string {
  const safe = neutral(text);
  return /^(?!~)[\w@%+=:,./~-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", String.raw`'\''`)}'`;
}

/** A text as YAML reads it back: plain, or in double quotes, whose escapes are those of JSON. */
export function yamlWord(text: string): string {
  const isPlain = /^[A-Za-z_][\w.-]*$/.test(text) && !/^(?:true|false|null|y|n|yes|no|on|off)$/i.test(text);
  return neutral(truncated(isPlain ? text : JSON.stringify(text), NAME_LIMIT));
}

// JSON that is safe to print: what a terminal would obey or hide, and `##[`, which a CI runner takes for a command, stand as
// `\uXXXX`. A reader of the JSON gets the same values; outside of strings none of it occurs.

/** `JSON.stringify` escapes C0 and lone surrogates itself. */
const UNSAFE_IN_JSON =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc01\udc20-\udc7f]|#(?=#\[)/g;

const SUSPICIOUS_IN_JSON = /[^ -~\n]|##\[/;

/** One line, or with `indent` several. No newline at the end. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent);
  return SUSPICIOUS_IN_JSON.test(text) ? text.replace(UNSAFE_IN_JSON, unicodeEscape) : text;
}
