/**
 * Reads documents back, of a file or of a selected collection, as batches of whole ones.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { advice, type Remedy } from '../advice.ts';
import { Documents, findId } from '../bson/documents.ts';
import { BsonFault, documentEnd } from '../bson/elements.ts';
import { KeySet } from '../bson/key-set.ts';
import { MIN_DOCUMENT_BYTES } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { PRIVATE_FILE, reasonOf, workDirectoryFault } from '../files.ts';
import { ContentCheck } from './content-check.ts';
import { collectionPath } from './open-selection.ts';
import { type SelectedCollection, type Selection, selectedOf } from './selection.ts';

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
  const selected = requireSelected(selection, collection);
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
 * The same, and whoever has taken all batches has had the very bytes that the manifest describes: they are checked on their way out
 * of this memory, whatever the disk or another program has made of the file since it was checked before. Throws RestorePlanError
 * VERIFICATION after the last batch, or where the file can be read no longer.
 */
export async function* readCheckedBatches(
  selection: Selection,
  collection: string,
  { limits, during, remedy }: CheckedUse,
): AsyncGenerator<Documents, void, undefined> {
  const selected = requireSelected(selection, collection);
  const path = collectionPath(selection, selected);
  const changed = (why: string, cause?: unknown): RestorePlanError =>
    new RestorePlanError('VERIFICATION', `the selection changed ${during}: ${path} ${why}`, {
      hint: advice`The disk may be failing, or another program writes to the work directory. ${remedy}`,
      cause,
    });
  const check = new ContentCheck(selected.sha256);
  try {
    for await (const batch of fileBatches(path, selected.bytes, limits)) {
      check.update(batch.bytes);
      yield batch;
    }
  } catch (error) {
    const why = damage(error);
    throw why === undefined ? error : changed(why, error);
  }
  if (!check.isRight()) throw changed('no longer holds the documents that were selected');
}

/** What is wrong with the file; undefined where it is something else that failed. */
function damage(error: unknown): string | undefined {
  if (error instanceof BsonFault) return 'does not hold whole documents';
  const reason = reasonOf(error);
  return reason && `cannot be read: ${reason}`;
}

function requireSelected({ manifest }: Selection, collection: string): SelectedCollection {
  const found = selectedOf(manifest, collection);
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

/** Large enough that a write's fixed cost (opening and closing, some 100 µs) does not show, small enough to have dozens of files. */
const BUFFER_BYTES = 512 * 1024;
/** Full buffers that may wait for the disk after `drain`; while they do, the caller goes on scanning. */
const BUFFERS_IN_FLIGHT = 2;
/** As many as one chunk of a download fills, and those in flight. */
const MOST_SPARE_BUFFERS = 18;

/** Written buffers, of all files, to be filled again: thrown away they would pile up until the garbage collector comes by. */
const spare: Buffer[] = [];

/**
 * A new private file that is only appended to, through buffers written behind the caller's back. It is open only while it is written:
 * a plan may have 10,000 collections, and systems let a process have some thousand files open.
 *
 * `append` copies and never waits; call `drain` between chunks, it waits only while the disk is behind, which bounds the
 * memory to the buffers in flight plus one chunk. Disk errors surface in `drain` and `close` as RestorePlanError.
 */
export class AppendFile {
  readonly path: string;
  /** Bytes appended so far. */
  bytes = 0;
  /** Shown all bytes, in order and in large pieces, before they are written. */
  onWrite: ((bytes: Buffer) => void) | undefined;
  #filling: Buffer | undefined;
  #filled = 0;
  readonly #full: Buffer[] = [];
  #writing: Promise<void> | undefined;
  #closed = false;
  #fault: { readonly error: unknown } | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** Creates the file, which must not exist. */
  static async create(path: string): Promise<AppendFile> {
    try {
      await (await open(path, 'wx', PRIVATE_FILE)).close();
      return new AppendFile(path);
    } catch (error) {
      throw workDirectoryFault(error, path);
    }
  }

  append(bytes: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    let at = start;
    while (at < end) {
      this.#filling ??= spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
      const taken = Math.min(end - at, BUFFER_BYTES - this.#filled);
      bytes.copy(this.#filling, this.#filled, at, at + taken);
      this.#filled += taken;
      at += taken;
      if (this.#filled === BUFFER_BYTES) this.#pass();
    }
  }

  /** Waits until at most a few buffers are still to be written. */
  async drain(): Promise<void> {
    while (this.#full.length > BUFFERS_IN_FLIGHT && this.#fault === undefined) await this.#writing;
    this.#throwFault();
  }

  /** Waits until every appended byte is in the file (not necessarily on the disk). */
  async flush(): Promise<void> {
    this.#pass();
    while (this.#writing !== undefined) await this.#writing;
    this.#throwFault();
  }

  /** Flushes; nothing may be appended any more. Closing again does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.flush();
  }

  /** Closes and deletes the file, without writing what has not been written yet; that writing failed does not matter any longer. */
  async discard(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#filling = undefined;
      this.#filled = 0;
      this.#full.length = 0;
      while (this.#writing !== undefined) await this.#writing;
    }
    try {
      await rm(this.path);
    } catch (error) {
      throw workDirectoryFault(error, this.path);
    }
  }

  /** Hands the buffer being filled to the writer. */
  #pass(): void {
    if (this.#filling === undefined || this.#filled === 0) return;
    const ready = this.#filling.subarray(0, this.#filled);
    this.onWrite?.(ready);
    this.#full.push(ready);
    this.#filling = undefined;
    this.#filled = 0;
    this.#writing ??= this.#writeFull();
  }

  /** Never rejects: a fault is kept for whoever waits next. */
  async #writeFull(): Promise<void> {
    let file: FileHandle | undefined;
    try {
      file = await open(this.path, 'a');
      for (let next = this.#full[0]; next !== undefined; next = this.#full[0]) {
        await writeAll(file, next);
        this.#full.shift();
        if (spare.length < MOST_SPARE_BUFFERS) spare.push(Buffer.from(next.buffer));
      }
    } catch (error) {
      this.#fault = { error };
      this.#full.length = 0;
    } finally {
      await file?.close().catch((error: unknown) => {
        this.#fault ??= { error };
      });
      // More may have come while the file was closed.
      const isMore = this.#full.length > 0 && this.#fault === undefined;
      this.#writing = isMore ? this.#writeFull() : undefined;
    }
  }

  #throwFault(): void {
    if (this.#fault !== undefined) throw workDirectoryFault(this.#fault.error, this.path);
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}
