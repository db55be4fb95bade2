/** Whether two raw documents are the same one, stored. */
import { findElement } from './elements.ts';
import type { RawValue } from './types.ts';

const ID = Buffer.from('_id');

/**
 * True when the bytes agree, apart from the one thing the server changes: it stores `_id` first, wherever the document
 * had it. Cost: one comparison of memory; a second look only at documents that differ.
 */
export function sameDocument(a: RawValue, b: RawValue): boolean {
  if (a.end - a.start !== b.end - b.start) return false;
  if (a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end) === 0) return true;
  const left = idFirst(a);
  const right = idFirst(b);
  return (left !== undefined || right !== undefined) && (left ?? slice(a)).equals(right ?? slice(b));
}

/** The document with its `_id` moved to the front; undefined where it is there already, or there is none. */
function idFirst({ bytes, start, end }: RawValue): Buffer | undefined {
  const id = findElement(bytes, start, ID);
  if (id === undefined) return undefined;
  const idStart = id.start - ID.length - 2; // type byte, key, NUL
  if (idStart === start + 4) return undefined;
  return Buffer.concat([
    bytes.subarray(start, start + 4),
    bytes.subarray(idStart, id.end),
    bytes.subarray(start + 4, idStart),
    bytes.subarray(id.end, end),
  ]);
}

function slice({ bytes, start, end }: RawValue): Buffer {
  return bytes.subarray(start, end);
}
