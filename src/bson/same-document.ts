/** Whether two raw documents are the same one, stored. */
import { storedForm } from './stored-form.ts';
import type { RawValue } from './types.ts';

/**
 * True when the bytes agree, apart from the one thing the server changes: it stores `_id` first, wherever the document
 * had it. Cost: one comparison of memory; a second look only at documents that differ.
 */
export function sameDocument(a: RawValue, b: RawValue): boolean {
  if (a.end - a.start !== b.end - b.start) return false;
  if (a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end) === 0) return true;
  return storedForm(a.bytes, a.start).equals(storedForm(b.bytes, b.start));
}
