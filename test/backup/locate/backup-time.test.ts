/** Wall-clock times in names against their zones: overlaps, gaps, leap days. */
import * as assert from 'uvu/assert';
import {
  isPossible,
  type LocalFields,
  readBackupTime,
  showInstant,
  wallClock,
  wallClockAt,
} from '../../../src/backup/locate/search-template.ts';
import { showDuration } from '../../../src/text/quantities.ts';
import { test } from '../../harness.ts';

/** `2016-11-06 01:30:00` as a template's fields. */
function fields(text: string): LocalFields {
  const [year, month, day, hour, minute, second] = text.split(/\D/).map(Number);
  return { year, month, day, hour, minute, second } as LocalFields;
}

const utc = (text: string): number => Date.parse(`${text.replace(' ', 'T')}Z`);

const ONCE = [
  ['2016-09-13 08:00:00', 'America/New_York', '2016-09-13 12:00:00'],
  ['2016-12-13 08:00:00', 'America/New_York', '2016-12-13 13:00:00'],
  ['2016-09-13 08:00:00', 'Asia/Kolkata', '2016-09-13 02:30:00'],
  ['2016-09-13 08:00:00', 'UTC', '2016-09-13 08:00:00'],
  ['2016-02-29 00:00:00', 'Europe/Berlin', '2016-02-28 23:00:00'],
  ['2016-11-06 00:59:59', 'America/New_York', '2016-11-06 04:59:59'],
  ['2016-11-06 02:00:00', 'America/New_York', '2016-11-06 07:00:00'],
] as const;

for (const [local, zone, instant] of ONCE) {
  test(`${local} ${zone} is ${instant} UTC`, () => {
    assert.equal(readBackupTime(fields(local), zone), { kind: 'once', epochMs: utc(instant) });
  });
}

const TWICE_OR_NEVER = [
  ['twice', '2016-11-06 01:30:00', 'America/New_York', '2016-11-06 05:30:00', '2016-11-06 06:30:00'],
  ['twice', '2016-10-30 02:00:00', 'Europe/Berlin', '2016-10-30 00:00:00', '2016-10-30 01:00:00'],
  ['twice', '2016-04-03 01:45:00', 'Australia/Lord_Howe', '2016-04-02 14:45:00', '2016-04-02 15:15:00'],
  ['never', '2016-03-13 02:30:00', 'America/New_York', '2016-03-13 06:30:00', '2016-03-13 07:30:00'],
  ['never', '2016-03-27 02:59:59', 'Europe/Berlin', '2016-03-27 00:59:59', '2016-03-27 01:59:59'],
  ['never', '2016-10-02 02:10:00', 'Australia/Lord_Howe', '2016-10-01 15:10:00', '2016-10-01 15:40:00'],
] as const;

for (const [kind, local, zone, earlier, later] of TWICE_OR_NEVER) {
  test(`${local} ${zone} happened ${kind}`, () => {
    const readings = [utc(earlier), utc(later)];
    assert.equal(readBackupTime(fields(local), zone), { kind, readings });
  });
}

test('a name with the day alone means the beginning of that day, even where the day begins at 01:00', () => {
  const day = { year: 2016, month: 10, day: 16 };
  assert.equal(readBackupTime(day, 'America/Sao_Paulo'), {
    kind: 'once',
    epochMs: utc('2016-10-16 03:00:00'),
  });
});

test('what no calendar has is no time', () => {
  for (const local of [
    '2016-13-01 00:00:00',
    '2015-02-29 00:00:00',
    '2016-09-13 24:00:00',
    '2016-09-13 08:60:00',
    '2016-09-13 08:59:60',
    '2016-00-13 08:00:00',
    '2016-09-00 08:00:00',
    '1900-02-29 00:00:00',
  ])
    assert.not.ok(isPossible(fields(local)), local);
  for (const local of ['2016-02-29 23:59:59', '2000-02-29 00:00:00', '0004-02-29 00:00:00'])
    assert.ok(isPossible(fields(local)), local);
});

test('the clock on the wall goes by the zone', () => {
  const instant = utc('2016-09-13 12:00:00');
  assert.is(wallClockAt(instant, 'America/New_York'), wallClock(fields('2016-09-13 08:00:00')));
});

test('instants are shown in both zones, the day twice only where it differs', () => {
  assert.is(
    showInstant(utc('2016-09-13 12:00:00'), 'America/New_York'),
    '2016-09-13 08:00:00 America/New_York (12:00:00 UTC)',
  );
  assert.is(
    showInstant(utc('2016-09-13 02:00:00'), 'America/New_York'),
    '2016-09-12 22:00:00 America/New_York (2016-09-13 02:00:00 UTC)',
  );
  assert.is(showInstant(utc('2016-09-13 02:00:00'), 'UTC'), '2016-09-13 02:00:00 UTC');
});

test('durations are shown in two units at most', () => {
  const shown = [0, 59_000, 60_000, 3_600_000, 93_900_000, 259_200_000, 266_400_000].map((each) =>
    showDuration(each),
  );
  assert.equal(shown, ['0 s', '59 s', '1 min', '1 h', '26 h 5 min', '3 d', '3 d 2 h']);
});

test.run();
