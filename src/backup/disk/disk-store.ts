import { randomBytes } from 'node:crypto';
import { type BigIntStats, constants, type Dirent, readSync } from 'node:fs';
import { type FileHandle, open, opendir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RestorePlanError } from '../../errors.ts';
import { makeDirectory, PRIVATE_FILE } from '../../files.ts';
import type { ByteSource, SeenFile, StoredSpan } from '../storage/byte-source.ts';
import type { FileContent, Reading, StoredFile, StoredFolder, WritableStore } from '../storage/store.ts';

/**
 * The work directory, where nothing else is said. It may lie in the folder of a backup, and what an earlier run selected looks like one:
 * only a plan that names it reads it.
 */
const WORK_DIRECTORY = '.restore-plan';

/** This machine's disk. Links are followed, as `cp -L` would; anything that is neither file nor folder is passed over. */
export class DiskStore implements WritableStore {
  readonly #opened = new Set<DiskFile>();
  readonly #isInThread: boolean;

  /** In one of several threads, each reads by itself. */
  constructor({ isInThread }: Reading = { isInThread: false }) {
    this.#isInThread = isInThread;
  }

  describe(path: string): string {
    return path;
  }

  async *list(folder: string, nameStart = ''): AsyncGenerator<StoredFile | StoredFolder> {
    const entries = await opendir(folder, { bufferSize: 512 }).catch((cause: unknown) => {
      if (isMissing(cause)) return []; // as in a bucket, where a folder exists only as far as it has contents
      throw unreadable(folder, cause);
    });
    for await (const entry of entries as AsyncIterable<Dirent> | Dirent[]) {
      if (!entry.name.startsWith(nameStart) || entry.name === WORK_DIRECTORY) continue;
      const found = await this.find(join(folder, entry.name));
      if (found !== undefined) yield found;
    }
  }

  /** Folder within folder, so that no more are held than lie within each other. */
  async *below(folder: string): AsyncGenerator<StoredFile> {
    for await (const item of this.list(folder)) {
      if (item.kind === 'file') yield item;
      else yield* this.below(item.path);
    }
  }

  async find(path: string): Promise<StoredFile | StoredFolder | undefined> {
    const found = await stat(path, { bigint: true }).catch((cause: unknown) => {
      if (isMissing(cause)) return undefined;
      throw unreadable(path, cause);
    });
    if (found?.isDirectory()) return { kind: 'folder', path: path.endsWith('/') ? path : `${path}/` };
    return found?.isFile() ? this.#file(path, found) : undefined;
  }

  /** Folders and files are made for their owner alone. What a put that died leaves is called `….partial`. */
  async put(path: string, { bytes }: FileContent): Promise<void> {
    const partial = `${path}.${randomBytes(6).toString('hex')}.partial`;
    await makeDirectory(dirname(path));
    try {
      const file = await open(partial, 'wx', PRIVATE_FILE);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
  }

  async remove(path: string): Promise<void> {
    if (!path.endsWith('/')) return await rm(path, { force: true });
    await rmdir(path).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code ?? '')) throw error;
    });
  }

  async close(): Promise<void> {
    for (const file of this.#opened) await file.close();
    this.#opened.clear();
  }

  #file(path: string, found: BigIntStats): StoredFile {
    const seen = {
      path,
      size: Number(found.size),
      modified: Number(found.mtimeMs),
      fingerprint: inodeFingerprint(found),
    };
    return { kind: 'file', ...seen, open: () => this.reopen(seen) };
  }

  reopen(seen: SeenFile): DiskFile {
    const file = new DiskFile(seen, this.#isInThread);
    this.#opened.add(file);
    return file;
  }
}

function isMissing(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/**
 * Read at a time, by a thread of the pool; two of them are in memory per stream. Larger than the cache of the core that reads: from
 * there another core fetches bytes more slowly than from the cache that they share. A selection of 700 MB takes 480 ms with 1 or 2 MiB,
 * 380 with 4, 350 with 6 or 8 (Node 20, 2 MiB of cache a core).
 */
const CHUNK_BYTES = 6 * 1024 * 1024;
/** The same where the core that scans reads by itself and finds all of it in its own cache: 7 GB by two threads take 2.3 s so, 2.8 when read ahead. */
const OWN_CHUNK_BYTES = 512 * 1024;

/**
 * A regular file on this machine, pinned to device, inode, size and modification time. What was seen of it tells that it is one: a FIFO
 * is never opened, it would hang the program.
 */
class DiskFile implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #seen: SeenFile;
  readonly #isInThread: boolean;
  #handle: Promise<FileHandle> | undefined;
  /** Chunks of streams that have ended, until the file is closed: new memory costs as much as what is read into it. */
  #spare: Buffer[] = [];

  constructor(seen: SeenFile, isInThread: boolean) {
    this.#seen = seen;
    this.#isInThread = isInThread;
    this.location = seen.path;
    this.size = seen.size;
    this.modified = seen.modified;
    this.fingerprint = seen.fingerprint;
  }

  spans(): StoredSpan[] {
    return [{ file: this.#seen, from: 0, size: this.size }];
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    await this.#fill(bytes, offset);
    return bytes;
  }

  async *stream(from: number, to: number): AsyncGenerator<Buffer> {
    if (from >= to) return;
    if (this.#isInThread) yield* this.#readHere(from, to);
    else yield* this.#readAhead(from, to);
    const handle = await this.#open();
    await this.#assertUnchanged(handle);
  }

  /** By a thread of the pool, the next chunk while the consumer works on the one it holds. */
  async *#readAhead(from: number, to: number): AsyncGenerator<Buffer> {
    const chunks = [this.#chunk(to - from), this.#chunk(to - from - CHUNK_BYTES)] as const;
    const fill = async (chunk: Buffer, at: number): Promise<Buffer> => {
      const bytes = chunk.subarray(0, to - at);
      await this.#fill(bytes, at);
      return bytes;
    };
    let filling: Promise<Buffer> | undefined = fill(chunks[0], from);
    try {
      for (let [at, next] = [from, 1]; filling !== undefined; next = 1 - next) {
        const current: Buffer = await filling;
        at += current.length;
        filling = at < to ? fill(chunks[next] as Buffer, at) : undefined;
        filling?.catch(() => undefined); // thrown where it is awaited
        yield current;
      }
    } finally {
      await filling?.catch(() => undefined);
      this.#spare.push(...chunks.filter(({ length }) => length === CHUNK_BYTES));
    }
  }

  /** By this thread, which waits meanwhile: whoever ends it does so from another. */
  async *#readHere(from: number, to: number): AsyncGenerator<Buffer> {
    const handle = await this.#open();
    const chunk = Buffer.allocUnsafeSlow(Math.min(OWN_CHUNK_BYTES, to - from));
    for (let at = from; at < to; ) {
      const bytesRead = this.#readSync(handle, chunk.subarray(0, to - at), at);
      if (bytesRead === 0) throw await this.#tooShort(handle, at);
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  }

  #readSync(handle: FileHandle, into: Buffer, position: number): number {
    try {
      return readSync(handle.fd, into, 0, into.length, position);
    } catch (cause) {
      throw unreadable(this.location, cause);
    }
  }

  /** Memory for a chunk of no more than `bytes`. */
  #chunk(bytes: number): Buffer {
    if (bytes < CHUNK_BYTES) return Buffer.allocUnsafeSlow(Math.max(bytes, 0));
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  async close(): Promise<void> {
    const opening = this.#handle;
    this.#handle = undefined;
    this.#spare = [];
    const handle = await opening?.catch(() => undefined);
    await handle?.close();
  }

  async #fill(bytes: Buffer, offset: number): Promise<void> {
    const handle = await this.#open();
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await handle
        .read(bytes, done, bytes.length - done, offset + done)
        .catch((cause: unknown) => {
          throw unreadable(this.location, cause);
        });
      if (bytesRead === 0) throw await this.#tooShort(handle, offset + done);
      done += bytesRead;
    }
  }

  async #tooShort(handle: FileHandle, end: number): Promise<RestorePlanError> {
    await this.#assertUnchanged(handle);
    return new RestorePlanError('BACKUP', `${this.location} ends at byte ${end}, too early.`, {
      hint: 'The file was cut off. Use a complete backup.',
    });
  }

  #open(): Promise<FileHandle> {
    this.#handle ??= (async () => {
      const handle = await open(this.location, constants.O_RDONLY | constants.O_NONBLOCK).catch(
        (cause: unknown) => {
          throw unreadable(this.location, cause);
        },
      );
      try {
        await this.#assertUnchanged(handle);
        return handle;
      } catch (error) {
        await handle.close();
        throw error;
      }
    })();
    return this.#handle;
  }

  async #assertUnchanged(handle: FileHandle): Promise<void> {
    const found = await handle.stat({ bigint: true }).catch((cause: unknown) => {
      throw unreadable(this.location, cause);
    });
    if (inodeFingerprint(found) === this.fingerprint) return;
    throw new RestorePlanError('BACKUP', `${this.location} changed after it was found.`, {
      hint: 'Nothing read from it was used. Run again once nobody writes to the file.',
    });
  }
}

interface Inode {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

function inodeFingerprint(inode: Inode): string {
  return `disk:${inode.dev}-${inode.ino}-${inode.size}-${inode.mtimeNs}`;
}

/** Turns what the file system said into a sentence about the backup. */
export function unreadable(path: string, cause: unknown): RestorePlanError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new RestorePlanError('BACKUP', `${path} does not exist.`, {
      hint: 'Correct source.path in the plan; a relative path starts at the folder of the plan file.',
      cause,
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new RestorePlanError('BACKUP', `${path} may not be read by this user.`, {
      hint: 'Grant read permission on the file and its folders.',
      cause,
    });
  }
  if (code === 'ELOOP') {
    // By now the path goes round the circle dozens of times.
    return new RestorePlanError('BACKUP', `Links lead in a circle: ${path.slice(0, 200)} …`, {
      hint: 'Remove the link that points to a folder above it, or name the folder of one backup in source.path.',
      cause,
    });
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new RestorePlanError('BACKUP', `${path} cannot be read: too many files are open.`, {
      hint: 'Let this user, or the system, have more files open (`ulimit -n 1024`), then run again.',
      cause,
    });
  }
  // `EIO: i/o error, read`
  const reason =
    cause instanceof Error ? cause.message.replace(/,.*/s, '').replace(/^(.*): \1$/, '$1') : code;
  return new RestorePlanError('BACKUP', `${path} cannot be read (${reason}).`, {
    hint: 'See that the disk is well, or that what it is mounted from answers; then run again, or name a copy of the backup.',
    cause,
  });
}
