/**
 * Reads a file of documents as batches of whole ones.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { Documents } from '../bson/documents.ts';
import { BsonFault, documentEnd } from '../bson/elements.ts';
import { MIN_DOCUMENT_BYTES } from '../bson/types.ts';

export interface BatchLimits {
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
    while (position < bytes) {
      const left = bytes - position;
      let read = await fill(memory().subarray(0, left), file, position);
      const length = read.length >= MIN_DOCUMENT_BYTES ? read.readInt32LE(0) : MIN_DOCUMENT_BYTES;
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
