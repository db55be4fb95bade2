/** The form in which a MongoDB server keeps a document: the same bytes, except that `_id` comes first. */
import { findElement } from './elements.ts';
import type { RawValue } from './types.ts';

const ID_KEY = Buffer.from('_id');

/** The `_id` of the document at `start`; undefined when it has none. */
export function findId(bytes: Buffer, start = 0): RawValue | undefined {
  return findElement(bytes, start, ID_KEY);
}

/** True when `_id` is the first element already, as in every document that comes out of a server. */
export function startsWithId(bytes: Buffer, start = 0): boolean {
  return (
    bytes[start + 5] === 0x5f &&
    bytes[start + 6] === 0x69 &&
    bytes[start + 7] === 0x64 &&
    bytes[start + 8] === 0 &&
    bytes[start + 4] !== 0
  );
}

/** The document at `start` with its `_id` moved to the front; every other byte as it was. A copy only where it was not. */
export function storedForm(bytes: Buffer, start = 0): Buffer {
  const document = bytes.subarray(start, start + bytes.readInt32LE(start));
  const id = startsWithId(document) ? undefined : findId(document);
  if (id === undefined) return document;
  const at = id.start - ID_KEY.length - 2; // type byte, key, NUL
  return Buffer.concat([
    document.subarray(0, 4),
    document.subarray(at, id.end),
    document.subarray(4, at),
    document.subarray(id.end),
  ]);
}

/**
 * Whether two raw documents are the same one once stored: true when the bytes agree, apart from the one thing the server changes: it stores `_id` first, wherever the document
 * had it. Cost: one comparison of memory; a second look only at documents that differ.
 */
export function sameDocument(a: RawValue, b: RawValue): boolean {
  if (a.end - a.start !== b.end - b.start) return false;
  if (a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end) === 0) return true;
  return storedForm(a.bytes, a.start).equals(storedForm(b.bytes, b.start));
}
