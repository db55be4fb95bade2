/** Which of many backups is taken, and what is said when none can be. */
import { cpSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { RunEvent } from '../../../src/events.ts';
import type { Source } from '../../../src/plan/plan.ts';
import { test } from '../../harness.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { backupsBelow, EMPTY_DOCUMENT, HOURLY, IMPOSSIBLE, layOutBackups } from '../backup-folders.ts';
import { readBackup, refusal, sourceAt } from '../reading.ts';

const folder = temporaryFolder('choose');
test.after(() => folder.remove());

const backups = (held: Readonly<Record<string, readonly string[]>>): Promise<string> =>
  layOutBackups(folder, held);

/** The folder name of the backup that was taken. */
async function chosen(source: Source, wanted: readonly string[] = ['artworks']): Promise<string> {
  const { events } = await readBackup(source, wanted);
  const located = events.find((event) => event.type === 'backup-located');
  return located?.location.split('/').at(-2) ?? '';
}

const warnings = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));

test('the newest at or before the moment, by the zone of the names', async () => {
  const root = await backups(HOURLY);
  assert.is(await chosen(backupsBelow(root, { at: '2016-09-13T08:59:59-04:00' })), '2016.09.13.08.00.00');
  assert.is(await chosen(backupsBelow(root, { at: '2016-09-13T09:00:00-04:00' })), '2016.09.13.09.00.00');
  assert.is(await chosen(backupsBelow(root, { at: '2016-09-13T13:30:00Z' })), '2016.09.13.09.00.00');
  assert.is(await chosen(backupsBelow(root, { at: '2016-09-13T18:35:00+05:30' })), '2016.09.13.09.00.00');
  assert.is(
    await chosen(backupsBelow(root, { at: '2016-09-13T09:00:00Z', timezone: 'UTC' })),
    '2016.09.13.09.00.00',
  );
});

test('what was chosen is said in both zones, with its distance to the moment', async () => {
  const root = await backups(HOURLY);
  const { events } = await readBackup(backupsBelow(root, { at: '2016-09-13T09:10:00-04:00' }), ['artworks']);
  const located = events.find((event) => event.type === 'backup-located');
  assert.is(located?.localTime, '2016-09-13 09:00:00 America/New_York');
  assert.is(located?.time, Date.parse('2016-09-13T13:00:00Z'));
  assert.is(located?.beforeAtMs, 600_000);
});

test('a leap day', async () => {
  const root = await backups({ '2016.02.28.23.00.00': ['artworks'], '2016.02.29.23.00.00': ['artworks'] });
  assert.is(await chosen(backupsBelow(root, { at: '2016-03-01T00:00:00-05:00' })), '2016.02.29.23.00.00');
});

test('a newer backup that lacks a wanted collection is passed over, and that is said', async () => {
  const root = await backups({ ...HOURLY, '2016.09.13.03.00.00': ['artworks', 'sales'] });
  const { events } = await readBackup(backupsBelow(root, { at: '2016-09-13T08:30:00-04:00' }), [
    'artworks',
    'sales',
  ]);
  const located = events.find((event) => event.type === 'backup-located');
  assert.match(located?.location ?? '', /03\.00\.00/);
  assert.is(warnings(events).length, 2);
  assert.match(warnings(events)[0] ?? '', /08\.00\.00\/db\.tar was passed over: it does not hold sales/);
});

test('none holds everything: refused', async () => {
  const root = await backups(HOURLY);
  await refusal(
    chosen(backupsBelow(root, { at: '2016-09-13T08:30:00-04:00' }), ['artworks', 'bids']),
    /None of the 2 newest.*bids/s,
  );
});

const NEITHER_ONCE = [
  [
    'twice',
    'America/New_York',
    '2016.11.06.01.30.00',
    '2016-11-06T05:30:00.000Z',
    '2016-11-06T06:30:00.000Z',
  ],
  ['twice', 'Europe/Berlin', '2016.10.30.02.30.00', '2016-10-30T00:30:00.000Z', '2016-10-30T01:30:00.000Z'],
  [
    'twice',
    'Australia/Lord_Howe',
    '2016.04.03.01.45.00',
    '2016-04-02T14:45:00.000Z',
    '2016-04-02T15:15:00.000Z',
  ],
  [
    'never',
    'America/New_York',
    '2016.03.13.02.30.00',
    '2016-03-13T06:30:00.000Z',
    '2016-03-13T07:30:00.000Z',
  ],
  ['never', 'Europe/Berlin', '2016.03.27.02.30.00', '2016-03-27T00:30:00.000Z', '2016-03-27T01:30:00.000Z'],
  [
    'never',
    'Australia/Lord_Howe',
    '2016.10.02.02.10.00',
    '2016-10-01T15:10:00.000Z',
    '2016-10-01T15:40:00.000Z',
  ],
] as const;

for (const [kind, timezone, name, ...readings] of NEITHER_ONCE) {
  test(`the newest has a time that happened ${kind} in ${timezone}: refused with both readings`, async () => {
    const root = await backups({ [name]: ['artworks'], '2016.01.01.00.00.00': ['artworks'] });
    // A day later, between the two readings, and exactly at the first.
    const [first, second] = readings.map((reading) => Date.parse(reading)) as [number, number];
    for (const moment of [second + 86_400_000, (first + second) / 2, first]) {
      const at = new Date(moment).toISOString();
      const error = await refusal(chosen(backupsBelow(root, { at, timezone })), /cannot be placed in time/);
      assert.equal(error.facts['readings'], readings);
    }
    // Before both, it is later than the moment, whatever it means.
    const at = new Date(first - 1000).toISOString();
    assert.is(await chosen(backupsBelow(root, { at, timezone })), '2016.01.01.00.00.00');
  });
}

test('a time that happened twice does not matter once a newer backup is there, or when both readings are later', async () => {
  const root = await backups({
    '2016.11.05.12.00.00': ['artworks'],
    '2016.11.06.01.30.00': ['artworks'],
    '2016.11.06.03.00.00': ['artworks'],
  });
  assert.is(await chosen(backupsBelow(root, { at: '2016-11-06T12:00:00Z' })), '2016.11.06.03.00.00');
  assert.is(await chosen(backupsBelow(root, { at: '2016-11-06T05:00:00Z' })), '2016.11.05.12.00.00');
});

test('names of times that there never are are passed over, and that is said once, each with why', async () => {
  const root = await backups(
    Object.fromEntries(['2026.11.29.23.00.00', ...IMPOSSIBLE].map((name) => [name, ['artworks']])),
  );
  const source = backupsBelow(root, { at: '2026-12-01T12:00:00Z' });
  assert.is(await chosen(source), '2026.11.29.23.00.00');
  const said = warnings((await readBackup(source, ['artworks'])).events).filter((message) =>
    message.includes('cannot be placed in time'),
  );
  assert.is(said.length, 1);
  assert.match(said[0] ?? '', /^4 backups cannot be placed in time and were passed over: /);
  assert.match(
    said[0] ?? '',
    /2026\.11\.30\.24\.00\.00\/db\.tar \(there is no 2026-11-30 24:00:00 in any zone\)/,
  );
});

test('older than maxAge: refused', async () => {
  const root = await backups(HOURLY);
  const source = backupsBelow(root, { at: '2016-09-14T13:00:00-04:00', more: { maxAgeMs: 26 * 3_600_000 } });
  await refusal(
    chosen(source),
    /10\.00\.00\/db\.tar was taken 27 h before source\.at; source\.maxAge allows 26 h/,
  );
});

test('a misspelt collection is not blamed on maxAge, nor on an older backup that is damaged', async () => {
  const root = await backups(HOURLY);
  const moment = { at: '2016-09-13T10:30:00-04:00' };
  const source = backupsBelow(root, { ...moment, more: { maxAgeMs: 2 * 3_600_000 } });
  const tooOld = await refusal(
    chosen(source, ['artwork']),
    /^None of the 2 newest backups .* does not hold artwork\. No older one is taken: .*08\.00\.00\/db\.tar was taken 2 h 30 min before/,
  );
  assert.match(tooOld.hint ?? '', /Did you mean artworks\?/);
  const elsewhere = { ...source, database: 'gravty' };
  const foreign = await refusal(chosen(elsewhere), /gravty.*No older one is taken: .*maxAge allows 2 h/s);
  assert.match(foreign.message, /gravity/);
  writeFileSync(join(root, '2016.09.13.09.00.00/db.tar'), Buffer.alloc(700, 'x'));
  await refusal(
    chosen(backupsBelow(root, moment), ['artwork']),
    /^The newest backup .*10\.00\.00\/db\.tar does not hold artwork\. No older one is taken: .*neither a tar nor/,
  );
});

test('all are later: refused, naming the nearest in both zones', async () => {
  const root = await backups(HOURLY);
  const reading = chosen(backupsBelow(root, { at: '2016-09-13T06:00:00-04:00' }));
  await refusal(
    reading,
    /no backup at or before 2016-09-13 06:00:00 America\/New_York \(10:00:00 UTC\); 4 match.*07\.00\.00/,
  );
});

test('nothing matches, and there is no such folder: refused, naming the folder', async () => {
  const root = await backups(HOURLY);
  const source = backupsBelow(root, {
    at: '2016-09-13T09:00:00-04:00',
    template: 'hourly-{time:yyyy.MM.dd}/db.tar',
  });
  await refusal(chosen(source), new RegExp(`Nothing below ${root}/ matches`));
  const nowhere = backupsBelow(`${root}/nowhere`, { at: '2016-09-13T09:00:00-04:00' });
  await refusal(chosen(nowhere), /nowhere\/ does not exist/);
});

test('finished after the moment: warned, naming the next older one', async () => {
  const root = await backups(HOURLY);
  utimesSync(join(root, '2016.09.13.09.00.00/db.tar'), 2e9, 2e9);
  const { events } = await readBackup(backupsBelow(root, { at: '2016-09-13T09:30:00-04:00' }), ['artworks']);
  const [warning] = warnings(events);
  assert.match(warning ?? '', /was finished at 2033-05-17 23:33:20 America\/New_York .* after source\.at/);
  assert.match(warning ?? '', /The next older one is .*08\.00\.00\/db\.tar/);
});

test('a damaged newest backup is an error, never a reason to take an older one', async () => {
  const root = await backups(HOURLY);
  writeFileSync(join(root, '2016.09.13.10.00.00/db.tar'), Buffer.alloc(700, 'x'));
  await refusal(
    chosen(backupsBelow(root, { at: '2016-09-13T12:00:00-04:00' })),
    /10\.00\.00\/db\.tar is neither a tar nor/,
  );
});

test('times in several folders and wildcards', async () => {
  const root = await backups({
    'a/2016/09-13': ['artworks'],
    'b/2016/09-14': ['artworks'],
    'b/2015/09-15': ['artworks'],
  });
  const template = '*/{time:yyyy}/{time:MM-dd}/db.tar';
  const located = await readBackup(
    backupsBelow(root, { at: '2016-09-14T23:00:00Z', timezone: 'UTC', template }),
    ['artworks'],
  );
  const event = located.events.find(({ type }) => type === 'backup-located');
  assert.match(JSON.stringify(event), /b\/2016\/09-14\/db\.tar/);
});

test('a wildcard without a time must match one backup only', async () => {
  const root = await backups({ one: ['artworks'] });
  const source = sourceAt({ kind: 'path', path: `${root}/*/db.tar`, timezone: undefined });
  assert.is(await chosen(source), 'one');
  cpSync(join(root, 'one'), join(root, 'two'), { recursive: true });
  await refusal(chosen(source), /2 backups match, and nothing says which to take/);
});

test('a folder with a time in its name can be the dump itself', async () => {
  const root = join(folder.path, 'plain');
  for (const day of ['2016-09-12', '2016-09-13']) {
    mkdirSync(join(root, day, 'gravity'), { recursive: true });
    writeFileSync(join(root, day, 'gravity/artworks.bson'), EMPTY_DOCUMENT);
  }
  for (const template of ['{time:yyyy-MM-dd}', '{time:yyyy-MM-dd}/']) {
    const source = backupsBelow(root, { at: '2016-09-13T23:00:00Z', timezone: 'UTC', template });
    const { documents, events } = await readBackup(source, ['artworks']);
    assert.equal(documents.get('artworks'), EMPTY_DOCUMENT);
    assert.match(JSON.stringify(events[0]), /2016-09-13/);
  }
});

test.run();
