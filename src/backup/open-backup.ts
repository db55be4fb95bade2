/** From a plan's source to a Backup: find the right one, open it, say which it is. */

import type { Source } from '../plan/plan.ts';
import { type AloneLocation, OPLOG_ALONE } from '../plan/sources/oplog.ts';
import type { Run } from '../run.ts';
import { around, type Backup } from './backup.ts';
import { type BackupOptions, openBackupStore, type StoredSource } from './backup-store.ts';
import { LiveBackup, noDocuments, openLive } from './live/live-backup.ts';
import { openPreImages } from './live/pre-images.ts';
import { openSnapshot } from './live/snapshot-backup.ts';
import { chooseBackup } from './locate/choose.ts';

/** Finds and opens the backup that the source names. Throws RestorePlanError BACKUP; then nothing is left open. */
export async function openBackup(run: Run, source: Source, options: BackupOptions): Promise<Backup> {
  const backup = await openLocation(run, source, options);
  announce(run, backup, source);
  return backup;
}

async function openLocation(run: Run, source: Source, options: BackupOptions): Promise<Backup> {
  const { location } = source;
  if (location.kind === 'mongodb') return openLive(run, location, source);
  if (location.kind === 'snapshot') return openSnapshot(run, { ...source, location }, options.wanted);
  if (location.kind === 'preImages') return openPreImages(run, location, source);
  if (location.kind === 'oplog') return nothingBefore(location);
  return openStoredSource(run, { ...source, location }, options);
}

/** What stands in the place of a backup where the oplog is the source by itself: which collections there are only reading it tells. */
function nothingBefore(location: AloneLocation): Backup {
  const place = OPLOG_ALONE.recorded(location);
  const nothing = new LiveBackup({
    identity: {
      ...{ location: `${place}, without a backup`, kind: 'oplog', fingerprint: place },
      ...{ time: undefined, localTime: undefined, modified: undefined, size: undefined },
    },
    collections: [],
    describe: () => Promise.reject(new Error('it has no collections')),
    documents: () => noDocuments(),
    close: async () => undefined,
  });
  return around(nothing, { holds: () => undefined, close: () => nothing.close() });
}

async function openStoredSource(run: Run, source: StoredSource, options: BackupOptions): Promise<Backup> {
  const backups = await openBackupStore(run, source, options);
  try {
    const { wanted } = options;
    const backup = await chooseBackup(run, { backups, source, wanted });
    // Nothing else is opened from the store: it is closed with the backup.
    return around(backup, { close: () => backups.store.close() });
  } catch (error) {
    await backups.store.close();
    throw error;
  }
}

function announce({ emit }: Run, { identity }: Backup, { at }: Source): void {
  const { location, kind, time, localTime, size } = identity;
  const beforeAtMs = time === undefined || at === undefined ? undefined : at.epochMs - time;
  emit({ type: 'backup-located', location, kind, time, localTime, size, beforeAtMs });
}
