/** What is told of the oplog by which documents were rolled forward. */
import { type DocumentPast, LATER_ENDS, type LaterEnd } from '../oplog/later.ts';
import { deletedBeforeText, type SelectionManifest } from '../selection/selection.ts';
import { showCount, showCounted } from '../text/quantities.ts';

/** As `--json` and written reports have it. */
export interface OplogTold {
  /** Which oplog; no credentials. */
  readonly source: string;
  /** `seconds,ordinal` of the entry that the replay begins with. */
  readonly begin: string;
  /** dump: the dump says itself when it began. plan: only the plan does. oplog: there is no dump, the oplog stands by itself. */
  readonly beginSaid: 'dump' | 'plan' | 'oplog';
  /** The first entry that does not count, alike. */
  readonly cut: string;
  /** ISO 8601, UTC: when that entry was written, or the last one that counts where there is none behind it. */
  readonly cutTime?: string;
  /** Entries that touch the plan's collections, and the sha256 of all of them. */
  readonly entries: number;
  readonly sha256: string;
  /** Of the selected documents: how many it changed, and how many it alone has. */
  readonly rolled: number;
  readonly inserted: number;
  /** What happened to how many of them behind the cut; absent where nobody looked. */
  readonly later?: LaterTold;
  /** Documents that the plan matches as they were just before they were deleted, before the cut; absent where there are none, and of shards. */
  readonly deletedBefore?: readonly DeletedTold[];
  /** Of a sharded cluster, the oplog of each shard; `begin`, `entries` and `sha256` above are then of all of them together. */
  readonly shards?: readonly ShardTold[];
}

/** `folder`: that of the backup. */
export interface ShardTold extends Pick<OplogTold, 'source' | 'begin' | 'beginSaid' | 'entries' | 'sha256'> {
  readonly folder: string;
}

export interface DeletedTold {
  readonly collection: string;
  readonly count: number;
  /** ISO 8601, UTC: when the last of them was deleted. */
  readonly last: string;
}

export interface LaterTold extends Readonly<Record<LaterEnd, number>> {
  /** ISO 8601, UTC: as far as the oplog was looked at. */
  readonly until: string;
}

/** What the oplog knows of one document, as `--json` and written reports have it. */
export interface PastTold {
  /** Where the document comes from: oplog: an entry of it inserted the document, after the backup where there is one. */
  readonly base: 'backup' | 'oplog';
  /** Entries that made it what it is. */
  readonly changes: number;
  readonly later?: {
    readonly end: LaterEnd;
    readonly changes: number;
    /** ISO 8601, UTC: when the first and the last of these changes were made. */
    readonly first: string;
    readonly last: string;
  };
}

export function pastTold({ changes, isInserted, later }: DocumentPast): PastTold {
  return {
    base: isInserted ? 'oplog' : 'backup',
    changes,
    ...(later && {
      later: {
        end: later.end,
        changes: later.changes,
        first: new Date(later.first).toISOString(),
        last: new Date(later.last).toISOString(),
      },
    }),
  };
}

/** The same in words, without a full stop. */
export function pastText({ base, changes, later }: PastTold): string {
  const before =
    base === 'oplog'
      ? `inserted by the oplog${changes > 1 ? `, ${showCounted(changes - 1, 'later change')}` : ''}`
      : changes === 0
        ? 'as in the backup'
        : `rolled forward, ${showCounted(changes, 'change')}`;
  return later === undefined ? before : `${before}; afterwards ${laterText(later)}`;
}

function laterText({ end, changes, first, last }: NonNullable<PastTold['later']>): string {
  switch (end) {
    case 'deleted':
      return `deleted at ${last}`;
    case 'changed':
      return changes === 1
        ? `changed at ${last}`
        : `changed ${showCount(changes)} times, first at ${first}, last at ${last}`;
    case 'insertedAgain':
      return `deleted and inserted again, first at ${first}, last at ${last}`;
    case 'deletedAgain':
      return `deleted, inserted again and deleted again, first at ${first}, last at ${last}`;
  }
}

/** Undefined where the documents are as the backup has them. */
export function oplogTold({ oplog, collections }: SelectionManifest): OplogTold | undefined {
  if (oplog === undefined) return undefined;
  const { source, begin, beginSaid, cut, cutWall, entries, sha256, laterUntil, shards } = oplog;
  const sum = (count: (one: SelectionManifest['collections'][number]) => number | undefined): number =>
    collections.reduce((total, one) => total + (count(one) ?? 0), 0);
  const deletedBefore = collections.flatMap(({ collection, deletedBefore: deleted }) =>
    deleted === undefined
      ? []
      : [{ collection, count: deleted.count, last: new Date(deleted.last).toISOString() }],
  );
  return {
    source,
    begin: begin.join(','),
    beginSaid,
    cut: cut.join(','),
    ...(cutWall !== undefined && { cutTime: new Date(cutWall).toISOString() }),
    entries,
    sha256,
    rolled: sum(({ rolled }) => rolled),
    inserted: sum(({ inserted }) => inserted),
    ...(laterUntil !== undefined && {
      later: {
        until: isoSeconds(laterUntil[0]),
        changed: sum(({ later }) => later?.changed),
        deleted: sum(({ later }) => later?.deleted),
        insertedAgain: sum(({ later }) => later?.insertedAgain),
        deletedAgain: sum(({ later }) => later?.deletedAgain),
      },
    }),
    ...(deletedBefore.length > 0 && { deletedBefore }),
    ...(shards !== undefined && {
      shards: shards.map(({ laterUntil: _, ...each }) => ({ ...each, begin: each.begin.join(',') })),
    }),
  };
}

export function oplogSentences({
  source,
  begin,
  beginSaid,
  cut,
  cutTime,
  entries,
  rolled,
  inserted,
  later,
  deletedBefore = [],
  shards,
}: OplogTold): string[] {
  const from = (ts: string): string => `from ${isoSeconds(Number(ts.split(',')[0]))} (${ts})`;
  const upTo = `up to, not including, ${cut}${cutTime === undefined ? '' : ` (${cutTime})`}`;
  const which =
    shards === undefined
      ? [`${source}, ${from(begin)} ${upTo}`]
      : [
          `those of ${showCounted(shards.length, 'shard')}, all ${upTo}`,
          ...shards.map(
            (each) =>
              `${each.folder}: ${each.source}, ${from(each.begin)}, ${showCounted(each.entries, 'entry', 'entries')} used`,
          ),
        ];
  return [
    ...which,
    `${showCounted(entries, 'entry', 'entries')} used; ${
      beginSaid === 'oplog'
        ? `no backup: it holds ${showCounted(inserted, 'document')} from the insert on`
        : `${showCounted(rolled, 'document')} rolled forward, ${showCount(inserted)} inserted after the backup`
    }`,
    ...(later === undefined ? [] : [laterSentence(later)]),
    ...deletedBefore.map(
      ({ collection, count, last }) =>
        `${collection}: ${deletedBeforeText(count, last)}, and not restored; an earlier moment, or \`deleted\`, brings back what was deleted`,
    ),
  ];
}

const LATER_WORDS: Readonly<Record<LaterEnd, string>> = {
  changed: 'changed',
  deleted: 'deleted',
  insertedAgain: 'deleted and inserted again',
  deletedAgain: 'deleted, inserted again and deleted again',
};

function laterSentence({ until, ...counts }: LaterTold): string {
  const parts = LATER_ENDS.filter((end) => counts[end] > 0).map(
    (end) => `${showCount(counts[end])} ${LATER_WORDS[end]}`,
  );
  return `afterwards, until ${until}: ${parts.length === 0 ? 'none of them changed' : parts.join(', ')}`;
}

function isoSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
