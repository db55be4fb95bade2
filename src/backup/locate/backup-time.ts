/**
 * The time in a backup's name: a wall clock's reading in a zone, which can mean two instants (clocks go back) or none
 * (clocks go forward). The reading is never guessed.
 */
import { Temporal } from 'temporal-polyfill';
import type { TimeField } from '../../plan/location-template.ts';

/** As found in a name; a field the template does not have is absent. */
export type LocalFields = Readonly<Partial<Record<TimeField, number>>>;

export type BackupTime =
  | { readonly kind: 'once'; readonly epochMs: number }
  /** twice: both readings happened. never: the clocks skipped it; the readings are as if they had not yet, or already. */
  | { readonly kind: 'twice' | 'never'; readonly readings: readonly [earlier: number, later: number] };

/** The fields as if the zone were UTC, UTC milliseconds: cheap, and in the order of the clock on the wall. */
export function wallClock(fields: LocalFields): number {
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** What an instant's wall clock in `zone` shows, in the terms of `wallClock`. */
export function wallClockAt(epochMs: number, zone: string): number {
  const local = Temporal.Instant.fromEpochMilliseconds(epochMs).toZonedDateTimeISO(zone);
  return epochMs + local.offsetNanoseconds / 1e6;
}

/** Undefined when there is no such day or time in any zone (month 13). `zone` is an IANA name. */
export function readBackupTime(fields: LocalFields, zone: string): BackupTime | undefined {
  const local = plainDateTime(fields);
  if (local === undefined) return undefined;
  // A name with no hour means the day: it begins when the zone's day begins, be that at 01:00.
  if (fields.hour === undefined) {
    return { kind: 'once', epochMs: local.toPlainDate().toZonedDateTime(zone).epochMilliseconds };
  }
  const earlier = local.toZonedDateTime(zone, { disambiguation: 'earlier' });
  const later = local.toZonedDateTime(zone, { disambiguation: 'later' });
  if (earlier.epochMilliseconds === later.epochMilliseconds) {
    return { kind: 'once', epochMs: earlier.epochMilliseconds };
  }
  const happened = earlier.toPlainDateTime().equals(local);
  const readings = [earlier.epochMilliseconds, later.epochMilliseconds] as const;
  return { kind: happened ? 'twice' : 'never', readings };
}

/** `2016-09-13 08:00:00 America/New_York` */
export function showLocal(epochMs: number, zone: string): string {
  return `${wallText(wallClockAt(epochMs, zone))} ${zone}`;
}

/** `2016-09-13 08:00:00 America/New_York (12:00:00 UTC)`, with the day again where it differs. */
export function showInstant(epochMs: number, zone: string | undefined): string {
  const utc = wallText(epochMs);
  if (zone === undefined || zone === 'UTC') return `${utc} UTC`;
  const local = wallText(wallClockAt(epochMs, zone));
  return `${local} ${zone} (${local.slice(0, 10) === utc.slice(0, 10) ? utc.slice(11) : utc} UTC)`;
}

/** `2016-09-13 08:00:00` */
function wallText(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 19).replace('T', ' ');
}

function plainDateTime(fields: LocalFields): Temporal.PlainDateTime | undefined {
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  try {
    return Temporal.PlainDateTime.from({ year, month, day, hour, minute, second }, { overflow: 'reject' });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
