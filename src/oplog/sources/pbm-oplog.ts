/**
 * The slices that Percona Backup for MongoDB keeps of an oplog: those of a backup, and those of point-in-time recovery beside it.
 *
 * Alone because: each kind of oplog is a file of its own.
 */
import type { Backup, OplogSlices } from '../../backup/backup.ts';
import { severalOplogs } from '../../backup/readers/refusals.ts';
import { PathList } from '../../backup/storage/path-list.ts';
import { RestorePlanError } from '../../errors.ts';
import { compareTimestamps } from '../entry.ts';
import { coveredBy, inOrder } from './entry-files.ts';
import { FileEntries } from './file-entries.ts';
import type { Covered, EntryFile } from './joined-entries.ts';
import { entryFileOf } from './stored-oplog.ts';

/** Throws RestorePlanError BACKUP where the backup has none. */
export async function openPbmOplog(backup: Backup): Promise<FileEntries> {
  const { location } = backup.identity;
  const set = await slicesIn(backup);
  const { own, continued, replicaSet } = set;
  const inBackup = new Map(own.map(({ path, at }) => [path, at]));
  const paths = new PathList();
  const add = (path: string): void => {
    if (coveredBy(path) !== undefined) paths.add(path);
  };
  for (const { path } of own) add(path);
  for (let i = 0; i < continued.length; i++) add(continued.at(i) as string);
  const fileAt = (path: string): EntryFile => {
    const at = inBackup.get(path);
    return at === undefined
      ? entryFileOf(set.describe(path), () => set.open(path))
      : entryFileOf(at.location, () => at);
  };
  return new FileEntries(
    `the slices of ${replicaSet} in and beside ${location}`,
    await inOrder({ paths, fileAt }),
  );
}

/** From where to where the oplog of a Percona backup reaches. Throws BACKUP where the backup is of another kind. */
export async function pbmSpan(backup: Backup): Promise<Covered | undefined> {
  const covered = (await slicesIn(backup)).own.flatMap(({ path }) => coveredBy(path) ?? []);
  if (covered.length === 0) return undefined;
  return covered.reduce((a, b) => ({
    from: compareTimestamps(b.from, a.from) < 0 ? b.from : a.from,
    till: compareTimestamps(b.till, a.till) > 0 ? b.till : a.till,
  }));
}

async function slicesIn(backup: Backup): Promise<OplogSlices> {
  const { location } = backup.identity;
  const sets = await backup.slices?.();
  if (sets === undefined) {
    throw new RestorePlanError('BACKUP', `${location} is no backup of Percona Backup for MongoDB.`, {
      hint: 'Only such a backup has slices of an oplog in it and beside it, in pbmPitr. Name another oplog in source.oplog.',
    });
  }
  const [set, second] = sets;
  if (set === undefined || second !== undefined) throw severalOplogs(location);
  if (set.own.length > 0) return set;
  throw new RestorePlanError(
    'BACKUP',
    `${location} has no slices of an oplog (oplog/ of ${set.replicaSet}).`,
    {
      hint: 'Without them the moment of a Percona backup is not known. Copy the folder of the backup whole, or take another backup.',
    },
  );
}
