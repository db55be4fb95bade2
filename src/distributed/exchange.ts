/**
 * The place where machines that select together hand each other what they have: a prefix of a bucket, or a folder that all of them see.
 *
 * Files are put there whole, read, listed and removed; nothing is ever changed in place, and no file is waited for. Whoever may write there may
 * forge a selection, so a folder is used only where it belongs to this user and nobody else may write to it.
 */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openWritableStore } from '../backup/open-store.ts';
import type { RemotePatience } from '../backup/remote/patience.ts';
import {
  type FileContent,
  filesBelow,
  type StoredFile,
  type WritableStore,
} from '../backup/storage/store.ts';
import { RestorePlanError } from '../errors.ts';
import { reasonOf } from '../files.ts';
import { bucketAddress, bucketLike, bucketNeeds } from '../plan/sources/s3.ts';
import { isStored, type Location, storeLocation } from '../plan/sources/sources.ts';
import type { StoreLocation } from '../plan/sources/stores.ts';
import type { Run } from '../run.ts';

const RIGHTS = ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'];

/** A file of the exchange, by its name within. */
export interface ExchangedFile {
  readonly name: string;
  readonly stored: StoredFile;
}

/** Whether an address is one of a bucket, which every machine can reach. */
export function isBucket(address: string): boolean {
  return bucketAddress(address) !== undefined;
}

/** Whether it is no path, of whichever kind of address. */
export function isUrl(address: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(address);
}

export class Exchange {
  /** As it was named; a folder absolute. */
  readonly address: string;
  readonly #store: WritableStore;
  /** Before every name; empty or ends in `/`. */
  readonly #root: string;

  private constructor(address: string, store: WritableStore, root: string) {
    this.address = address;
    this.#store = store;
    this.#root = root;
  }

  /**
   * `address`: `s3://bucket/prefix`, or the path of a folder; `source`: where the backup lies, a bucket is asked with the same region,
   * profile and endpoint. Throws USAGE for an address that is none, WORK_DIRECTORY for a folder that is not there or not trusted.
   */
  static async open(
    run: Run,
    address: string,
    { source, patience }: { readonly source: Location; readonly patience: RemotePatience },
  ): Promise<Exchange> {
    const named = bucketAddress(address);
    if (named === undefined && isUrl(address))
      throw new RestorePlanError('USAGE', `--exchange ${address} is no place for an exchange`, {
        hint: 'Name s3://bucket/prefix, or a folder that all machines share.',
      });
    const store = (location: StoreLocation): Promise<WritableStore> =>
      openWritableStore(run, location, patience);
    if (named !== undefined) {
      const { bucket, prefix } = named;
      const root = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
      const near = isStored(source) ? storeLocation(source) : undefined;
      const own = near?.kind === 's3' ? near : undefined;
      return new Exchange(address, await store(bucketLike(own, bucket)), root);
    }
    const folder = resolve(address);
    await requireOwn(folder);
    return new Exchange(
      folder,
      await store({ kind: 'path', path: folder, timezone: undefined }),
      join(folder, '/'),
    );
  }

  /** Keeps bytes under a name (parted by `/`), whole or not at all. `sha256`: theirs, hex. */
  async put(name: string, content: FileContent): Promise<void> {
    await this.#told(() => this.#store.put(this.#root + name, content));
  }

  /** All files below a folder (ends in `/`), sorted by name. */
  async list(folder: string): Promise<ExchangedFile[]> {
    return this.#told(async () => {
      const files = await filesBelow(this.#store, this.#root + folder);
      return files.map((stored) => ({ name: stored.path.slice(this.#root.length), stored }));
    });
  }

  /** Folders directly in the exchange whose names begin so; they end in `/`. */
  async folders(nameStart: string): Promise<string[]> {
    return this.#told(async () => {
      const found: string[] = [];
      for await (const { kind, path } of this.#store.list(this.#root, nameStart))
        if (kind === 'folder') found.push(path.slice(this.#root.length));
      return found.sort();
    });
  }

  /** The bytes of one that was listed. */
  async get({ stored }: ExchangedFile): Promise<Buffer> {
    return this.#told(async () => {
      const source = stored.open();
      try {
        return await source.read(0, source.size);
      } finally {
        await source.close();
      }
    });
  }

  async remove(name: string): Promise<void> {
    await this.#told(() => this.#store.remove(this.#root + name));
  }

  /** Removes a folder (ends in `/`) with all that lies below it; returns how many files that were. */
  async clear(folder: string): Promise<number> {
    const files = await this.list(folder);
    for (const { name } of files) await this.remove(name);
    const folders = new Set([folder, ...files.map(({ name }) => name.slice(0, name.lastIndexOf('/') + 1))]);
    for (const name of [...folders].sort().reverse()) await this.remove(name);
    return files.length;
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** What goes wrong here is no fault of the backup. */
  async #told<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== undefined)
        throw new RestorePlanError(
          'WORK_DIRECTORY',
          `the exchange ${this.address} cannot be used: ${reason}`,
          {
            hint: 'Name a folder with enough space that this user may write to, on every machine the same.',
            cause: error,
          },
        );
      if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
      const hint = isBucket(this.address) ? bucketNeeds(this.address, RIGHTS) : undefined;
      throw new RestorePlanError('WORK_DIRECTORY', `the exchange cannot be used: ${error.message}`, {
        hint,
        cause: error,
        facts: error.facts,
      });
    }
  }
}

const GROUP_OR_OTHERS_WRITE = 0o022;

/** The folder itself may be a link, which the operator has named. */
async function requireOwn(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (found === undefined || !found.isDirectory()) {
    // Not made here: on a machine that does not share it, it would be another one.
    throw untrusted(
      `${folder} is no folder on this machine`,
      `Make it where all machines see it, for this user alone: mkdir -m 700 ${folder}`,
    );
  }
  const user = process.geteuid?.();
  if (user === undefined) return;
  if (found.uid !== user)
    throw untrusted(`${folder} belongs to another user (uid ${found.uid}, this is ${user})`, OWN);
  if ((found.mode & GROUP_OR_OTHERS_WRITE) === 0) return;
  const mode = (found.mode & 0o7777).toString(8);
  throw untrusted(`others than you may write to ${folder} (mode ${mode})`, OWN);
}

const OWN =
  'Whoever may write there may forge what is selected. Make a folder in it that is yours alone (mkdir -m 700) and name that one.';

function untrusted(message: string, hint: string): RestorePlanError {
  return new RestorePlanError('WORK_DIRECTORY', `the exchange cannot be used: ${message}`, { hint });
}
