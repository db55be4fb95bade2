/**
 * What an oplog knows of each document of a selection, beside it on the disk: what became of the document between the backup and the cut, and
 * later. It is told to people, and decides nothing.
 *
 * A record for each document, in the order of the selection, all of one length.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { fileNameOf } from '../backup/layout/dump-paths.ts';
import { isTime } from '../bson/extended-json-types.ts';
import { type DocumentPast, LATER_ENDS, noneLater, type PastCounts } from '../oplog/later.ts';
import { AppendFile } from './file-batches.ts';

/** flags, end of LaterChange plus one, two bytes unused, changes, later changes, four bytes unused, first and last as doubles. */
const RECORD_BYTES = 32;
/** A block of zeros, such as a power cut may leave, is no record. */
const WRITTEN = 1;
const INSERTED = 2;

function pathOf(directory: string, collection: string): string {
  return join(directory, `${fileNameOf(collection)}.past`);
}

export class PastWriter {
  readonly #counts = { rolled: 0, inserted: 0, later: noneLater() };
  readonly #file: AppendFile;
  readonly #record = Buffer.alloc(RECORD_BYTES);

  private constructor(file: AppendFile) {
    this.#file = file;
  }

  /** `directory`: of the selection. */
  static async create(directory: string, collection: string): Promise<PastWriter> {
    return new PastWriter(await AppendFile.create(pathOf(directory, collection)));
  }

  /** The past of the next document; undefined: nothing happened to it. */
  add(past: DocumentPast | undefined): void {
    const record = this.#record.fill(0);
    record[0] = WRITTEN | (past?.isInserted ? INSERTED : 0);
    if (past !== undefined) this.#fill(past);
    this.#file.append(record, 0, RECORD_BYTES);
  }

  get counts(): PastCounts {
    return this.#counts;
  }

  drain(): Promise<void> {
    return this.#file.drain();
  }

  close(): Promise<void> {
    return this.#file.close();
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

/** Reads the records of a selection; one that has none, or not all of them, tells nothing. */
export class PastReader {
  readonly #directory: string;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  #collection: string | undefined;
  #file: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Of the document at `index` of a collection's selection, from 0. */
  of(collection: string, index: number): DocumentPast | undefined {
    if (collection !== this.#collection) this.#turnTo(collection);
    if (this.#file === undefined) return undefined;
    const record = this.#record;
    if (readSync(this.#file, record, 0, RECORD_BYTES, index * RECORD_BYTES) < RECORD_BYTES) return undefined;
    const flags = record[0] as number;
    if ((flags & WRITTEN) === 0) return undefined;
    const changes = record.readUInt32LE(4);
    const end = LATER_ENDS[(record[1] as number) - 1];
    if (changes === 0 && end === undefined) return undefined;
    const isInserted = (flags & INSERTED) !== 0;
    if (end === undefined) return { changes, isInserted };
    const [first, last] = [record.readDoubleLE(16), record.readDoubleLE(24)];
    // Changed on the disk.
    if (!isTime(first) || !isTime(last)) return undefined;
    return { changes, isInserted, later: { end, changes: record.readUInt32LE(8), first, last } };
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#collection = undefined;
  }

  #turnTo(collection: string): void {
    this.close();
    this.#collection = collection;
    try {
      this.#file = openSync(pathOf(this.#directory, collection), constants.O_RDONLY | constants.O_NONBLOCK);
      if (!fstatSync(this.#file).isFile()) this.close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
