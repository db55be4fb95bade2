/** From a plan's source to a Backup: find the right one, open it, say which it is. */
import { RestorePlanError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Source } from '../plan/plan.ts';
import type { Backup, StoredBackup } from './backup.ts';
import { DiskStore } from './disk/disk-store.ts';
import { chooseBackup, placeOf } from './locate/choose.ts';
import { S3_PATIENCE, type S3Patience } from './s3/s3-patience.ts';
import { S3Store } from './s3/s3-store.ts';
import type { Store } from './storage/store.ts';

export interface BackupOptions {
  /** Names of every collection the plan will read; decides between backups that hold some of them only. */
  readonly wanted: ReadonlySet<string>;
  readonly emit: Emit;
  readonly signal?: AbortSignal;
  readonly s3Patience?: S3Patience;
}

/** Finds and opens the backup that the source names. Throws RestorePlanError BACKUP; then nothing is left open. */
export async function openBackup(source: Source, options: BackupOptions): Promise<Backup> {
  const { location } = source;
  if (location.kind !== 'path' && location.kind !== 's3') {
    throw new RestorePlanError('BACKUP', `source.${location.kind} is not supported yet.`);
  }
  const place = placeOf(location);
  const store = storeOf(location, options);
  try {
    const { wanted, emit } = options;
    const backup = await chooseBackup({ store, source, timezone: place.timezone, wanted, emit }, place);
    announce(backup, source, emit);
    return withStore(backup, store);
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Where a source's backups lie. The caller closes the store. */
export function storeOf(
  location: Extract<Source['location'], { kind: 'path' | 's3' }>,
  options: BackupOptions,
): Store {
  if (location.kind === 'path') return new DiskStore();
  const { emit, signal = new AbortController().signal, s3Patience: patience = S3_PATIENCE } = options;
  return new S3Store(location, { emit, signal, patience });
}

function announce({ identity }: StoredBackup, { at }: Source, emit: Emit): void {
  const { location, kind, time, localTime, size } = identity;
  const beforeAtMs = time === undefined || at === undefined ? undefined : at.epochMs - time;
  emit({ type: 'backup-located', location, kind, time, localTime, size, beforeAtMs });
}

/** Nothing else is opened from the store: it is closed with the backup. */
function withStore(backup: StoredBackup, store: Store): Backup {
  return {
    identity: backup.identity,
    access: backup.access,
    holds: (collection) => backup.holds(collection),
    collections: () => backup.collections(),
    scan: (wanted, visitor) => backup.scan(wanted, visitor),
    close: () => store.close(),
  };
}
