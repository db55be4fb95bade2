/**
 * From a plan's source to a Backup: find it, look at its first bytes, choose the reader.
 */

import { RestorePlanError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Source } from '../plan/plan.ts';
import type { Backup } from './backup.ts';
import { DiskStore } from './disk/disk-store.ts';
import { openStored } from './open-stored.ts';
import { S3_PATIENCE, type S3Patience } from './s3/s3-patience.ts';
import { S3Store } from './s3/s3-store.ts';
import type { Store, StoredFile, StoredFolder } from './storage/store.ts';

export interface BackupOptions {
  /** Names of every collection the plan will read; decides between backups that hold some of them only. */
  readonly wanted: ReadonlySet<string>;
  readonly emit: Emit;
  readonly signal?: AbortSignal;
  readonly s3Patience?: S3Patience;
}

/** Finds and opens the backup that the source names. Throws RestorePlanError BACKUP; then nothing is left open. */
export async function openBackup(source: Source, options: BackupOptions): Promise<Backup> {
  const store = storeOf(source, options);
  try {
    const backup = await openStored(await locate(store, source), store, source);
    announce(backup, source, options.emit);
    return backup;
  } catch (error) {
    await store.close();
    throw error;
  }
}

function storeOf({ location }: Source, options: BackupOptions): Store {
  if (location.kind === 'path') return new DiskStore();
  if (location.kind === 's3') {
    const { emit, signal = new AbortController().signal, s3Patience: patience = S3_PATIENCE } = options;
    return new S3Store(location, { emit, signal, patience });
  }
  throw new RestorePlanError('BACKUP', `source.${location.kind} is not supported yet.`);
}

async function locate(store: Store, { location }: Source): Promise<StoredFile | StoredFolder> {
  const path = location.kind === 'path' ? location.path : location.kind === 's3' ? location.key : '';
  const found = await store.find(path);
  if (found !== undefined) return found;
  throw new RestorePlanError('BACKUP', `${store.describe(path)} does not exist.`, {
    hint:
      location.kind === 's3'
        ? 'Correct source.s3.bucket and source.s3.key; `plan backups` lists what is there.'
        : 'Correct source.path in the plan; a relative path starts at the folder of the plan file.',
  });
}

function announce({ identity }: Backup, { at }: Source, emit: Emit): void {
  const { location, kind, time, localTime, size } = identity;
  const beforeAtMs = time === undefined || at === undefined ? undefined : at.epochMs - time;
  emit({ type: 'backup-located', location, kind, time, localTime, size, beforeAtMs });
}
