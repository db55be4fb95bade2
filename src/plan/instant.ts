/** Moments, lengths of time and time zones as a plan writes them. */

import { nearest } from './nearest.ts';
import { givenText, itemsAt, nodeAt, type PathPart, type PlanNode, textAt } from './nodes.ts';

/** An instant as the plan wrote it: `text` keeps its offset. */
export interface Instant {
  readonly epochMs: number;
  readonly text: string;
  /** Of a moment that is a timestamp of an oplog; `epochMs` is its second. */
  readonly ts?: OplogTimestamp;
}

export interface OplogTimestamp {
  readonly seconds: number;
  readonly ordinal: number;
}

/** Entries of an oplog that a primary wrote at `from` or later and before `until`, by its clock. */
export interface TimeWindow {
  readonly from: Instant;
  readonly until: Instant;
}

const INSTANT =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

type InstantReading = { readonly instant: Instant } | { readonly message: string; readonly expected: string };

/** RFC 3339 with a mandatory offset; seconds may be left out. */
export function parseInstant(text: string): InstantReading {
  const match = INSTANT.exec(text);
  const expected = 'an instant with its offset, such as 2016-09-13T09:00:00-04:00 or 2016-09-13T13:00:00Z';
  if (match === null) {
    const isLocal = /^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?$/.test(text);
    return { message: isLocal ? 'the time has no offset' : 'this is no instant', expected };
  }
  const [year, month, day, hour, minute] = match.slice(1, 6).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const second = Number(match[6] ?? 0);
  const millisecond = Number((match[7] ?? '').padEnd(3, '0'));
  const offsetHours = Number(match[9] ?? 0);
  const offsetMinutes = Number(match[10] ?? 0);
  if (hour > 23 || minute > 59 || second > 59) return { message: 'there is no such time of day', expected };
  if (offsetHours > 14 || offsetMinutes > 59) return { message: 'there is no such offset', expected };
  const local = new Date(Date.UTC(year, month - 1, day, hour, minute, second, millisecond));
  // Date moves the 31st of a short month into the next one instead of refusing it.
  if (year < 1970 || local.getUTCMonth() !== month - 1 || local.getUTCDate() !== day) {
    return { message: 'there is no such day', expected };
  }
  const offset = (offsetHours * 60 + offsetMinutes) * (match[8] === '-' ? -1 : 1);
  const epochMs = local.getTime() - offset * 60_000;
  if (epochMs < 0) return { message: 'it lies before 1970', expected };
  return { instant: { epochMs, text } };
}

/** Clocks differ, and a plan may be written at the moment it names. */
const CLOCK_MS = 5 * 60_000;

/** Whether a moment is later than now, by more than clocks differ; UTC milliseconds. */
export function isStillToCome({ epochMs }: Instant, now: number): boolean {
  return epochMs > now + CLOCK_MS;
}

/** `source.at`, of the map `source`; undefined where it is missing, wrong, or to come from a variable that is not set. */
export function momentIn(source: PlanNode | undefined): Instant | undefined {
  const ts = nodeAt(source, 'at', 'ts');
  if (ts !== undefined) {
    const [seconds, ordinal] = itemsAt(ts).map((item) => (item.kind === 'scalar' ? item.value : undefined));
    if (typeof seconds !== 'number' || typeof ordinal !== 'number') return undefined;
    return { epochMs: seconds * 1000, text: `${seconds},${ordinal}`, ts: { seconds, ordinal } };
  }
  const at = textAt(source, 'at');
  const reading = at === undefined ? undefined : parseInstant(at);
  return reading !== undefined && 'instant' in reading ? reading.instant : undefined;
}

const DURATION = /^(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?$/;

/** Milliseconds of `1d`, `26h`, `1h30m`, `45s`; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}

// Names of IANA time zones, as the runtime knows them.

/** Short names that mean one zone to everybody. */
const CLEAR = /^(?:UTC|GMT|UCT|Zulu|Cuba|Eire|GB|Iran|NZ|PRC|ROC|ROK)$/i;

/** The runtime takes BST for Dhaka's time, EST for Panama's, which has no summer, and NST for Auckland's. */
export function isAbbreviation(name: string): boolean {
  return /^[a-z]{2,4}$/i.test(name) && !CLEAR.test(name);
}

/** Whether it names an IANA zone. A bare offset is none: it knows nothing of daylight saving. */
export function isTimeZone(name: string): boolean {
  if (/^[+-]|\d:\d/.test(name) || isAbbreviation(name)) return false;
  // The list costs 2 ms, the first formatter 20; but only the formatter knows zones by their former names.
  if (Intl.supportedValuesOf('timeZone').includes(name)) return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** A zone that may have been meant: the nearest name, or the zone whose city was given. */
export function nearTimeZone(name: string): string | undefined {
  const zones = Intl.supportedValuesOf('timeZone');
  const city = name.toLowerCase().replace(/[\s-]+/g, '_');
  return zones.find((zone) => zone.toLowerCase().endsWith(`/${city}`)) ?? nearest(name, zones);
}

/** A duration of a plan, milliseconds; undefined where there is none. */
export function durationAt(root: PlanNode, ...path: readonly PathPart[]): number | undefined {
  const value = givenText(root, ...path);
  return value === undefined ? undefined : parseDuration(value);
}
