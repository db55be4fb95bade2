/** Sorts the files of a dump by collection. It goes by their paths alone, so it serves disks, buckets and tars alike. */
import type { ByteSource } from '../storage/byte-source.ts';
import { collectionOf, fileNameOf, readDumpPath } from './dump-paths.ts';
import type { DumpRoot, PackedIn } from './parts.ts';

/** A file of a backup, wherever it lies. */
export interface NamedFile {
  /** Inside the backup, with `/`; the first part may be the name of the backup itself. */
  readonly path: string;
  readonly at: ByteSource;
  /** CRC-64/XZ of its inflated bytes, where something beside the file tells it. */
  readonly crc?: bigint;
  /** What it is where it is no plain file: `a symbolic link`. */
  readonly what?: string | undefined;
  /** Undefined where it is a file of its own. */
  readonly packedIn?: PackedIn | undefined;
}

export interface DumpFile extends NamedFile {
  /** Tells the files of a dump apart. */
  readonly id: number;
  /** Path of the folder above that of the database; empty = there is none. */
  readonly root: string;
}

/** A collection's files, one of each kind per host or shard folder. */
export interface CollectionFiles {
  readonly fileName: string;
  readonly documents: DumpFile[];
  readonly metadata: DumpFile[];
  /** Files `system.buckets.*`: the stored form of a time series. */
  readonly buckets: DumpFile[];
}

export interface DumpTree {
  readonly collections: readonly CollectionFiles[];
  /** Databases that have documents or metadata here, sorted. */
  readonly databases: readonly string[];
  /** Each `oplog.bson`, beside the folders of databases or elsewhere. */
  readonly oplogs: readonly NamedFile[];
  /** Each place that holds documents or metadata of the database, in the order of the files. */
  readonly roots: readonly DumpRoot[];
  find(collection: string): CollectionFiles | undefined;
}

export function sortDump(files: Iterable<NamedFile>, database: string): DumpTree {
  const byName = new Map<string, CollectionFiles>();
  const databases = new Set<string>();
  const roots = new Map<string, DumpRoot>();
  const oplogs: NamedFile[] = [];
  let id = 0;
  for (const file of files) {
    const meaning = readDumpPath(file.path, database);
    if (meaning.kind === 'oplog') oplogs.push(file);
    if (!('database' in meaning)) continue;
    databases.add(meaning.database);
    if (meaning.database !== database || meaning.kind === 'system') continue;
    const entry = byName.get(meaning.fileName) ?? noFiles(meaning.fileName);
    byName.set(meaning.fileName, entry);
    const { path: root } = addTo(roots, file);
    entry[meaning.kind].push({ ...file, id: id++, root });
  }
  return {
    collections: [...byName.values()],
    databases: [...databases].sort(),
    oplogs,
    roots: [...roots.values()],
    find: (collection) => byName.get(fileNameOf(collection)) ?? unescaped(byName.get(collection), collection),
  };
}

/** Files written by a tool that did not escape names; an escaped name never stands for itself. */
function unescaped(files: CollectionFiles | undefined, collection: string): CollectionFiles | undefined {
  return files !== undefined && collectionOf(files.fileName) === collection ? files : undefined;
}

function noFiles(fileName: string): CollectionFiles {
  return { fileName, documents: [], metadata: [], buckets: [] };
}

/** What is asked of a file to say where it lies, and when it was finished. */
type PlacedFile = Pick<NamedFile, 'path' | 'packedIn'> & { readonly at: Pick<ByteSource, 'modified'> };

/** Each place that holds documents or metadata of the database among these files. */
export function rootsIn(files: Iterable<PlacedFile>, database: string): DumpRoot[] {
  const roots = new Map<string, DumpRoot>();
  for (const file of files) {
    const meaning = readDumpPath(file.path, database);
    if ('database' in meaning && meaning.database === database && meaning.kind !== 'system')
      addTo(roots, file);
  }
  return [...roots.values()];
}

/** Adds the file to the root that it belongs to. A time of 0 is what tools write that keep none. */
export function addTo(
  roots: Map<string, DumpRoot>,
  { path, packedIn, at: { modified } }: PlacedFile,
): DumpRoot {
  const folder = path.split('/').slice(0, -2).join('/');
  const known = roots.get(folder) ?? { path: folder, packedIn, earliest: undefined, latest: undefined };
  const { earliest = modified, latest = modified } = known;
  const root =
    modified === undefined || earliest === undefined || latest === undefined || modified <= 0
      ? known
      : { ...known, earliest: Math.min(earliest, modified), latest: Math.max(latest, modified) };
  roots.set(folder, root);
  return root;
}
