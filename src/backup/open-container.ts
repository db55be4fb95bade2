/**
 * Chooses the reader by what the bytes are: a tar is looked into, a set of files is sorted as a dump, and what is packed
 * inside either is opened in turn.
 */
import { RestorePlanError } from '../errors.ts';
import type { BackupIdentity, StoredBackup } from './backup.ts';
import { type Compression, DEFAULT_MAX_RATIO } from './containers/decompress.ts';
import { type Container, SNIFF_BYTES, sniff } from './containers/sniff.ts';
import { indexTar } from './containers/tar-index.ts';
import { isDataFile, readDumpPath } from './layout/dump-paths.ts';
import { type NamedFile, sortDump } from './layout/dump-tree.ts';
import { readPbmBackup } from './layout/pbm.ts';
import { openArchive } from './readers/archive-backup.ts';
import { FileBackup } from './readers/file-backup.ts';
import { dataFiles, isOfOtherDatabases, noSuchDatabase } from './readers/refusals.ts';
import { StreamBackup } from './readers/stream-backup.ts';
import type { ByteSource } from './storage/byte-source.ts';
import { ReadAhead } from './storage/read-ahead.ts';

/** What is known before the kind is. */
export interface Opening {
  readonly identity: Omit<BackupIdentity, 'kind'>;
  readonly database: string;
  readonly integrity: 'whole' | 'needed';
  readonly maxDecompressionRatio: number | undefined;
}

/** Files looked into for a packed dump, and levels of packing. */
const LOOKED_INTO = 64;
const MAX_DEPTH = 4;

/** One file that holds the whole backup. */
export async function openContainer(file: ByteSource, opening: Opening): Promise<StoredBackup> {
  const bytes = new ReadAhead(file);
  const container = await look(bytes);
  if (container.kind === 'unknown' || container.kind === 'bson') throw notABackup(bytes.location, container);
  const { kind, compression } = container;
  if (kind === 'tar' && compression === undefined)
    return openFiles(await filesOfTar(bytes), opening, ['tar']);
  const path = bytes.location;
  return openPacked([{ path, at: bytes, kind, compression }], opening, []);
}

/** A folder of files, or the contents of a tar. `kinds` are the containers around them, the outermost first. */
export async function openFiles(
  files: readonly NamedFile[],
  opening: Opening,
  kinds: readonly string[],
): Promise<StoredBackup> {
  const { database, identity, maxDecompressionRatio: maxRatio = DEFAULT_MAX_RATIO } = opening;
  const tree = sortDump(files, database);
  if (tree.databases.includes(database))
    return new FileBackup({ identity: named(identity, kinds), tree, maxRatio });
  const pbm = await readPbmBackup(files);
  if (pbm !== undefined) {
    const pbmTree = sortDump(pbm, database);
    if (!pbmTree.databases.includes(database))
      throw noSuchDatabase(database, pbmTree.databases, identity.location);
    return new FileBackup({ identity: named(identity, ['PBM backup']), tree: pbmTree, maxRatio });
  }
  if (tree.databases.length === 0 && files.some(({ path }) => isDataFile(path)))
    throw dataFiles(identity.location);
  const packed = await findPacked(files, database);
  const plain = [...packed].filter(
    ([, { kind, compression }]) => kind === 'tar' && compression === undefined,
  );
  if (plain.length > 0 && kinds.length < MAX_DEPTH) {
    const tars = new Set(plain.map(([file]) => file));
    const inside = await Promise.all(plain.map(([{ path }, { at }]) => filesOfTar(at, path)));
    return openFiles([...files.filter((file) => !tars.has(file)), ...inside.flat()], opening, [
      ...kinds,
      'tar',
    ]);
  }
  const all = [...packed.values()];
  const readable = all.filter(isReadable);
  if (readable.length > 0) {
    refuseBrokenTar(all);
    return openPacked(readable, opening, kinds);
  }
  const [unreadable] = all;
  if (unreadable !== undefined && tree.databases.length === 0)
    throw notABackup(unreadable.at.location, unreadable);
  throw noSuchDatabase(database, tree.databases, identity.location);
}

interface PackedFile {
  readonly path: string;
  readonly at: ReadAhead;
  readonly kind: Container['kind'];
  readonly compression: Compression | undefined;
  readonly what?: string;
}

/** Archives and compressed tars: each is one stream. Several tars are read one after the other. */
async function openPacked(
  packed: readonly PackedFile[],
  opening: Opening,
  kinds: readonly string[],
): Promise<StoredBackup> {
  const { identity, database, integrity, maxDecompressionRatio: maxRatio = DEFAULT_MAX_RATIO } = opening;
  const common = { database, integrity, maxRatio };
  const archives = packed.filter(({ kind }) => kind === 'mongodump archive');
  if (archives.length > 0) {
    const open = ({ at: bytes, compression }: PackedFile): Promise<StoredBackup> => {
      const kind = compression === undefined ? 'mongodump archive' : `mongodump archive, ${compression}`;
      return openArchive({ ...common, identity: named(identity, [...kinds, kind]), bytes, compression });
    };
    return openOnly(archives, open, opening);
  }
  const kind = packed[0]?.compression === 'zstd' ? 'tar.zst' : 'tar.gz';
  const streams = packed.flatMap(({ at, path, compression }) =>
    compression === undefined ? [] : [{ bytes: at, path, compression }],
  );
  return new StreamBackup({ ...common, identity: named(identity, [...kinds, kind]), streams });
}

/** The only one of these archives that holds the database: documents of two are not put together. */
async function openOnly(
  archives: readonly PackedFile[],
  open: (archive: PackedFile) => Promise<StoredBackup>,
  { identity, database }: Opening,
): Promise<StoredBackup> {
  const opened: { path: string; backup: StoredBackup }[] = [];
  let fault: unknown;
  for (const archive of archives) {
    try {
      opened.push({ path: archive.path, backup: await open(archive) });
    } catch (error) {
      if (!isOfOtherDatabases(error)) throw error;
      fault = error;
    }
  }
  const [only, ...others] = opened;
  if (only === undefined) throw fault;
  if (others.length === 0) return only.backup;
  throw new RestorePlanError(
    'BACKUP',
    `${identity.location} holds the database ${database} in several archives: ${opened.map(({ path }) => path).join(', ')}.`,
    { hint: 'Archives are not put together: name one of them as the source, in a plan for each.' },
  );
}

/** Beside tars that can be read, one that cannot: it may hold another shard's part, and is not passed over. */
function refuseBrokenTar(packed: readonly PackedFile[]): void {
  const broken = packed.find(
    (file) => !isReadable(file) && /\.(?:tar|tgz|tar\.gz|tar\.zst)$/i.test(file.path),
  );
  if (broken === undefined) return;
  throw new RestorePlanError('BACKUP', `${broken.at.location} is named as a tar and is ${whatIs(broken)}.`, {
    hint: 'Its upload or copy did not finish, or it is damaged. Nothing of this backup was used; take another one.',
  });
}

async function findPacked(
  files: readonly NamedFile[],
  database: string,
): Promise<Map<NamedFile, PackedFile>> {
  const others = files.filter(({ path }) => readDumpPath(path, database).kind === 'other');
  const likely = others.filter(({ path }) => looksPacked(path));
  if (likely.length > LOOKED_INTO) throw tooManyPacked(likely);
  const rest = others.filter(({ path }) => !looksPacked(path));
  const packed = new Map<NamedFile, PackedFile>();
  for (const file of [...likely, ...rest].slice(0, LOOKED_INTO)) {
    const { path } = file;
    const at = new ReadAhead(file.at);
    const container = await look(at);
    if (isReadable(container)) packed.set(file, { path, at, ...container });
    else if (looksPacked(path)) packed.set(file, { path, at, compression: undefined, ...container });
  }
  return packed;
}

type Kinded = Pick<Container, 'kind'>;

function isReadable<T extends Kinded>(one: T): one is T & { readonly kind: 'tar' | 'mongodump archive' } {
  return one.kind === 'tar' || one.kind === 'mongodump archive';
}

function tooManyPacked(files: readonly NamedFile[]): RestorePlanError {
  const [first] = files;
  return new RestorePlanError(
    'BACKUP',
    `there are ${files.length} packed files, ${first?.path} the first of them: more than the ${LOOKED_INTO} that one backup may consist of.`,
    { hint: 'If each is a backup of its own, name one of them, or put the time into the path: `{time:…}`.' },
  );
}

function looksPacked(path: string): boolean {
  return /\.(?:tar|tgz|tbz|txz|archive|dump|gz|bz2|xz|zst|lz4|snappy|s2|zip|7z|gpg|enc)(?:\.\w+)?$/i.test(
    path,
  );
}

async function look(bytes: ByteSource): Promise<Container> {
  return sniff(await bytes.read(0, Math.min(SNIFF_BYTES, bytes.size)));
}

/** A tar inside another stands for a folder of its name. */
async function filesOfTar(bytes: ReadAhead, folder?: string): Promise<NamedFile[]> {
  const members = await indexTar(bytes);
  return members.map(({ path, bytes: at }) => ({
    path: folder === undefined ? path : `${folder}/${path}`,
    at,
  }));
}

/** `tar.gz in tar`; a folder around them goes without saying. */
function named(identity: Opening['identity'], kinds: readonly string[]): BackupIdentity {
  return { ...identity, kind: kinds.length === 0 ? 'dump directory' : [...kinds].reverse().join(' in ') };
}

function whatIs(container: Container | PackedFile): string {
  return 'what' in container && container.what !== undefined ? container.what : 'a single collection (BSON)';
}

function notABackup(location: string, container: Container | PackedFile): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is ${whatIs(container)}.`, {
    hint: 'A backup is the folder of a mongodump (above the folder of the database), a tar or tar.gz of one, or a mongodump --archive.',
  });
}
