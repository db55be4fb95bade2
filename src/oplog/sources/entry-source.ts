/**
 * Where the entries of an oplog come from: a port, so that a replay need not know whether a server, a file or many files give them. Each kind
 * is one file, and one line in open-entries.ts.
 */
import { type Remedy, together } from '../../advice.ts';
import type { WholeDocuments } from '../../backup/backup.ts';
import type { DescribedCollection } from '../../backup/live/live-backup.ts';
import { showIsoDate } from '../../bson/extended-json-types.ts';
import { RestorePlanError } from '../../errors.ts';
import {
  type Cut,
  compareTimestamps,
  type Moment,
  showMoment,
  showTimestamp,
  type Timestamp,
} from '../entry.ts';
import { oplogError } from '../faults.ts';
import type { WantedCollection } from '../wanted.ts';

/** Which entries are asked for. */
export interface EntryRange {
  /** The first that may count; undefined: the first there is. */
  readonly from: Timestamp | undefined;
  readonly cut: Cut;
  /** Entries that cannot matter for these may be left out; undefined: none may. */
  readonly collections: readonly WantedCollection[] | undefined;
  /** A database whose commands matter in any case; where no collections are given, all that is in it does, and nothing else. */
  readonly database?: string | undefined;
}

/** What is known of a collection beside its entries. */
export interface CollectionFacts {
  readonly capped: boolean;
  /** Its options and indexes as a dump would say them, Extended JSON. */
  readonly metadata: string | undefined;
}

/** How much of what a server may keep it keeps now. */
export interface OplogRoom {
  readonly bytes: number;
  readonly maxBytes: number;
}

export interface EntrySource {
  /** For messages and the manifest: `the oplog of 10.0.0.1:27017`; no credentials. */
  readonly origin: string;
  /** It has every entry from here on; `wall` is NaN where only a name says so. Throws BACKUP where it is empty. */
  first(): Promise<Moment>;
  /** … up to here. Of a file without a name that says so, it reads all of it. */
  last(): Promise<Moment>;
  /**
   * The entries of a range, in their order and pulled: each batch is lent until the next. The first entry that does not count is there,
   * and behind it at least those that end a transaction; whoever needs no more leaves the loop. Where `cut` is not reached, it ends without.
   * Entries before the range may be there, too. Where `starts` has the beginning of one, its length says where it ends: something else may lie
   * between it and the next. Throws RestorePlanError BACKUP where any may be missing.
   */
  entries(range: EntryRange): AsyncIterable<WholeDocuments>;
  /** The name of the replica set whose oplog it is; absent where nothing says it. */
  readonly setName?: string;
  /** Entries without content may be missing. */
  readonly isLoose: boolean;
  /** The collections of a database as they are now, by name; undefined where the user may not ask. */
  describe?(database: string): Promise<ReadonlyMap<string, CollectionFacts> | undefined>;
  /** One of them with its indexes; undefined where it is not there, or the user may not ask. */
  describeOne?(database: string, collection: string): Promise<DescribedCollection | undefined>;
  /** The UUIDs of the collections of a database as they are now, 32 hex digits, by name; undefined where the user may not ask. */
  uuids?(database: string): Promise<ReadonlyMap<string, string> | undefined>;
  /** The databases that its entries name; undefined: one of them is `database`, and the others were not asked for. */
  databasesBut?(database: string): Promise<readonly string[] | undefined>;
  /** Of an oplog that is overwritten as it goes on; undefined where the user may not ask. */
  room?(): Promise<OplogRoom | undefined>;
  /** What nothing proves of what was read, a sentence each without its end. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** The oplog does not reach back far enough. `way`: how to get at what lies between. */
export function beginsLater(
  origin: string,
  { first, from }: { readonly first: Moment; readonly from: Timestamp },
  way: string,
): RestorePlanError {
  return oplogError(
    origin,
    `it begins at ${showMoment(first)}, and is needed from ${showTimestamp(from)} on (${showIsoDate(from.seconds * 1000)})`,
    way,
  );
}

/** Throws BACKUP where entries behind `from` are missing by now, with the way out. */
export async function requireEntriesFrom(
  entries: Pick<EntrySource, 'origin' | 'first'>,
  from: Timestamp,
  way: string,
): Promise<void> {
  const first = await entries.first();
  if (compareTimestamps(first, from) > 0) throw beginsLater(entries.origin, { first, from }, way);
}

/**
 * Reads an oplog from its first entry on, with `read`. One that is overwritten while it is read is read from a later beginning: so often, and each
 * this much of it later.
 */
export async function fromBeginning<T>(
  entries: EntrySource,
  read: (from: Timestamp) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const first = await entries.first();
    const last = await entries.last();
    const ahead = Math.ceil((last.seconds - first.seconds) * LATER_BEGINNING * attempt);
    const from: Timestamp = attempt === 0 ? { ...first } : { seconds: first.seconds + ahead, ordinal: 0 };
    try {
      return await read(from);
    } catch (error) {
      const isBackup = error instanceof RestorePlanError && error.code === 'BACKUP';
      if (!isBackup || attempt === BEGINNINGS) throw error;
      if (compareTimestamps(await entries.first(), from) <= 0) throw error;
    }
  }
}

const BEGINNINGS = 4;
const LATER_BEGINNING = 1 / 20;

/** What can be done with an oplog that is whole up to an entry. */
export function usableUntil(last: Moment | undefined): string {
  return last === undefined ? '' : `A source.at no later than ${showMoment(last)} needs nothing behind that.`;
}

/** An error of an oplog, with what the entries before are good for. A full disk or a server that is gone says nothing of them. */
export function withUsable(
  told: unknown,
  { last, cause }: { readonly last: Moment | undefined; readonly cause: unknown },
): unknown {
  if (!(told instanceof RestorePlanError) || told.code !== 'BACKUP') return told;
  const remedies = [usableUntil(last), told.advice].filter((each) => each !== undefined && each !== '');
  return new RestorePlanError('BACKUP', told.message, {
    hint: together(remedies as readonly Remedy[]),
    cause,
    facts: told.facts,
  });
}
