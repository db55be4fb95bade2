/** Dumps that lie packed among the files of a folder or a tar: finds them, looks into them, opens those that are streams. */
import { RestorePlanError } from '../errors.ts';
import type { BackupIdentity, StoredBackup } from './backup.ts';
import { type Compression, DEFAULT_MAX_RATIO, decompressStart } from './containers/decompress.ts';
import { type Container, SNIFF_BYTES, sniff } from './containers/sniff.ts';
import { indexTar, peekTar } from './containers/tar-index.ts';
import { readDumpPath } from './layout/dump-paths.ts';
import { type NamedFile, rootsIn } from './layout/dump-tree.ts';
import { assertOneBackup, type NamedFolder, severalBackups } from './layout/one-backup.ts';
import type { DumpRoot, PackedIn } from './layout/parts.ts';
import { openArchive } from './readers/archive-backup.ts';
import { isOfOtherDatabases } from './readers/refusals.ts';
import { StreamBackup } from './readers/stream-backup.ts';
import type { ByteSource } from './storage/byte-source.ts';
import { ReadAhead } from './storage/read-ahead.ts';

/** What is known before the kind is. */
export interface Opening {
  readonly identity: Omit<BackupIdentity, 'kind'>;
  readonly database: string;
  readonly integrity: 'whole' | 'needed';
  readonly maxDecompressionRatio: number | undefined;
  /** What the plan names, where that is a folder. */
  readonly folder: NamedFolder | undefined;
}

export interface PackedFile {
  readonly path: string;
  readonly at: ReadAhead;
  readonly kind: Container['kind'];
  readonly compression: Compression | undefined;
  readonly what?: string;
  readonly packedIn?: PackedIn | undefined;
}

/** Files looked into for a packed dump. */
const LOOKED_INTO = 64;

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
  if (file === undefined) return members.map(({ path, bytes: at }) => ({ path, at }));
  const packedIn = packingOf(file);
  return members.map(({ path, bytes: at }) => ({ path: `${file.path}/${path}`, at, packedIn }));
}

function packingOf({ path, at: { modified }, packedIn }: NamedFile | PackedFile): PackedIn {
  return packedIn ?? { path, modified };
}

/** The packed files among these. Throws BACKUP when there are more than one backup has. */
export async function findPacked(
  files: readonly NamedFile[],
  database: string,
): Promise<Map<NamedFile, PackedFile>> {
  const others = files.filter(({ path }) => readDumpPath(path, database).kind === 'other');
  const likely = others.filter(({ path }) => looksPacked(path));
  if (likely.length > LOOKED_INTO) throw tooManyPacked(likely);
  const rest = others.filter(({ path }) => !looksPacked(path));
  return lookInto([...likely, ...rest].slice(0, LOOKED_INTO));
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

function looksPacked(path: string): boolean {
  return /\.(?:tar|tgz|tbz|txz|archive|dump|gz|bz2|xz|zst|lz4|snappy|s2|zip|7z|gpg|enc)(?:\.\w+)?$/i.test(
    path,
  );
}

function tooManyPacked(files: readonly NamedFile[]): RestorePlanError {
  const [first] = files;
  return new RestorePlanError(
    'BACKUP',
    `there are ${files.length} packed files, ${first?.path} the first of them: more than the ${LOOKED_INTO} that one backup may consist of.`,
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
  const {
    identity,
    database,
    integrity,
    folder,
    maxDecompressionRatio: maxRatio = DEFAULT_MAX_RATIO,
  } = opening;
  const roots = (await Promise.all(readable.map((one) => rootsOf(one, opening)))).flat();
  const where = { location: identity.location, database, folder };
  const archives = readable.filter(({ kind }) => kind === 'mongodump archive');
  const held = archives.filter(({ path }) => roots.some((root) => root.path === path));
  if (held.length > 0 && roots.length > 1)
    throw severalBackups(roots, where, 'an archive is a dump of its own');
  assertOneBackup(roots, where);
  const common = { database, integrity, maxRatio };
  const [archive] = held.length > 0 || archives.length < readable.length ? held : archives;
  if (archive !== undefined) {
    const { at: bytes, compression } = archive;
    const kind = compression === undefined ? 'mongodump archive' : `mongodump archive, ${compression}`;
    return openArchive({ ...common, identity: named(identity, [...kinds, kind]), bytes, compression });
  }
  const streams = readable.flatMap((one) =>
    one.compression === undefined
      ? []
      : [
          {
            bytes: one.at,
            path: one.path,
            compression: one.compression,
            packedIn: one.path === '' ? undefined : packingOf(one),
          },
        ],
  );
  const kind = streams[0]?.compression === 'zstd' ? 'tar.zst' : 'tar.gz';
  return new StreamBackup({ ...common, folder, identity: named(identity, [...kinds, kind]), streams });
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
  const others = files.filter(({ path }) => readDumpPath(path, opening.database).kind === 'other');
  const packed = await lookInto(others.filter(({ path }) => looksPacked(path)).slice(0, LOOKED_INTO));
  const found = [...packed.values()].map(async (one) => {
    try {
      return await rootsOf(one, opening);
    } catch (error) {
      // What is damaged cannot be taken for the dump, and nobody needs it here.
      if (error instanceof RestorePlanError && error.code === 'BACKUP') return [];
      throw error;
    }
  });
  return (await Promise.all(found)).flat();
}

/** Where a packed file holds the database: of a compressed tar as far as a look at its start tells, else exactly. */
async function rootsOf(packed: PackedFile, { identity, database }: Opening): Promise<DumpRoot[]> {
  const { path, at, kind, compression } = packed;
  const packedIn = packingOf(packed);
  if (isPlainTar(packed)) return rootsIn(await filesOfTar(at, packed), database);
  if (kind === 'tar' && compression !== undefined) {
    const start = decompressStart(await at.read(0, Math.min(SNIFF_BYTES, at.size)), compression);
    const members = peekTar(start, at.location).map((member) => ({
      path: `${path}/${member.path}`,
      at: member,
      packedIn,
    }));
    return rootsIn(members, database);
  }
  if (kind !== 'mongodump archive') return [];
  const settings = { database, integrity: 'needed', maxRatio: DEFAULT_MAX_RATIO } as const;
  try {
    await openArchive({ ...settings, identity: named(identity, [kind]), bytes: at, compression });
  } catch (error) {
    if (isOfOtherDatabases(error)) return [];
    throw error;
  }
  return [{ path, packedIn, earliest: at.modified, latest: at.modified }];
}

export function whatIs(container: Container | PackedFile): string {
  return 'what' in container && container.what !== undefined ? container.what : 'a single collection (BSON)';
}
