/** What `plan backups` says of the candidates. */

import { cpSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type BackupListing, listBackups } from '../../src/backup/list-backups.ts';
import { backupsPage } from '../../src/cli/views/backups.ts';
import { paintWith } from '../../src/text/terminal.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { QUIET } from '../quiet-run.ts';
import { backupsBelow, HOURLY, type HourlySource, IMPOSSIBLE, layOutBackups } from './backup-folders.ts';

const folder = temporaryFolder('list');
test.after(() => folder.remove());

function list(root: string, how: HourlySource, wanted = ['artworks', 'sales']): Promise<BackupListing> {
  return listBackups(QUIET, backupsBelow(root, how), { wanted: new Set(wanted) });
}

const MORNING = {
  ...HOURLY,
  '2016.09.13.06.00.00': ['artworks', 'sales'],
  '2016.09.13.05.00.00': ['artworks', 'sales'],
};

test('the chosen one is marked, the others say why not', async () => {
  const root = await layOutBackups(folder, MORNING);
  rmSync(join(root, '2016.09.13.08.00.00/db.tar'));
  const { backups, total, timezone } = await list(root, { at: '2016-09-13T09:00:00-04:00' });
  const shown = backups.map(({ localTime, chosen, reason }) => [localTime?.slice(11, 13), chosen, reason]);
  assert.equal(shown, [
    ['10', false, 'later than source.at'],
    ['09', false, 'lacks sales'],
    ['08', false, 'there is nothing at this path'],
    ['07', false, 'lacks sales'],
    ['06', true, 'chosen: the newest at or before source.at that holds every wanted collection'],
    ['05', false, 'a newer one serves'],
  ]);
  assert.is(total, 6);
  assert.is(timezone, 'America/New_York');
  assert.equal(backups[1]?.holds, [
    { collection: 'artworks', held: true },
    { collection: 'sales', held: false },
  ]);
  assert.is(backups[4]?.beforeAtMs, 3 * 3_600_000);
});

test('a backup named in full is not called the newest: nobody knows when it was taken', async () => {
  const root = await layOutBackups(folder, MORNING);
  const { backups } = await list(root, {
    at: '2016-09-13T09:00:00-04:00',
    template: '2016.09.13.06.00.00/db.tar',
  });
  assert.equal(
    backups.map(({ reason }) => reason),
    ['chosen: the one that is named'],
  );
});

test('nothing is chosen past a damaged backup, or past a time that happened twice', async () => {
  const root = await layOutBackups(folder, MORNING);
  writeFileSync(join(root, '2016.09.13.07.00.00/db.tar'), Buffer.alloc(2000, 'x'));
  const damaged = await list(root, { at: '2016-09-13T09:00:00-04:00' });
  assert.not.ok(damaged.backups.some(({ chosen }) => chosen));
  assert.match(damaged.backups[3]?.reason ?? '', /is neither a tar nor/);
  assert.match(damaged.backups[4]?.reason ?? '', /not taken silently/);
  const autumn = await layOutBackups(folder, {
    '2016.11.06.01.30.00': ['artworks'],
    '2016.11.05.01.30.00': ['artworks'],
  });
  const twice = await list(autumn, { at: '2016-11-06T12:00:00Z' }, ['artworks']);
  assert.match(twice.backups[0]?.reason ?? '', /happened twice/);
  assert.not.ok(twice.backups.some(({ chosen }) => chosen));
});

test('names of times that there never are stand with the others, each with why', async () => {
  const root = await layOutBackups(
    folder,
    Object.fromEntries(IMPOSSIBLE.map((name) => [name, ['artworks']])),
  );
  const at = '2026-12-01T12:00:00Z';
  const none = await list(root, { at }, ['artworks']);
  assert.equal([none.total, none.backups.length], [IMPOSSIBLE.length, 0]);
  const good = await layOutBackups(folder, { '2026.11.29.23.00.00': ['artworks'] });
  cpSync(root, good, { recursive: true });
  const listing = await list(good, { at }, ['artworks']);
  assert.is(listing.total, 1 + IMPOSSIBLE.length);
  assert.ok(listing.backups[0]?.chosen);
  assert.equal(
    listing.unplaced.map(({ location, reason }) => [location.split('/').at(-2), reason]),
    [
      ['2026.02.29.23.00.00', '2026-02-29 23:00:00'],
      ['2026.11.30.23.59.60', '2026-11-30 23:59:60'],
      ['2026.11.30.24.00.00', '2026-11-30 24:00:00'],
      ['2026.13.01.00.00.00', '2026-13-01 00:00:00'],
    ].map(([name, time]) => [name, `cannot be placed in time: there is no ${time} in any zone`]),
  );
  for (const each of [none, listing]) {
    const page = [...backupsPage(each, { paint: paintWith(false), columns: 200 })].join('\n');
    assert.match(page, new RegExp(`^${each.total} backups found\\n`));
    assert.match(page, /2026\.13\.01.*\n +cannot be placed in time: there is no 2026-13-01/);
  }
});

test('of very many, the nearest are shown', async () => {
  const days = Array.from({ length: 28 }, (_, i) => `2016.02.${String(i + 1).padStart(2, '0')}.00.00.00`);
  const root = await layOutBackups(folder, Object.fromEntries(days.map((day) => [day, ['artworks']])));
  const { backups, total } = await list(root, { at: '2016-02-20T00:00:00-05:00' }, ['artworks']);
  assert.is(total, 28);
  assert.equal(
    backups.map(({ localTime }) => Number(localTime?.slice(8, 10))),
    [23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9],
  );
});

test('one of several that is shown alone is one', async () => {
  const names = ['2016.09.13.07.00.00', '2016.09.13.08.00.00'];
  const root = await layOutBackups(folder, Object.fromEntries(names.map((name) => [name, ['artworks']])));
  const listing = await list(root, { at: '2016-09-13T09:00:00-04:00' });
  const page = backupsPage(
    { ...listing, backups: listing.backups.slice(0, 1) },
    { paint: paintWith(false), columns: 80 },
  );
  assert.is([...page][0], '2 backups found, the nearest is shown');
});

test('the page fits 80 columns', async () => {
  const root = await layOutBackups(folder, MORNING);
  utimesSync(join(root, '2016.09.13.06.00.00/db.tar'), 2e9, 2e9);
  const listing = await list(root, { at: '2016-09-13T09:00:00-04:00' });
  const lines = [...backupsPage(listing, { paint: paintWith(false), columns: 80 })];
  const page = lines.join('\n').replaceAll(root, '/backups');
  assert.ok(
    lines.every((line) => line.length <= 80),
    page,
  );
  assert.match(
    page,
    /^6 backups found\n\n {2}time in America\/New_York {2}time in UTC +from at +size +kind\n/,
  );
  assert.match(page, /\n {2}2016-09-13 10:00:00 +2016-09-13 14:00:00 +1 h after +- +-\n/);
  assert.match(page, /\n> 2016-09-13 06:00:00 +2016-09-13 10:00:00 +3 h before +10 kB +tar\n/);
  assert.match(page, /holds artworks; lacks sales\n/);
  assert.match(
    page.replaceAll(/\s+/g, ' '),
    /chosen: .* but it was finished .* after source\.at, .* older one is \S*05\.00\.00/,
  );
});

test.run();
