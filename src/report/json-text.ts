/**
 * JSON that is safe to print: what a terminal would obey or hide, and `##[`, which a CI runner takes for a command, stand as
 * `\uXXXX`. A reader of the JSON gets the same values; outside of strings none of it occurs. See neutral.ts.
 */
import { unicodeEscape } from '../bson/show.ts';
import type { DocumentObject, DocumentSides } from '../comparison/comparison.ts';

/** `JSON.stringify` escapes C0 and lone surrogates itself. */
const UNSAFE =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc01\udc20-\udc7f]|#(?=#\[)/g;

const SUSPICIOUS = /[^ -~\n]|##\[/;

/** One line, or with `indent` several. No newline at the end. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent);
  return SUSPICIOUS.test(text) ? text.replace(UNSAFE, unicodeEscape) : text;
}

/**
 * Both sides of a compared document: objects; texts with `exact: false` where a JSON parser would give out another object for either. `leftOut` counts the fields and array
 * elements of documents that are too large.
 */
export function documentSides({ backup, target }: DocumentSides, showsTarget: boolean) {
  const other = showsTarget ? target : undefined;
  const isExact = backup.exact && (other?.exact ?? true);
  const side = (document: DocumentObject): unknown => (isExact ? JSON.parse(document.text) : document.text);
  const leftOut = { backup: backup.leftOut, target: other?.leftOut ?? 0 };
  return {
    ...(isExact ? {} : { exact: false }),
    ...(leftOut.backup + leftOut.target > 0 ? { leftOut } : {}),
    backup: side(backup),
    target: other && side(other),
  };
}
