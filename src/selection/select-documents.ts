/**
 * Chooses the documents of a plan from a backup and keeps them as a selection.
 *
 * 1. A backup that can be read in any order is read level by level: parents, then their dependents; each member once.
 * 2. A backup that is a stream is read once. Dependents that come by before their parents are spooled to the work directory, and so are,
 *    beside their being decided about, those that come after parents of which the stream may hold more.
 * 3. What was spooled (also: trees within one collection) is decided about as soon as all parents are known.
 * 4. The files are finished, described in a manifest and given their final name together.
 *
 * Whatever goes wrong, nothing of the selection is left or used.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backup } from '../backup/backup.ts';
import { type RolledForward, rollForward } from '../oplog/roll-forward.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { BackupScan, type Onlooker } from './backup-scan.ts';
import { spareBytes } from './candidates.ts';
import { CollectionSelector } from './collection-selector.ts';
import { createPartialDirectory, publishSelection, selectionDirectory } from './directory.ts';
import { finishSelection } from './finish-selection.ts';
import { IdFilter } from './id-filter.ts';
import { findSelection } from './open-selection.ts';
import { readBackup } from './read-backup.ts';
import { collectionRoutes } from './routes.ts';
import type { Selection } from './selection.ts';
import { TimeLimit } from './time-limit.ts';

export interface SelectionRequest {
  readonly plan: Plan;
  readonly backup: Backup;
  /**
   * Bytes of disk for dependents that are kept only because a stream may hold more of their parents; when they are used up and it does, it
   * is read again. Default: 4 GiB, at most half of what the disk has free.
   */
  readonly spareBytes?: number;
  /** How long regular expressions may be at work on a megabyte or so of the backup, milliseconds. Default: 30 s. */
  readonly patternMs?: number;
  /** Is shown what else a stream holds while it is read. */
  readonly onlooker?: Onlooker;
}

/**
 * Throws RestorePlanError BACKUP when the backup is damaged, lacks a collection of the plan, holds it as something that cannot be
 * restored, or when a query matches nothing; WORK_DIRECTORY when the work directory cannot be written.
 */
export async function selectDocuments(run: Run, request: SelectionRequest): Promise<Selection> {
  const { plan } = request;
  const { workDirectory, emit, signal } = run;
  const routes = collectionRoutes(plan);
  const directory = selectionDirectory(workDirectory, plan, request.backup.identity);
  const partial = await createPartialDirectory(workDirectory, directory, plan.source.database);
  const selectors: CollectionSelector[] = [];
  let rolled: RolledForward | undefined;
  try {
    const options = {
      folder: partial.documents,
      spoolFolder: partial.spool,
      ids: new IdFilter(),
      signal,
      limit: new TimeLimit(request.patternMs),
      space: { left: request.spareBytes ?? (await spareBytes(partial.spool)) },
    };
    for (const each of routes) selectors.push(await CollectionSelector.create(each, options));

    const { oplog } = plan.source;
    rolled =
      oplog &&
      (await rollForward(run, {
        source: plan.source,
        oplog,
        backup: request.backup,
        wanted: collectionNames(plan),
        spillPath: join(partial.spool, 'oplog-'),
      }));
    const backup = rolled?.backup ?? request.backup;
    const collections = routes.map(({ collection }) => collection);
    emit({ type: 'selection-started', collections, totalBytes: backup.storedBytes(new Set(collections)) });
    const scan = new BackupScan(backup, selectors, { emit, signal, onlooker: request.onlooker });
    await scan.refuseKnownFaults();
    await readBackup({ backup, scan, selectors, emit });

    const manifest = await finishSelection({ request, folder: partial.documents, selectors, scan, rolled });
    const isThere = async (): Promise<boolean> =>
      (await findSelection(workDirectory, plan, backup.identity))?.manifest.digest === manifest.digest;
    await publishSelection(partial, directory, { manifest, isThere });
    emit({
      type: 'selection-finished',
      digest: manifest.digest,
      selected: manifest.collections.reduce((sum, { count }) => sum + count, 0),
      bytes: manifest.collections.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesRead: scan.bytesRead,
    });
    return { directory, manifest };
  } catch (error) {
    for (const selector of selectors) await selector.abandon();
    await rm(partial.directory, { recursive: true, force: true });
    throw error;
  } finally {
    rolled?.rolling.close();
  }
}
