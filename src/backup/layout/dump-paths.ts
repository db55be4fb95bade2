import { timeInName } from './times-in-names.ts';

/**
 * What a path means in a mongodump tree: `<anything>/<database>/<escaped collection>.bson[.gz]` and its neighbours.
 *
 * Works on one path at a time, so that folders, tars and streams are read by the same rules.
 */
export type DumpPath =
  | {
      /** buckets: the stored form of a time series collection. */
      readonly kind: 'documents' | 'metadata' | 'buckets';
      readonly database: string;
      /** Name without extension, as written: still escaped. */
      readonly fileName: string;
    }
  /** Users, roles, JavaScript, profiles … of a database: never restored by a plan. */
  | { readonly kind: 'system'; readonly database: string }
  /** Operations recorded while the dump ran (`--oplog`); they are not replayed. */
  | { readonly kind: 'oplog' }
  /** Versions of server and tools; nothing is needed of it. */
  | { readonly kind: 'prelude' }
  | { readonly kind: 'other' };

/** `path` has `/` between its parts; `database` is the one the plan wants. */
export function readDumpPath(path: string, database: string): DumpPath {
  const parts = path.split('/');
  const name = (parts.at(-1) ?? '').replace(/\.gz$/, '');
  const folder = parts.at(-2) ?? '';
  if (name.startsWith('._')) return { kind: 'other' }; // resource forks that macOS tars add
  if (name === 'prelude.json') return { kind: 'prelude' };
  if (name === 'oplog.bson' && folder !== database) return { kind: 'oplog' };
  const documents = /^(.+)\.(?:bson|bin)$/s.exec(name)?.[1];
  const metadata = /^(.+)\.metadata\.json$/s.exec(name)?.[1];
  const fileName = documents ?? metadata;
  if (fileName === undefined || folder === '') return { kind: 'other' };
  if (documents?.startsWith('system.buckets.')) {
    return { kind: 'buckets', database: folder, fileName: documents.slice('system.buckets.'.length) };
  }
  if (fileName.startsWith('system.') || fileName.startsWith('$')) return { kind: 'system', database: folder };
  return { kind: documents === undefined ? 'metadata' : 'documents', database: folder, fileName };
}

/**
 * The folder that can only be that of the plan's database: the only one with files of collections, whose own name is no
 * database's. It has none (`x.bson` at the top of a tar), or was renamed to a time. Undefined where there is no such.
 */
export function namelessFolder(paths: Iterable<string>): string | undefined {
  const folders = new Set<string>();
  for (const path of paths) {
    const { kind } = readDumpPath(`_/${path}`, '_');
    if (kind === 'documents' || kind === 'metadata' || kind === 'buckets') folders.add(folderOf(path));
  }
  const [only] = folders;
  if (only === undefined || folders.size > 1) return undefined;
  const name = only.slice(only.lastIndexOf('/') + 1);
  return name === '' || timeInName(name) !== undefined ? only : undefined;
}

/** The path as it would be if the folder bore the name of the database. */
export function inDatabase(path: string, folder: string | undefined, database: string): string {
  if (folder === undefined || folderOf(path) !== folder) return path;
  return `${folder.slice(0, folder.lastIndexOf('/') + 1)}${database}/${path.slice(path.lastIndexOf('/') + 1)}`;
}

/** The folder of a file, without the `/` at its end; empty at the top. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** A file of a mongod's dbPath, as it is or compressed: of a physical backup, or a snapshot of the disk. */
export function isDataFile(path: string): boolean {
  return /(?:^|\/)(?:WiredTiger|mongod\.lock|[^/]+\.(?:wt|ns))(?:\.(?:gz|s2|snappy|lz4|zst))?$/.test(path);
}

/** A part of a collection as ApsaraDB for MongoDB lays its logical backups out: `gravity/artworks/data/artworks_0_part0.bson`. */
export function apsaraPart(path: string): { readonly collection: string; readonly file: string } | undefined {
  const found = /(?:^|\/)([^/]+)\/data\/(\1_\d+_part\d+\.bson(?:\.gz)?)$/s.exec(path);
  return found === null ? undefined : { collection: found[1] as string, file: found[2] as string };
}
