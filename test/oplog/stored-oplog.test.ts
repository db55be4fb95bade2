/** Entries that lie in several files: what goes on from what, what is missing, and what is not of the same oplog. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { USUAL_PATIENCE } from '../../src/backup/remote/patience.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { OplogEntry } from '../../src/oplog/entry.ts';
import { coveredBy } from '../../src/oplog/sources/entry-files.ts';
import type { EntrySource } from '../../src/oplog/sources/entry-source.ts';
import { openStoredOplog } from '../../src/oplog/sources/stored-oplog.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { packS2 } from '../lab/s2.ts';
import { QUIET } from '../quiet-run.ts';
import { entry, on, SECONDS } from './by-hand.ts';

const folder = temporaryFolder('stored-oplog');
test.after(() => folder.remove());

/** Entry `n` of the one oplog that all files here are of, but for those of `other`. */
const make = (n: number): Buffer => entry(n, on('i', { _id: n }));
const other = (n: number): Buffer => entry(n, on('i', { _id: -n }));
const noop = (n: number): Buffer => entry(n, { op: 'n', ns: '', o: { msg: 'periodic noop' } });
const run = (from: number, till: number): Buffer[] =>
  Array.from({ length: till - from + 1 }, (_, i) => make(from + i));

let places = 0;
type Files = Readonly<Record<string, readonly Buffer[] | Buffer>>;

/** Writes files into a new folder; `path` names the oplog in it. */
function open(files: Files, path = './'): Promise<EntrySource> {
  const place = join(folder.path, String(++places));
  for (const [name, content] of Object.entries(files)) {
    const file = join(place, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.isBuffer(content) ? content : Buffer.concat(content as Buffer[]));
  }
  const named = path === './' ? `${place}/` : `${place}/${path}`;
  return openStoredOplog(QUIET, { kind: 'path', path: named, timezone: 'UTC' }, USUAL_PATIENCE);
}

const at = (n: number): { seconds: number; ordinal: number } => ({ seconds: SECONDS + n, ordinal: 1 });

async function numbersOf(source: EntrySource, from?: number): Promise<number[]> {
  const numbers: number[] = [];
  const one = new OplogEntry();
  const range = {
    from: from === undefined ? undefined : at(from),
    cut: 'end',
    collections: undefined,
  } as const;
  try {
    for await (const { bytes, starts, count } of source.entries(range))
      for (let i = 0; i < count; i++) numbers.push(one.read(bytes, starts[i] as number).seconds - SECONDS);
  } finally {
    await source.close();
  }
  return numbers;
}

const numbers = (from: number, till: number): number[] =>
  Array.from({ length: till - from + 1 }, (_, i) => from + i);

async function gives(files: Files, expected: readonly number[], path?: string): Promise<void> {
  assert.equal(await numbersOf(await open(files, path)), expected);
}

async function refuses(files: Files, message: RegExp, path?: string, from?: number): Promise<void> {
  const error = await open(files, path)
    .then((source) => numbersOf(source, from))
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  assert.instance(error, RestorePlanError, `not refused: ${message}`);
  const { code, message: said, hint } = error as RestorePlanError;
  assert.is(code, 'BACKUP');
  assert.match(`${said} ${hint}`, message);
  assert.ok(hint);
}

/** The name of a slice as Percona Backup for MongoDB gives it. */
function slice(from: number, till: number, extension = ''): string {
  const time = (n: number): string =>
    new Date((SECONDS + n) * 1000).toISOString().replaceAll(/[-:T]|\..*$/g, '');
  return `${time(from)}-1.${time(till)}-1.oplog${extension}`;
}

test('files that overlap are one oplog, whatever their names say of their order', async () => {
  await gives({ 'b.bson': run(5, 9), 'a.bson': run(8, 12), 'c.bson': run(1, 5) }, numbers(1, 12));
  // One within another, and three at a time.
  await gives(
    { 'a.bson': run(1, 9), 'b.bson': run(3, 5), 'c.bson': run(4, 8), 'd.bson': run(9, 11) },
    numbers(1, 11),
  );
  await gives({ 'a.bson': run(1, 9), 'b.bson': run(1, 9) }, numbers(1, 9));
});

test('of a folder that mongodump wrote, the oplog alone is read', async () => {
  await gives(
    {
      'local/oplog.rs.bson': run(1, 3),
      'local/oplog.rs.metadata.json': [Buffer.from('{}')],
      'local/startup_log.bson': [Buffer.from('no entries')],
    },
    numbers(1, 3),
  );
});

test('files may be compressed, each in its own way', async () => {
  await gives(
    {
      'a.bson': run(1, 4),
      'b.bson.gz': gzipSync(Buffer.concat(run(4, 6))),
      'c.bson.s2': packS2(Buffer.concat(run(6, 9))),
    },
    numbers(1, 9),
  );
});

test('a series is read in the order of its times, from the file that the reading begins in', async () => {
  const files = {
    '2026-11-22-08.bson': run(1, 4),
    '2026-11-22-09.bson': run(4, 7),
    '2026-11-22-10.bson': run(7, 9),
    '2026-11-22-11.bson': run(9, 12),
  };
  const path = '{time:yyyy-MM-dd-HH}.bson';
  await gives(files, numbers(1, 12), path);
  assert.equal(await numbersOf(await open(files, path), 8), numbers(7, 12));
  await gives(files, numbers(7, 12), '2026-11-22-1*.bson');
  const swapped = { '2026-11-22-08.bson': run(4, 7), '2026-11-22-09.bson': run(1, 4) };
  await refuses(swapped, /earlier than the one before it by its name.*Name the folder/s, path);
  await refuses(files, /matches nothing/, 'nothing-*.bson');
});

test('series of folders, too', async () => {
  await gives(
    { '2026-11-22/local/oplog.rs.bson': run(1, 4), '2026-11-23/local/oplog.rs.bson': run(4, 7) },
    numbers(1, 7),
    '{time:yyyy-MM-dd}/',
  );
});

test('a hole between files is named, with both ends and what can be done without', async () => {
  await refuses(
    { 'a.bson': run(1, 4), 'b.bson': run(5, 9) },
    /nothing covers what lies between \d+,1 \(\S+Z\), where \S+a\.bson ends, and \d+,1 \(\S+Z\), where \S+b\.bson begins.*A source\.at no later than \d+,1 \(2026-11-22T08:00:04Z\) needs nothing behind that/s,
  );
});

test('names that say what they cover show a hole, and that there is none', async () => {
  // Bookkeeping entries are left out: the first and last may not be there.
  await gives({ [slice(1, 4)]: run(2, 3), [slice(4, 9)]: run(6, 8) }, [2, 3, 6, 7, 8]);
  await gives(
    { [slice(1, 4)]: run(1, 4), [slice(4, 9)]: run(4, 9), [slice(2, 6)]: run(2, 6) },
    numbers(1, 9),
  );
  await gives({ [slice(1, 4, '.s2')]: packS2(Buffer.concat(run(1, 3))), [slice(4, 6)]: [] }, numbers(1, 3));
  await refuses(
    { [slice(1, 4)]: run(1, 4), [slice(6, 9)]: run(6, 9), [slice(9, 12)]: run(9, 12) },
    /nothing covers what lies between \d+,1 \(\S+:04Z\)/,
  );
  assert.equal(coveredBy('x/20220209124238-19.20220209124938-4.oplog.snappy'), {
    from: { seconds: Date.UTC(2022, 1, 9, 12, 42, 38) / 1000, ordinal: 19 },
    till: { seconds: Date.UTC(2022, 1, 9, 12, 49, 38) / 1000, ordinal: 4 },
  });
  // wal-g's begin behind the entry that they name.
  assert.equal(coveredBy('oplog_1588258934.7_1588258996.1.bson'), {
    from: { seconds: 1588258934, ordinal: 8 },
    till: { seconds: 1588258996, ordinal: 1 },
  });
  assert.is(coveredBy('oplog.rs.bson'), undefined);
});

test('a file that lacks what its name promises was cut off', async () => {
  await refuses(
    { [slice(1, 4)]: run(1, 3), [slice(4, 9)]: run(4, 9) },
    /is cut off: its name says that it reaches to \d+,1 \(\S+\), and the entry \d+,1 \(\S+\), which .* has, is missing/,
  );
  await refuses({ [slice(1, 6)]: run(1, 3), [slice(4, 9)]: run(4, 9) }, /is cut off/);
  const whole = Buffer.concat(run(1, 4));
  await refuses(
    { [slice(1, 4)]: whole.subarray(0, -5), [slice(4, 9)]: run(4, 9) },
    /behind the entry \d+,1 \(\S+:03Z\): the last \d+ bytes are not a whole document.*A source\.at no later than \d+,1 \(\S+:03Z\) needs nothing/s,
  );
  await refuses(
    { [slice(1, 4, '.gz')]: gzipSync(whole).subarray(0, -9) },
    /is cut off: the end of the gzip stream/,
  );
  const last = await open({ [slice(1, 9)]: run(1, 3) });
  assert.equal(await numbersOf(last), numbers(1, 3));
  assert.match(
    last.notes.join(),
    /ends with .*, before the end that its name says; whether a part was cut off cannot be told/,
  );
});

test('files of different oplogs are not joined', async () => {
  await refuses(
    { 'a.bson': run(1, 5), 'b.bson': [make(3), other(4), make(5), make(6)] },
    /has an entry \d+,1 \(\S+:04Z\) that \S+, which covers that moment, has not, or has otherwise/,
  );
  await refuses({ 'a.bson': run(1, 5), 'b.bson': [make(3), make(5), make(6)] }, /has an entry .*:04Z/);
  await gives(
    { 'a.bson': [make(1), make(2), noop(3), make(4)], 'b.bson': [make(2), make(4), make(5)] },
    numbers(1, 5),
  );
});

test('what is no file of entries is told apart', async () => {
  const lz4 = Buffer.from('04224d186040820500', 'hex');
  await refuses({ [slice(1, 4, '.lz4')]: lz4 }, /compressed with lz4.*unlz4/s);
  await refuses({ 'a.bson.gz': [] }, /is cut off: it is compressed, by its name, and empty/);
  await refuses({ 'a.txt': [] }, /holds no file of entries/);
  await refuses({ 'a.bson': [] }, /it is empty/);
  await refuses({ 'a.bson': [] }, /is not there/, 'b.bson');
  await refuses({ 'a.bson': run(3, 5) }, /it begins at \d+,1 \(\S+:03Z\), and is needed from/, undefined, 2);
});

test.run();
