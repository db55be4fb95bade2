/**
 * Parts of dates (`$year` … `$millisecond`) and arithmetic with calendar units (`$dateAdd $dateSubtract $dateDiff`), in UTC
 * or at a fixed offset. Time zones by name are refused: their rules differ between versions of the zone data.
 */
import { exactInteger } from '../../bson/numbers.ts';
import { typeName } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { QueryFault } from '../query-fault.ts';
import {
  argumentsOf,
  constant,
  dateValue,
  derived,
  type Expression,
  int32Value,
  int64Value,
  isNullish,
  type LazyOperator,
  MISSING_VALUE,
  NULL_VALUE,
  namedArguments,
  type OperatorUse,
  textBytes,
} from './expression.ts';

// The calendar in UTC, with milliseconds since 1970 as JavaScript's Date has them.

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

type DateUnit = keyof typeof UNIT_MS | keyof typeof UNIT_MONTHS;

const WEEK_DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;

function isDateUnit(name: string): name is DateUnit {
  return Object.hasOwn(UNIT_MS, name) || Object.hasOwn(UNIT_MONTHS, name);
}

/** Parts of a date by the names of their operators. */
const DATE_PARTS: Readonly<Record<string, (date: Date) => number>> = {
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
function addUnits(epochMs: number, { unit, count }: { unit: DateUnit; count: bigint }): number | undefined {
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
function unitsBetween(span: { start: number; end: number }, unit: DateUnit, startOfWeek: number): bigint {
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

export const DATE_OPERATORS: Readonly<Record<string, LazyOperator>> = {
  ...Object.fromEntries(
    Object.entries(DATE_PARTS).map(([name, part]) => [`$${name}`, (use: OperatorUse) => datePart(use, part)]),
  ),
  $dateAdd: (use) => movedDate(use, 1n),
  $dateSubtract: (use) => movedDate(use, -1n),
  $dateDiff: dateDifference,
};

function datePart(use: OperatorUse, part: (date: Date) => number): Expression {
  const { date, timezone } = datePartArguments(use);
  checkConstants({ timezone }, use);
  const parts = timezone === undefined ? [date] : [date, timezone];
  return derived(parts, () => {
    const value = date.evaluate();
    if (isNullish(value)) return NULL_VALUE;
    const ms = instant(value, use);
    const offset = offsetMinutes(timezone, use);
    if (offset === undefined) return NULL_VALUE;
    const number = part(new Date(ms + offset * 60_000));
    // The one part that the server gives as an int64.
    return use.operator === '$isoWeekYear' ? int64Value(BigInt(number)) : int32Value(number);
  });
}

/** `{$year: "$date"}`, `{$year: ["$date"]}` or `{$year: {date: "$date", timezone: "+02:00"}}`. */
function datePartArguments(use: OperatorUse): { date: Expression; timezone: Expression | undefined } {
  const { operand, operator, context } = use;
  const isNamed = operand.type === BSON.OBJECT && operand.bytes[operand.start + 5] !== 0x24;
  if (isNamed) {
    const named = namedArguments(use, { required: ['date'], optional: ['timezone'] });
    return { date: named.get('date') as Expression, timezone: named.get('timezone') };
  }
  const [date, ...more] = argumentsOf(use);
  if (date === undefined || more.length > 0) throw new QueryFault(`${operator} takes one date`, context.path);
  return { date, timezone: undefined };
}

function movedDate(use: OperatorUse, sign: bigint): Expression {
  const named = namedArguments(use, { required: ['startDate', 'unit', 'amount'], optional: ['timezone'] });
  const { startDate, unit, amount } = Object.fromEntries(named) as Record<
    'startDate' | 'unit' | 'amount',
    Expression
  >;
  const timezone = named.get('timezone');
  if (timezone?.isConstant) requireUtc(offsetMinutes(timezone, use), use);
  checkConstants({ unit }, use);
  return derived([...named.values()], () => {
    const [start, unitName, count] = [startDate.evaluate(), unit.evaluate(), amount.evaluate()];
    if (isNullish(start) || isNullish(unitName)) return NULL_VALUE;
    const unitOfTime = dateUnit(unitName, use);
    if (isNullish(count)) return NULL_VALUE;
    const offset = offsetMinutes(timezone, use);
    if (offset === undefined) return NULL_VALUE;
    requireUtc(offset, use);
    const units = exactInteger(count);
    if (units === undefined) throw new QueryFault(`${use.operator} needs a whole "amount"`, use.context.path);
    const from = instant(start, use);
    if (from < 0 && from % 1000 !== 0) {
      // mongod 8.2 comes out a second early there; nobody should rely on either answer.
      throw new QueryFault(
        `${use.operator} of a date before 1970 with milliseconds is not supported`,
        use.context.path,
      );
    }
    const moved = addUnits(from, { unit: unitOfTime, count: sign * units });
    if (moved === undefined)
      throw new QueryFault(`${use.operator} leaves the range of dates`, use.context.path);
    return dateValue(BigInt(moved));
  });
}

function requireUtc(offset: number | undefined, { operator, context }: OperatorUse): void {
  if (offset) throw new QueryFault(`${operator} with a timezone is not supported`, context.path);
}

function dateDifference(use: OperatorUse): Expression {
  const named = namedArguments(use, {
    required: ['startDate', 'endDate', 'unit'],
    optional: ['timezone', 'startOfWeek'],
  });
  const { startDate, endDate, unit } = Object.fromEntries(named) as Record<
    'startDate' | 'endDate' | 'unit',
    Expression
  >;
  const [timezone, startOfWeek] = [named.get('timezone'), named.get('startOfWeek')];
  checkConstants({ timezone, unit }, use);
  // The server looks at a constant one even where the unit has no use for it, and of null makes null.
  if (startOfWeek?.isConstant && weekDay(startOfWeek.evaluate(), use) === undefined) {
    return constant(NULL_VALUE);
  }
  return derived([...named.values()], () => {
    const [start, end, unitName] = [startDate.evaluate(), endDate.evaluate(), unit.evaluate()];
    if (isNullish(start) || isNullish(end) || isNullish(unitName)) return NULL_VALUE;
    const dateUnitName = dateUnit(unitName, use);
    const weekStart = dateUnitName === 'week' ? weekDay(startOfWeek?.evaluate(), use) : 0;
    if (weekStart === undefined) return NULL_VALUE;
    const offset = offsetMinutes(timezone, use);
    if (offset === undefined) return NULL_VALUE;
    const shift = offset * 60_000;
    const span = { start: instant(start, use) + shift, end: instant(end, use) + shift };
    return int64Value(unitsBetween(span, dateUnitName, weekStart));
  });
}

/** What is the same for all documents is refused when the plan is checked. */
function checkConstants(
  { timezone, unit }: { timezone?: Expression | undefined; unit?: Expression },
  use: OperatorUse,
): void {
  if (timezone?.isConstant) offsetMinutes(timezone, use);
  if (unit?.isConstant && !isNullish(unit.evaluate())) dateUnit(unit.evaluate(), use);
}

/** JavaScript's dates end in 275760; the rest is room for an offset, and for the beginning of the year or week of a date. */
const FARTHEST_MS = Date.UTC(275_000);

/** Milliseconds of a date, a timestamp or an ObjectId. */
function instant(value: RawValue, { operator, context }: OperatorUse): number {
  const { bytes, type, start } = value;
  if (type === BSON.TIMESTAMP) return bytes.readUInt32LE(start + 4) * 1000;
  if (type === BSON.OBJECT_ID) return bytes.readInt32BE(start) * 1000;
  if (type !== BSON.DATE) {
    const name = type === MISSING_VALUE.type ? 'missing' : typeName(type);
    throw new QueryFault(`${operator} needs a date and a document holds ${name}`, context.path);
  }
  const ms = Number(bytes.readBigInt64LE(start));
  if (Math.abs(ms) > FARTHEST_MS) {
    throw new QueryFault(`${operator}: a document holds a date beyond the year 275000`, context.path);
  }
  return ms;
}

function dateUnit(value: RawValue, { operator, context }: OperatorUse): DateUnit {
  const name = value.type === BSON.STRING ? textBytes(value).toString() : '';
  if (!isDateUnit(name)) throw new QueryFault(`${operator}: "unit" is no unit of time`, context.path);
  return name;
}

/** Sunday is 0. Undefined for null. */
function weekDay(value: RawValue | undefined, { operator, context }: OperatorUse): number | undefined {
  if (value === undefined) return 0;
  if (isNullish(value)) return undefined;
  const name = value.type === BSON.STRING ? textBytes(value).toString().toLowerCase() : '';
  const day = WEEK_DAYS.findIndex((known) => known === name || known.slice(0, 3) === name);
  if (day < 0) throw new QueryFault(`${operator}: "startOfWeek" is no day of the week`, context.path);
  return day;
}

/** Minutes east of UTC; undefined for null. */
function offsetMinutes(
  timezone: Expression | undefined,
  { operator, context }: OperatorUse,
): number | undefined {
  if (timezone === undefined) return 0;
  const value = timezone.evaluate();
  if (isNullish(value)) return undefined;
  const text = value.type === BSON.STRING ? textBytes(value).toString() : '';
  if (text === 'UTC' || text === 'GMT') return 0;
  const match = /^([+-])(\d\d)(?::?(\d\d))?$/.exec(text);
  if (match === null) {
    throw new QueryFault(
      `${operator}: a timezone is written as an offset such as "+02:00" here`,
      context.path,
    );
  }
  return (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3] ?? 0));
}
