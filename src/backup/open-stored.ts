/** Chooses the reader for a folder or file of a store by what is in it. */
import { createHash } from 'node:crypto';
import { RestorePlanError } from '../errors.ts';
import type { Source } from '../plan/plan.ts';
import type { BackupIdentity, StoredBackup } from './backup.ts';
import { type Compression, DEFAULT_MAX_RATIO } from './containers/decompress.ts';
import { type Container, SNIFF_BYTES, sniff } from './containers/sniff.ts';
import { indexTar } from './containers/tar-index.ts';
import { type DumpTree, sortDump } from './layout/dump-tree.ts';
import { openArchive } from './readers/archive-backup.ts';
import { FileBackup } from './readers/file-backup.ts';
import { noSuchDatabase } from './readers/refusals.ts';
import { StreamBackup } from './readers/stream-backup.ts';
import type { ByteSource } from './storage/byte-source.ts';
import { filesBelow, type Store, type StoredFile, type StoredFolder } from './storage/store.ts';

const NO_TIME = { time: undefined, localTime: undefined };

export interface OpenStored {
  readonly store: Store;
  readonly source: Source;
  /** The time of the backup by its name. */
  readonly when?: Pick<BackupIdentity, 'time' | 'localTime'> | undefined;
}

/** What is opened is closed with the store. */
export function openStored(found: StoredFile | StoredFolder, options: OpenStored): Promise<StoredBackup> {
  return found.kind === 'folder' ? openFolder(found, options) : openFile(found, options);
}

async function openFolder(folder: StoredFolder, { store, source, when }: OpenStored): Promise<StoredBackup> {
  const files = await filesBelow(store, folder.path);
  const identity: BackupIdentity = {
    location: store.describe(folder.path),
    kind: 'dump directory',
    ...(when ?? NO_TIME),
    modified: newestOf(files),
    size: files.reduce((sum, { size }) => sum + size, 0),
    fingerprint: fingerprintOfAll(files),
  };
  // Paths keep the folder's own name, so that the folder of the database itself may be named as well.
  const cut = folder.path.replace(/[^/]*\/$/, '').length;
  const named = files.map((file) => ({ path: file.path.slice(cut), at: file.open() }));
  const tree = treeOf(named, identity.location, source);
  return new FileBackup({ identity, tree, maxRatio: maxRatioOf(source) });
}

async function openFile(file: StoredFile, { source, when }: OpenStored): Promise<StoredBackup> {
  const bytes = file.open();
  const container = sniff(await bytes.read(0, Math.min(SNIFF_BYTES, bytes.size)));
  if (container.kind === 'unknown' || container.kind === 'bson') throw notABackup(bytes.location, container);
  const { kind, compression } = container;
  const { database, integrity } = source;
  const { location, modified, size, fingerprint } = bytes;
  const identity: BackupIdentity = {
    ...{ location, modified, size, fingerprint },
    ...(when ?? NO_TIME),
    kind: kind === 'tar' ? tarKind(compression) : archiveKind(compression),
  };
  const parts = { identity, bytes, compression, database, integrity, maxRatio: maxRatioOf(source) };
  if (kind === 'mongodump archive') return openArchive(parts);
  if (compression !== undefined) return new StreamBackup({ ...parts, compression });
  const members = await indexTar(bytes);
  const files = members.map(({ path, bytes: at }) => ({ path, at }));
  return new FileBackup({ ...parts, tree: treeOf(files, location, source) });
}

function tarKind(compression: Compression | undefined): string {
  return compression === undefined ? 'tar' : compression === 'gzip' ? 'tar.gz' : 'tar.zst';
}

function archiveKind(compression: Compression | undefined): string {
  return compression === undefined ? 'mongodump archive' : `mongodump archive, ${compression}`;
}

function treeOf(
  files: readonly { readonly path: string; readonly at: ByteSource }[],
  location: string,
  { database }: Source,
): DumpTree<ByteSource> {
  const tree = sortDump(files, database);
  if (tree.databases.includes(database)) return tree;
  throw noSuchDatabase(database, tree.databases, location);
}

function notABackup(location: string, container: Container): RestorePlanError {
  const what =
    container.kind === 'unknown' ? container.what : `a ${container.kind}, which is not supported yet`;
  return new RestorePlanError('BACKUP', `${location} is ${what}.`, {
    hint: 'A backup is the folder of a mongodump (above the folder of the database), a tar or tar.gz of one, or a mongodump --archive.',
  });
}

function maxRatioOf({ maxDecompressionRatio }: Source): number {
  return maxDecompressionRatio ?? DEFAULT_MAX_RATIO;
}

function fingerprintOfAll(files: readonly StoredFile[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path}\0${file.fingerprint}\0`);
  return `files:${hash.digest('hex')}`;
}

function newestOf(files: readonly StoredFile[]): number | undefined {
  const times = files.flatMap(({ modified }) => (modified === undefined ? [] : [modified]));
  return times.length === 0 ? undefined : Math.max(...times);
}
