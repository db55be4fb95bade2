/** Opens what was found in a store, a folder or a file, as a backup. */
import { createHash } from 'node:crypto';
import type { Source } from '../plan/plan.ts';
import type { BackupIdentity, StoredBackup } from './backup.ts';
import { type Opening, openContainer, openFiles } from './open-container.ts';
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
  const opening = (facts: Omit<Opening['identity'], 'location' | 'time' | 'localTime'>): Opening => ({
    identity: { location, ...facts, ...when },
    database,
    integrity,
    maxDecompressionRatio,
  });
  if (found.kind === 'file') return openContainer(found.open(), opening(found));

  const files = await filesBelow(store, found.path);
  // Paths keep the folder's own name, so that the folder of the database itself may be named as well.
  const cut = found.path.replace(/[^/]*\/$/, '').length;
  const named = files.map((file) => ({ path: file.path.slice(cut), at: file.open() }));
  return openFiles(named, opening(factsOfAll(files)), []);
}

function factsOfAll(files: readonly StoredFile[]): Pick<BackupIdentity, 'size' | 'modified' | 'fingerprint'> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.path}\0${file.fingerprint}\0`);
  return {
    size: files.reduce((sum, { size }) => sum + size, 0),
    modified: newestOf(files),
    fingerprint: `files:${hash.digest('hex')}`,
  };
}
