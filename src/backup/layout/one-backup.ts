/**
 * Refuses what would join documents of two backups: several dumps of one database in one place, and two dumps written
 * into one folder.
 */
import { RestorePlanError } from '../../errors.ts';
import { showInstant } from '../locate/search-template.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { templateOf } from './dump-paths.ts';
import { type DumpFile, type DumpRoot, LONGEST_MS, whyNotParts } from './dump-tree.ts';

/** The folder that a plan names, as opposed to a single file, into which no plan can point. */
export interface NamedFolder {
  /** The key of the plan that names it. */
  readonly setting: string;
  /** What stands before the paths of its files, which begin with its own name: empty, or ending in `/`. */
  readonly above: string;
  /** It bears the name of the database, and its files lie in it. */
  readonly isDatabase: boolean;
  /** It holds more files than were looked at: those of further backups. */
  readonly holdsMore: boolean;
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
  const { location, database, folder } = where;
  const backups = singleBackups(roots, where);
  const listed = backups
    .slice(0, LISTED)
    .map((backup) => `${backup.location}${finished(backup.modified)}`)
    .join(', ');
  const more = backups.length > LISTED ? `, and ${backups.length - LISTED} more` : '';
  return new RestorePlanError(
    'BACKUP',
    `${location} holds the database ${database} ${backups.length}${folder?.holdsMore ? ' or more' : ''} times, and they are not put together because ${why}: ${listed}${more}.`,
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
type FilesByKind = Readonly<Record<'documents' | 'metadata' | 'buckets', readonly PlacedFile[]>>;

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
  return new RestorePlanError(
    'BACKUP',
    `${collection} is there twice in one folder, so two dumps were written into it: ${named}.`,
    {
      hint: isPacked(files, folder)
        ? `Take another backup, or unpack this one, then: ${keep}.`
        : `${keep}; or choose one by ${folder.setting}: ${JSON.stringify(patternFor(files[1], folder))}.`,
      facts: { files: files.map(factsOf) },
    },
  );
}

const isPacked = (files: readonly PlacedFile[], folder: NamedFolder | undefined): folder is undefined =>
  folder === undefined || files.some(({ packedIn }) => packedIn !== undefined);

const factsOf = ({ at: { location, modified } }: PlacedFile): SingleBackup => ({
  location,
  path: undefined,
  modified,
});

/** The slowest that a file is believed to be dumped, or uploaded, bytes per millisecond. */
const SLOWEST = 1_000;

/** A file of documents in the folder of a dump, wanted or not. */
export interface DatedFile {
  readonly file: PlacedFile;
  readonly bytes: number;
  readonly wanted: boolean;
}

/**
 * Of the files of one folder that are read together none may be of another dump than the rest. Throws BACKUP where more time lies
 * between them than a dump leaves between two of its files. Returns what is to be said where nothing proves it, but much
 * speaks for it.
 */
export function refuseLeftovers(
  files: readonly DatedFile[],
  folder: NamedFolder | undefined,
): string | undefined {
  const runs = runsOf(files);
  const [older, newer] = runs.filter((run) => run.some((each) => each.wanted));
  const [last] = runs.slice(-1);
  if (older === undefined || last === undefined) return undefined;
  const before = older.findLast((each) => each.wanted)?.file as PlacedFile;
  if (newer !== undefined) {
    const after = newer.find((each) => each.wanted)?.file as PlacedFile;
    throw leftovers([before, after], folder);
  }
  if (older !== last) {
    const latest = last.at(-1)?.file as PlacedFile;
    return `${before.at.location}${finished(before.at.modified)} may be left over from an older dump: ${latest.at.location} was finished ${showInstant(latest.at.modified as number, undefined)}.`;
  }
  return mixtureOf(files.flatMap(({ file, wanted }) => (wanted ? [file] : [])));
}

/** What is to be said of files of which some are compressed: somebody packed them by hand, or they are of two dumps. */
function mixtureOf(files: readonly PlacedFile[]): string | undefined {
  const packed = files.find(isGzip);
  const plain = files.find((file) => !isGzip(file));
  if (packed === undefined || plain === undefined) return undefined;
  return `${packed.at.location} is compressed and ${plain.at.location} is not: a dump writes all of them alike, so see that both are of one.`;
}

const isGzip = ({ path }: PlacedFile): boolean => path.endsWith('.gz');

/** The files in the order in which they were finished, cut where no dump leaves so much time. Those of unknown time are left out. */
function runsOf(files: readonly DatedFile[]): DatedFile[][] {
  const timeOf = ({ file }: DatedFile): number => file.at.modified ?? 0;
  const dated = files.filter((each) => timeOf(each) > 0).sort((a, b) => timeOf(a) - timeOf(b));
  const runs: DatedFile[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const each of dated) {
    if (timeOf(each) - end > Math.max(LONGEST_MS, each.bytes / SLOWEST)) runs.push([]);
    runs.at(-1)?.push(each);
    end = timeOf(each);
  }
  return runs;
}

function leftovers(
  files: readonly [PlacedFile, PlacedFile],
  folder: NamedFolder | undefined,
): RestorePlanError {
  const named = files.map(({ at }) => `${at.location}${finished(at.modified)}`).join(' and ');
  const byName = (known: NamedFolder): string =>
    files
      .map((file) => JSON.stringify(patternFor(file, known)))
      .filter((pattern, i, all) => all.indexOf(pattern) === i)
      .map((pattern) => `${known.setting}: ${pattern}`)
      .join(', or ');
  return new RestorePlanError(
    'BACKUP',
    `Two dumps were written into one folder: ${named}; more time lies between them than one dump takes.`,
    {
      hint: isPacked(files, folder)
        ? 'Restore the collections by plans of their own, each from the backup that it is of; or unpack this one, and delete what was left over.'
        : `Delete what was left over; or restore the collections by plans of their own. If you know that they are of one dump, name the files one by one: ${byName(folder)}.`,
      facts: { files: files.map(factsOf) },
    },
  );
}

/** The template of single files that finds the file and those of its kind beside it. */
function patternFor({ path }: PlacedFile, { above }: NamedFolder): string {
  const extension = /\.(?:bson|bin)(?:\.gz)?$/.exec(path.replace('.metadata.json', '.bson'))?.[0] ?? '.bson';
  return `${above}${path.slice(0, path.lastIndexOf('/') + 1)}{collection}${extension}`;
}
