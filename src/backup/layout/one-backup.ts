/**
 * Refuses what would join documents of two backups: several dumps of one database in one place, and two dumps written
 * into one folder.
 */
import { RestorePlanError } from '../../errors.ts';
import { showInstant } from '../locate/backup-time.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import type { DumpFile } from './dump-tree.ts';
import { type DumpRoot, whyNotParts } from './parts.ts';
import { templateOf } from './times-in-names.ts';

/** The folder that a plan names, as opposed to a single file, into which no plan can point. */
export interface NamedFolder {
  /** The key of the plan that names it. */
  readonly setting: 'source.path' | 'source.s3.key';
  /** What stands before the paths of its files, which begin with its own name: empty, or ending in `/`. */
  readonly above: string;
  /** It bears the name of the database, and its files lie in it. */
  readonly isDatabase: boolean;
  /** How messages name a path or key. */
  describe(path: string): string;
}

export interface WhereFound {
  /** For messages: the backup as a whole. */
  readonly location: string;
  readonly database: string;
  readonly folder: NamedFolder | undefined;
}

/** One of the backups in a place that was taken for one. */
export interface SingleBackup {
  /** For messages. */
  readonly location: string;
  /** What a plan names to have this one alone; undefined where it lies inside a file. */
  readonly path: string | undefined;
  /** When it was finished, UTC milliseconds. */
  readonly modified: number | undefined;
}

const LISTED = 12;

/** Throws BACKUP unless all of them are proven to be parts of one backup. */
export function assertOneBackup(roots: readonly DumpRoot[], where: WhereFound): void {
  const why = whyNotParts(roots);
  if (why !== undefined) throw severalBackups(roots, where, why);
}

/** `why` follows "because". */
export function severalBackups(roots: readonly DumpRoot[], where: WhereFound, why: string): RestorePlanError {
  const { location, database } = where;
  const backups = singleBackups(roots, where);
  const listed = backups
    .slice(0, LISTED)
    .map((backup) => `${backup.location}${finished(backup.modified)}`)
    .join(', ');
  const more = backups.length > LISTED ? `, and ${backups.length - LISTED} more` : '';
  return new RestorePlanError(
    'BACKUP',
    `${location} holds the database ${database} ${backups.length} times, and they are not put together because ${why}: ${listed}${more}.`,
    { hint: choiceBetween(backups, where), facts: { several: backups } },
  );
}

/** By the first part of their paths in which they differ: the hosts of one night are one backup. */
function singleBackups(roots: readonly DumpRoot[], where: WhereFound): readonly SingleBackup[] {
  const { location, database, folder } = where;
  const paths = roots.map(({ path }) => path.split('/').filter((part) => part !== ''));
  const depth = depthOfDifference(paths);
  const isNested = paths.some((path) => path.length <= depth);
  const found = new Map<string, SingleBackup>();
  for (const [i, { packedIn, latest }] of roots.entries()) {
    const parts = paths[i] as string[];
    // Where one has others below it, only the folder of its database has none.
    const isFile = packedIn !== undefined && (isNested || packedIn.path.split('/').length <= depth + 1);
    const named = isFile
      ? packedIn.path
      : [...(isNested ? [...parts, database] : parts.slice(0, depth + 1)), ''].join('/');
    const time = isFile ? packedIn.modified : latest;
    const known = found.get(named)?.modified;
    found.set(named, {
      location: folder === undefined ? `${location}!${named}` : folder.describe(folder.above + named),
      path: folder === undefined ? undefined : folder.above + named,
      modified: known === undefined || (time ?? 0) > known ? time : known,
    });
  }
  return [...found.values()];
}

function depthOfDifference(paths: readonly (readonly string[])[]): number {
  const shortest = Math.min(...paths.map(({ length }) => length));
  const depth = (paths[0] ?? []).findIndex((part, i) => paths.some((path) => path[i] !== part));
  return depth < 0 ? shortest : Math.min(depth, shortest);
}

function finished(modified: number | undefined): string {
  return modified === undefined ? '' : ` (finished ${showInstant(modified, undefined)})`;
}

const PARTS =
  'Folders are joined if their names tell the hosts or shards of one run: db1.example.net_27017, shard0, shard1.';

function choiceBetween(backups: readonly SingleBackup[], { folder }: WhereFound): string {
  // The last by its name, where the names have times; else the last to be finished.
  const template = templateOf(backups.flatMap(({ path }) => path ?? []));
  const order = (one: SingleBackup): string | number =>
    (template === undefined ? one.modified : one.path) ?? 0;
  const [newest] = [...backups].sort((a, b) => (order(a) < order(b) ? 1 : -1));
  if (folder === undefined || newest?.path === undefined)
    return `Unpack it, and name the folder of one of them as source.path. ${PARTS}`;
  const setting = (path: string): string => `${folder.setting}: ${JSON.stringify(path)}`;
  const byTime =
    template === undefined ? '' : `to choose by time, ${setting(template)}, source.at and source.timezone; `;
  return `Write into the plan: ${byTime}for one of them, ${setting(newest.path)}. ${PARTS}`;
}

/** What is asked of a file of a dump to tell two of one folder apart. */
export type PlacedFile = Pick<DumpFile, 'path' | 'packedIn' | 'root'> & {
  readonly at: Pick<ByteSource, 'location' | 'modified'>;
};

/** The files of one collection by what they are. */
export type FilesByKind = Readonly<Record<'documents' | 'metadata' | 'buckets', readonly PlacedFile[]>>;

/** Throws BACKUP where one folder holds two files of documents, or of metadata, for the collection: of two dumps. */
export function refuseTwice(
  { documents, metadata, buckets }: FilesByKind,
  { collection, folder }: { readonly collection: string; readonly folder: NamedFolder | undefined },
): void {
  for (const files of [documents, metadata, buckets]) {
    const first = new Map<string, PlacedFile>();
    for (const file of files) {
      const other = first.get(file.root);
      if (other !== undefined) {
        const isOlder = (file.at.modified ?? 0) < (other.at.modified ?? 0);
        throw twoDumps(isOlder ? [file, other] : [other, file], collection, folder);
      }
      first.set(file.root, file);
    }
  }
}

function twoDumps(
  /** The older one first. */
  files: readonly [PlacedFile, PlacedFile],
  collection: string,
  folder: NamedFolder | undefined,
): RestorePlanError {
  const [first, second] = files.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)) as [string, string];
  const named = files.map(({ at }) => `${at.location}${finished(at.modified)}`).join(' and ');
  const differs = first !== second;
  const keep = differs
    ? `Keep the files of one dump: delete ${first} and the others of its kind, or ${second} and the others of its kind, metadata included`
    : 'Keep one of the two';
  const packed = folder === undefined || files.some(({ packedIn }) => packedIn !== undefined);
  return new RestorePlanError(
    'BACKUP',
    `${collection} is there twice in one folder, so two dumps were written into it: ${named}.`,
    {
      hint: packed
        ? `Take another backup, or unpack this one, then: ${keep}.`
        : `${keep}; or choose one by ${folder.setting}: ${JSON.stringify(patternFor(files[1], folder))}.`,
      facts: { files: files.map(({ at: { location, modified } }) => ({ location, modified })) },
    },
  );
}

/** The template of single files that finds the file and those of its kind beside it. */
function patternFor({ path }: PlacedFile, { above }: NamedFolder): string {
  const extension = /\.(?:bson|bin)(?:\.gz)?$/.exec(path.replace('.metadata.json', '.bson'))?.[0] ?? '.bson';
  return `${above}${path.slice(0, path.lastIndexOf('/') + 1)}{collection}${extension}`;
}
