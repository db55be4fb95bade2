/**
 * The runs of a history: as many as somebody can read, whatever an oplog holds.
 *
 * Where there are more, the kind with the most of them is told more coarsely: what a longer pause parts becomes one run, until they are few
 * again. What happened to whole collections is never joined.
 */
import { showCounted, showDuration } from '../text/quantities.ts';

export const RUN_KINDS = [
  'inserts',
  'updates',
  'replacements',
  'deletes',
  'drop',
  'rename',
  '$out',
  'command',
] as const;
export type RunKind = (typeof RUN_KINDS)[number];

/**
 * Why it happened. user: somebody's operation. expired, maybeExpired: a TTL index deletes, or may have. overrun: a capped collection made room.
 * migration: a chunk moved between shards. internal: a copy that the server makes for itself.
 */
export type RunOrigin = 'user' | 'expired' | 'maybeExpired' | 'overrun' | 'migration' | 'internal';

export interface HistoryRun {
  /** In the order of their beginnings, from 0; where runs were joined, that of the first. */
  readonly number: number;
  readonly namespace: string;
  readonly kind: RunKind;
  readonly origin: RunOrigin;
  /** one: operations that stand alone; many: of a deleteMany, insertMany and the like; transaction: committed together with others. */
  readonly how: 'one' | 'many' | 'transaction';
  /** UTC milliseconds of the first and the last entry, by the clocks that wrote them. */
  first: number;
  last: number;
  /** Documents or, of a drop, those that the collection had; undefined: the entry does not say. */
  count: number | undefined;
  /** Dotted paths of fields that updates touched, and how often. */
  readonly fields: Map<string, number>;
  /** One of them has a name that no path can hold: an empty one, or one with a dot in it. */
  hasOddFields: boolean;
  /** Some `_id`s, canonical Extended JSON. */
  readonly ids: string[];
  /** Documents are gone by it: deletions, a drop, a collection that another one took the place of. */
  readonly isLoss: boolean;
  /** Of deletions: documents that are there again. */
  cameBack: number;
  /** SHA-256, hex, of `user@database` whose session it was; undefined: the entries name none. */
  readonly user: string | undefined;
  /** What a command did, in words. */
  readonly detail: string | undefined;
}

/** What does not change within a run. */
export type RunTraits = Pick<
  HistoryRun,
  'namespace' | 'kind' | 'origin' | 'how' | 'user' | 'detail' | 'isLoss'
>;

/** Longest pause within a run, milliseconds: what one command or script does comes closer together, what a person does again comes later. */
export const PAUSE_MS = 5_000;
export const MOST_RUNS = 5_000;
const MOST_COMMANDS = 5_000;
/** So many are left when runs are joined, so that it is done seldom. */
const RUNS_LEFT = MOST_RUNS / 2;
/** A year: of one kind, origin and collection there is one run then. */
const LONGEST_PAUSE_MS = 366 * 24 * 60 * 60 * 1000;
const IDS_SHOWN = 5;
const FIELDS_COUNTED = 100;

export class HistoryRuns {
  #runs: HistoryRun[] = [];
  /** By the number that was handed out: where runs were joined, the one that they are in now. */
  readonly #byNumber: HistoryRun[] = [];
  /** By their traits: the newest, which what follows closely belongs to. */
  readonly #open = new Map<string, HistoryRun>();
  /** Milliseconds, of kinds that are told more coarsely. */
  readonly #pauses = new Map<RunKind, number>();
  /** Above it, runs are joined. */
  #limit = MOST_RUNS;
  #commands = 0;
  readonly #breaks: readonly number[];

  /** `breaks`: UTC milliseconds, at which a run ends in any case. */
  constructor(breaks: readonly number[] = []) {
    this.#breaks = breaks;
  }

  /** In the order in which they began. */
  get all(): readonly HistoryRun[] {
    return this.#runs;
  }

  /** The run that an operation belongs to at this time, UTC milliseconds. */
  of(traits: RunTraits, wall: number): HistoryRun {
    const key = this.#keyOf(traits, wall);
    const open = this.#open.get(key);
    if (open !== undefined && wall - open.last <= this.#pauseOf(traits.kind)) {
      extend(open, { first: wall, last: wall });
      return open;
    }
    if (this.#joinable >= this.#limit) {
      this.#join();
      return this.of(traits, wall);
    }
    const run = this.#begin(traits, wall);
    this.#open.set(key, run);
    return run;
  }

  /** What a command did to a whole collection: a run by itself. */
  command(traits: RunTraits, wall: number, count: number | undefined): void {
    if (++this.#commands <= MOST_COMMANDS) this.#begin(traits, wall).count = count;
  }

  /** By the number of a run as it was handed out. */
  at(number: number): HistoryRun {
    return this.#byNumber[number] as HistoryRun;
  }

  /** What is told more coarsely or not at all, a sentence each without its end. */
  *notes(): Generator<string> {
    const narrow = '`--since`, `--until` and `--collection` narrow it';
    for (const [kind, pause] of this.#pauses)
      yield `there are very many ${kind}: those of a collection that are less than ${showDuration(pause)} apart are told as one; ${narrow}`;
    const untold = this.#commands - MOST_COMMANDS;
    if (untold > 0)
      yield `${showCounted(untold, 'further drop, rename or $out', 'further drops, renames and $outs')} are not told; ${narrow}`;
  }

  #keyOf(traits: RunTraits, wall: number): string {
    const key = keyOf(traits);
    return this.#breaks.length === 0 ? key : `${key}\0${this.#breaks.filter((at) => at <= wall).length}`;
  }

  /** How many runs are no commands. */
  get #joinable(): number {
    return this.#runs.length - Math.min(this.#commands, MOST_COMMANDS);
  }

  #pauseOf(kind: RunKind): number {
    return this.#pauses.get(kind) ?? PAUSE_MS;
  }

  #begin(traits: RunTraits, wall: number): HistoryRun {
    const times = { first: wall, last: wall };
    const run: HistoryRun = {
      ...{ number: this.#byNumber.length, ...traits, ...times },
      ...{ count: 0, fields: new Map(), hasOddFields: false, ids: [], cameBack: 0 },
    };
    this.#runs.push(run);
    this.#byNumber.push(run);
    return run;
  }

  /** Joins runs until they are few; where they are of as many collections and users, as far as that goes. */
  #join(): void {
    const joined = new Map<HistoryRun, HistoryRun>();
    const coarsest = new Set<RunKind>();
    for (;;) {
      const kind = this.#mostOf(coarsest);
      if (kind === undefined || this.#joinable <= RUNS_LEFT) break;
      const pause = Math.min(this.#pauseOf(kind) * 2, LONGEST_PAUSE_MS);
      if (pause === LONGEST_PAUSE_MS) coarsest.add(kind);
      this.#pauses.set(kind, pause);
      this.#joinKind(kind, pause, joined);
    }
    const nowIn = (run: HistoryRun): HistoryRun => {
      let into = run;
      for (let next = joined.get(into); next !== undefined; next = joined.get(into)) into = next;
      return into;
    };
    for (const [number, run] of this.#byNumber.entries()) this.#byNumber[number] = nowIn(run);
    for (const [key, run] of this.#open) this.#open.set(key, nowIn(run));
    this.#limit = Math.max(MOST_RUNS, this.#joinable * 2);
  }

  /** The kind with the most runs, of those that can be told more coarsely. */
  #mostOf(coarsest: ReadonlySet<RunKind>): RunKind | undefined {
    const counts = new Map<RunKind, number>();
    for (const { kind, detail } of this.#runs)
      if (detail === undefined && !coarsest.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
  }

  #joinKind(kind: RunKind, pause: number, joined: Map<HistoryRun, HistoryRun>): void {
    const newest = new Map<string, HistoryRun>();
    this.#runs = this.#runs.filter((run) => {
      if (run.kind !== kind || run.detail !== undefined) return true;
      const key = this.#keyOf(run, run.first);
      const before = newest.get(key);
      if (before === undefined || run.first - before.last > pause) {
        newest.set(key, run);
        return true;
      }
      extend(before, run);
      before.count = (before.count ?? 0) + (run.count ?? 0);
      before.cameBack += run.cameBack;
      before.hasOddFields ||= run.hasOddFields;
      for (const id of run.ids) addId(before, id);
      for (const [path, count] of run.fields) countField(before, path, count);
      joined.set(run, before);
      return false;
    });
  }
}

function keyOf({ namespace, kind, origin, how, user }: RunTraits): string {
  return [namespace, kind, origin, how, user].join('\0');
}

function extend(run: HistoryRun, { first, last }: Pick<HistoryRun, 'first' | 'last'>): void {
  run.first = Math.min(run.first, first);
  run.last = Math.max(run.last, last);
}

/** Of a timeline, all collections together. */
const MOST_PARTS = 200_000;

/** How many operations there were, over time: by the minute, and by longer parts of it where there are very many. */
export class Timeline {
  /** By collection, then by the minute since 1970 with which a part begins. */
  readonly minutes = new Map<string, Map<number, number>>();
  #partMinutes = 1;
  #parts = 0;
  #limit = MOST_PARTS;

  /** `wall`: UTC milliseconds. */
  add(namespace: string, wall: number): void {
    let counts = this.minutes.get(namespace);
    if (counts === undefined) {
      counts = new Map();
      this.minutes.set(namespace, counts);
    }
    const part = this.#partOf(Math.floor(wall / 60_000));
    const before = counts.get(part);
    counts.set(part, (before ?? 0) + 1);
    if (before === undefined && ++this.#parts > this.#limit) this.#coarsen();
  }

  #partOf(minute: number): number {
    return minute - (minute % this.#partMinutes);
  }

  #coarsen(): void {
    this.#partMinutes *= 2;
    this.#parts = 0;
    for (const [namespace, fine] of this.minutes) {
      const counts = new Map<number, number>();
      for (const [minute, count] of fine) {
        const part = this.#partOf(minute);
        counts.set(part, (counts.get(part) ?? 0) + count);
      }
      this.minutes.set(namespace, counts);
      this.#parts += counts.size;
    }
    this.#limit = Math.max(MOST_PARTS, this.#parts * 2);
  }
}

export const wantsIds = ({ ids }: HistoryRun): boolean => ids.length < IDS_SHOWN;

/** `id`: canonical Extended JSON. */
export function addId(run: HistoryRun, id: string): void {
  if (wantsIds(run)) run.ids.push(id);
}

export function countField({ fields }: HistoryRun, path: string, more = 1): void {
  const count = fields.get(path);
  if (count !== undefined || fields.size < FIELDS_COUNTED) fields.set(path, (count ?? 0) + more);
}
