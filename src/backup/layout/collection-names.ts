/**
 * How mongodump writes a collection's name into a file name: Go's `url.QueryEscape`, cut and hashed when it gets long.
 */
import { createHash } from 'node:crypto';

/** Longest escaped name that mongodump leaves whole, in bytes. */
const MAX_ESCAPED = 238;
const KEPT_OF_LONG = 208;

/** The file name, without extension, that mongodump gives to a collection. */
export function fileNameOf(collection: string): string {
  const escaped = encodeURIComponent(collection)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+');
  if (escaped.length <= MAX_ESCAPED) return escaped;
  const hash = createHash('sha1').update(collection, 'utf8').digest('base64url');
  return `${escaped.slice(0, KEPT_OF_LONG)}%24${hash}`;
}

/** The collection that a file name stands for; undefined for a long name, whose metadata alone knows. */
export function collectionOf(fileName: string): string | undefined {
  if (isLongFileName(fileName)) return undefined;
  try {
    return decodeURIComponent(fileName.replace(/\+/g, '%20'));
  } catch {
    return fileName; // written by a tool that did not escape
  }
}

function isLongFileName(fileName: string): boolean {
  return fileName.length === MAX_ESCAPED && fileName.slice(KEPT_OF_LONG, KEPT_OF_LONG + 3) === '%24';
}
