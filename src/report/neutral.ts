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
