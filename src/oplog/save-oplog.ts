/**
 * Copies the entries that some collections need into a file, before the server overwrites them.
 *
 * 1. What is there of an earlier saving is proven: sound, in order, of the same collections. What an entry was cut off of is cut off.
 * 2. Renames are looked for first: a collection's entries have other names before or after one, and the same UUID.
 * 3. Entries go to a file beside the final one as they come, from the last one that is there; a kill at any moment leaves a beginning that is
 *    gone on from.
 * 4. The file gets its name when everything up to the end is in it and on the disk. It begins with a word about what it is of.
 */
import { constants } from 'node:fs';
import { copyFile, type FileHandle, lstat, open, rename, rm, stat } from 'node:fs/promises';
import { DocumentFramer } from '../backup/readers/member.ts';
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import type { Run } from '../run.ts';
import { compareTimestamps, type Moment, OplogEntry, showMoment, type Timestamp } from './entry.ts';
import { following, notWritten, OplogFault, oplogError } from './faults.ts';
import { isSameScope, type SavedScope, scopeEntry, scopeOf } from './saved-scope.ts';
import { Sieve } from './sieve.ts';
import type { EntryRange, EntrySource } from './sources/entry-source.ts';

export interface SaveOrder {
  readonly entries: EntrySource;
  readonly scope: SavedScope;
  /** The first moment that is needed; undefined: as far back as the oplog goes. */
  readonly begins?: Timestamp | undefined;
  /** The last moment that the plan needs, UTC milliseconds: the entry at which a reading up to it ends is kept, too. */
  readonly at?: number | undefined;
  /** Absolute; its folder is there. */
  readonly path: string;
}

export interface SavedOplog {
  readonly path: string;
  /** Nothing that matters is missing between the two. */
  readonly from: Timestamp;
  readonly till: Moment;
  /** Entries in the file, and how many of them an earlier saving had left. */
  readonly entries: number;
  readonly resumedFrom: number;
  readonly bytes: number;
}

/** An oplog that goes on being overwritten while it is saved from its very beginning: so often another beginning is tried, each this much later. */
const BEGINNINGS = 8;
const LATER_BEGINNING = 1 / 50;
const MOST_ORDINAL = 0xffff_ffff;
const PRIVATE_FILE = 0o600;
const READ_BYTES = 1024 * 1024;

/** Throws RestorePlanError BACKUP where entries are missing, WORK_DIRECTORY where the file cannot be written. */
export async function saveOplog(run: Run, order: SaveOrder): Promise<SavedOplog> {
  const partial = `${order.path}.partial`;
  await requirePlainFile(order.path);
  await requirePlainFile(partial);
  try {
    const kept = await keptOf(order, partial);
    if (kept !== undefined) return await goOn(run, order, kept);
    for (let attempt = 0; ; attempt++) {
      const from = await beginningOf(order, attempt);
      try {
        return await begin(run, order, from);
      } catch (error) {
        // Only where nobody said from when on: then any beginning is as good as the oplog has.
        const isBackup = error instanceof RestorePlanError && error.code === 'BACKUP';
        if (!isBackup || order.begins !== undefined || attempt === BEGINNINGS) throw error;
        if (compareTimestamps(await order.entries.first(), from) <= 0) throw error;
      }
    }
  } catch (error) {
    throw notWritten(error, partial);
  }
}

/** What an earlier saving left in a file. */
interface Kept {
  readonly scope: SavedScope;
  readonly from: Timestamp;
  /** The last whole entry. */
  readonly last: Moment;
  readonly entries: number;
  /** Bytes up to its end. */
  readonly bytes: number;
  /** UUIDs of collections that were renamed in it. */
  readonly renamed: ReadonlySet<string>;
}

/** What can be gone on from: an unfinished file, or a finished one to which newer entries are added. */
async function keptOf(
  { scope, begins, path, entries }: SaveOrder,
  partial: string,
): Promise<Kept | undefined> {
  const finished = await prove(path);
  if (finished === undefined && (await sizeOf(path)) > 0) {
    throw new RestorePlanError('USAGE', `${path} is there, and was not saved by this command`, {
      hint: 'What it holds may be had nowhere else by now. Name another file with --to, or move it away.',
    });
  }
  if (finished !== undefined && !isSameScope(finished.scope, scope)) {
    throw new RestorePlanError('USAGE', `${path} holds the entries for other collections`, {
      hint: 'It was saved for another state of the plan, and may hold what the server has no longer. Name another file with --to, or move it away.',
    });
  }
  // What lies before a beginning can only be had by beginning anew; what is there is not given up where that is impossible.
  const isOfUse = async (kept: Kept | undefined): Promise<boolean> =>
    kept !== undefined &&
    isSameScope(kept.scope, scope) &&
    (begins === undefined ||
      compareTimestamps(kept.from, begins) <= 0 ||
      compareTimestamps(await entries.first(), begins) > 0);
  const unfinished = await prove(partial);
  const isFurther =
    unfinished !== undefined &&
    (finished === undefined || compareTimestamps(unfinished.last, finished.last) >= 0);
  if (isFurther && (await isOfUse(unfinished))) return unfinished;
  if (!(await isOfUse(finished))) return undefined;
  await rm(partial, { force: true });
  await copyFile(path, partial, constants.COPYFILE_FICLONE);
  return finished;
}

/** A pipe would be waited for without end, and a device or a link would be gone, a file in its place. Throws USAGE. */
async function requirePlainFile(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  const what = found.isDirectory()
    ? 'a folder'
    : found.isSymbolicLink()
      ? 'a link'
      : found.isFIFO()
        ? 'a pipe'
        : 'no plain file';
  throw new RestorePlanError('USAGE', `${path} is ${what}, and an oplog is saved to a plain file`, {
    hint: 'Name a file with --to, there or not, in a folder that is there.',
  });
}

/** Undefined where there is no such file, or none that was begun by a saving. */
async function prove(file: string): Promise<Kept | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const entry = new OplogEntry();
  const framer = new DocumentFramer();
  let kept: Kept | undefined;
  let sieve: Sieve | undefined;
  try {
    const take = (bytes: Buffer, start: number): void => {
      const { seconds, ordinal, wall, end } = entry.read(bytes, start);
      const last = { seconds, ordinal, wall };
      if (kept === undefined) {
        const scope = scopeOf(entry);
        if (scope === undefined) throw new OplogFault('it was not saved by this command');
        sieve = new Sieve(scope);
        const from =
          ordinal === MOST_ORDINAL ? { seconds: seconds + 1, ordinal: 0 } : { seconds, ordinal: ordinal + 1 };
        kept = { scope, from, last, entries: 0, bytes: end - start, renamed: sieve.renamed };
        return;
      }
      if (compareTimestamps(entry, kept.last) <= 0) throw new OplogFault('its entries are not in order');
      sieve?.noteRename(bytes, start);
      kept = { ...kept, last, entries: kept.entries + 1, bytes: kept.bytes + end - start };
    };
    for (;;) {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const { bytesRead } = await handle.read(chunk, 0, READ_BYTES);
      if (bytesRead === 0) return kept;
      for (const { bytes, starts, count } of framer.push(chunk.subarray(0, bytesRead)))
        for (let i = 0; i < count; i++) take(bytes, starts[i] as number);
    }
  } catch (fault) {
    // What stands before the damage is sound; where that is nothing, it is begun anew.
    if (fault instanceof BsonFault) return kept;
    if (fault instanceof OplogFault) return undefined;
    throw fault;
  } finally {
    await handle.close();
  }
}

/** 0 where there is none. */
async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}

async function begin(run: Run, order: SaveOrder, from: Timestamp): Promise<SavedOplog> {
  const partial = `${order.path}.partial`;
  await rm(partial, { force: true });
  const header = scopeEntry(order.scope, from);
  const handle = await open(partial, 'wx', PRIVATE_FILE);
  try {
    await writeAll(handle, header);
    const kept = { scope: order.scope, from, last: { seconds: 0, ordinal: 0, wall: Number.NaN }, entries: 0 };
    return await append(run, order, {
      handle,
      kept: { ...kept, bytes: header.length, renamed: new Set() },
    });
  } finally {
    await handle.close();
  }
}

/** Where a saving begins: a little later with each attempt, for the oldest entries may be gone before they are asked for. */
async function beginningOf({ entries, begins }: SaveOrder, attempt: number): Promise<Timestamp> {
  if (begins !== undefined) return begins;
  const first = await entries.first();
  if (attempt === 0) return { seconds: first.seconds, ordinal: first.ordinal };
  const last = await entries.last();
  const ahead = Math.ceil((last.seconds - first.seconds) * LATER_BEGINNING * attempt);
  return { seconds: first.seconds + ahead, ordinal: 0 };
}

async function goOn(run: Run, order: SaveOrder, kept: Kept): Promise<SavedOplog> {
  const handle = await open(`${order.path}.partial`, 'r+');
  try {
    await handle.truncate(kept.bytes);
    return await append(run, order, { handle, kept });
  } finally {
    await handle.close();
  }
}

interface Appending {
  readonly handle: FileHandle;
  readonly kept: Kept;
}

/** Adds what is missing up to the newest entry, and gives the file its name. */
async function append(run: Run, order: SaveOrder, { handle, kept }: Appending): Promise<SavedOplog> {
  const { entries, scope, at, path } = order;
  const till = await entries.last();
  // Its own oplog ends no earlier, whatever a source may leave out: the newest entry of each saving is kept.
  if (kept.entries > 0 && compareTimestamps(till, kept.last) < 0)
    throw anotherOplog(entries.origin, path, kept.last);
  const from = kept.entries > 0 ? kept.last : kept.from;
  const range: EntryRange = { from, cut: { ts: till }, collections: undefined, database: scope.database };
  const sieve = new Sieve(scope, kept.renamed);
  const commands = scope.collections === undefined ? [] : entries.entries({ ...range, collections: [] });
  for await (const { bytes, starts, count } of commands) {
    run.signal.throwIfAborted();
    following(entries.origin, {}, () => {
      for (let i = 0; i < count; i++) sieve.noteRename(bytes, starts[i] as number);
    });
  }
  const isCutThere = at !== undefined && !Number.isNaN(till.wall) && till.wall >= at;
  const wanted = { ...range, ...(scope.collections && { collections: sieve.collections }) };
  let position = kept.bytes;
  let saved = kept.entries;
  let last: Timestamp = kept.last;
  let isCutKept = false;
  // Entries without content may be missing there, and the last one may be such.
  let isSameOplog = kept.entries === 0 || entries.isLoose;
  const requireSame = (entry: OplogEntry): void => {
    const order = compareTimestamps(entry, kept.last);
    if (order < 0) return;
    if (order > 0 || !Object.is(entry.wall, kept.last.wall))
      throw anotherOplog(entries.origin, path, kept.last);
    isSameOplog = true;
  };
  const mustKeep = (entry: OplogEntry): boolean => {
    if (compareTimestamps(entry, till) >= 0) return true;
    if (!isCutThere || isCutKept || !(entry.wall >= at)) return false;
    isCutKept = true;
    return true;
  };
  for await (const { bytes, starts, count } of entries.entries({
    ...wanted,
    ...(isCutThere && { cut: { wall: at } }),
  })) {
    run.signal.throwIfAborted();
    const pieces: Buffer[] = [];
    const isEnd = following(entries.origin, {}, () => {
      for (let i = 0; i < count; i++) {
        const entry = sieve.read(bytes, starts[i] as number);
        if (!isSameOplog) requireSame(entry);
        if (compareTimestamps(entry, last) <= 0 || compareTimestamps(entry, from) < 0) continue;
        if (!mustKeep(entry) && !sieve.keeps()) continue;
        pieces.push(bytes.subarray(entry.start, entry.end));
        last = { seconds: entry.seconds, ordinal: entry.ordinal };
        saved++;
        if (compareTimestamps(entry, till) >= 0) return true;
      }
      return false;
    });
    const together = Buffer.concat(pieces);
    await writeAll(handle, together, position);
    position += together.length;
    run.emit({ type: 'oplog-save-progress', entries: saved, bytes: position });
    if (isEnd) break;
  }
  if (compareTimestamps(last, till) < 0)
    throw oplogError(
      entries.origin,
      `it ended before ${showMoment(till)}, which was its newest entry`,
      'Run again: what was saved is gone on from.',
    );
  if (!isSameOplog) throw anotherOplog(entries.origin, path, kept.last);
  await handle.sync();
  if ((await handle.stat()).size !== position)
    throw new RestorePlanError('LOCKED', `another process is saving to ${path}, too`, {
      hint: 'Wait for it to end, then run again.',
    });
  await rename(`${path}.partial`, path);
  return { path, from: kept.from, till, entries: saved, resumedFrom: kept.entries, bytes: position };
}

function anotherOplog(origin: string, path: string, last: Moment): RestorePlanError {
  return oplogError(
    origin,
    `it has not the entry with which ${path} ends so far, of ${showMoment(last)}: that was saved from another oplog`,
    'Name the replica set that it was saved from, or a member of it that is not behind; or another file with --to.',
  );
}

async function writeAll(handle: FileHandle, bytes: Buffer, position = 0): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const wrote = await handle.write(bytes, written, bytes.length - written, position + written);
    written += wrote.bytesWritten;
  }
}
