import type { Documents } from '../bson/documents.ts';
import { KeySet } from '../bson/key-set.ts';
import { findId } from '../bson/stored-form.ts';
import { readInTurn } from './read-batches.ts';
import type { Selection } from './selection.ts';

/** The `_id`s of the selected documents of a collection: 12 to 24 bytes of memory per ObjectId. */
export function selectedIds(selection: Selection, collection: string): Promise<KeySet> {
  return idsIn(readInTurn(selection, collection));
}

/** The `_id`s of documents that come in batches. */
export async function idsIn(batches: AsyncIterable<Documents>): Promise<KeySet> {
  const ids = new KeySet();
  for await (const { bytes, offsets } of batches) {
    for (const start of offsets) {
      const id = findId(bytes, start);
      if (id !== undefined) ids.add(id);
    }
  }
  return ids;
}
