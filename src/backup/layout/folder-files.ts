/**
 * The files of a folder that is named as a backup. Where the wrong folder is named (that of all backups, a whole bucket), it may have
 * millions: then only what tells so is kept.
 *
 * Alone because: which files a backup cannot do without is a question of its own, and nothing else here asks it.
 */
import { byPath, type Store, type StoredFile } from '../storage/store.ts';
import { folderOf, looksPacked, readDumpPath } from './dump-paths.ts';
import { arePartsByName } from './dump-tree.ts';
import { isPbmMetadata } from './pbm.ts';

/** Of each kind; a dump of 10,000 collections has so many. */
const MANY = 20_000;
/** Backups in one folder, of those that are told apart. */
const MOST_BACKUPS = 1_000;
/** Files that describe a replica set's part of a backup; all are read, each of them tells of all collections. */
const MANY_PBM_PARTS = 1_000;
const MOST_PBM_BACKUPS = 12;
/** Files looked into for a packed dump. */
export const LOOKED_INTO = 64;

export interface FilesOfBackup {
  /** Sorted by path. */
  readonly files: readonly StoredFile[];
  /** False where the folder holds more, which no backup of the database consists of. */
  readonly areAll: boolean;
}

interface FolderAsked {
  readonly store: Pick<Store, 'below'>;
  /** Ends in `/`. */
  readonly folder: string;
  /** What stands before the folder's own name in each path. */
  readonly above: string;
  readonly database: string;
}

export async function filesOfBackup(asked: FolderAsked): Promise<FilesOfBackup> {
  const found = await look(asked, undefined);
  // Which files a backup of Percona's has is told by one of them, which may have come last.
  const [only, second] = found.pbmBackups;
  const { files, areAll } =
    found.areAll || only === undefined || second !== undefined ? found : await look(asked, `${only}/`);
  return { files: [...files].sort(byPath), areAll };
}

interface Found extends FilesOfBackup {
  readonly files: StoredFile[];
  /** Their folders; of very many, some. */
  readonly pbmBackups: ReadonlySet<string>;
}

/** `all`: a folder of which all files are kept. */
async function look(
  { store, folder, above, database }: FolderAsked,
  all: string | undefined,
): Promise<Found> {
  const inside = ({ path }: StoredFile): string => path.slice(above.length);
  const own = new FewFiles((files) => tellingBackups(files, (file) => folderOf(folderOf(inside(file)))));
  const foreign = new FewFiles((files) => tellingFolders(files, (file) => folderOf(inside(file))));
  const others = new FewFiles(tellingOthers);
  const metadata = new FewFiles(tellingPbmBackups, MANY_PBM_PARTS);
  const needed: StoredFile[] = [];
  for await (const file of store.below(folder)) {
    const meaning = readDumpPath(inside(file), database);
    if (all !== undefined && file.path.startsWith(all)) needed.push(file);
    else if (isPbmMetadata(file.path)) metadata.add(file);
    else if (meaning.kind === 'other') others.add(file);
    else if ('database' in meaning && meaning.database !== database) foreign.add(file);
    else own.add(file);
  }
  const kinds = [own, foreign, others, metadata];
  const pbmBackups = new Set(metadata.files().map(pbmBackupOf));
  return {
    files: [...needed, ...kinds.flatMap((kind) => kind.files())],
    areAll: kinds.every(({ areAll }) => areAll),
    pbmBackups,
  };
}

/** Files: all of them or, of very many, those that `telling` leaves. */
class FewFiles {
  readonly #telling: (files: StoredFile[]) => StoredFile[];
  readonly #many: number;
  #files: StoredFile[] = [];
  #most: number;
  areAll = true;

  constructor(telling: (files: StoredFile[]) => StoredFile[], many = MANY) {
    this.#telling = telling;
    this.#many = many;
    this.#most = many;
  }

  add(file: StoredFile): void {
    this.#files.push(file);
    if (this.#files.length > this.#most) this.#leaveOut();
  }

  /** The same ones, whatever the order in which they came. */
  files(): readonly StoredFile[] {
    if (!this.areAll) this.#leaveOut();
    return this.#files;
  }

  #leaveOut(): void {
    const left = this.#telling(this.#files);
    if (left.length < this.#files.length) this.areAll = false;
    this.#files = left;
    // Where all are needed, they are not looked through again and again.
    this.#most = Math.max(this.#many, 2 * left.length);
  }
}

/** All, where their folders (`rootOf`) may be the parts of one dump; else the newest file of each. */
function tellingBackups(files: StoredFile[], rootOf: (file: StoredFile) => string): StoredFile[] {
  const roots = newestOfEach(files, rootOf);
  if (arePartsByName([...roots.keys()].map((root) => root.split('/')))) return files;
  // At the top lies the database of a folder that is the database's own: all others are passed over.
  const atTop = files.filter((file) => rootOf(file) === '');
  roots.delete('');
  return [...atTop, ...newestFirst(roots.values()).slice(0, MOST_BACKUPS)];
}

/** The newest file of each folder of other databases; all of one that stands alone, as it may be the wanted one, renamed. */
function tellingFolders(files: StoredFile[], folderIn: (file: StoredFile) => string): StoredFile[] {
  const folders = newestOfEach(files, folderIn);
  return folders.size === 1 ? files : newestFirst(folders.values()).slice(0, MOST_BACKUPS);
}

/** Where a packed dump is looked for. One more that looks packed than are looked into tells that they are too many. */
function tellingOthers(files: StoredFile[]): StoredFile[] {
  const packed = files.filter(({ path }) => looksPacked(path));
  const rest = files.filter(({ path }) => !looksPacked(path));
  return [...packed.sort(byPath).slice(0, LOOKED_INTO + 1), ...rest.sort(byPath).slice(0, LOOKED_INTO)];
}

/** All of one backup, or one file of each of some. */
function tellingPbmBackups(files: StoredFile[]): StoredFile[] {
  const backups = newestOfEach(files, pbmBackupOf);
  return backups.size === 1 ? files : newestFirst(backups.values()).slice(0, MOST_PBM_BACKUPS);
}

/** The folder of the backup that such a file is of: it lies in that of its replica set. */
function pbmBackupOf({ path }: StoredFile): string {
  return folderOf(folderOf(path));
}

function newestOfEach(
  files: readonly StoredFile[],
  placeOf: (file: StoredFile) => string,
): Map<string, StoredFile> {
  const newest = new Map<string, StoredFile>();
  for (const file of files) {
    const place = placeOf(file);
    const known = newest.get(place);
    if (known === undefined || byAge(file, known) < 0) newest.set(place, file);
  }
  return newest;
}

function newestFirst(files: Iterable<StoredFile>): StoredFile[] {
  return [...files].sort(byAge);
}

function byAge(a: StoredFile, b: StoredFile): number {
  return (b.modified ?? 0) - (a.modified ?? 0) || (a.path > b.path ? -1 : 1);
}
