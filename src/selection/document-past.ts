/**
 * What an oplog knows of each document of a selection, beside it on the disk: what became of the document between the backup and the cut, and
 * later; and those that are as they were before a change, as they were right after it. It is told to people, and decides nothing.
 *
 * A record for each document, in the order of the selection, all of one length; documents as they were after changes lie in a file of their own.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { fileNameOf } from '../backup/layout/dump-paths.ts';
import { BsonFault } from '../bson/elements.ts';
import { isTime } from '../bson/extended-json-types.ts';
import { checkDocument } from '../bson/storable.ts';
import { MIN_DOCUMENT_BYTES } from '../bson/types.ts';
import { type DocumentPast, LATER_ENDS, noneLater, type PastCounts } from '../oplog/later.ts';
import { AppendFile } from './file-batches.ts';

/**
 * flags, end of LaterChange plus one, changes, later changes, first and last as doubles. Where the document after the change begins in its
 * file stands in the bytes between: the lower half behind the later changes, the upper one behind the end.
 */
const RECORD_BYTES = 32;
/** A block of zeros, such as a power cut may leave, is no record. */
const WRITTEN = 1;
const INSERTED = 2;
const HAS_AFTER = 4;
const HALF = 2 ** 32;

function pathOf(directory: string, collection: string, of: 'past' | 'after'): string {
  return join(directory, `${fileNameOf(collection)}.${of}`);
}

export class PastWriter {
  readonly #counts = { rolled: 0, inserted: 0, later: noneLater() };
  readonly #file: AppendFile;
  readonly #afters: AppendFile | undefined;
  /** Where that of the next document begins. */
  #afterAt: number | undefined;
  readonly #record = Buffer.alloc(RECORD_BYTES);

  private constructor(file: AppendFile, afters: AppendFile | undefined) {
    this.#file = file;
    this.#afters = afters;
  }

  /** `directory`: of the selection. `knowsAfter`: documents after changes are to be kept. */
  static async create(directory: string, collection: string, knowsAfter = false): Promise<PastWriter> {
    const file = await AppendFile.create(pathOf(directory, collection, 'past'));
    if (!knowsAfter) return new PastWriter(file, undefined);
    return new PastWriter(file, await AppendFile.create(pathOf(directory, collection, 'after')));
  }

  /** The next document as it was right after it was changed. */
  readonly takeAfter = (bytes: Buffer, start: number, end: number): void => {
    this.#afterAt = this.#afters?.bytes;
    this.#afters?.append(bytes, start, end);
  };

  /** The past of the next document; undefined: nothing happened to it. */
  add(past: DocumentPast | undefined): void {
    const record = this.#record.fill(0);
    const after = this.#afterAt;
    this.#afterAt = undefined;
    record[0] = WRITTEN | (past?.isInserted ? INSERTED : 0) | (after === undefined ? 0 : HAS_AFTER);
    if (past !== undefined) this.#fill(past);
    record.writeUInt16LE(Math.floor((after ?? 0) / HALF), 2);
    record.writeUInt32LE((after ?? 0) % HALF, 12);
    this.#file.append(record, 0, RECORD_BYTES);
  }

  get counts(): PastCounts {
    return this.#counts;
  }

  async drain(): Promise<void> {
    await this.#file.drain();
    await this.#afters?.drain();
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#afters?.close();
  }

  #fill({ changes, isInserted, later }: DocumentPast): void {
    const record = this.#record;
    record.writeUInt32LE(changes, 4);
    if (isInserted) this.#counts.inserted++;
    else if (changes > 0) this.#counts.rolled++;
    if (later === undefined) return;
    record[1] = LATER_ENDS.indexOf(later.end) + 1;
    record.writeUInt32LE(later.changes, 8);
    record.writeDoubleLE(later.first, 16);
    record.writeDoubleLE(later.last, 24);
    this.#counts.later[later.end]++;
  }
}

/** The largest document that servers store. */
const LARGEST_BYTES = 16 * 1024 * 1024 + 16 * 1024;

/** Reads the records of a selection; one that has none, or not all of them, tells nothing. */
export class PastReader {
  readonly #directory: string;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  #collection: string | undefined;
  #file: number | undefined;
  #afters: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Of the document at `index` of a collection's selection, from 0. */
  of(collection: string, index: number): DocumentPast | undefined {
    const record = this.#recordOf(collection, index);
    if (record === undefined) return undefined;
    const changes = record.readUInt32LE(4);
    const end = LATER_ENDS[(record[1] as number) - 1];
    if (changes === 0 && end === undefined) return undefined;
    const isInserted = ((record[0] as number) & INSERTED) !== 0;
    if (end === undefined) return { changes, isInserted };
    const [first, last] = [record.readDoubleLE(16), record.readDoubleLE(24)];
    // Changed on the disk.
    if (!isTime(first) || !isTime(last)) return undefined;
    return { changes, isInserted, later: { end, changes: record.readUInt32LE(8), first, last } };
  }

  /** The same document as it was right after the last change that is undone; undefined where it is not known. */
  afterOf(collection: string, index: number): Buffer | undefined {
    const record = this.#recordOf(collection, index);
    if (record === undefined || ((record[0] as number) & HAS_AFTER) === 0) return undefined;
    const at = record.readUInt16LE(2) * HALF + record.readUInt32LE(12);
    const length = this.#afterBytes(at, 4)?.readInt32LE(0) ?? 0;
    if (length < MIN_DOCUMENT_BYTES || length > LARGEST_BYTES) return undefined;
    const document = this.#afterBytes(at, length);
    return document !== undefined && isDocument(document) ? document : undefined;
  }

  close(): void {
    for (const file of [this.#file, this.#afters]) if (file !== undefined) closeSync(file);
    this.#file = undefined;
    this.#afters = undefined;
    this.#collection = undefined;
  }

  /** Undefined where it is not there, or not whole. */
  #recordOf(collection: string, index: number): Buffer | undefined {
    if (collection !== this.#collection) {
      this.close();
      this.#collection = collection;
      this.#file = openedFile(pathOf(this.#directory, collection, 'past'));
      this.#afters = openedFile(pathOf(this.#directory, collection, 'after'));
    }
    if (this.#file === undefined) return undefined;
    const record = this.#record;
    if (readSync(this.#file, record, 0, RECORD_BYTES, index * RECORD_BYTES) < RECORD_BYTES) return undefined;
    return ((record[0] as number) & WRITTEN) === 0 ? undefined : record;
  }

  #afterBytes(at: number, length: number): Buffer | undefined {
    if (this.#afters === undefined) return undefined;
    const bytes = Buffer.allocUnsafe(length);
    return readSync(this.#afters, bytes, 0, length, at) < length ? undefined : bytes;
  }
}

/** Undefined where there is no such file. */
function openedFile(path: string): number | undefined {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (fstatSync(file).isFile()) return file;
    closeSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return undefined;
}

function isDocument(bytes: Buffer): boolean {
  try {
    checkDocument(bytes, 0);
    return true;
  } catch (error) {
    if (!(error instanceof BsonFault)) throw error;
    return false;
  }
}
