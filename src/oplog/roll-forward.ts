/**
 * From a backup and a plan's oplog to the backup as it was at a later moment.
 *
 * 1. The backup says the UUIDs of the collections; a collection is followed by it.
 * 2. Where a replay begins: with the oplog that the dump took along, or where the plan says that the dump began. A replay that begins too
 *    early is exact all the same, one that begins too late is not.
 * 3. Where it ends: before the first entry that was written at `at` or later; or with the dump's own oplog.
 * 4. The entries between are followed, and the backup is read through what they did (`Rolling`).
 */
import type { Backup } from '../backup/backup.ts';
import type { RemotePatience } from '../backup/remote/patience.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import { RestorePlanError } from '../errors.ts';
import type { Instant } from '../plan/instant.ts';
import type { SetOplog } from '../plan/sources/oplog.ts';
import type { CollectionViews } from '../plan/windows.ts';
import type { Run } from '../run.ts';
import { type DumpOfPlan, hasCollectionOf, type Span, saidToBegin, spanOf, wantedIn } from './dump.ts';
import {
  type Cut,
  compareTimestamps,
  isBehind,
  type Moment,
  momentOf,
  OplogEntry,
  showMoment,
  showTimestamp,
  type Timestamp,
  timeless,
  timeOf,
} from './entry.ts';
import { faultTold, following, oplogError } from './faults.ts';
import { Replay, type ReplayResult } from './replay.ts';
import { Rolling } from './rolled-backup.ts';
import type { ShardScope } from './shards/shard-writes.ts';
import { type EntrySource, withUsable } from './sources/entry-source.ts';
import { openEntries } from './sources/open-entries.ts';
import type { WantedCollection } from './wanted.ts';

/** What of an oplog was used, for the manifest and the operator. Times are `[seconds, ordinal]`, as in `at: {ts: …}`. */
export interface OplogRecord {
  /** Which oplog: `the oplog of 10.0.0.1:27017`. */
  readonly source: string;
  readonly begin: readonly [number, number];
  /** dump: the dump says itself when it began. plan: `source.oplog.begins` does, and nothing proves it. oplog: there is no dump. */
  readonly beginSaid: 'dump' | 'plan' | 'oplog';
  /** The first entry that does not count. */
  readonly cut: readonly [number, number];
  /** When it was written, UTC milliseconds. Of a dump's own oplog: the last entry that counts. */
  readonly cutWall?: number;
  /** Entries that touch the plan's collections, transactions whole. */
  readonly entries: number;
  /** sha256, hex, of these entries. */
  readonly sha256: string;
  /** The last entry behind the cut that was looked at, for what happened to documents later; absent where none was. */
  readonly laterUntil?: readonly [number, number];
  /** Of a sharded cluster: the same of each shard. What stands above is then all of them together: `sha256` that of theirs, one after the other. */
  readonly shards?: readonly ShardRecord[];
}

export interface ShardRecord extends Omit<OplogRecord, 'shards' | 'cut' | 'cutWall'> {
  /** The folder of the backup, as the plan names it. */
  readonly folder: string;
}

export interface RolledForward {
  /** The backup as it was at the cut; there until `rolling` is closed. */
  readonly backup: Backup;
  readonly record: OplogRecord;
  /** What the operator should know, a sentence each. */
  readonly warnings: readonly string[];
  readonly rolling: Rolling;
}

/** The dump, and what rolls it forward; `Oplog`: of one replica set, or of each shard. */
export interface RollOrder<Oplog = SetOplog> extends DumpOfPlan<Oplog> {
  /** Path with which the names of temporary files begin. */
  readonly spillPath: string;
  /** How long a store is waited for; the usual times where it is not given. */
  readonly patience?: RemotePatience | undefined;
  /** Which states of the documents are wanted, where it is not only that of `source.at`; and until when the oplog is needed for them. */
  readonly windows?:
    | { readonly views: ReadonlyMap<string, CollectionViews>; readonly until: Instant }
    | undefined;
}

/** Throws RestorePlanError BACKUP where the oplog does not cover what is needed, or holds something that cannot be followed. */
export async function rollForward(run: Run, order: RollOrder): Promise<RolledForward> {
  const { oplog, backup } = order;
  const span = oplog.kind === 'backup' ? undefined : await spanOf(order);
  const bounds = boundsOf(order, span);
  const entries = await openEntries(run, oplog, order);
  try {
    // Last: of a stream, its metadata has come by with its oplog.
    const collections = await wantedIn(order);
    const followed = await follow(run, entries, { order, collections, bounds, span });
    const { replay, record } = followed;
    const rolling = new Rolling(
      [{ replay, origin: entries.origin, views: order.windows?.views }],
      collections,
    );
    const warnings = warningsOf(followed, entries.notes);
    return { backup: rolling.of(backup), record, warnings, rolling };
  } finally {
    await entries.close();
  }
}

/** Where a replay begins and ends, and who said so. */
export interface Bounds {
  /** Undefined: with the first entry. */
  readonly begin: Timestamp | undefined;
  readonly said: OplogRecord['beginSaid'];
  readonly cut: Cut;
  /** Nothing came behind the last entry: with it the dump ended. */
  readonly isWhole?: boolean;
}

function boundsOf(order: RollOrder, span: Span | undefined): Bounds {
  const { oplog, source } = order;
  const { at } = source;
  if (oplog.kind === 'backup') return { begin: undefined, said: 'dump', cut: 'end' };
  if (at === undefined) throw new RestorePlanError('PLAN_INVALID', 'source.oplog needs source.at.');
  const cut = cutOf(order.windows?.until ?? at);
  return span === undefined
    ? { begin: saidToBegin(order, at), said: 'plan', cut }
    : { begin: span.first, said: 'dump', cut };
}

export function cutOf(moment: Instant): Exclude<Cut, 'end'> {
  return moment.ts === undefined ? { wall: moment.epochMs } : { ts: moment.ts };
}

export interface Following {
  readonly order: RollOrder;
  readonly collections: readonly WantedCollection[];
  readonly bounds: Bounds;
  readonly span: Span | undefined;
  /** Undefined: it is of no cluster. */
  readonly shard?: ShardScope;
}

export interface Followed {
  readonly replay: ReplayResult;
  readonly record: OplogRecord;
  /** Something proves that it is the oplog of the set that was dumped: its entries, or that the server has a collection of the dump. */
  readonly isOfDump: boolean;
}

/** Hands the entries to a replay, which is closed again where they are not enough. */
export async function follow(run: Run, entries: EntrySource, given: Following): Promise<Followed> {
  const { bounds, collections, order, shard } = given;
  const { origin } = entries;
  const looksOn = bounds.cut !== 'end';
  const { at } = order.source;
  const windows = order.windows && at && { at: cutOf(at), views: order.windows.views };
  const scope = { ...bounds, looksOn, collections, shard, spillPath: order.spillPath };
  const replay = new Replay({ ...scope, ...(windows && { windows }) });
  try {
    const first = await handOver(run, entries, { replay, given });
    const ends = await endsOf(entries, { given, replay, first });
    const result = following(origin, replay, () => replay.finish());
    refuseLaterDump(entries, given, { result, cut: windows === undefined ? ends.cut : replay.momentAt });
    const isOfDump = result.entriesUsed > 0 || (await hasCollectionOf(entries, collections));
    return { replay: result, record: recordOf(origin, result, ends), isOfDump };
  } catch (error) {
    replay.close();
    throw error;
  }
}

/**
 * The first entry that was handed over; undefined where there was none. Behind the cut nothing is needed any more: what cannot be read there is
 * told, and no error.
 */
async function handOver(
  run: Run,
  entries: EntrySource,
  { replay, given: { bounds, collections, span } }: { readonly replay: Replay; readonly given: Following },
): Promise<Moment | undefined> {
  const { origin } = entries;
  let first: Moment | undefined;
  const passed = { before: 0, behind: 0 };
  let isOwn = span === undefined || (span.isLoose && entries.isLoose);
  const take = (bytes: Buffer, start: number): boolean => {
    const isOfUse = replay.entry(bytes, start);
    first ??= replay.last;
    isOwn ||= compareTimestamps(replay.last as Moment, (span as Span).first) === 0;
    return isOfUse;
  };
  try {
    const range = { ...bounds, from: bounds.begin, collections };
    let before: Moment | undefined;
    for await (const { bytes, starts, count } of entries.entries(range)) {
      run.signal.throwIfAborted();
      let i = 0;
      try {
        while (i < count && take(bytes, starts[i] as number)) i++;
      } catch (fault) {
        const good = i === 0 ? before : momentAt(bytes, starts[i - 1] as number);
        throw faultAtEntry(origin, fault, { current: replay.current, good });
      }
      if (i < count) break;
      before = momentAt(bytes, starts[count - 1] as number);
      const read = (starts[count] as number) - (starts[0] as number);
      if (replay.cutAt === undefined) passed.before += read;
      else passed.behind += read;
      if (!replay.awaitsOutcome && isFarEnough(replay, passed)) break;
    }
  } catch (error) {
    const isNeeded = replay.cutAt === undefined || replay.awaitsOutcome;
    if (isNeeded || !(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
    replay.laterEndsWith(error.message);
  }
  if (!isOwn && first !== undefined && !replay.isPartial) throw anotherSet(origin, (span as Span).first);
  return first;
}

/** How far is looked on behind the cut: a day, and no more bytes than before it, or these. */
const LATER_MS = 24 * 3_600_000;
const LATER_BYTES = 256 * 1024 * 1024;

function isFarEnough(
  { cutAt, last }: Replay,
  { before, behind }: { readonly before: number; readonly behind: number },
): boolean {
  if (cutAt === undefined || last === undefined) return false;
  return timeOf(last) - timeOf(cutAt) > LATER_MS || behind > Math.max(before, LATER_BYTES);
}

function momentAt(bytes: Buffer, start: number): Moment {
  return momentOf(new OplogEntry().read(bytes, start));
}

/** What cannot be followed, with what the entries before it are good for. */
function faultAtEntry(
  origin: string,
  fault: unknown,
  { current, good }: { readonly current: string | undefined; readonly good: Moment | undefined },
): unknown {
  const told = faultTold(current === undefined ? origin : `${origin} at the entry ${current}`, fault);
  return told instanceof RestorePlanError && told.hint?.includes('source.at')
    ? told
    : withUsable(told, { last: good, cause: fault });
}

/** Where the replay began and ended. Throws where the oplog does not reach so far, or the dump ended later. */
async function endsOf(
  entries: EntrySource,
  {
    given,
    replay,
    first,
  }: { readonly given: Following; readonly replay: Replay; readonly first: Moment | undefined },
): Promise<Ends> {
  const { bounds, order } = given;
  const { at } = order.source;
  const { said } = bounds;
  if (bounds.cut === 'end') {
    const last = replay.last as Moment;
    if (at !== undefined && at.epochMs < last.wall) throw endsLater(entries.origin, last, { at: at.text });
    const cut = { seconds: last.seconds, ordinal: last.ordinal + 1 };
    return { begin: bounds.begin ?? (first as Moment), said, cut, wall: last.wall };
  }
  let cutAt = cutFound(replay.cutAt, bounds.cut);
  if (cutAt === undefined) {
    const last = await entries.last();
    cutAt = cutByName(bounds.isWhole === true ? timeless(last) : last, bounds.cut);
    if (cutAt === undefined) throw endsBefore(entries.origin, last, momentText(given));
  }
  return { begin: bounds.begin as Timestamp, said, cut: cutAt, wall: cutAt.wall };
}

/**
 * Throws where the dump ended behind the cut. Those of shards end one after the other: there it is enough that nothing happened to the wanted
 * documents between.
 */
function refuseLaterDump(
  { origin }: EntrySource,
  { span, order, shard, bounds }: Following,
  { result, cut }: { readonly result: ReplayResult; readonly cut: Timestamp | undefined },
): void {
  if (span === undefined || bounds.cut === 'end') return;
  // Entries that do not matter may not have been read: with windows, the first behind the moment may be a later one.
  const { windows, source } = order;
  const isInside = windows !== undefined && source.at !== undefined && isBehind(span.last, cutOf(source.at));
  if (!isInside && (cut === undefined || compareTimestamps(cut, span.last) > 0)) return;
  const { operationsLater, laterNotes, laterFault, last } = result;
  const isQuiet = operationsLater === 0 && laterNotes.length === 0 && laterFault === undefined;
  const isSeen = last !== undefined && compareTimestamps(last, span.last) >= 0;
  if (shard !== undefined && isQuiet && isSeen) return;
  const { at } = order.source;
  throw endsLater(shard === undefined ? order.backup.identity.location : origin, span.last, {
    at: at?.text,
    ...(cut && { cut }),
  });
}

/** What the cut is at, for messages. */
function momentText({ order: { source, windows }, bounds: { cut } }: Following): string {
  if (windows !== undefined) return `${windows.until.text}, until when the plan asks what happened`;
  const named = source.at === undefined ? 'the common cut of all shards' : `source.at ${source.at.text}`;
  return cut !== 'end' && 'ts' in cut && source.at?.ts === undefined
    ? `${named} (${showMoment(timeless(cut.ts))})`
    : named;
}

interface Ends {
  readonly begin: Timestamp;
  readonly said: OplogRecord['beginSaid'];
  readonly cut: Timestamp;
  readonly wall: number;
}

/** A cut that the plan names by its timestamp is that one, also where there is no such entry. */
function cutFound(found: Moment | undefined, cut: Exclude<Cut, 'end'>): Moment | undefined {
  if (found === undefined || 'wall' in cut || compareTimestamps(found, cut.ts) === 0) return found;
  return timeless(cut.ts);
}

/** For an end that a name tells: what is cut before that, or by time behind it, as far as clocks and timestamps differ. */
export function cutByName(last: Moment, cut: Exclude<Cut, 'end'>): Moment | undefined {
  if (!Number.isNaN(last.wall)) return undefined;
  const behind = { ...last, ordinal: last.ordinal + 1 };
  if ('ts' in cut) return compareTimestamps(cut.ts, behind) <= 0 ? timeless(cut.ts) : undefined;
  return (last.seconds - 1) * 1000 >= cut.wall ? behind : undefined;
}

function recordOf(source: string, result: ReplayResult, { begin, said, cut, wall }: Ends): OplogRecord {
  return {
    source,
    begin: [begin.seconds, begin.ordinal],
    beginSaid: said,
    cut: [cut.seconds, cut.ordinal],
    ...(!Number.isNaN(wall) && { cutWall: wall }),
    entries: result.entriesUsed,
    sha256: result.sha256,
    ...(result.cut && result.last && { laterUntil: [result.last.seconds, result.last.ordinal] as const }),
  };
}

export function warningsOf({ record, replay, isOfDump }: Followed, ofSource: readonly string[]): string[] {
  const { source, begin, beginSaid, cut, cutWall = cut[0] * 1000 } = record;
  const { notes, laterNotes, laterFault } = replay;
  const unproven =
    `the documents are exact if the dump began after ${showIsoDate(begin[0] * 1000)} and was finished before ${showIsoDate(cutWall)}; ` +
    'the dump does not say so itself';
  return [
    ...notes,
    ...ofSource,
    ...(beginSaid === 'plan' ? [unproven] : []),
    ...(isOfDump
      ? []
      : [
          'no entry of it touches a collection of this plan, and nothing proves that it is the oplog of the set that was dumped: ' +
            'the documents are those of the backup',
        ]),
    ...laterNotes.map((note) => `later than source.at: ${note}`),
    ...(laterFault === undefined
      ? []
      : [`what happened to documents later than source.at is not known to the end: ${laterFault}`]),
  ].map((note) => `${source}: ${note}`);
}

export function endsLater(
  origin: string,
  last: Moment,
  { at, cut }: { readonly at: string | undefined; readonly cut?: Timestamp },
): RestorePlanError {
  if (at === undefined)
    return oplogError(
      origin,
      `the dump ended at ${showMoment(last)}, and that of another shard before ${showMoment(timeless(cut as Timestamp))}: documents were written between, so the dumps are not of one moment`,
      'Name oplogs that go on, in source.oplog.shards: `mongodb`, `path` or `s3`, with source.at later than the end of every dump.',
    );
  return oplogError(
    origin,
    `the dump ended at ${showMoment(last)}, later than source.at ${at}`,
    'Documents cannot be rolled back. Take an earlier backup (an earlier source.at finds it), or a later moment.',
  );
}

export function endsBefore(origin: string, newest: Moment, end: string): RestorePlanError {
  return oplogError(
    origin,
    `its newest entry is ${showMoment(newest)}, before ${end}`,
    'Until then nobody knows what else happened. A server that nobody writes to makes an entry every ten seconds: run again in a moment.',
  );
}

function anotherSet(origin: string, first: Timestamp): RestorePlanError {
  return oplogError(
    origin,
    `it has no entry ${showTimestamp(first)}, with which the backup's own oplog begins`,
    'It is the oplog of another replica set. Name the one that the backup was taken of.',
  );
}
