/**
 * From the backup of a sharded cluster and the oplog of each shard to the backup as it was at one later moment.
 *
 * 1. Each shard's part of the backup is rolled forward by the oplog of that shard, as that of a replica set is (roll-forward.ts).
 * 2. All are cut at one timestamp: the lowest at which the clock of any shard reaches `at`. Timestamps follow causality across shards, clocks
 *    do not. A transaction of several shards was committed at one timestamp on all of them, so it counts whole or not at all.
 * 3. What migrations did is rolled as everything else, so that each part is what the shard held; it changes no document. What a part holds of a
 *    document that another shard wrote last is an orphan, and left out (shard-writes.ts). A document that two parts hold alike counts once, one that
 *    they hold differently is refused by whoever joins them.
 */
import { createHash } from 'node:crypto';
import { around, type Backup, type OplogSlices } from '../../backup/backup.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Instant } from '../../plan/instant.ts';
import { endsWithDump, type ShardOplogs } from '../../plan/sources/oplog.ts';
import type { Run } from '../../run.ts';
import { type Span, saidToBegin, spanOf, wantedIn } from '../dump.ts';
import {
  type Cut,
  compareTimestamps,
  isBehind,
  type Moment,
  momentOf,
  OplogEntry,
  type Timestamp,
} from '../entry.ts';
import { oplogError } from '../faults.ts';
import { RecordLog } from '../record-log.ts';
import {
  type Bounds,
  cutByName,
  cutOf,
  endsBefore,
  type Followed,
  follow,
  type OplogRecord,
  type RolledForward,
  type RollOrder,
  type ShardRecord,
  warningsOf,
} from '../roll-forward.ts';
import { isOfShard, noOplogFor, Rolling } from '../rolled-backup.ts';
import type { EntrySource } from '../sources/entry-source.ts';
import { openEntries } from '../sources/open-entries.ts';
import { AcrossShards } from '../windows/across-shards.ts';
import { ShardWrites } from './shard-writes.ts';

/** One shard, with its oplog open. */
interface OpenShard {
  readonly folder: string;
  readonly order: RollOrder;
  readonly entries: EntrySource;
  readonly span: Span | undefined;
  readonly begin: Pick<Bounds, 'said'> & { readonly begin: Timestamp };
}

/** Throws RestorePlanError BACKUP where an oplog does not cover what is needed, or holds something that cannot be followed. */
export async function rollShards(run: Run, order: RollOrder<ShardOplogs>): Promise<RolledForward> {
  const { backup, oplog } = order;
  requireFolders(backup, oplog);
  const shards: OpenShard[] = [];
  const followed: Followed[] = [];
  const moves = new RecordLog(`${order.spillPath}moves`);
  const close = (): void => {
    for (const { replay } of followed) replay.close();
    moves.close();
  };
  try {
    for (const { folder, oplog: one } of oplog.shards)
      shards.push(await openShard(run, { ...order, oplog: one }, folder));
    refuseMistaken(shards);
    const common = await commonCut(run, shards, order);
    const [first] = shards as [OpenShard];
    const collections = await wantedIn({ ...first.order, backup });
    const writes = collections.map(() => new ShardWrites(moves));
    const { windows } = order;
    const across = collections.map(({ collection }) =>
      (windows?.views.get(collection)?.windows ?? []).map(({ kind }) => new AcrossShards(kind, moves)),
    );
    for (const [number, { entries, order, span, begin }] of shards.entries()) {
      // Each clock says by itself what lies in a window; documents as of one moment have one cut.
      const cut = windows === undefined ? common : cutOf(windows.until);
      const bounds = { ...begin, cut, isWhole: order.oplog.kind === 'backup' };
      const shard = { number, writes, across };
      const ofShard = { ...order, source: { ...order.source, at: momentAt(order.source.at, common) } };
      followed.push(await follow(run, entries, { order: ofShard, collections, bounds, span, shard }));
    }
    const parts = shards.map(({ folder, entries: { origin } }, i) => {
      const { replay } = followed[i] as Followed;
      return { folder, origin: `${folder}: ${origin}`, replay, views: windows?.views };
    });
    const rolling = new Rolling(parts, collections, { writes, close: () => moves.close() });
    const records = followed.map(({ record }, i) => ({ folder: (shards[i] as OpenShard).folder, record }));
    const warnings = followed.flatMap((each, i) => {
      const { folder, entries } = shards[i] as OpenShard;
      return warningsOf(each, entries.notes).map((warning) => `${folder}: ${warning}`);
    });
    return { backup: rolling.of(backup), record: recordOf(records), warnings, rolling };
  } catch (error) {
    close();
    throw error;
  } finally {
    for (const { entries } of shards) await entries.close();
  }
}

/** `at`, as the timestamp that it comes to on every shard. */
function momentAt(at: Instant | undefined, common: Exclude<Cut, 'end'>): Instant | undefined {
  return at && 'ts' in common ? { ...at, ts: common.ts } : at;
}

/** Throws BACKUP unless each part of the backup has its oplog and each oplog its part, as far as that is known before the backup is read. */
function requireFolders(backup: Backup, { shards }: ShardOplogs): void {
  const { identity } = backup;
  const folders = backup.parts?.();
  if (folders === undefined) return;
  for (const { folder } of shards) {
    const [part, second] = folders.filter((one) => isOfShard(one, folder));
    if (part !== undefined && second === undefined) continue;
    throw new RestorePlanError(
      'BACKUP',
      part === undefined
        ? `${identity.location} has no folder ${folder}, for which source.oplog.shards names an oplog.`
        : `source.oplog.shards.${folder} may mean ${part} and ${second} of ${identity.location}.`,
      { hint: `Name the folders that hold the dumps of the shards: ${folders.join(', ')}.` },
    );
  }
  for (const part of folders)
    if (!shards.some(({ folder }) => isOfShard(part, folder))) throw noOplogFor(part);
}

async function openShard(run: Run, { oplog, ...order }: RollOrder, folder: string): Promise<OpenShard> {
  const backup = partOf(order.backup, folder);
  const spillPath = `${order.spillPath}${folder.replace(/[^A-Za-z0-9]/g, '-')}-`;
  const own = { ...order, oplog, backup, spillPath };
  const span = await spanOf(own);
  const begin = span === undefined ? beginSaid(own) : { begin: span.first, said: 'dump' as const };
  const entries = await openEntries(run, oplog, { ...own, shard: folder });
  return { folder, order: own, entries, span, begin };
}

function beginSaid(order: RollOrder): OpenShard['begin'] {
  const { at } = order.source;
  if (at === undefined || order.oplog.kind === 'backup')
    throw new RestorePlanError('BACKUP', `${order.backup.identity.location} holds no oplog (oplog.bson).`, {
      hint: 'Only `mongodump --oplog` of a whole replica set takes one along; for a sharded cluster, of each shard.',
    });
  return { begin: saidToBegin(order, at), said: 'plan' };
}

/** What of a backup is one shard's. */
export function partOf(backup: Backup, folder: string): Backup {
  const { identity } = backup;
  const slices = async (): Promise<OplogSlices[]> =>
    ((await backup.slices?.()) ?? []).filter(({ part }) => isOfShard(part, folder));
  return around(backup, {
    identity: { ...identity, location: `${folder} of ${identity.location}` },
    oplog: () => backup.oplog?.((part) => isOfShard(part, folder)) ?? nothing(),
    ...(backup.slices && { slices }),
    close: async () => undefined,
  });
}

async function* nothing(): AsyncGenerator<Buffer> {}

/** Throws BACKUP where two shards have the oplog of one replica set, or one that has the name of another one's folder. */
function refuseMistaken(shards: readonly OpenShard[]): void {
  const known = new Map<string, string>();
  for (const { folder, entries } of shards) {
    const { setName, origin } = entries;
    if (setName === undefined) continue;
    const other =
      known.get(setName) ?? shards.find((one) => one.folder !== folder && one.folder === setName)?.folder;
    known.set(setName, folder);
    if (other === undefined) continue;
    throw oplogError(
      origin,
      `it is that of the replica set ${setName}, named for ${folder} as well as for ${other}`,
      'Each shard has an oplog of its own: name the members of each in source.oplog.shards.',
    );
  }
}

/** The lowest timestamp at which the clock of any shard reaches `source.at`; of dumps with their own oplogs, the end of the one that ended first. */
async function commonCut(
  run: Run,
  shards: readonly OpenShard[],
  { source, oplog }: RollOrder<ShardOplogs>,
): Promise<Exclude<Cut, 'end'>> {
  const { at } = source;
  if (endsWithDump(oplog)) {
    const ends = shards.map(({ span }) => span?.last as Moment);
    const { seconds, ordinal } = ends.reduce((a, b) => (compareTimestamps(b, a) < 0 ? b : a));
    return { ts: { seconds, ordinal: ordinal + 1 } };
  }
  if (at === undefined) throw new RestorePlanError('PLAN_INVALID', 'source.oplog needs source.at.');
  if (at.ts !== undefined) return { ts: at.ts };
  const wall = { wall: at.epochMs };
  let lowest: Moment | undefined;
  for (const { entries, begin } of shards) {
    const found =
      (await firstBehind(run, entries, { from: begin.begin, cut: wall })) ??
      cutByName(await entries.last(), wall);
    if (found !== undefined && (lowest === undefined || compareTimestamps(found, lowest) < 0)) lowest = found;
  }
  const [{ entries }] = shards as [OpenShard];
  if (lowest === undefined) throw endsBefore(entries.origin, await entries.last(), `source.at ${at.text}`);
  return { ts: { seconds: lowest.seconds, ordinal: lowest.ordinal } };
}

async function firstBehind(
  run: Run,
  entries: EntrySource,
  { from, cut }: { readonly from: Timestamp; readonly cut: Exclude<Cut, 'end'> },
): Promise<Moment | undefined> {
  const entry = new OplogEntry();
  for await (const { bytes, starts, count } of entries.entries({ from, cut, collections: [] })) {
    run.signal.throwIfAborted();
    for (let i = 0; i < count; i++) {
      entry.read(bytes, starts[i] as number);
      if (compareTimestamps(entry, from) >= 0 && isBehind(entry, cut)) return momentOf(entry);
    }
  }
  return undefined;
}

/** All shards together, and each. */
function recordOf(
  records: readonly { readonly folder: string; readonly record: OplogRecord }[],
): OplogRecord {
  const shards = records.map(
    ({ folder, record: { cut: _cut, cutWall: _wall, shards: _none, ...own } }): ShardRecord => ({
      folder,
      ...own,
    }),
  );
  const [{ record: first }] = records as readonly [(typeof records)[number]];
  const walls = records.flatMap(({ record: { cutWall } }) => cutWall ?? []);
  const earliest = shards.reduce((a, b) => (before(b.begin, a.begin) ? b : a));
  const untils = shards.flatMap(({ laterUntil }) => (laterUntil === undefined ? [] : [laterUntil]));
  const hash = createHash('sha256');
  for (const { sha256 } of shards) hash.update(sha256, 'hex');
  return {
    source: shards.map(({ folder, source }) => `${folder}: ${source}`).join('; '),
    begin: earliest.begin,
    beginSaid: shards.some(({ beginSaid }) => beginSaid === 'plan') ? 'plan' : 'dump',
    cut: first.cut,
    ...(walls.length > 0 && { cutWall: Math.min(...walls) }),
    entries: shards.reduce((sum, { entries }) => sum + entries, 0),
    sha256: hash.digest('hex'),
    ...(untils.length === shards.length && { laterUntil: untils.reduce((a, b) => (before(b, a) ? b : a)) }),
    shards,
  };
}

function before(
  [seconds, ordinal]: readonly [number, number],
  [other, second]: readonly [number, number],
): boolean {
  return seconds < other || (seconds === other && ordinal < second);
}
