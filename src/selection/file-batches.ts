/**
 * Reads documents back, of a file or of a selected collection, as batches of whole ones.
 */

import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { advice, type Remedy } from '../advice.ts';
import { Documents } from '../bson/documents.ts';
import { BsonFault, documentEnd } from '../bson/elements.ts';
import { KeySet } from '../bson/key-set.ts';
import { findId } from '../bson/stored-form.ts';
import { MIN_DOCUMENT_BYTES } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { reasonOf } from './directory.ts';
import { collectionPath } from './open-selection.ts';
import type { SelectedCollection, Selection } from './selection.ts';

interface BatchLimits {
  /** Bytes of documents per batch. A single larger document makes a batch of its own. */
  readonly maxBytes: number;
  readonly maxDocuments: number;
  /**
   * Batches that the caller has in use when it asks for the next, counted with that one: later batches then come in the memory of earlier
   * ones. Left out, every batch owns its memory; what is thrown away piles up until the garbage collector comes by.
   */
  readonly held?: number;
}

/** For a caller that is done with a batch before it asks for the next. */
export const ONE_AFTER_ANOTHER: BatchLimits = { maxBytes: 1024 * 1024, maxDocuments: 100_000, held: 1 };

/**
 * Batches of the first `bytes` bytes of a file of concatenated documents. Throws BsonFault where it does not hold whole documents.
 *
 * One positioned read per batch: what was read of the next document is read again with its batch, which costs less than
 * carrying it over and leaves every document whole inside one Buffer.
 */
export async function* fileBatches(
  path: string,
  bytes: number,
  { maxBytes, maxDocuments, held }: BatchLimits,
): AsyncGenerator<Documents, void, undefined> {
  const file = await open(path, 'r');
  const wanted = Math.max(maxBytes, MIN_DOCUMENT_BYTES);
  const inUse: Buffer[] = [];
  const memory = (): Buffer => {
    const next =
      (inUse.length === held ? inUse.shift() : undefined) ?? Buffer.allocUnsafeSlow(Math.min(wanted, bytes));
    if (held !== undefined) inUse.push(next);
    return next;
  };
  try {
    let first = 0;
    let position = 0;
    let isLarge = false;
    while (position < bytes) {
      const left = bytes - position;
      // Among documents that are larger than a batch, the memory of batches is not needed: the length of the next one is looked at first.
      const start = isLarge ? Buffer.alloc(MIN_DOCUMENT_BYTES) : memory();
      let read = await fill(start.subarray(0, left), file, position);
      const length = read.length >= MIN_DOCUMENT_BYTES ? read.readInt32LE(0) : MIN_DOCUMENT_BYTES;
      if (isLarge && length <= wanted) read = await fill(memory().subarray(0, left), file, position);
      isLarge = length > wanted;
      if (length > read.length) {
        // Not kept: the memory of as many as are held would be that of the largest documents from then on.
        read = await fill(Buffer.allocUnsafeSlow(Math.min(length, left)), file, position);
      }
      const batch = cutBatch(read, first, maxDocuments);
      yield batch;
      position += batch.bytes.length;
      first += batch.offsets.length;
    }
  } finally {
    await file.close();
  }
}

/** As many whole documents from the start of `bytes` as there are, at least one and at most `maxDocuments`. */
function cutBatch(bytes: Buffer, first: number, maxDocuments: number): Documents {
  const offsets: number[] = [];
  let at = 0;
  while (offsets.length < maxDocuments && bytes.length - at >= MIN_DOCUMENT_BYTES) {
    if (offsets.length > 0 && at + bytes.readInt32LE(at) > bytes.length) break;
    const end = documentEnd(bytes, at);
    offsets.push(at);
    at = end;
  }
  if (offsets.length === 0) throw new BsonFault('document is cut off', 0);
  return new Documents(bytes.subarray(0, at), offsets, first);
}

/** Reads until `into` is full or the file ends; returns the part that was filled. */
async function fill(into: Buffer, file: FileHandle, position: number): Promise<Buffer> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return into.subarray(0, filled);
}

// The same of a selected collection.

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
      hint: advice`Delete that selection directory and run ${{ command: 'dry-run' }} again.`,
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

interface CheckedUse {
  readonly limits: BatchLimits;
  /** `while it was written to staging` */
  readonly during: string;
  /** What to do when the bytes are others by then. */
  readonly remedy: Remedy;
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
      hint: advice`The disk may be failing, or another program writes to the work directory. ${remedy}`,
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
