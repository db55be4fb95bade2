/**
 * Reads a selected collection back as batches of whole documents.
 */
import { createHash } from 'node:crypto';
import type { Documents } from '../bson/documents.ts';
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { type BatchLimits, fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import { collectionPath } from './open-selection.ts';
import type { SelectedCollection, Selection } from './selection.ts';
import { reasonOf } from './work-directory-fault.ts';

/**
 * Batches in backup order; several may be in flight.
 * `collection` is the name in the backup. Throws RestorePlanError BACKUP when the file is not the one the manifest describes.
 */
export async function* readBatches(
  selection: Selection,
  collection: string,
  limits: BatchLimits,
): AsyncGenerator<Documents, void, undefined> {
  const selected = selectedCollection(selection, collection);
  const path = collectionPath(selection, selected);
  try {
    yield* fileBatches(path, selected.bytes, limits);
  } catch (error) {
    const why = damage(error);
    if (why === undefined) throw error;
    throw new RestorePlanError('BACKUP', `selection is damaged: ${path} ${why}`, {
      hint: 'Delete that selection directory and run `plan dry-run` again.',
      cause: error,
    });
  }
}

/** The same, for a caller that is done with a batch before it asks for the next: the next one comes in its memory. */
export function readInTurn(
  selection: Selection,
  collection: string,
): AsyncGenerator<Documents, void, undefined> {
  return readBatches(selection, collection, ONE_AFTER_ANOTHER);
}

export interface CheckedUse {
  readonly limits: BatchLimits;
  /** `while it was written to staging` */
  readonly during: string;
  /** What to do when the bytes are others by then. */
  readonly remedy: string;
}

/**
 * The same, and whoever has taken all batches has had the very bytes that the manifest describes: they are hashed on their way out
 * of this memory (0.6 s a GB), whatever the disk or another program has made of the file since it was checked. Throws RestorePlanError
 * VERIFICATION after the last batch, or where the file can be read no longer.
 */
export async function* readCheckedBatches(
  selection: Selection,
  collection: string,
  { limits, during, remedy }: CheckedUse,
): AsyncGenerator<Documents, void, undefined> {
  const selected = selectedCollection(selection, collection);
  const path = collectionPath(selection, selected);
  const changed = (why: string, cause?: unknown): RestorePlanError =>
    new RestorePlanError('VERIFICATION', `the selection changed ${during}: ${path} ${why}`, {
      hint: `The disk may be failing, or another program writes to the work directory. ${remedy}`,
      cause,
    });
  const hash = createHash('sha256');
  try {
    for await (const batch of fileBatches(path, selected.bytes, limits)) {
      hash.update(batch.bytes);
      yield batch;
    }
  } catch (error) {
    const why = damage(error);
    throw why === undefined ? error : changed(why, error);
  }
  if (hash.digest('hex') !== selected.sha256)
    throw changed('no longer holds the documents that were selected');
}

/** What is wrong with the file; undefined where it is something else that failed. */
function damage(error: unknown): string | undefined {
  if (error instanceof BsonFault) return 'does not hold whole documents';
  const reason = reasonOf(error);
  return reason && `cannot be read: ${reason}`;
}

const byName = new WeakMap<readonly SelectedCollection[], Map<string, SelectedCollection>>();

function selectedCollection(selection: Selection, collection: string): SelectedCollection {
  const { collections } = selection.manifest;
  let names = byName.get(collections);
  if (names === undefined) {
    names = new Map(collections.map((each) => [each.collection, each]));
    byName.set(collections, names);
  }
  const found = names.get(collection);
  if (found === undefined) throw new RangeError(`${collection} is not in the selection`);
  return found;
}
