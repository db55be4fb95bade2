/**
 * Where backups lie: a bucket or this machine's disk, seen as folders and files whose paths are parted by `/`.
 * Locating a backup and reading a dump that is a folder of files need nothing else.
 */
import type { ByteSource, SeenFile } from './byte-source.ts';

export interface StoredFile extends SeenFile {
  readonly kind: 'file';
  /** Its bytes, pinned to what was seen of it here. */
  open(): ByteSource;
}

export interface StoredFolder {
  readonly kind: 'folder';
  /** Full path or prefix, ending in `/`. */
  readonly path: string;
}

export interface Store {
  /** How people name a path here: `s3://bucket/key`, or the path itself. */
  describe(path: string): string;
  /** What lies directly in `folder` (ends in `/`) and whose name begins with `nameStart`. In pages, in no promised order. */
  list(folder: string, nameStart?: string): AsyncIterable<StoredFile | StoredFolder>;
  /** All files below `folder` (ends in `/`), at any depth. In pages, in no promised order. */
  below(folder: string): AsyncIterable<StoredFile>;
  /** What `path` is; undefined when nothing is there. A bucket has a folder wherever a key continues after `/`. */
  find(path: string): Promise<StoredFile | StoredFolder | undefined>;
  /** A file that was found before, here or by another store of the same place; nothing is asked before its bytes are read. */
  reopen(seen: SeenFile): ByteSource;
  /** Closes everything that was opened from it. */
  close(): Promise<void>;
}

/** Who reads a store. */
export interface Reading {
  /** One of several threads that share the cores, and what a line gives. */
  readonly isInThread: boolean;
}

/** All bytes of a file that is to be kept in a store, and their SHA-256, hex. */
export interface FileContent {
  readonly bytes: Buffer;
  readonly sha256: string;
}

/** A store that is written to as well: where workers hand each other what they selected. Backups are opened as what can only be read. */
export interface WritableStore extends Store {
  /** Keeps a file under `path`, whole or not at all; what has that path already is replaced. Folders need not be made. */
  put(path: string, content: FileContent): Promise<void>;
  /** Takes away a file, or a folder (ends in `/`) that is empty; what is not there is no fault. */
  remove(path: string): Promise<void>;
}

/** When the last of these was finished; undefined when nobody knows. */
export function newestOf(files: readonly Pick<StoredFile, 'modified'>[]): number | undefined {
  const times = files.flatMap(({ modified }) => (modified === undefined ? [] : [modified]));
  return times.length === 0 ? undefined : times.reduce((a, b) => Math.max(a, b));
}

/** All files below `folder`, sorted by path. For folders of ours; any other may hold millions. */
export async function filesBelow(store: Pick<Store, 'below'>, folder: string): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for await (const file of store.below(folder)) files.push(file);
  return files.sort(byPath);
}

/** An order for `sort`. */
export function byPath(a: Pick<StoredFile, 'path'>, b: Pick<StoredFile, 'path'>): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}
