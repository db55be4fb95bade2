/**
 * Entries saved in one file.
 *
 * They go to a file beside the final one as they come; it gets its name when everything up to the end is in it and on the disk. What an entry was
 * cut off of by a kill is cut off.
 */
import { constants } from 'node:fs';
import { copyFile, type FileHandle, lstat, open, rename, rm, stat } from 'node:fs/promises';
import { RestorePlanError } from '../../errors.ts';
import { PRIVATE_FILE } from '../../files.ts';
import { compareTimestamps } from '../entry.ts';
import { notWritten } from '../faults.ts';
import { isSameScope, scopeEntry } from '../saved-scope.ts';
import {
  type EntryStore,
  isEarlyEnough,
  type Kept,
  notSavedHere,
  proven,
  type SaveOrder,
  type Saving,
  savedByAnother,
} from './save-oplog.ts';

const READ_BYTES = 1024 * 1024;

export class SavedFile implements EntryStore {
  readonly name: string;
  readonly location;
  readonly #partial: string;

  /** Absolute; its folder is there. */
  constructor(path: string) {
    this.name = path;
    this.location = { kind: 'path', path, timezone: undefined } as const;
    this.#partial = `${path}.partial`;
  }

  kept(order: SaveOrder): Promise<Kept | undefined> {
    return this.#told(async () => {
      await requirePlainFile(this.name);
      await requirePlainFile(this.#partial);
      const kept = await this.#found(order);
      return kept === undefined || kept.entries === 0 ? undefined : kept;
    });
  }

  /** What can be gone on from: an unfinished file, or a finished one to which newer entries are added. */
  async #found(order: SaveOrder): Promise<Kept | undefined> {
    const { scope } = order;
    const path = this.name;
    const finished = await inFile(path);
    if (finished === undefined && (await sizeOf(path)) > 0)
      throw notSavedHere(path, 'is there, and was not saved by this command');
    if (finished !== undefined && !isSameScope(finished.scope, scope))
      throw notSavedHere(path, 'holds the entries for other collections');
    // What lies before a beginning can only be had by beginning anew; what is there is not given up where that is impossible.
    const isOfUse = async (kept: Kept | undefined): Promise<boolean> =>
      kept !== undefined && isSameScope(kept.scope, scope) && (await isEarlyEnough(kept, order));
    const unfinished = await inFile(this.#partial);
    const isFurther =
      unfinished !== undefined &&
      (finished === undefined || compareTimestamps(unfinished.last, finished.last) >= 0);
    if (isFurther && (await isOfUse(unfinished))) return unfinished;
    if (!(await isOfUse(finished))) return undefined;
    await rm(this.#partial, { force: true });
    await copyFile(path, this.#partial, constants.COPYFILE_FICLONE);
    return finished;
  }

  open({ scope, from, entries, bytes }: Kept): Promise<Saving> {
    return this.#told(async () => {
      if (entries > 0) {
        const handle = await open(this.#partial, 'r+');
        await handle.truncate(bytes);
        return this.#saving(handle, bytes);
      }
      await rm(this.#partial, { force: true });
      const header = scopeEntry(scope, from);
      const handle = await open(this.#partial, 'wx', PRIVATE_FILE);
      await writeAll(handle, header, 0);
      return this.#saving(handle, header.length);
    });
  }

  #saving(handle: FileHandle, begin: number): Saving {
    let position = begin;
    return {
      write: (entries) =>
        this.#told(async () => {
          await writeAll(handle, entries, position);
          position += entries.length;
        }),
      finish: () =>
        this.#told(async () => {
          await handle.sync();
          if ((await handle.stat()).size !== position) throw savedByAnother(this.name);
          await rename(this.#partial, this.name);
          return position;
        }),
      close: () => handle.close(),
    };
  }

  async #told<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw notWritten(error, this.#partial);
    }
  }
}

/** A pipe would be waited for without end, and a device or a link would be gone, a file in its place. Throws USAGE. */
async function requirePlainFile(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  const what = found.isDirectory()
    ? 'a folder'
    : found.isSymbolicLink()
      ? 'a link'
      : found.isFIFO()
        ? 'a pipe'
        : 'no plain file';
  throw new RestorePlanError('USAGE', `${path} is ${what}, and an oplog is saved to a plain file`, {
    hint: 'Name a file with --to, there or not, in a folder that is there.',
  });
}

/** Undefined where there is no such file, or none that was begun by a saving. */
async function inFile(file: string): Promise<Kept | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return (await proven(chunksOf(handle)))?.kept;
  } finally {
    await handle.close();
  }
}

async function* chunksOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    const { bytesRead } = await handle.read(chunk, 0, READ_BYTES);
    if (bytesRead === 0) return;
    yield chunk.subarray(0, bytesRead);
  }
}

/** 0 where there is none. */
async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const wrote = await handle.write(bytes, written, bytes.length - written, position + written);
    written += wrote.bytesWritten;
  }
}
