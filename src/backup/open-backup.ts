/**
 * From a plan's source to a Backup: find it, look at its first bytes, choose the reader.
 */
import { createHash } from 'node:crypto';
import { RestorePlanError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Source } from '../plan/plan.ts';
import type { Backup, BackupIdentity } from './backup.ts';
import type { ByteSource } from './bytes/byte-source.ts';
import { DEFAULT_MAX_RATIO } from './containers/decompress.ts';
import { SNIFF_BYTES, sniff } from './containers/sniff.ts';
import { indexTar } from './containers/tar-index.ts';
import { sortDump } from './layout/dump-tree.ts';
import { FileBackup } from './readers/file-backup.ts';
import { noSuchDatabase } from './readers/refusals.ts';
import { StreamBackup } from './readers/stream-backup.ts';
import { DiskStore } from './stores/disk-store.ts';
import { filesBelow, type Store, type StoredFile, type StoredFolder } from './stores/store.ts';

export interface BackupOptions {
  /** Names of every collection the plan will read; decides between backups that hold some of them only. */
  readonly wanted: ReadonlySet<string>;
  readonly emit: Emit;
  readonly signal?: AbortSignal;
}

export async function openBackup(source: Source, options: BackupOptions): Promise<Backup> {
  const store = storeOf(source);
  const found = await locate(store, source);
  const backup =
    found.kind === 'folder' ? await openFolder(store, found, source) : await openFile(store, found, source);
  const { location, kind, time, localTime, size } = backup.identity;
  options.emit({
    type: 'backup-located',
    location,
    kind,
    time,
    localTime,
    size,
    beforeAtMs: time === undefined || source.at === undefined ? undefined : source.at.epochMs - time,
  });
  return backup;
}

function storeOf({ location }: Source): Store {
  if (location.kind === 'path') return new DiskStore();
  throw new RestorePlanError('BACKUP', `source.${location.kind} is not supported yet.`);
}

async function locate(store: Store, { location }: Source): Promise<StoredFile | StoredFolder> {
  const path = location.kind === 'path' ? location.path : '';
  const found = await store.find(path);
  if (found !== undefined) return found;
  throw new RestorePlanError('BACKUP', `${store.describe(path)} does not exist.`, {
    hint: 'Correct source.path in the plan; a relative path starts at the folder of the plan file.',
  });
}

async function openFolder(store: Store, folder: StoredFolder, source: Source): Promise<Backup> {
  const files = await filesBelow(store, folder.path);
  const identity: BackupIdentity = {
    location: store.describe(folder.path),
    kind: 'dump directory',
    time: undefined,
    localTime: undefined,
    modified: files.reduce<number | undefined>((newest, { modified }) => later(newest, modified), undefined),
    size: files.reduce((sum, { size }) => sum + size, 0),
    fingerprint: fingerprintOfAll(files),
  };
  // Paths keep the folder's own name, so that the folder of the database itself may be named as well.
  const cut = folder.path.replace(/[^/]*\/$/, '').length;
  const named = files.map((file) => ({ path: file.path.slice(cut), at: store.open(file) }));
  return fileBackup(identity, named, source);
}

async function openFile(store: Store, file: StoredFile, source: Source): Promise<Backup> {
  const bytes = store.open(file);
  const location = bytes.location;
  const { maxDecompressionRatio, integrity, database } = source;
  const container = sniff(await bytes.read(0, Math.min(SNIFF_BYTES, bytes.size)));
  if (container.kind !== 'tar') throw unreadableContainer(location, container);
  const identity: BackupIdentity = {
    location,
    kind:
      container.compression === undefined ? 'tar' : `tar.${container.compression === 'gzip' ? 'gz' : 'zst'}`,
    time: undefined,
    localTime: undefined,
    modified: bytes.modified,
    size: bytes.size,
    fingerprint: bytes.fingerprint,
  };
  if (container.compression !== undefined) {
    const maxRatio = maxDecompressionRatio ?? DEFAULT_MAX_RATIO;
    return new StreamBackup({
      identity,
      bytes,
      compression: container.compression,
      database,
      maxRatio,
      integrity,
    });
  }
  const members = await indexTar(bytes);
  return fileBackup(
    identity,
    members.map(({ path, bytes: at }) => ({ path, at })),
    source,
    bytes,
  );
}

function fileBackup(
  identity: BackupIdentity,
  files: readonly { readonly path: string; readonly at: ByteSource }[],
  source: Source,
  whole?: ByteSource,
): Backup {
  const tree = sortDump(files, source.database);
  if (!tree.databases.includes(source.database)) {
    throw noSuchDatabase(source.database, tree.databases, identity.location);
  }
  const close = async (): Promise<void> => {
    await Promise.all((whole === undefined ? files.map(({ at }) => at) : [whole]).map((one) => one.close()));
  };
  return new FileBackup({
    identity,
    tree,
    maxRatio: source.maxDecompressionRatio ?? DEFAULT_MAX_RATIO,
    close,
  });
}

function unreadableContainer(location: string, container: ReturnType<typeof sniff>): RestorePlanError {
  const what =
    container.kind === 'unknown' ? container.what : `a ${container.kind}, which is not supported yet`;
  return new RestorePlanError('BACKUP', `${location} is ${what}.`, {
    hint: 'A backup is a mongodump directory, or a tar or tar.gz of one.',
  });
}

function fingerprintOfAll(files: readonly StoredFile[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path}\0${file.fingerprint}\0`);
  return `files:${hash.digest('hex')}`;
}

function later(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.max(a, b);
}
