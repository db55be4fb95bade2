/**
 * File names of a dump, spelt as mongodump spells them (FORMATS.md, section 1), so that the official tools read a selection.
 */
import { createHash } from 'node:crypto';

/** Longest escaped name mongodump writes in full; longer ones are cut and end in a hash. */
const LONGEST_NAME = 238;
const KEPT_OF_LONG_NAME = 208;

/** File name, without suffix, of a collection: Go's `url.QueryEscape`, cut to 238 bytes with a hash of the true name. */
export function escapeCollectionName(collection: string): string {
  const escaped = encodeURIComponent(collection)
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+');
  if (escaped.length <= LONGEST_NAME) return escaped;
  const hash = createHash('sha1').update(collection, 'utf8').digest('base64url');
  return `${escaped.slice(0, KEPT_OF_LONG_NAME)}%24${hash}`;
}
