/** Dumps that lie packed among the files of a folder or a tar: finds them, looks into them, opens those that are streams. */
import { RestorePlanError } from '../errors.ts';
import type { BackupIdentity, StoredBackup } from './backup.ts';
import { type Compression, DEFAULT_MAX_RATIO, decompress, decompressStart } from './containers/decompress.ts';
import { type Container, SNIFF_BYTES, sniff } from './containers/sniff.ts';
import { indexTar, type PeekedFile, peekTar } from './containers/tar-files.ts';
import { isDataFile, looksPacked, namelessFolder, readDumpPath } from './layout/dump-paths.ts';
import { type DumpRoot, type NamedFile, type PackedIn, rootsIn } from './layout/dump-tree.ts';
import { LOOKED_INTO } from './layout/folder-files.ts';
import { assertOneBackup, type NamedFolder, severalBackups } from './layout/one-backup.ts';
import { archiveInTar, openArchive } from './readers/archive-backup.ts';
import { dataFiles, isOfOtherDatabases } from './readers/refusals.ts';
import { StreamBackup, type StreamBackupParts } from './readers/stream-backup.ts';
import type { ByteSource } from './storage/byte-source.ts';
import { ReadAhead } from './storage/derived-sources.ts';
import type { Store } from './storage/store.ts';

/** What is known before the kind is. */
export interface Opening {
  readonly identity: Omit<BackupIdentity, 'kind'>;
  readonly database: string;
  readonly integrity: 'whole' | 'needed';
  readonly maxDecompressionRatio: number | undefined;
  /** What the plan names, where that is a folder. */
  readonly folder: NamedFolder | undefined;
  /** What the folder lies in, where it lies by itself. */
  readonly store?: Store;
}

export interface PackedFile {
  readonly path: string;
  readonly at: ReadAhead;
  readonly kind: Container['kind'];
  readonly compression: Compression | undefined;
  readonly what?: string;
  readonly remedy?: string;
  readonly packedIn?: PackedIn | undefined;
}

type Kinded = Pick<Container, 'kind'>;

function isReadable<T extends Kinded>(one: T): one is T & { readonly kind: 'tar' | 'mongodump archive' } {
  return one.kind === 'tar' || one.kind === 'mongodump archive';
}

export function isPlainTar({ kind, compression }: Pick<PackedFile, 'kind' | 'compression'>): boolean {
  return kind === 'tar' && compression === undefined;
}

export async function look(bytes: ByteSource): Promise<Container> {
  return sniff(await bytes.read(0, Math.min(SNIFF_BYTES, bytes.size)));
}

/** A tar inside another, or in a folder, stands for a folder of its name. */
export async function filesOfTar(bytes: ReadAhead, file?: NamedFile): Promise<NamedFile[]> {
  const members = await indexTar(bytes);
  if (file === undefined) return members.map(({ path, bytes: at, what }) => ({ path, at, what }));
  const packedIn = packingOf(file);
  return members.map(({ path, bytes: at, what }) => ({ path: `${file.path}/${path}`, at, what, packedIn }));
}

/** A file that the plan names itself, whose path is empty, is not among others. */
function packingOf({ path, at: { modified }, packedIn }: NamedFile | PackedFile): PackedIn | undefined {
  return packedIn ?? (path === '' ? undefined : { path, modified });
}

/** The packed files among these. Throws BACKUP when there are more than one backup has. */
export async function findPacked(
  files: readonly NamedFile[],
  database: string,
): Promise<Map<NamedFile, PackedFile>> {
  const others = othersAmong(files, database);
  const likely = others.filter(({ path }) => looksPacked(path));
  if (likely.length > LOOKED_INTO) throw tooManyPacked(likely);
  const rest = others.filter(({ path }) => !looksPacked(path));
  return lookInto([...likely, ...rest].slice(0, LOOKED_INTO));
}

function othersAmong(files: readonly NamedFile[], database: string): NamedFile[] {
  return files.filter(
    ({ path, what }) => what === undefined && readDumpPath(path, database).kind === 'other',
  );
}

async function lookInto(files: readonly NamedFile[]): Promise<Map<NamedFile, PackedFile>> {
  const packed = new Map<NamedFile, PackedFile>();
  for (const file of files) {
    const { path, packedIn } = file;
    const at = new ReadAhead(file.at);
    const container = await look(at);
    if (isReadable(container)) packed.set(file, { path, packedIn, at, ...container });
    else if (looksPacked(path))
      packed.set(file, { path, packedIn, at, compression: undefined, ...container });
  }
  return packed;
}

function tooManyPacked(files: readonly NamedFile[]): RestorePlanError {
  const [first] = files;
  return new RestorePlanError(
    'BACKUP',
    `there are more than ${LOOKED_INTO} packed files, ${first?.path} the first of them: one backup does not consist of so many.`,
    { hint: 'If each is a backup of its own, name one of them, or put the time into the path: `{time:…}`.' },
  );
}

/** Opens archives and compressed tars: each is one stream. Undefined where none of these can be read. */
export async function openPacked(
  packed: readonly PackedFile[],
  opening: Opening,
  kinds: readonly string[],
): Promise<StoredBackup | undefined> {
  const readable = packed.filter(isReadable);
  if (readable.length === 0) return undefined;
  refuseBrokenTar(packed);
  const { identity, database, integrity, folder } = opening;
  const where = { location: identity.location, database, folder };
  const contents = await Promise.all(readable.map((one) => contentsOf(one, opening, kinds)));
  const roots = contents.flatMap((one) => one.roots);
  const [archive] = contents.flatMap(({ archives }) => archives);
  if (archive !== undefined && roots.length > 1)
    throw severalBackups(roots, where, 'an archive is a dump of its own');
  assertOneBackup(roots, where);
  if (archive !== undefined) return archive;

  const streams = readable.flatMap((one, i) => (contents[i]?.foreign === undefined ? streamsOf(one) : []));
  const foreign = contents.find((one) => one.foreign !== undefined)?.foreign;
  if (streams.length === 0) throw foreign;
  const isEmpty = roots.length === 0;
  if (isEmpty && contents.some(({ paths }) => paths.some(isDataFile))) throw dataFiles(identity.location);
  const kind = streams[0]?.compression === 'zstd' ? 'tar.zst' : 'tar.gz';
  return new StreamBackup({
    database,
    integrity,
    folder,
    maxRatio: maxRatioOf(opening),
    identity: named(identity, [...kinds, kind]),
    streams,
    nameless: isEmpty && database !== '' ? namelessFolder(contents.flatMap(({ paths }) => paths)) : undefined,
  });
}

function maxRatioOf({ maxDecompressionRatio = DEFAULT_MAX_RATIO }: Opening): number {
  return maxDecompressionRatio;
}

function streamsOf(packed: PackedFile): StreamBackupParts['streams'] {
  const { at: bytes, path, compression } = packed;
  if (compression === undefined) return [];
  return [{ bytes, path, compression, packedIn: packingOf(packed) }];
}

/** `tar.gz in tar`; a folder around them goes without saying. */
export function named(identity: Opening['identity'], kinds: readonly string[]): BackupIdentity {
  return { ...identity, kind: kinds.length === 0 ? 'dump directory' : [...kinds].reverse().join(' in ') };
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

/** The dumps of the database in what lies packed beside files that hold it already. */
export async function rootsBeside(files: readonly NamedFile[], opening: Opening): Promise<DumpRoot[]> {
  const others = othersAmong(files, opening.database);
  const packed = await lookInto(others.filter(({ path }) => looksPacked(path)).slice(0, LOOKED_INTO));
  const found = [...packed.values()].map(async (one) => {
    try {
      return (await contentsOf(one, opening, [])).roots;
    } catch (error) {
      // What is damaged cannot be taken for the dump, and nobody needs it here.
      if (error instanceof RestorePlanError && error.code === 'BACKUP') return [];
      throw error;
    }
  });
  return (await Promise.all(found)).flat();
}

/** What a packed file holds: of a compressed tar as far as a look at its start tells, else exactly. */
interface Contents {
  /** Where it holds the database. */
  readonly roots: readonly DumpRoot[];
  /** Those that hold the database. */
  readonly archives: readonly StoredBackup[];
  /** Why its archives do not serve: they are of other databases. */
  readonly foreign: unknown;
  /** Of the files of a tar. */
  readonly paths: readonly string[];
}

async function contentsOf(packed: PackedFile, opening: Opening, kinds: readonly string[]): Promise<Contents> {
  const { path, at, kind, compression } = packed;
  const { database } = opening;
  if (isPlainTar(packed)) return { ...NOTHING, roots: rootsIn(await filesOfTar(at, packed), database) };
  if (kind === 'mongodump archive') {
    const unpack = (stored: AsyncIterable<Buffer>): AsyncIterable<Buffer> =>
      compression === undefined
        ? stored
        : decompress(stored, { compression, location: at.location, maxRatio: maxRatioOf(opening) });
    return inArchive({ path, packed, kind: [...kinds, kindOf(kind, compression)], unpack }, opening);
  }
  if (kind !== 'tar' || compression === undefined) return NOTHING;
  const start = decompressStart(await at.read(0, Math.min(SNIFF_BYTES, at.size)), compression);
  const packedIn = packingOf(packed);
  const members = peekTar(start, at.location);
  const inside = (member: PeekedFile): string => (path === '' ? member.path : `${path}/${member.path}`);
  const placed = members.map((member) => ({ path: inside(member), at: member, packedIn }));
  const archived = members.flatMap((member) => {
    const start = sniff(member.start);
    return start.kind === 'mongodump archive'
      ? [{ member, kind: kindOf(start.kind, start.compression) }]
      : [];
  });
  const archives = archived.map(({ member, kind: inner }) => {
    const options = { compression, location: at.location, maxRatio: maxRatioOf(opening), path: member.path };
    const unpack = (stored: AsyncIterable<Buffer>): AsyncIterable<Buffer> => archiveInTar(stored, options);
    const outer = compression === 'zstd' ? 'tar.zst' : 'tar.gz';
    return inArchive({ path: inside(member), packed, kind: [...kinds, outer, inner], unpack }, opening);
  });
  const found = await Promise.all(archives);
  return {
    roots: [...rootsIn(placed, database), ...found.flatMap(({ roots }) => roots)],
    archives: found.flatMap((one) => one.archives),
    foreign: found.find(({ foreign }) => foreign !== undefined)?.foreign,
    paths: placed.map((member) => member.path),
  };
}

const NOTHING: Contents = { roots: [], archives: [], foreign: undefined, paths: [] };

function kindOf(kind: string, compression: Compression | undefined): string {
  return compression === undefined ? kind : `${kind}, ${compression}`;
}

interface Archive {
  readonly path: string;
  /** The file that it is, or lies in. */
  readonly packed: PackedFile;
  readonly kind: readonly string[];
  readonly unpack: (stored: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;
}

async function inArchive({ path, packed, kind, unpack }: Archive, opening: Opening): Promise<Contents> {
  const { database, integrity, identity } = opening;
  const { at: bytes } = packed;
  try {
    const archive = await openArchive({
      database,
      integrity,
      identity: named(identity, kind),
      bytes,
      unpack,
    });
    const { modified } = bytes;
    const root = { path, packedIn: packingOf(packed), earliest: modified, latest: modified };
    return { ...NOTHING, roots: [root], archives: [archive] };
  } catch (foreign) {
    if (!isOfOtherDatabases(foreign)) throw foreign;
    return { ...NOTHING, foreign };
  }
}

export function whatIs(container: Container | PackedFile): string {
  return 'what' in container && container.what !== undefined ? container.what : 'a single collection (BSON)';
}
