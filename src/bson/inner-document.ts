import { findElement } from './elements.ts';
import { BSON } from './types.ts';

/** The embedded document under a top-level key, as a view; undefined when there is none, or something else. */
export function innerDocument(document: Buffer, key: string): Buffer | undefined {
  const value = findElement(document, 0, Buffer.from(key));
  return value?.type === BSON.OBJECT ? document.subarray(value.start, value.end) : undefined;
}
