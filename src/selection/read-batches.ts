/**
 * Reads a selected collection back as batches of whole documents.
 */
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { type BatchLimits, fileBatches } from './file-batches.ts';
import { collectionPath } from './open-selection.ts';
import type { DocumentBatch, SelectedCollection, Selection } from './selection.ts';

/**
 * Batches in backup order; several may be in flight.
 * `collection` is the name in the backup. Throws RestorePlanError BACKUP when the file is not the one the manifest describes.
 */
export async function* readBatches(
  selection: Selection,
  collection: string,
  limits: BatchLimits,
): AsyncGenerator<DocumentBatch, void, undefined> {
  const selected = selectedCollection(selection, collection);
  const path = collectionPath(selection, selected);
  try {
    yield* fileBatches(path, selected.bytes, limits);
  } catch (error) {
    if (!(error instanceof BsonFault)) throw error;
    throw new RestorePlanError('BACKUP', `selection is damaged: ${path} does not hold whole documents`, {
      hint: 'Delete that selection directory and run `plan dry-run` again.',
      cause: error,
    });
  }
}

function selectedCollection(selection: Selection, collection: string): SelectedCollection {
  const found = selection.manifest.collections.find((each) => each.collection === collection);
  if (found === undefined) throw new RangeError(`${collection} is not in the selection`);
  return found;
}
