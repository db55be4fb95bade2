import type { BigIntStats, Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Store, StoredFile, StoredFolder } from '../storage/store.ts';
import { DiskFile, inodeFingerprint, unreadable } from './disk-file.ts';

/** This machine's disk. Links are followed, as `cp -L` would; anything that is neither file nor folder is passed over. */
export class DiskStore implements Store {
  readonly #opened = new Set<DiskFile>();

  describe(path: string): string {
    return path;
  }

  async *list(folder: string, nameStart = ''): AsyncGenerator<StoredFile | StoredFolder> {
    const entries = await opendir(folder, { bufferSize: 512 }).catch((cause: unknown) => {
      if (isMissing(cause)) return []; // as in a bucket, where a folder exists only as far as it has contents
      throw unreadable(folder, cause);
    });
    for await (const entry of entries as AsyncIterable<Dirent> | Dirent[]) {
      if (!entry.name.startsWith(nameStart)) continue;
      const found = await this.find(join(folder, entry.name));
      if (found !== undefined) yield found;
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
    const open = (): DiskFile => {
      const file = new DiskFile(seen);
      this.#opened.add(file);
      return file;
    };
    return { kind: 'file', ...seen, open };
  }
}

function isMissing(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
