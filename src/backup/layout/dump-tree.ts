/** Sorts the files of a dump by collection. It goes by their paths alone, so it serves disks, buckets and tars alike. */
import type { ByteSource } from '../storage/byte-source.ts';
import { collectionOf, fileNameOf } from './collection-names.ts';
import { readDumpPath } from './dump-paths.ts';

/** A file of a backup, wherever it lies. */
export interface NamedFile {
  /** Inside the backup, with `/`; the first part may be the name of the backup itself. */
  readonly path: string;
  readonly at: ByteSource;
  /** CRC-64/XZ of its inflated bytes, where something beside the file tells it. */
  readonly crc?: bigint;
}

export interface DumpFile extends NamedFile {
  /** Tells the files of a dump apart. */
  readonly id: number;
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
  /** There is an `oplog.bson` beside the databases. */
  readonly hasOplog: boolean;
  find(collection: string): CollectionFiles | undefined;
}

export function sortDump(files: Iterable<NamedFile>, database: string): DumpTree {
  const byName = new Map<string, CollectionFiles>();
  const databases = new Set<string>();
  let hasOplog = false;
  let id = 0;
  for (const file of files) {
    const meaning = readDumpPath(file.path, database);
    if (meaning.kind === 'oplog') hasOplog = true;
    if (!('database' in meaning)) continue;
    databases.add(meaning.database);
    if (meaning.database !== database || meaning.kind === 'system') continue;
    const entry = byName.get(meaning.fileName) ?? noFiles(meaning.fileName);
    byName.set(meaning.fileName, entry);
    entry[meaning.kind].push({ ...file, id: id++ });
  }
  return {
    collections: [...byName.values()],
    databases: [...databases].sort(),
    hasOplog,
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
