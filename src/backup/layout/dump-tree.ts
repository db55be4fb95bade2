/**
 * Sorts the files of a dump by collection. Pure: it sees paths, never bytes, so it serves disks, buckets and tars.
 * `At` is whatever the caller needs to get at a file's bytes.
 */
import { collectionOf, fileNameOf } from './collection-names.ts';
import { readDumpPath } from './dump-paths.ts';

export interface DumpFile<At> {
  /** Inside the backup, with `/`; the first part may be the name of the backup itself. */
  readonly path: string;
  /** Tells the files of a dump apart. */
  readonly id: number;
  readonly at: At;
}

/** A collection's files, one of each kind per host or shard folder. */
export interface CollectionFiles<At> {
  readonly fileName: string;
  readonly documents: DumpFile<At>[];
  readonly metadata: DumpFile<At>[];
  /** Files `system.buckets.*`: the stored form of a time series. */
  readonly buckets: DumpFile<At>[];
}

export interface DumpTree<At> {
  readonly collections: readonly CollectionFiles<At>[];
  /** Databases that have documents or metadata here, sorted. */
  readonly databases: readonly string[];
  /** There is an `oplog.bson` beside the databases. */
  readonly hasOplog: boolean;
  find(collection: string): CollectionFiles<At> | undefined;
}

export function sortDump<At>(files: Iterable<{ path: string; at: At }>, database: string): DumpTree<At> {
  const byName = new Map<string, CollectionFiles<At>>();
  const databases = new Set<string>();
  let hasOplog = false;
  let id = 0;
  for (const { path, at } of files) {
    const meaning = readDumpPath(path, database);
    if (meaning.kind === 'oplog') hasOplog = true;
    if (!('database' in meaning)) continue;
    databases.add(meaning.database);
    if (meaning.database !== database || meaning.kind === 'system') continue;
    const entry = byName.get(meaning.fileName) ?? noFiles(meaning.fileName);
    byName.set(meaning.fileName, entry);
    entry[meaning.kind].push({ path, id: id++, at });
  }
  return {
    collections: [...byName.values()],
    databases: [...databases].sort(),
    hasOplog,
    find: (collection) => byName.get(fileNameOf(collection)) ?? unescaped(byName.get(collection), collection),
  };
}

/** Files written by a tool that did not escape names; an escaped name never stands for itself. */
function unescaped<At>(
  files: CollectionFiles<At> | undefined,
  collection: string,
): CollectionFiles<At> | undefined {
  return files !== undefined && collectionOf(files.fileName) === collection ? files : undefined;
}

function noFiles<At>(fileName: string): CollectionFiles<At> {
  return { fileName, documents: [], metadata: [], buckets: [] };
}
