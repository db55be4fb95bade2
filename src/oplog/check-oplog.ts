/** What of an oplog can be known without a document being read: how far it reaches, whether that is enough for a plan, and for how long. */
import type { Backup } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import type { Instant } from '../plan/instant.ts';
import type { Source } from '../plan/plan.ts';
import type { SetOplog } from '../plan/sources/oplog.ts';
import type { Run } from '../run.ts';
import { beginOf, spanOf } from './dump.ts';
import { compareTimestamps, type Moment, OplogEntry, showMoment, type Timestamp } from './entry.ts';
import { following, OplogFault } from './faults.ts';
import { requireSaved, scopeOf } from './saved-scope.ts';
import type { EntrySource } from './sources/entry-source.ts';

export interface OplogCheck {
  /** Which oplog; no credentials. */
  readonly origin: string;
  /** It has every entry from here to there. */
  readonly first: Moment;
  readonly last: Moment;
  /** The moment from which on it is needed, and who says so; undefined where nothing does. */
  readonly needed: { readonly from: Timestamp; readonly said: keyof typeof NEEDED } | undefined;
  /** What of it is overwritten as it goes on. */
  readonly rollsOver: RollsOver | undefined;
  /** Why it does not serve, a sentence each without its end. */
  readonly problems: readonly string[];
  /** What could not be found out, alike. */
  readonly unknown: readonly string[];
}

/** Why an oplog is needed from a moment on. moment: the plan asks about it, and no backup stands before. */
const NEEDED = {
  dump: 'when the oplog of the dump begins',
  plan: 'when source.oplog.begins says that the dump began',
  moment: 'the first moment that the plan asks about',
} as const;

export interface RollsOver {
  /** Until the first entry that is needed, or the oldest there is, is overwritten at the pace so far, milliseconds; 0: at any moment. */
  readonly inMs: number;
  /** Whether it is full already: every new entry then takes the place of an old one. */
  readonly isFull: boolean;
}

export interface CheckOrder {
  readonly entries: EntrySource;
  /** Undefined: nothing is known but the oplog. */
  readonly plan?:
    | { readonly oplog: SetOplog; readonly at: Source['at']; readonly since?: Instant | undefined }
    | undefined;
  /** The backup, where it is open and its own oplog can be read alone. */
  readonly backup?: Backup | undefined;
  /** `database.collection` of those that are needed. */
  readonly namespaces: readonly string[];
}

/** Throws RestorePlanError BACKUP where the oplog cannot be read at all. */
export async function checkOplog(run: Run, order: CheckOrder): Promise<OplogCheck> {
  const { entries, plan } = order;
  const problems: string[] = [];
  const unknown: string[] = [];
  const first = await entries.first();
  const last = await entries.last();
  const needed = await neededFrom(order, unknown);
  if (needed !== undefined && compareTimestamps(first, needed.from) > 0)
    problems.push(
      `it begins at ${showMoment(first)}, and is needed from ${showMoment({ ...needed.from, wall: needed.from.seconds * 1000 })} on, ${NEEDED[needed.said]}`,
    );
  const at = plan?.at;
  const reaches = Number.isNaN(last.wall) ? (last.seconds + 1) * 1000 : last.wall;
  if (at !== undefined && reaches < at.epochMs && plan?.oplog.kind !== 'backup')
    problems.push(
      `its newest entry is ${showMoment(last)}, before ${at.text}, up to which the plan needs it`,
    );
  if (entries.room === undefined) problems.push(...(await faultsWithin(run, order)));
  return {
    ...{ origin: entries.origin, first, last, needed, problems, unknown },
    rollsOver: await rollsOver(order, { first, last, from: needed?.from ?? first, unknown }),
  };
}

async function neededFrom({ plan, backup }: CheckOrder, unknown: string[]): Promise<OplogCheck['needed']> {
  if (plan === undefined || plan.oplog.kind === 'backup') return undefined;
  const { oplog, since } = plan;
  if (since !== undefined)
    return { from: { seconds: Math.floor(since.epochMs / 1000), ordinal: 0 }, said: 'moment' };
  if (backup !== undefined) {
    const span = await spanOf({ backup, oplog });
    if (span !== undefined) return { from: span.first, said: 'dump' };
  }
  const from = beginOf(oplog);
  if (from !== undefined) return { from, said: 'plan' };
  unknown.push(
    backup === undefined
      ? 'when the dump began: the plan does not say it in source.oplog.begins, and the backup was not read for it'
      : 'when the dump began: it took no oplog along, and the plan does not say it in source.oplog.begins',
  );
  return undefined;
}

/** A file can hold gaps and damage anywhere, so it is read; a server cannot. */
async function faultsWithin(run: Run, { entries, namespaces }: CheckOrder): Promise<string[]> {
  const entry = new OplogEntry();
  let last: Timestamp | undefined;
  const take = (bytes: Buffer, start: number): void => {
    entry.read(bytes, start);
    if (last !== undefined && compareTimestamps(entry, last) <= 0)
      throw new OplogFault(`an entry ${showMoment(entry)} comes out of its order`);
    last = { seconds: entry.seconds, ordinal: entry.ordinal };
    const scope = scopeOf(entry);
    if (scope !== undefined) for (const namespace of namespaces) requireSaved(scope, namespace);
  };
  try {
    const range = { from: undefined, cut: 'end', collections: undefined } as const;
    for await (const { bytes, starts, count } of entries.entries(range)) {
      run.signal.throwIfAborted();
      following(entries.origin, {}, () => {
        for (let i = 0; i < count; i++) take(bytes, starts[i] as number);
      });
    }
  } catch (error) {
    if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
    return [error.message.replace(`${entries.origin}: `, '').replace(/\.$/, '')];
  }
  return [...entries.notes];
}

async function rollsOver(
  { entries }: CheckOrder,
  {
    first,
    last,
    from,
    unknown,
  }: { readonly first: Moment; readonly last: Moment; readonly from: Timestamp; readonly unknown: string[] },
): Promise<RollsOver | undefined> {
  if (entries.room === undefined) return undefined;
  const room = await entries.room();
  if (room === undefined) {
    unknown.push(
      'how long until it is overwritten: the user may not ask for the size of the oplog (collStats on local.oplog.rs)',
    );
    return undefined;
  }
  const { bytes, maxBytes } = room;
  const windowMs = Math.max(1, last.seconds - first.seconds) * 1000;
  const freeMs = bytes === 0 ? 0 : (Math.max(0, maxBytes - bytes) / bytes) * windowMs;
  const aheadMs = Math.max(0, from.seconds - first.seconds) * 1000;
  return { inMs: Math.round(freeMs + aheadMs), isFull: bytes >= maxBytes };
}
