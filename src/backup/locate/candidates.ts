/**
 * The backups that a template finds, those nearest to the wanted moment kept. However many lie there, memory holds a
 * few hundred of them.
 */
import type { LocationTemplate } from '../../plan/location-template.ts';
import type { Store } from '../storage/store.ts';
import {
  type BackupTime,
  isPossible,
  type LocalFields,
  readBackupTime,
  searchTemplate,
  wallClock,
  wallClockAt,
} from './search-template.ts';

export interface Candidate {
  /** Full path or key; whether something readable lies there is not known yet. */
  readonly path: string;
  /** Undefined where the template has no `{time}`. */
  readonly time: BackupTime | undefined;
  /** The time as the name spells it. */
  readonly fields: LocalFields;
}

export interface Candidates {
  /** At or before the wanted moment by their name, newest first; one that can be read in two ways, by its earlier one. */
  readonly before: readonly Candidate[];
  /** After it, the nearest first. */
  readonly after: readonly Candidate[];
  /** A few hundred of those whose names tell a time that there is in no zone, such as 24:00: nobody knows where they belong. */
  readonly unplaced: readonly Unplaced[];
  /** Everything that matched the template. */
  readonly total: number;
}

/** A match whose name tells no possible time. */
export type Unplaced = Pick<Candidate, 'path' | 'fields'>;

/** Kept on each side. Further ones are never chosen: dozens nearer to the moment would have to be unfit. */
const KEPT = 200;

interface CandidateSearch {
  readonly template: LocationTemplate;
  /** Zone of the times in names. */
  readonly timezone: string;
  /** UTC milliseconds; undefined where the template has no `{time}`. */
  readonly at: number | undefined;
}

export async function findCandidates(store: Store, search: CandidateSearch): Promise<Candidates> {
  const { template, timezone, at } = search;
  const hasTime = template.fields.length > 0;
  // Sorting by the clock on the wall is cheap; only what is kept is read as a time in its zone.
  const moment = at === undefined ? Number.POSITIVE_INFINITY : wallClockAt(at, timezone);
  const before = new Nearest(moment);
  const after = new Nearest(moment);
  const unplaced = new Map<string, Unplaced>();
  let total = 0;
  for await (const { path, fields } of searchTemplate(store, template)) {
    total++;
    if (hasTime && !isPossible(fields)) {
      if (unplaced.size < KEPT) unplaced.set(path, { path, fields });
      continue;
    }
    const wall = hasTime ? wallClock(fields) : 0;
    (wall <= moment ? before : after).add({ path, wall, fields });
  }
  const found = [...before.items(), ...after.items()].map(({ path, fields }): Candidate => {
    return { path, fields, time: hasTime ? readBackupTime(fields, timezone) : undefined };
  });
  const isBefore = (candidate: Candidate): boolean => at === undefined || earliest(candidate) <= at;
  return {
    before: found.filter(isBefore).sort((a, b) => earliest(b) - earliest(a) || (a.path < b.path ? 1 : -1)),
    after: found.filter((one) => !isBefore(one)).sort((a, b) => earliest(a) - earliest(b)),
    unplaced: [...unplaced.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
    total,
  };
}

/** The first instant that the name can mean. */
export function earliest({ time }: Candidate): number {
  if (time === undefined) return 0;
  return time.kind === 'once' ? time.epochMs : time.readings[0];
}

interface Item {
  readonly path: string;
  readonly wall: number;
  readonly fields: LocalFields;
}

/** Keeps the items nearest to a moment, each path once; sorts only now and then. */
class Nearest {
  readonly #moment: number;
  #items = new Map<string, Item>();

  constructor(moment: number) {
    this.#moment = moment;
  }

  add(item: Item): void {
    this.#items.set(item.path, item);
    if (this.#items.size >= 4 * KEPT) this.#items = new Map(this.items().map((kept) => [kept.path, kept]));
  }

  items(): Item[] {
    const distance = ({ wall }: Item): number =>
      Math.abs(Math.min(this.#moment, Number.MAX_SAFE_INTEGER) - wall);
    return [...this.#items.values()].sort((a, b) => distance(a) - distance(b)).slice(0, KEPT);
  }
}
