/** From a plan's source to a Backup: find the right one, open it, say which it is. */
import type { Emit } from '../events.ts';
import type { Source } from '../plan/plan.ts';
import { around, type Backup } from './backup.ts';
import { openLive } from './live/live-backup.ts';
import { chooseBackup } from './locate/choose.ts';
import { type BackupOptions, placeOf, type StoredSource } from './place.ts';

/** Finds and opens the backup that the source names. Throws RestorePlanError BACKUP; then nothing is left open. */
export async function openBackup(source: Source, options: BackupOptions): Promise<Backup> {
  const { location } = source;
  const backup =
    location.kind === 'mongodb'
      ? await openLive(location, source, { emit: options.emit, signal: options.signal })
      : await openStoredSource({ ...source, location }, options);
  announce(backup, source, options.emit);
  return backup;
}

async function openStoredSource(source: StoredSource, options: BackupOptions): Promise<Backup> {
  const place = placeOf(source, options);
  try {
    const { wanted, emit } = options;
    const backup = await chooseBackup({ place, source, wanted, emit });
    // Nothing else is opened from the store: it is closed with the backup.
    return around(backup, { close: () => place.store.close() });
  } catch (error) {
    await place.store.close();
    throw error;
  }
}

function announce({ identity }: Backup, { at }: Source, emit: Emit): void {
  const { location, kind, time, localTime, size } = identity;
  const beforeAtMs = time === undefined || at === undefined ? undefined : at.epochMs - time;
  emit({ type: 'backup-located', location, kind, time, localTime, size, beforeAtMs });
}
