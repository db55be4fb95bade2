/**
 * Copies the entries that some collections need to another place, before the server overwrites them.
 *
 * 1. What is there of an earlier saving is proven: sound, in order, of the same collections.
 * 2. Renames are looked for first: a collection's entries have other names before or after one, and the same UUID.
 * 3. Entries go there as they come, from the last one that is there; a kill at any moment leaves a beginning that is gone on from. Nothing is
 *    written before it is known that the oplog still had all from there on.
 * 4. The first entry says what they are of, the last one is the newest that the oplog had.
 *
 * The place is a file (`SavedFile`), or a series of objects in a bucket (`SavedSeries`).
 */
import { DocumentFramer } from '../../backup/readers/member.ts';
import { BsonFault } from '../../bson/elements.ts';
import { RestorePlanError } from '../../errors.ts';
import type { StoreLocation } from '../../plan/sources/stores.ts';
import type { Run } from '../../run.ts';
import {
  compareTimestamps,
  type Moment,
  momentOf,
  OplogEntry,
  showMoment,
  type Timestamp,
} from '../entry.ts';
import { following, OplogFault, oplogError } from '../faults.ts';
import { type SavedScope, savedBefore, scopeOf } from '../saved-scope.ts';
import { Sieve } from '../sieve.ts';
import { type EntryRange, type EntrySource, requireEntriesFrom } from '../sources/entry-source.ts';

const OVERWRITTEN =
  'It was overwritten while it was saved. Another member of the replica set may have a longer oplog.';

export interface SaveOrder {
  readonly entries: EntrySource;
  readonly scope: SavedScope;
  /** The first moment that is needed; undefined: as far back as the oplog goes. */
  readonly begins?: Timestamp | undefined;
  /** The last moment that the plan needs, UTC milliseconds: the entry at which a reading up to it ends is kept, too. */
  readonly at?: number | undefined;
  readonly place: EntryStore;
}

/** Where entries are saved. */
export interface EntryStore {
  /** For messages: a path, or `s3://bucket/prefix/`. */
  readonly name: string;
  /** What a plan names to read it. */
  readonly location: StoreLocation;
  /**
   * What is there of an earlier saving and can be gone on from; undefined where nothing is, or what is there may be begun anew. Throws USAGE where
   * something else is there, which is left alone.
   */
  kept(order: SaveOrder): Promise<Kept | undefined>;
  /** Goes on behind what is kept; where that holds no entries, it is begun. */
  open(kept: Kept): Promise<Saving>;
}

export interface Saving {
  /** Takes whole entries, the last of which is of this moment. */
  write(entries: Buffer, last: Moment): Promise<void>;
  /** All are there: what was written stays whatever happens from now on. Returns the bytes of all that is kept. */
  finish(): Promise<number>;
  /** Without an end: what is there can be gone on from. */
  close(): Promise<void>;
}

/** What an earlier saving left. */
export interface Kept {
  readonly scope: SavedScope;
  /** Nothing that matters is missing from here on. */
  readonly from: Timestamp;
  /** The last whole entry. */
  readonly last: Moment;
  readonly entries: number;
  /** Bytes up to its end. */
  readonly bytes: number;
  /** UUIDs of collections that were renamed in it. */
  readonly renamed: ReadonlySet<string>;
}

export interface SavedOplog {
  readonly place: Pick<EntryStore, 'name' | 'location'>;
  /** Nothing that matters is missing between the two. */
  readonly from: Timestamp;
  readonly till: Moment;
  /** Entries that are there, and how many of them an earlier saving had left. */
  readonly entries: number;
  readonly resumedFrom: number;
  readonly bytes: number;
}

/** An oplog that goes on being overwritten while it is saved from its very beginning: so often another beginning is tried, each this much later. */
const BEGINNINGS = 8;
const LATER_BEGINNING = 1 / 50;
const MOST_ORDINAL = 0xffff_ffff;

/** Throws RestorePlanError BACKUP where entries are missing, WORK_DIRECTORY where they cannot be written. */
export async function saveOplog(run: Run, order: SaveOrder): Promise<SavedOplog> {
  for (let attempt = 0; ; attempt++) {
    const kept = await order.place.kept(order);
    if (kept !== undefined) return await append(run, order, kept);
    const from = await beginningOf(order, attempt);
    try {
      return await append(run, order, nothingFrom(order.scope, from));
    } catch (error) {
      // Only where nobody said from when on: then any beginning is as good as the oplog has.
      const isBackup = error instanceof RestorePlanError && error.code === 'BACKUP';
      if (!isBackup || order.begins !== undefined || attempt === BEGINNINGS) throw error;
      if (compareTimestamps(await order.entries.first(), from) <= 0) throw error;
    }
  }
}

function nothingFrom(scope: SavedScope, from: Timestamp): Kept {
  const last = { seconds: 0, ordinal: 0, wall: Number.NaN };
  return { scope, from, last, entries: 0, bytes: 0, renamed: new Set() };
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

/** Whether what is kept begins early enough. What lies before it may be lost by now: then it is not given up for a beginning that cannot be had. */
export async function isEarlyEnough(
  { from }: Pick<Kept, 'from'>,
  { begins, entries }: SaveOrder,
): Promise<boolean> {
  if (begins === undefined || compareTimestamps(from, begins) <= 0) return true;
  return compareTimestamps(await entries.first(), begins) > 0;
}

/**
 * What was saved in some bytes, as far as they are sound; undefined where they do not begin as a saving does. `isWhole`: they end with a whole
 * entry.
 */
export async function proven(
  chunks: AsyncIterable<Buffer>,
): Promise<{ readonly kept: Kept; readonly isWhole: boolean } | undefined> {
  const entry = new OplogEntry();
  const framer = new DocumentFramer();
  let kept: Kept | undefined;
  let sieve: Sieve | undefined;
  const take = (bytes: Buffer, start: number): void => {
    const { seconds, ordinal, wall, end } = entry.read(bytes, start);
    const last = { seconds, ordinal, wall };
    if (kept === undefined) {
      const scope = scopeOf(entry);
      if (scope === undefined) throw new OplogFault('it was not saved by this command');
      const before = savedBefore(entry);
      sieve = new Sieve(scope, new Set(before.renamed));
      const from =
        ordinal === MOST_ORDINAL ? { seconds: seconds + 1, ordinal: 0 } : { seconds, ordinal: ordinal + 1 };
      const { entries } = before;
      kept = { scope, from, last, entries, bytes: before.bytes + end - start, renamed: sieve.renamed };
      return;
    }
    if (compareTimestamps(entry, kept.last) <= 0) throw new OplogFault('its entries are not in order');
    sieve?.noteRename(bytes, start);
    kept = { ...kept, last, entries: kept.entries + 1, bytes: kept.bytes + end - start };
  };
  try {
    for await (const chunk of chunks)
      for (const { bytes, starts, count } of framer.push(chunk))
        for (let i = 0; i < count; i++) take(bytes, starts[i] as number);
    framer.end();
    return kept && { kept, isWhole: true };
  } catch (fault) {
    // What stands before the damage is sound.
    if (fault instanceof BsonFault) return kept && { kept, isWhole: false };
    if (fault instanceof OplogFault) return undefined;
    throw fault;
  }
}

/** Adds what is missing up to the newest entry. */
async function append(run: Run, order: SaveOrder, kept: Kept): Promise<SavedOplog> {
  const { entries, scope, at, place } = order;
  const till = await entries.last();
  // Its own oplog ends no earlier, whatever a source may leave out: the newest entry of each saving is kept.
  if (kept.entries > 0 && compareTimestamps(till, kept.last) < 0)
    throw anotherOplog(entries.origin, place, kept.last);
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
  let saved = kept.entries;
  let taken = 0;
  let last: Moment = kept.last;
  let isCutKept = false;
  let isBeginningThere = false;
  // Entries without content may be missing there, and the last one may be such.
  let isSameOplog = kept.entries === 0 || entries.isLoose;
  const requireSame = (entry: OplogEntry): void => {
    const order = compareTimestamps(entry, kept.last);
    if (order < 0) return;
    if (order > 0 || !Object.is(entry.wall, kept.last.wall))
      throw anotherOplog(entries.origin, place, kept.last);
    isSameOplog = true;
  };
  const mustKeep = (entry: OplogEntry): boolean => {
    if (compareTimestamps(entry, till) >= 0) return true;
    if (!isCutThere || isCutKept || !(entry.wall >= at)) return false;
    isCutKept = true;
    return true;
  };
  const saving = await place.open({ ...kept, renamed: sieve.renamed });
  try {
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
          last = momentOf(entry);
          saved++;
          if (compareTimestamps(entry, till) >= 0) return true;
        }
        return false;
      });
      if (pieces.length > 0) {
        // Between being asked and answering, a server may have lost the beginning: it would begin later without a word.
        if (!isBeginningThere) await requireEntriesFrom(entries, from, OVERWRITTEN);
        isBeginningThere = true;
        const together = Buffer.concat(pieces);
        await saving.write(together, last);
        taken += together.length;
      }
      run.emit({ type: 'oplog-save-progress', entries: saved, bytes: kept.bytes + taken });
      if (isEnd) break;
    }
    if (compareTimestamps(last, till) < 0)
      throw oplogError(
        entries.origin,
        `it ended before ${showMoment(till)}, which was its newest entry`,
        'Run again: what was saved is gone on from.',
      );
    if (!isSameOplog) throw anotherOplog(entries.origin, place, kept.last);
    const bytes = await saving.finish();
    return { place, from: kept.from, till, entries: saved, resumedFrom: kept.entries, bytes };
  } finally {
    await saving.close();
  }
}

function anotherOplog(origin: string, { name }: EntryStore, last: Moment): RestorePlanError {
  return oplogError(
    origin,
    `it has not the entry with which ${name} ends so far, of ${showMoment(last)}: that was saved from another oplog`,
    'Name the replica set that it was saved from, or a member of it that is not behind; or another place with --to.',
  );
}

/** Another process is at it. */
export function savedByAnother(name: string): RestorePlanError {
  return new RestorePlanError('LOCKED', `another process is saving to ${name}, too`, {
    hint: 'Wait for it to end, then run again.',
  });
}

/** A place holds what this command did not save, or saved for something else: it is left alone. */
export function notSavedHere(place: string, message: string): RestorePlanError {
  return new RestorePlanError('USAGE', `${place} ${message}`, {
    hint: 'It may hold what the server has no longer. Name another place with --to, or move it away.',
  });
}
