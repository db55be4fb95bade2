/** What the server changes of a document that is inserted, unless it is told not to. */
import { elements, keyOf } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';

/**
 * True when one of the documents, concatenated, holds Timestamp(0,0) at its top level beside the `_id`. Walks every element of
 * that level, so it is for servers that cannot be told.
 */
export function holdsEmptyTimestamp(documents: Buffer): boolean {
  for (let start = 0; start < documents.length; start += documents.readInt32LE(start)) {
    for (const element of elements(documents, start)) {
      const isEmpty = element.type === BSON.TIMESTAMP && documents.readBigUInt64LE(element.start) === 0n;
      if (isEmpty && keyOf(element) !== '_id') return true;
    }
  }
  return false;
}
