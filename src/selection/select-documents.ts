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
import { dirname, join } from 'node:path';
import type { Backup } from '../backup/backup.ts';
import { fileNameOf } from '../backup/layout/dump-paths.ts';
import { isNotThere } from '../backup/locate/choose.ts';
import { openBackup } from '../backup/open-backup.ts';
import { type RemotePatience, USUAL_PATIENCE } from '../backup/remote/patience.ts';
import { removeUnused } from '../files.ts';
import { freeMemory } from '../free-memory.ts';
import { rollAlone } from '../oplog/alone/roll-alone.ts';
import type { PastCounts } from '../oplog/later.ts';
import { type RolledForward, type RollOrder, rollForward } from '../oplog/roll-forward.ts';
import type { Rolling } from '../oplog/rolled-backup.ts';
import { rollShards } from '../oplog/shards/roll-shards.ts';
import { readPreImages } from '../oplog/windows/pre-images.ts';
import { collectionNames, type Plan } from '../plan/plan.ts';
import { isStored, storeLocation } from '../plan/sources/sources.ts';
import { neededUntil, viewsOf } from '../plan/windows.ts';
import type { Run } from '../run.ts';
import { VERSION } from '../version.ts';
import { CollectionSelector } from './collection-selector.ts';
import {
  createPartialDirectory,
  publishSelection,
  selectionDirectory,
  writePrivateFile,
} from './directory.ts';
import { PastWriter } from './document-past.ts';
import { TimeLimit } from './document-walk.ts';
import { fileBatches, ONE_AFTER_ANOTHER } from './file-batches.ts';
import { finishCollection, type ViewStart } from './finish-collection.ts';
import { IdFilter } from './id-filter.ts';
import { findSelection, keptOfPlan, sha256OfText } from './open-selection.ts';
import { spareBytes } from './put-off.ts';
import { BackupScan, type Onlooker, readBackup } from './read-backup.ts';
import { collectionRoutes, missingIds } from './routes.ts';
import {
  type SelectedCollection,
  type Selection,
  type SelectionManifest,
  selectionDigest,
} from './selection.ts';
import type { SliceRunner } from './slices/slice-runner.ts';
import { SliceThreads, type ThreadSettings } from './slices/slice-threads.ts';

export interface SelectionRequest {
  readonly plan: Plan;
  readonly backup: Backup;
  /** How long a store is waited for; the usual times where it is not given. */
  readonly patience?: RemotePatience | undefined;
  /**
   * Bytes of disk for dependents that are kept only because a stream may hold more of their parents; when they are used up and it does, it
   * is read again. Default: 4 GiB, at most half of what the disk has free.
   */
  readonly spareBytes?: number;
  /** How long regular expressions may be at work on a megabyte or so of the backup, milliseconds. Default: 30 s. */
  readonly patternMs?: number;
  /** Is shown what else a stream holds while it is read. */
  readonly onlooker?: Onlooker;
  /** Scans slices of the backup; the threads of `threads` where none is given. */
  readonly runner?: SliceRunner | undefined;
  readonly threads?: ThreadSettings;
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
  let rolled: RolledBackup | undefined;
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

    rolled = await rolledForward(run, request, join(partial.spool, 'oplog-'));
    for (const { routes, deleted } of selectors)
      if (deleted !== undefined) rolled?.rolling.watchDeleted(routes.collection, deleted);
    const backup = rolled?.backup ?? request.backup;
    const collections = routes.map(({ collection }) => collection);
    emit({ type: 'selection-started', collections, totalBytes: backup.storedBytes(new Set(collections)) });
    const threads = threadsFor(run, { ...request, backup });
    if (threads === undefined) sayWhyOneThread(run, request, rolled !== undefined);
    const scan = new BackupScan(run, { ...request, backup, runner: request.runner ?? threads }, selectors);
    try {
      await scan.refuseKnownFaults();
      await readBackup(scan, selectors);
    } finally {
      await threads?.close();
    }

    const manifest = await finishSelection(request, partial.documents, { selectors, scan, rolled });
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
    await removeUnused(partial.directory);
    throw error;
  } finally {
    rolled?.rolling.close();
  }
}

/** Threads that scan slices, as soon as there is enough to read; undefined where the backup cannot be read in slices. */
function threadsFor(
  run: Run,
  { plan, backup, patience = USUAL_PATIENCE, patternMs, threads = {} }: SelectionRequest,
): SliceThreads | undefined {
  const { location } = plan.source;
  if (threads.threads === 1 || backup.apart === undefined || !isStored(location)) return undefined;
  return new SliceThreads(run, { location: storeLocation(location), patience, patternMs }, threads);
}

/** A backup whose documents are not as it has them; without a record where no oplog made them what they are. */
type RolledBackup = Pick<RolledForward, 'backup' | 'rolling' | 'warnings'> &
  Partial<Pick<RolledForward, 'record'>>;

/** Undefined where the documents are those of the backup. */
async function rolledForward(
  run: Run,
  { plan, backup, patience }: SelectionRequest,
  spillPath: string,
): Promise<RolledBackup | undefined> {
  const { source } = plan;
  const { location, oplog } = source;
  const order = { source, backup, wanted: collectionNames(plan), spillPath, patience };
  if (location.kind === 'preImages') {
    const rolling = await readPreImages(run, {
      ...order,
      source: { ...source, location },
      views: viewsOf(plan),
    });
    return { backup: rolling.of(backup), rolling, warnings: [] };
  }
  if (oplog === undefined) return undefined;
  if (location.kind === 'oplog' && oplog.kind !== 'shards')
    return rollAlone(run, { plan, oplog, backup, spillPath, patience });
  return oplog.kind === 'shards'
    ? rollShards(run, { ...order, oplog, windows: windowsIn(plan) })
    : rollForward(run, { ...order, oplog, windows: windowsIn(plan) });
}

/** What is asked of the oplog beside the documents as of `source.at`. */
function windowsIn(plan: Plan): RollOrder['windows'] {
  const views = viewsOf(plan);
  const until = neededUntil(plan);
  const areThere = [...views.values()].some(({ windows }) => windows.length > 0);
  return areThere && until !== undefined ? { views, until } : undefined;
}

/** A smaller backup is read in seconds. */
const LARGE_BYTES = 1024 ** 3;

/** What would be faster, of a large stored backup that one thread reads though more were allowed. */
function sayWhyOneThread(
  { emit }: Run,
  { plan, backup, threads = {} }: SelectionRequest,
  isRolled: boolean,
): void {
  const { kind, size = 0 } = backup.identity;
  if (threads.threads === 1 || size < LARGE_BYTES || !isStored(plan.source.location)) return;
  const why = isRolled
    ? 'an oplog rolls its documents forward in their order'
    : `a ${kind} is one stream. A folder of .bson or .bson.gz files, or a tar that is not compressed itself, is read by several`;
  emit({ type: 'warning', message: `the backup is read by one thread: ${why}` });
}

export interface PrepareRequest {
  readonly plan: Plan;
  /** How long a store is waited for; the usual times where it is not given. */
  readonly patience?: RemotePatience;
  readonly threads?: ThreadSettings;
  /** What else the command needs: awaited when the backup is found, so that nothing large is read for a command that cannot go on. */
  readonly needs?: Promise<unknown>;
  /** Is shown what else a stream holds, if it is read for a new selection. */
  readonly onlooker?: Onlooker;
  /** What scans slices of the backup for a new selection. */
  readonly runnerFor?: (backup: Backup) => Promise<SliceRunner>;
  /** Further work on the backup while it is open, once the selection is there. `isNew`: it was made now, `onlooker` looking on. */
  readonly meanwhile?: (backup: Backup, selection: Selection, isNew: boolean) => Promise<void>;
}

/**
 * Finds the backup and reads it, unless this very plan was selected from this very backup before: then the documents kept
 * from that time are used, so that dry-run, staging and production see the same bytes and the archive is read once.
 * Throws RestorePlanError BACKUP.
 */
export async function prepareSelection(run: Run, request: PrepareRequest): Promise<Selection> {
  const { plan, patience, threads, onlooker } = request;
  const { emit } = run;
  const wanted = collectionNames(plan);
  // Reading a plan of thousands of collections leaves 100 MB behind.
  freeMemory();
  let backup: Backup;
  try {
    backup = await openBackup(run, plan.source, { wanted, ...(patience && { patience }) });
  } catch (error) {
    const kept = await keptWithoutBackup(run, plan, error);
    if (kept === undefined) throw error;
    await request.needs;
    return kept;
  }
  try {
    await request.needs;
    const found = await findSelection(run.workDirectory, plan, backup.identity, (why) =>
      emit({ type: 'warning', message: `${why}; it is made anew` }),
    );
    if (found !== undefined) {
      emit({ type: 'selection-reused', digest: found.manifest.digest, directory: found.directory });
    }
    const runner = found === undefined ? await request.runnerFor?.(backup) : undefined;
    const selection =
      found ??
      (await selectDocuments(run, {
        ...{ plan, backup, patience },
        ...(threads && { threads }),
        ...(runner && { runner }),
        ...(onlooker && { onlooker }),
      }));
    await request.meanwhile?.(backup, selection, found === undefined);
    return selection;
  } finally {
    await backup.close();
  }
}

/** What was selected while the backup was there: what staging was given can go to production. */
async function keptWithoutBackup(
  { workDirectory, emit }: Run,
  plan: Plan,
  error: unknown,
): Promise<Selection | undefined> {
  if (!isNotThere(error)) return undefined;
  const kept = await keptOfPlan(workDirectory, plan);
  if (kept === undefined) return undefined;
  const { directory, manifest } = kept;
  emit({
    type: 'warning',
    message: `${error.message} What this plan selected earlier from ${manifest.backup.location} is used instead: ${directory}`,
  });
  emit({ type: 'selection-reused', digest: manifest.digest, directory });
  return kept;
}

interface DecidedSelection {
  readonly selectors: readonly CollectionSelector[];
  readonly scan: BackupScan;
  /** What rolled the documents forward, if anything did. */
  readonly rolled: RolledBackup | undefined;
}

/** Finishes the files in `folder` of a selection in which everything has been decided, and describes them. */
async function finishSelection(
  { plan, backup }: SelectionRequest,
  folder: string,
  { selectors, scan, rolled }: DecidedSelection,
): Promise<SelectionManifest> {
  const collections: SelectedCollection[] = [];
  const warnings = [...scan.warnings, ...(rolled?.warnings ?? []), ...(rolled?.rolling.notes() ?? [])];
  for (const { routes, chooser, chosen, scanned, deleted } of selectors) {
    const { collection, into, whenMatched, merge } = routes;
    const finished = await finishCollection(collection, chosen);
    warnings.push(...finished.warnings);
    for (const { ids } of routes.routes) if (ids !== undefined) warnings.push(...missingIds(collection, ids));
    for (const { where, view, parent } of chooser.unused()) {
      if (parent === undefined) continue;
      warnings.push(
        `${collection}: no document ${view === undefined ? '' : `${view} `}refers by ${parent.foreignKey} to a selected document of ${parent.collection} (${where})`,
      );
    }
    const views = new Set(routes.routes.flatMap(({ parent, view }) => (parent && view ? [view] : [])));
    for (const view of views)
      for (const what of rolled?.rolling.besides(collection, view) ?? [])
        warnings.push(`${collection}: only those ${view} are looked at; ${what}`);
    warnings.push(...chosen.otherTypes.warnings(collection));
    const metadata = scan.collections.get(collection)?.text;
    const metadataFile = `${fileNameOf(collection)}.metadata.json`;
    if (metadata !== undefined) await writePrivateFile(join(folder, metadataFile), metadata);
    const { count, bytes, sha256, file } = finished;
    collections.push({
      collection,
      into,
      whenMatched,
      ...(merge && { merge }),
      scanned,
      count,
      bytes,
      sha256,
      file,
      metadataFile: metadata === undefined ? undefined : metadataFile,
      ...(metadata !== undefined && { metadataSha256: sha256OfText(metadata) }),
      ...(rolled?.record !== undefined &&
        (await writePasts(rolled.rolling, collection, {
          path: join(folder, file),
          bytes,
          directory: dirname(folder),
          views: finished.views,
        }))),
      ...(deleted?.found && { deletedBefore: deleted.found }),
    });
  }
  return {
    format: 2,
    toolVersion: VERSION,
    planName: plan.name,
    planDigest: plan.digest,
    selectsDigest: plan.selectsDigest,
    backup: backup.identity,
    database: plan.source.database,
    digest: selectionDigest(collections),
    collections,
    members: scan.members,
    readToEnd: scan.readToEnd,
    ...(scan.relaxed && { relaxed: true }),
    ...(rolled?.record !== undefined && { oplog: rolled.record }),
    warnings,
  };
}

interface FinishedFile {
  readonly path: string;
  readonly bytes: number;
  /** Of the selection. */
  readonly directory: string;
  readonly views: readonly ViewStart[];
}

/** Writes down what the oplog knows of each document of a file, and counts it. */
async function writePasts(
  rolling: Rolling,
  collection: string,
  { path, bytes, directory, views }: FinishedFile,
): Promise<PastCounts> {
  const pasts = await PastWriter.create(directory, collection, rolling.knowsAfter(collection));
  let place = 0;
  try {
    for await (const batch of fileBatches(path, bytes, ONE_AFTER_ANOTHER)) {
      for (let i = 0; i < batch.length; i++) {
        while ((views[place + 1]?.first ?? Number.POSITIVE_INFINITY) <= batch.first + i) place++;
        const view = views[place]?.view;
        const id = batch.id(i);
        rolling.rollOn(collection, { id, view, bytes: batch.bytes, start: batch.start(i) }, pasts.takeAfter);
        pasts.add(rolling.pastOf(collection, id, view));
      }
      await pasts.drain();
    }
    await pasts.close();
  } catch (error) {
    await pasts.close().catch(() => undefined);
    throw error;
  }
  return pasts.counts;
}
