/** Dates as ISO 8601 text: milliseconds since 1970 in UTC, as BSON holds them. */

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/;

interface IsoDate {
  readonly epochMs: number;
  /** False when the text has a time of day but neither Z nor an offset; `epochMs` then reads it as UTC. */
  readonly zoned: boolean;
}

/** Reads a calendar date with an optional time and offset. Undefined for anything else, for dates that do not exist and for parts of a millisecond. */
export function parseIsoDate(text: string): IsoDate | undefined {
  const match = ISO.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fraction = (match[7] ?? '').padEnd(3, '0');
  if (/[^0]/.test(fraction.slice(3))) return undefined;
  const date = new Date(0);
  // setUTCFullYear, because Date.UTC takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, Number(fraction.slice(0, 3)));
  const exists =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!exists) return undefined;
  const offset = offsetMinutes(match[8] ?? 'Z');
  if (offset === undefined) return undefined;
  return {
    epochMs: date.getTime() - offset * 60_000,
    zoned: match[8] !== undefined || match[4] === undefined,
  };
}

function offsetMinutes(text: string): number | undefined {
  if (text === 'Z') return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(3).replace(':', '') || 0);
  if (hours > 23 || minutes > 59) return undefined;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

/** `2016-09-13T13:00:00Z`, with milliseconds where there are any; undefined outside the years 0 to 9999, which have no such form. */
export function showIsoDate(epochMs: number): string | undefined {
  if (!(epochMs >= -62_167_219_200_000 && epochMs < 253_402_300_800_000)) return undefined;
  return new Date(epochMs).toISOString().replace('.000Z', 'Z');
}
