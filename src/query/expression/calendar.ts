/** The calendar in UTC, with milliseconds since 1970 as JavaScript's Date has them. */

const DAY_MS = 86_400_000;

/** Fixed lengths; the others go by the calendar. */
const UNIT_MS = {
  week: 7 * DAY_MS,
  day: DAY_MS,
  hour: 3_600_000,
  minute: 60_000,
  second: 1000,
  millisecond: 1,
} as const;
const UNIT_MONTHS = { year: 12, quarter: 3, month: 1 } as const;

export type DateUnit = keyof typeof UNIT_MS | keyof typeof UNIT_MONTHS;

export const WEEK_DAYS = [
  'sunday',
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
] as const;

export function isDateUnit(name: string): name is DateUnit {
  return Object.hasOwn(UNIT_MS, name) || Object.hasOwn(UNIT_MONTHS, name);
}

/** Parts of a date by the names of their operators. */
export const DATE_PARTS: Readonly<Record<string, (date: Date) => number>> = {
  year: (date) => date.getUTCFullYear(),
  month: (date) => date.getUTCMonth() + 1,
  dayOfMonth: (date) => date.getUTCDate(),
  hour: (date) => date.getUTCHours(),
  minute: (date) => date.getUTCMinutes(),
  second: (date) => date.getUTCSeconds(),
  millisecond: (date) => date.getUTCMilliseconds(),
  dayOfWeek: (date) => date.getUTCDay() + 1,
  dayOfYear,
  // Weeks start on Sunday; days before the year's first Sunday are in week 0.
  week: (date) => Math.floor((dayOfYear(date) + 6 - date.getUTCDay()) / 7),
  isoDayOfWeek,
  isoWeek: (date) => Math.floor((dayOfYear(thursdayOf(date)) - 1) / 7) + 1,
  isoWeekYear: (date) => thursdayOf(date).getUTCFullYear(),
};

/** From 1. */
function dayOfYear(date: Date): number {
  const newYear = new Date(date);
  newYear.setUTCMonth(0, 1);
  return Math.floor(date.getTime() / DAY_MS) - Math.floor(newYear.getTime() / DAY_MS) + 1;
}

/** Monday is 1. */
function isoDayOfWeek(date: Date): number {
  return date.getUTCDay() || 7;
}

/** An ISO week belongs to the year of its Thursday. */
function thursdayOf(date: Date): Date {
  return new Date(date.getTime() + (4 - isoDayOfWeek(date)) * DAY_MS);
}

/** A date moved by units; a day that the month lacks becomes its last one. Undefined outside JavaScript's dates. */
export function addUnits(
  epochMs: number,
  { unit, count }: { unit: DateUnit; count: bigint },
): number | undefined {
  const moved =
    unit in UNIT_MS
      ? addFixed(epochMs, unit as keyof typeof UNIT_MS, count)
      : addMonths(epochMs, unit, count);
  return Number.isNaN(new Date(moved).getTime()) ? undefined : moved;
}

function addFixed(epochMs: number, unit: keyof typeof UNIT_MS, count: bigint): number {
  return Number(BigInt(epochMs) + count * BigInt(UNIT_MS[unit]));
}

function addMonths(epochMs: number, unit: DateUnit, count: bigint): number {
  const months = Number(count) * UNIT_MONTHS[unit as keyof typeof UNIT_MONTHS];
  const date = new Date(epochMs);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(2000, date.getUTCMonth() + 1, 0));
  lastDay.setUTCFullYear(date.getUTCFullYear(), date.getUTCMonth() + 1, 0);
  date.setUTCDate(Math.min(day, lastDay.getUTCDate()));
  return date.getTime();
}

/** How many boundaries of the unit lie between two instants: years by the year, days by midnight, weeks by their first day. */
export function unitsBetween(
  span: { start: number; end: number },
  unit: DateUnit,
  startOfWeek: number,
): bigint {
  // Half a million years of milliseconds are no longer exact as a double.
  return BigInt(unitNumber(span.end, unit, startOfWeek)) - BigInt(unitNumber(span.start, unit, startOfWeek));
}

function unitNumber(epochMs: number, unit: DateUnit, startOfWeek: number): number {
  // 1970-01-01 was a Thursday.
  if (unit === 'week') return Math.floor((Math.floor(epochMs / DAY_MS) + 4 - startOfWeek) / 7);
  if (unit in UNIT_MS) return Math.floor(epochMs / UNIT_MS[unit as keyof typeof UNIT_MS]);
  const date = new Date(epochMs);
  const months = date.getUTCFullYear() * 12 + date.getUTCMonth();
  return Math.floor(months / UNIT_MONTHS[unit as keyof typeof UNIT_MONTHS]);
}
