/**
 * From a backup and a plan's oplog to the backup as it was at a later moment.
 *
 * 1. The backup says the UUIDs of the collections; a collection is followed by it.
 * 2. Where a replay begins: with the oplog that the dump took along, or where the plan says that the dump began. A replay that begins too
 *    early is exact all the same, one that begins too late is not.
 * 3. Where it ends: before the first entry that was written at `at` or later; or with the dump's own oplog.
 * 4. The entries between are followed, and the backup is read through what they did (`Rolling`).
 */
import type { Backup, CollectionMetadata } from '../backup/backup.ts';
import { DocumentFramer } from '../backup/readers/document-framer.ts';
import { showIsoDate } from '../bson/iso-date.ts';
import { RestorePlanError } from '../errors.ts';
import type { Instant } from '../plan/instant.ts';
import type { Source } from '../plan/plan.ts';
import type { OplogPlan } from '../plan/sources/oplog.ts';
import type { Run } from '../run.ts';
import { compareTimestamps, OplogEntry, showTimestamp, type Timestamp } from './entry.ts';
import { following, oplogError } from './follow.ts';
import { LiveOplog, type Moment, showMoment } from './live-oplog.ts';
import { Replay, type ReplayResult } from './replay.ts';
import { Rolling } from './rolled-backup.ts';
import { savedEntries } from './saved-oplog.ts';
import type { WantedCollection } from './wanted.ts';

/** Clocks are rounded down to the second in timestamps, and the oplog's time may be a little behind. */
const BEGIN_MARGIN_SECONDS = 1;

/** What of an oplog was used, for the manifest and the operator. Times are `[seconds, ordinal]`, as in `at: {ts: …}`. */
export interface OplogRecord {
  /** Which oplog: `the oplog of 10.0.0.1:27017`. */
  readonly source: string;
  readonly begin: readonly [number, number];
  /** dump: the dump says itself when it began. plan: `source.oplog.begins` does, and nothing proves it. */
  readonly beginSaid: 'dump' | 'plan';
  /** The first entry that does not count. */
  readonly cut: readonly [number, number];
  /** When it was written, UTC milliseconds. Of a dump's own oplog: the last entry that counts. */
  readonly cutWall?: number;
  /** Entries that touch the plan's collections, transactions whole. */
  readonly entries: number;
  /** sha256, hex, of these entries. */
  readonly sha256: string;
}

export interface RolledForward {
  /** The backup as it was at the cut; there until `rolling` is closed. */
  readonly backup: Backup;
  readonly record: OplogRecord;
  /** What the operator should know, a sentence each. */
  readonly warnings: readonly string[];
  readonly rolling: Rolling;
}

export interface RollOrder {
  readonly source: Source;
  readonly oplog: OplogPlan;
  readonly backup: Backup;
  /** Names of every collection of the plan. */
  readonly wanted: ReadonlySet<string>;
  /** Path with which the names of temporary files begin. */
  readonly spillPath: string;
}

/** Throws RestorePlanError BACKUP where the oplog does not cover what is needed, or holds something that cannot be followed. */
export async function rollForward(run: Run, order: RollOrder): Promise<RolledForward> {
  const collections = await followed(order);
  const { oplog } = order;
  const { replay, record } =
    oplog.kind === 'backup'
      ? await byItsOwn(order, collections)
      : oplog.kind === 'path'
        ? await byFile(run, order, oplog, collections)
        : await byLive(run, order, oplog, collections);
  const rolling = new Rolling({ replay, collections, origin: record.source });
  return { backup: rolling.of(order.backup), record, warnings: warningsOf(record, replay), rolling };
}

interface Followed {
  readonly replay: ReplayResult;
  readonly record: OplogRecord;
}

/** By the oplog that the dump took along. */
async function byItsOwn(
  { source, backup, spillPath }: RollOrder,
  collections: readonly WantedCollection[],
): Promise<Followed> {
  const origin = `the oplog of ${backup.identity.location}`;
  const replay = new Replay({ collections, begin: undefined, cut: 'end', spillPath });
  try {
    const first = await followChunks(origin, replay, backup.oplog?.());
    if (first === undefined) throw noOplogInside(backup);
    const result = following(origin, replay, () => replay.finish());
    const last = result.last as Moment;
    if (source.at !== undefined && source.at.epochMs < last.wall)
      throw endsLater(origin, last, source.at.text);
    const cut = { seconds: last.seconds, ordinal: last.ordinal + 1 };
    return {
      replay: result,
      record: recordOf(origin, result, { begin: first, said: 'dump', cut, wall: last.wall }),
    };
  } catch (error) {
    replay.close();
    throw error;
  }
}

/** By the oplog of the replica set that the backup was taken of. */
async function byLive(
  run: Run,
  { source, backup, spillPath }: RollOrder,
  oplog: OplogPlan & { readonly kind: 'mongodb' },
  collections: readonly WantedCollection[],
): Promise<Followed> {
  const { at } = source;
  if (at === undefined) throw new RestorePlanError('PLAN_INVALID', 'source.oplog needs source.at.');
  const own = await spanOf(backup);
  const begin = own?.first ?? saidToBegin(oplog, at, backup);
  const live = await LiveOplog.open(run, oplog.uri);
  let replay: Replay | undefined;
  try {
    await live.refuseGap(begin);
    if (own !== undefined && !(await live.has(own.first))) throw anotherSet(live.origin, own.first);
    const cut = await live.firstSince(begin, at.epochMs);
    if (cut === undefined) throw endsBefore(live.origin, await live.newest(), at.text);
    if (own !== undefined && compareTimestamps(cut, own.last) <= 0)
      throw endsLater(backup.identity.location, own.last, at.text);
    replay = new Replay({ collections, begin, cut: { ts: cut }, spillPath });
    const whole = replay;
    await live.feed(whole, { collections, begin, before: cut });
    const result = following(live.origin, whole, () => whole.finish());
    const said = own === undefined ? 'plan' : 'dump';
    return { replay: result, record: recordOf(live.origin, result, { begin, said, cut, wall: cut.wall }) };
  } catch (error) {
    replay?.close();
    throw error;
  } finally {
    await live.close();
  }
}

/** By a file of entries, such as one that was saved before the oplog was overwritten. */
async function byFile(
  run: Run,
  { source, backup, spillPath }: RollOrder,
  oplog: OplogPlan & { readonly kind: 'path' },
  collections: readonly WantedCollection[],
): Promise<Followed> {
  const { at } = source;
  if (at === undefined) throw new RestorePlanError('PLAN_INVALID', 'source.oplog needs source.at.');
  const origin = `the oplog in ${oplog.path}`;
  const own = await spanOf(backup);
  const begin = own?.first ?? saidToBegin(oplog, at, backup);
  const replay = new Replay({ collections, begin, cut: { wall: at.epochMs }, spillPath });
  let first: Moment | undefined;
  let isOwnThere = false;
  try {
    await eachEntry(origin, savedEntries(oplog.path), (bytes, start) => {
      run.signal.throwIfAborted();
      const goesOn = following(origin, replay, () => replay.entry(bytes, start));
      const last = replay.last as Moment;
      first ??= last;
      isOwnThere ||= own !== undefined && compareTimestamps(last, own.first) === 0;
      return goesOn;
    });
    if (first === undefined)
      throw oplogError(origin, 'it is empty', 'Name a file that holds the entries of an oplog.');
    if (compareTimestamps(first, begin) > 0) throw beginsLater(origin, first, begin);
    if (own !== undefined && !isOwnThere) throw anotherSet(origin, own.first);
    const { cutAt } = replay;
    if (cutAt === undefined) throw endsBefore(origin, replay.last as Moment, at.text);
    if (own !== undefined && compareTimestamps(cutAt, own.last) <= 0)
      throw endsLater(backup.identity.location, own.last, at.text);
    const result = following(origin, replay, () => replay.finish());
    const said = own === undefined ? 'plan' : 'dump';
    return {
      replay: result,
      record: recordOf(origin, result, { begin, said, cut: cutAt, wall: cutAt.wall }),
    };
  } catch (error) {
    replay.close();
    throw error;
  }
}

interface Ends {
  readonly begin: Timestamp;
  readonly said: OplogRecord['beginSaid'];
  readonly cut: Timestamp;
  readonly wall: number;
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
  };
}

function warningsOf({ source, begin, beginSaid, entries }: OplogRecord, { notes }: ReplayResult): string[] {
  const unproven =
    `the documents are exact if the dump began after ${showIsoDate(begin[0] * 1000)} and was finished before source.at; ` +
    'the dump does not say so itself';
  return [
    ...notes,
    ...(beginSaid === 'plan' ? [unproven] : []),
    ...(entries === 0
      ? ['no entry of it touches a collection of this plan: the documents are those of the backup']
      : []),
  ].map((note) => `${source}: ${note}`);
}

/** Hands all entries to the replay; the first of them, undefined where there is none. */
async function followChunks(
  origin: string,
  replay: Replay,
  chunks: AsyncIterable<Buffer> | undefined,
): Promise<Timestamp | undefined> {
  let first: Timestamp | undefined;
  await eachEntry(origin, chunks, (bytes, start) => {
    const goesOn = following(origin, replay, () => replay.entry(bytes, start));
    first ??= replay.last;
    return goesOn;
  });
  return first;
}

/** The first and the last entry of the oplog that the dump took along; undefined where it took none. */
async function spanOf(
  backup: Backup,
): Promise<{ readonly first: Moment; readonly last: Moment } | undefined> {
  const origin = `the oplog of ${backup.identity.location}`;
  const entry = new OplogEntry();
  let first: Moment | undefined;
  let last: Moment | undefined;
  await eachEntry(origin, backup.oplog?.(), (bytes, start) => {
    const { seconds, ordinal, wall } = following(origin, {}, () => entry.read(bytes, start));
    last = { seconds, ordinal, wall };
    first ??= last;
    return true;
  });
  return first === undefined || last === undefined ? undefined : { first, last };
}

/** Shows entries, the frame of each sound, until `take` says that it needs no more. */
async function eachEntry(
  origin: string,
  chunks: AsyncIterable<Buffer> | undefined,
  take: (bytes: Buffer, start: number) => boolean,
): Promise<void> {
  if (chunks === undefined) return;
  const framer = new DocumentFramer();
  for await (const chunk of chunks) {
    const pieces = framer.push(chunk);
    for (;;) {
      const { done, value } = following(origin, {}, () => pieces.next());
      if (done) break;
      for (let i = 0; i < value.count; i++) if (!take(value.bytes, value.starts[i] as number)) return;
    }
  }
  following(origin, {}, () => framer.end());
}

/** Where the plan says that the dump began. */
function saidToBegin({ begins }: OplogPlan, at: Instant, { identity }: Backup): Timestamp {
  if (begins === undefined) {
    throw new RestorePlanError('BACKUP', `${identity.location} does not say when it was begun.`, {
      hint:
        'Say it in source.oplog.begins: a moment that is certainly no later than the start of mongodump. Earlier does no harm, later gives wrong documents. ' +
        'A dump made with `mongodump --oplog` says it itself.',
    });
  }
  if (begins.epochMs >= at.epochMs)
    throw new RestorePlanError(
      'BACKUP',
      `source.oplog.begins ${begins.text} is not before source.at ${at.text}.`,
    );
  const latest = identity.modified;
  if (latest !== undefined && begins.epochMs > latest) {
    throw new RestorePlanError(
      'BACKUP',
      `source.oplog.begins ${begins.text} is later than the end of the backup: ${identity.location} was finished at ${showIsoDate(latest)}.`,
      { hint: 'Name a moment that is certainly no later than the start of mongodump.' },
    );
  }
  return { seconds: Math.floor(begins.epochMs / 1000) - BEGIN_MARGIN_SECONDS, ordinal: 0 };
}

/** The wanted collections with their UUIDs, as the backup says them. */
async function followed({ source, backup, wanted }: RollOrder): Promise<WantedCollection[]> {
  const found = new Map<string, CollectionMetadata>();
  for (const each of (await backup.collections()) ?? [])
    if (wanted.has(each.collection)) found.set(each.collection, each);
  if (found.size === 0 && backup.holds([...wanted][0] ?? '') === undefined) {
    // A stream: its metadata lies among the documents.
    for await (const piece of backup.read(wanted)) {
      if (piece.type === 'metadata') found.set(piece.metadata.collection, piece.metadata);
      if (found.size === wanted.size) break;
    }
  }
  // What the backup lacks, or holds as something else, is refused by whoever reads it.
  return [...found.values()]
    .filter(({ type }) => type === 'collection')
    .map((metadata) => {
      const { collection } = metadata;
      return { collection, namespace: `${source.database}.${collection}`, uuid: uuidOf(metadata, backup) };
    });
}

function uuidOf({ collection, text }: CollectionMetadata, { identity }: Backup): string {
  const { uuid, options } = (text === undefined ? {} : JSON.parse(text)) as {
    readonly uuid?: unknown;
    readonly options?: { readonly capped?: unknown };
  };
  if (typeof uuid !== 'string' || !/^[0-9a-f]{32}$/i.test(uuid)) {
    throw new RestorePlanError(
      'BACKUP',
      `${identity.location} does not say the UUID of ${collection}, by which it would be followed in an oplog.`,
      {
        hint: 'mongodump writes it into the .metadata.json of each collection, since 4.0. Leave out source.oplog, or use such a dump.',
      },
    );
  }
  if (options?.capped === true) {
    throw new RestorePlanError('BACKUP', `${collection} is capped and cannot be rolled forward.`, {
      hint: 'Servers before 6.0 do not write into the oplog what a capped collection overran. Leave out source.oplog.',
    });
  }
  return uuid.toLowerCase();
}

function noOplogInside({ identity }: Backup): RestorePlanError {
  return new RestorePlanError('BACKUP', `${identity.location} holds no oplog (oplog.bson).`, {
    hint: 'Only `mongodump --oplog` of a whole replica set takes one along. Leave out source.oplog, or name another oplog there.',
  });
}

function endsLater(origin: string, last: Moment, at: string): RestorePlanError {
  return oplogError(
    origin,
    `the dump ended at ${showMoment(last)}, later than source.at ${at}`,
    'Documents cannot be rolled back. Take an earlier backup, or a later source.at.',
  );
}

function beginsLater(origin: string, first: Moment, begin: Timestamp): RestorePlanError {
  return oplogError(
    origin,
    `it begins at ${showMoment(first)}, and is needed from ${showTimestamp(begin)} on (${showIsoDate(begin.seconds * 1000)})`,
    'What lies between is missing. Name a file that reaches further back, or take a newer backup.',
  );
}

function endsBefore(origin: string, newest: Moment, at: string): RestorePlanError {
  return oplogError(
    origin,
    `its newest entry is ${showMoment(newest)}, before source.at ${at}`,
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
