/** What is told of the oplog by which documents were rolled forward. */
import type { SelectionManifest } from '../selection/selection.ts';
import { showCount, showCounted } from '../text/quantities.ts';

/** As `--json` and written reports have it. */
export interface OplogTold {
  /** Which oplog; no credentials. */
  readonly source: string;
  /** `seconds,ordinal` of the entry that the replay begins with. */
  readonly begin: string;
  /** dump: the dump says itself when it began. plan: only the plan does. */
  readonly beginSaid: 'dump' | 'plan';
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
}

/** Undefined where the documents are as the backup has them. */
export function oplogTold({ oplog, collections }: SelectionManifest): OplogTold | undefined {
  if (oplog === undefined) return undefined;
  const { source, begin, beginSaid, cut, cutWall, entries, sha256 } = oplog;
  const sum = (count: (one: SelectionManifest['collections'][number]) => number | undefined): number =>
    collections.reduce((total, one) => total + (count(one) ?? 0), 0);
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
  };
}

export function oplogSentences({
  source,
  begin,
  cut,
  cutTime,
  entries,
  rolled,
  inserted,
}: OplogTold): string[] {
  const from = new Date(Number(begin.split(',')[0]) * 1000).toISOString().replace('.000Z', 'Z');
  return [
    `${source}, from ${from} (${begin}) up to, not including, ${cut}${cutTime === undefined ? '' : ` (${cutTime})`}`,
    `${showCounted(entries, 'entry', 'entries')} used; ${showCounted(rolled, 'document')} rolled forward, ${showCount(inserted)} inserted after the backup`,
  ];
}
