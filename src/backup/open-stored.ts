/** Opens what was found in a store, a folder or a file, as a backup. */
import { createHash } from 'node:crypto';
import type { Source } from '../plan/plan.ts';
import { settingOf } from '../plan/sources/sources.ts';
import type { BackupIdentity, StoredBackup } from './backup.ts';
import type { NamedFolder } from './layout/one-backup.ts';
import { openContainer, openFiles } from './open-container.ts';
import { filesBelow, newestOf, type Store, type StoredFile, type StoredFolder } from './storage/store.ts';

export interface OpenStored {
  readonly store: Store;
  readonly source: Source;
  /** The time of the backup by its name. */
  readonly when?: Pick<BackupIdentity, 'time' | 'localTime'> | undefined;
}

/** What is opened is closed with the store. */
export async function openStored(
  found: StoredFile | StoredFolder,
  { store, source, when = { time: undefined, localTime: undefined } }: OpenStored,
): Promise<StoredBackup> {
  const { database, integrity, maxDecompressionRatio } = source;
  const location = store.describe(found.path);
  const common = { database, integrity, maxDecompressionRatio };
  if (found.kind === 'file') {
    const { size, modified, fingerprint } = found;
    const identity = { location, size, modified, fingerprint, ...when };
    return openContainer(found.open(), { ...common, identity, folder: undefined });
  }

  const files = await filesBelow(store, found.path);
  // Paths keep the folder's own name, so that the folder of the database itself may be named as well.
  const above = found.path.replace(/[^/]*\/$/, '');
  const named = files.map((file) => ({ path: file.path.slice(above.length), at: file.open() }));
  const setting = settingOf(source.location);
  const folder: NamedFolder = {
    setting,
    above,
    isDatabase: found.path.slice(above.length) === `${database}/`,
    describe: (path) => store.describe(path),
  };
  return openFiles(named, { ...common, identity: { location, ...factsOfAll(files), ...when }, folder }, []);
}

export function factsOfAll(
  files: readonly StoredFile[],
): Pick<BackupIdentity, 'size' | 'modified' | 'fingerprint'> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path}\0${file.fingerprint}\0`);
  return {
    size: files.reduce((sum, { size }) => sum + size, 0),
    modified: newestOf(files),
    fingerprint: `files:${hash.digest('hex')}`,
  };
}
