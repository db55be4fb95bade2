/** Sorts the files of a dump by collection. It goes by their paths alone, so it serves disks, buckets and tars alike. */

import { showDuration } from '../../text/quantities.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { collectionOf, fileNameOf, readDumpPath, timeInName } from './dump-paths.ts';

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

// Whether several folders are parts of one backup, one for each host or shard, or backups of their own.
//
// Joined is only what names and times prove: the same path but for the name of a host (`c0.example.net_27017`) or the
// number of a shard (`shard0`, `rs1`), and files that were finished within one run. Nights, copies, leftovers and
// renamed folders fail one or the other.

/** The outermost tar, a file among others, that something was found in. */
export interface PackedIn {
  readonly path: string;
  /** When it was finished, UTC milliseconds. */
  readonly modified: number | undefined;
}

/** A folder that holds the folder of the database. */
export interface DumpRoot {
  /** Inside the backup; empty = the database's folder is at the top. */
  readonly path: string;
  readonly packedIn: PackedIn | undefined;
  /** When the first and the last of its files were finished, UTC milliseconds; undefined where nobody knows. */
  readonly earliest: number | undefined;
  readonly latest: number | undefined;
  /** Percona Backup for MongoDB keeps each replica set in a folder of its name, all beside each other. */
  readonly isReplicaSet?: boolean;
}

const MINUTE = 60_000;
/** Parts that are dumped one after the other begin within the time that one of them takes, or soon. */
const SOON_MS = 30 * MINUTE;
/** A part that took longer does not reach into the next night. */
export const LONGEST_MS = 360 * MINUTE;

/** Why they are not proven to be parts of one backup, to follow "because"; undefined when they are. */
export function whyNotParts(roots: readonly DumpRoot[]): string | undefined {
  if (roots.length < 2) return undefined;
  const areReplicaSets = roots.every(({ isReplicaSet }) => isReplicaSet) && areSiblings(roots);
  if (!areReplicaSets && !arePartsByName(roots.map(({ path }) => path.split('/'))))
    return 'their names are not those of hosts or shards of one dump';
  // A tar has the times of its files, and one of its own; either may have been lost by copying.
  const packed = roots.map(({ packedIn }) => ({ earliest: packedIn?.modified, latest: packedIn?.modified }));
  const gap = gapOf(roots) ?? gapOf(packed);
  return gap === undefined
    ? undefined
    : `${showDuration(gap)} lie between their files, more than one run takes`;
}

function areSiblings(roots: readonly DumpRoot[]): boolean {
  const parents = new Set(roots.map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1)));
  return (
    parents.size === 1 && roots.every(({ path }) => timeInName(path.split('/').at(-1) ?? '') === undefined)
  );
}

/** Whether their names are those of hosts or shards. Once they are not, further ones change nothing. */
export function arePartsByName(paths: readonly (readonly string[])[]): boolean {
  const [first = []] = paths;
  if (paths.some((path) => path.length !== first.length)) return false;
  return first.every((_, i) => {
    const names = [...new Set(paths.map((path) => withoutExtension(path[i] as string)))];
    return names.length === 1 || areShards(names) || names.every(isHost);
  });
}

function withoutExtension(name: string): string {
  return name.replace(/\.(?:tar|tgz|archive|gz|zst)(?:\.(?:gz|zst))?$/i, '');
}

/** A number or letter behind `shard` or `rs`, with the same around it in all names: `eu-shard-0`, `rs1`, `shard0000`. */
const SHARD = /^(|.*[-_.])(shard|rs|replset|replicaset|sh)([-_.]?)(\d{1,3}|00\d\d|[a-z])((?:[-_.].*)?)$/i;

function areShards(names: readonly string[]): boolean {
  const frames = names.map((name) => {
    const [, before, word, dash, , after] = SHARD.exec(name) ?? [];
    return word === undefined ? name : JSON.stringify([before, word, dash, after]);
  });
  return new Set(frames).size === 1;
}

/** `c0.example.net_27017`, `mongo1_27017`, `db1.example.net`. */
function isHost(name: string): boolean {
  if (timeInName(name) !== undefined) return false;
  const [, host = '', port] = /^(.*?)(?:[_:](\d{4,5}))?$/.exec(name) ?? [];
  const labels = host.toLowerCase().split('.');
  if (!labels.every((label) => /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(label) && !GENERATIONS.test(label)))
    return false;
  const isQualified = /^[a-z]{2,}$/.test(labels.at(-1) ?? '');
  const isAddress = labels.length === 4 && labels.every((label) => /^(?:\d|[1-9]\d\d?)$/.test(label));
  if (port === undefined) return isQualified && labels.length > 2;
  return /^27\d\d\d$/.test(port) || ((isQualified || isAddress) && labels.length > 1);
}

/** Words that tell one backup from another, never one host from another. */
const GENERATIONS =
  /^(?:old|new|bak|backups?|prev(?:ious)?|last|latest|current|copy|orig(?:inal)?|save[d]?|tmp|temp|hourly|daily|nightly|weekly|monthly|yearly|(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)$/;

/** Milliseconds between two neighbours in time, where they are more than one run may leave. */
function gapOf(roots: readonly Pick<DumpRoot, 'earliest' | 'latest'>[]): number | undefined {
  const spans = roots
    .flatMap(({ earliest, latest }) =>
      earliest === undefined || latest === undefined ? [] : [{ earliest, latest }],
    )
    .sort((a, b) => a.earliest - b.earliest);
  const longest = Math.max(0, ...spans.map(({ earliest, latest }) => latest - earliest));
  const allowed = Math.max(SOON_MS, Math.min(longest, LONGEST_MS));
  let end = spans[0]?.latest ?? 0;
  for (const span of spans) {
    if (span.earliest - end > allowed) return span.earliest - end;
    end = Math.max(end, span.latest);
  }
  return undefined;
}
