/** What a source answers when it is asked how far it reaches, in words. */
import type { BackupListing } from '../backup/list-backups.ts';
import type { KeptHistory } from '../backup/live/kept-history.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import type { RestorePlanError } from '../errors.ts';
import type { RollsOver } from '../oplog/check-oplog.ts';
import type { Instant } from '../plan/instant.ts';
import { showDuration } from '../text/quantities.ts';

const SOURCE_NAMES = ['preImages', 'snapshot', 'oplog', 'backup'] as const;
export type SourceName = (typeof SOURCE_NAMES)[number];

export interface SourceAnswer {
  readonly source: SourceName;
  /** Whether it could give back what was lost, as far as can be told without reading it; unknown: nobody could be asked, or nothing says. */
  readonly answers: 'yes' | 'no' | 'unknown';
  /** In a few words: `3 min left`. */
  readonly sum: string;
  /** How far back it reaches, UTC milliseconds. */
  readonly from?: number | undefined;
  /** Until when it can answer for the moment, UTC milliseconds, at the pace so far; undefined: for as long as it lies there, or not known. */
  readonly until?: number | undefined;
  /** What is to be known of it, a sentence each without its end. */
  readonly facts: readonly string[];
  /** What the user lacks, and what is therefore not known. */
  readonly missingRights: readonly string[];
  /** What to write into the plan, lines of YAML; empty where it stands there already. */
  readonly write: readonly string[];
}

/** An answer, of whichever source. */
export type Told = Omit<SourceAnswer, 'source'>;

export const NOTHING = { facts: [], missingRights: [], write: [] } as const;

export function unknown(sum: string, fact: string): Told {
  return { ...NOTHING, answers: 'unknown', sum, facts: [fact] };
}

interface AskedFor {
  readonly wanted: ReadonlySet<string> | undefined;
  readonly at: Instant | undefined;
}

export function preImagesTold(
  { preImages, missing, serverTime }: KeptHistory,
  { wanted, at }: AskedFor,
): Told {
  const { enabled, expireAfterMs, oldest } = preImages;
  if (enabled === undefined)
    return { ...NOTHING, answers: 'unknown', sum: 'may not be asked', missingRights: missing };
  const names = (isOn: boolean): string[] =>
    [...enabled].filter(([, on]) => on === isOn).map(([name]) => name);
  const [on, off] = [names(true), names(false)];
  const gone = [...(wanted ?? [])].filter((name) => !enabled.has(name));
  const lost =
    gone.length === 0 ? [] : [`not there any more: ${gone.join(', ')}; a drop leaves no pre-images`];
  if (on.length === 0) return { ...NOTHING, answers: 'no', sum: 'off', facts: lost };
  const isKeptFor = typeof expireAfterMs === 'number';
  const from = isKeptFor ? serverTime - expireAfterMs : oldest;
  const isTooLate = isKeptFor && at !== undefined && at.epochMs < serverTime - expireAfterMs;
  const facts = [
    ...(isTooLate ? [`what was changed right after source.at ${at.text} has expired`] : []),
    ...(off.length === 0 ? [] : [`off for ${off.join(', ')}`]),
    ...lost,
    isKeptFor
      ? `they are kept for ${showDuration(expireAfterMs)} (expireAfterSeconds)`
      : expireAfterMs === 'off'
        ? 'they are kept as long as the oplog has their entries'
        : 'how long they are kept is not known',
    ...(oldest === undefined ? [] : [`the oldest is of ${showIsoDate(oldest)}`]),
  ];
  const until = isKeptFor && at !== undefined && !isTooLate ? at.epochMs + expireAfterMs : undefined;
  const whose = off.length === 0 && gone.length === 0 ? 'on' : `on for ${on.join(', ')}`;
  const reach = from === undefined ? '' : `, back to ${showIsoDate(from)}`;
  return {
    ...{ answers: isTooLate ? 'no' : 'yes', sum: `${whose}${reach}`, from, until, facts },
    ...{ missingRights: missing.filter((right) => /getClusterParameter|preimages/.test(right)), write: [] },
  };
}

export function backupTold({ backups, unplaced, total, at, refusal }: BackupListing): Told {
  const chosen = backups.find((each) => each.chosen);
  const before = backups.filter(({ beforeAtMs }) => beforeAtMs === undefined || beforeAtMs >= 0).length;
  const known =
    at === undefined ? `${total} found` : `${total} found; of the nearest, ${before} at or before source.at`;
  const lost = unplaced.slice(0, 1).map(({ location, reason }) => `${location} ${reason}`);
  if (chosen === undefined) {
    const why = refusal === undefined ? backups.slice(0, 1).map(({ reason }) => reason) : [sentence(refusal)];
    return {
      ...NOTHING,
      answers: 'no',
      sum: total === 0 ? 'none is there' : 'none serves',
      facts: [...why, ...lost, known],
    };
  }
  const { localTime, beforeAtMs, location, reason } = chosen;
  const age = beforeAtMs === undefined ? '' : `, ${showDuration(beforeAtMs)} before source.at`;
  return {
    ...{ answers: 'yes', from: chosen.time, missingRights: [], write: [] },
    sum: localTime === undefined ? 'the one that is named' : `of ${localTime}`,
    facts: [`${location}${age}`, reason, ...lost, known],
  };
}

export function lasting({ inMs, isFull }: RollsOver): string {
  if (isFull && inMs < 60_000)
    return 'what is needed of it may be overwritten at any moment: `plan oplog save` keeps it';
  return `what is needed of it lasts about ${showDuration(inMs)} at the pace so far${isFull ? '' : ' (it is not full yet)'}`;
}

export function sentence({ message }: RestorePlanError): string {
  return message.replace(/\.$/, '');
}
