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

/** A file of a mongod's dbPath, as it is or compressed: of a physical backup, or a snapshot of the disk. */
export function isDataFile(path: string): boolean {
  return /(?:^|\/)(?:WiredTiger|[^/]+\.wt)(?:\.(?:gz|s2|snappy|lz4|zst))?$/.test(path);
}
