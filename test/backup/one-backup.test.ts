/** Documents of two backups are never joined: several dumps in one place are refused, and what the refusal proposes works. */

import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { deserialize, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { type DatedFile, refuseLeftovers } from '../../src/backup/layout/one-backup.ts';
import { listBackups } from '../../src/backup/list-backups.ts';
import type { RestorePlanError } from '../../src/errors.ts';
import type { Source } from '../../src/plan/plan.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import { buildTar, tarFolder } from '../lab/tar.ts';
import { QUIET } from '../quiet-run.ts';
import { onDisk, readBackup, refusal, sourceAt } from './reading.ts';

const folder = temporaryFolder('one-backup');
test.after(() => folder.remove());

/** Files by path; each is one document that tells which backup it is of. */
type Tree = Readonly<Record<string, { readonly of: string; readonly finished?: string }>>;

let counter = 0;

/** Writes `.bson`, `.bson.gz` and metadata files, each with its time; returns the folder. */
function layOut(tree: Tree): string {
  const root = join(folder.path, String(++counter));
  for (const [path, { of, finished }] of Object.entries(tree)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    const body = path.includes('.metadata.json')
      ? Buffer.from('{"indexes":[]}')
      : Buffer.from(serialize({ of }));
    writeFileSync(file, path.endsWith('.gz') ? gzipSync(body) : body);
    if (finished !== undefined) utimesSync(file, new Date(finished), new Date(finished));
  }
  return root;
}

/** Which backups the documents of x come from, in the order of reading. */
async function readX(source: Source): Promise<string[]> {
  const { documents } = await readBackup(source, ['x']);
  const bytes = documents.get('x') ?? Buffer.alloc(0);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at))
    found.push(deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)))['of']);
  return found;
}

const named = (path: string): Source => onDisk(path, { database: 'd' });

/** Changes the plan as each of the ways that the refusal prints says. */
function remedies({ hint = '' }: RestorePlanError): Source[] {
  const paths = [...hint.matchAll(/source\.path: ("[^"]+")/g)].map(([, text]) => JSON.parse(text as string));
  return paths.map((path: string) =>
    path.includes('{time:')
      ? sourceAt(
          { kind: 'path', path, timezone: 'UTC' },
          {
            database: 'd',
            at: { epochMs: Date.parse('2030-01-01T00:00:00Z'), text: '2030-01-01T00:00:00Z' },
          },
        )
      : named(path),
  );
}

/** Refused, and every printed way out gives the documents of one backup, never of two. */
async function assertWayOut(
  source: Source,
  words: RegExp,
  expected: readonly (readonly string[])[],
): Promise<void> {
  const error = await refusal(readX(source), words);
  const ways = remedies(error);
  assert.is(ways.length, expected.length, error.hint);
  for (const [i, way] of ways.entries()) assert.equal(await readX(way), expected[i], error.hint);
}

test('a gzipped dump in the folder of an older plain one: refused, with both times', async () => {
  const tree: Tree = {
    'dump/d/x.bson': { of: 'old', finished: '2024-01-01T02:00:00Z' },
    'dump/d/x.metadata.json': { of: 'old', finished: '2024-01-01T02:00:00Z' },
    'dump/d/x.bson.gz': { of: 'new', finished: '2024-01-02T02:00:00Z' },
    'dump/d/x.metadata.json.gz': { of: 'new', finished: '2024-01-02T02:00:00Z' },
  };
  const root = layOut(tree);
  const words =
    /x is there twice.*x\.bson \(finished 2024-01-01 02:00:00 UTC\) and .*x\.bson\.gz \(finished 2024-01-02/;
  await assertWayOut(named(join(root, 'dump')), words, [['new']]);
  await assertWayOut(named(join(root, 'dump/d')), words, [['new']]);
  for (const gzip of [false, true]) {
    await tarFolder(root, join(root, 'dump.tar'), { members: ['dump'], gzip });
    // A stream may bring the metadata of both first.
    const either = new RegExp(words.source.replaceAll('bson', '(?:bson|metadata\\.json)'));
    const error = await refusal(readX(named(join(root, 'dump.tar'))), either);
    assert.match(error.hint ?? '', /unpack this one/);
  }
  for (const file of ['x.bson', 'x.metadata.json']) rmSync(join(root, 'dump/d', file));
  assert.equal(await readX(named(join(root, 'dump'))), ['new']);
});

test('metadata twice, .bin beside .bson, a file twice in a tar: refused', async () => {
  const twice = {
    'd/x.bson': { of: 'a' },
    'd/x.metadata.json': { of: 'a' },
    'd/x.metadata.json.gz': { of: 'b' },
  };
  await refusal(readX(named(layOut(twice))), /x is there twice in one folder/);
  await refusal(
    readX(named(layOut({ 'd/x.bson': { of: 'a' }, 'd/x.bin': { of: 'b' } }))),
    /x is there twice/,
  );
});

test('two of a collection that no plan asks for keep nobody from the others', async () => {
  const root = layOut({ 'd/x.bson': { of: 'a' }, 'd/y.bson': { of: 'a' }, 'd/y.bson.gz': { of: 'b' } });
  assert.equal(await readX(named(root)), ['a']);
});

test('the folder above several nights: refused, listed, and chosen by time or by name', async () => {
  const root = layOut({
    'backups/2024-01-01/d/x.bson': { of: '1' },
    'backups/2024-01-02/d/x.bson': { of: '2' },
    'backups/latest/d/x.bson': { of: '2' },
  });
  const source = named(join(root, 'backups'));
  await assertWayOut(source, /holds the database d 3 times/, [['2'], ['2']]);
  const { location } = source as Source & { location: { kind: 'path'; path: string; timezone: undefined } };
  const options = { wanted: new Set(['x']) };
  const { backups, total, refusal: why } = await listBackups(QUIET, { ...source, location }, options);
  assert.is(total, 3);
  assert.equal(
    backups.map((one) => [one.location.slice(root.length), one.chosen]),
    ['2024-01-01', '2024-01-02', 'latest'].map((name) => [`/backups/${name}/`, false]),
  );
  assert.match(why?.message ?? '', /holds the database d 3 times/);
});

for (const [what, tree, expected] of [
  ['nights as tars', { 'b/db-20240101.tar': '1', 'b/db-20240102.tar': '2' }, [['2'], ['2']]],
  ['nights as tar.gz', { 'b/db-20240101.tgz': '1', 'b/db-20240102.tgz': '2' }, [['2'], ['2']]],
  ['a dump and a tar beside it', { 'b/d/x.bson': '1', 'b/d.tar': '2' }, [['2']]],
  ['a dump and a tar.gz beside it', { 'b/d/x.bson': '1', 'b/d.tar.gz': '2' }, [['2']]],
  ['a dump inside a dump', { 'b/d/x.bson': '1', 'b/old/d/x.bson': '2' }, [['2']]],
  ['a dump inside the folder of a database', { 'b/d/x.bson': '1', 'b/d/old/d/x.bson': '2' }, [['2']]],
  [
    'hosts of two nights',
    {
      'b/2024-01-01/m0_27017/d/x.bson': '1',
      'b/2024-01-01/m1_27017/d/x.bson': '1',
      'b/2024-01-02/m0_27017/d/x.bson': '2',
    },
    [['2'], ['2']],
  ],
  ['a copy of a host', { 'b/m0_27017/d/x.bson': '1', 'b/m0_27017.old/d/x.bson': '2' }, [['2']]],
  ['generations', { 'b/daily.0/d/x.bson': '1', 'b/daily.1/d/x.bson': '2' }, [['2']]],
] as const) {
  test(`${what}: refused, and each way out leads to one of them`, async () => {
    const root = join(folder.path, String(++counter));
    for (const [i, [path, of]] of Object.entries(tree).entries()) {
      const file = join(root, path);
      mkdirSync(dirname(file), { recursive: true });
      const documents = Buffer.from(serialize({ of }));
      const tar = buildTar([{ path: 'dump/d/x.bson', body: documents }]);
      writeFileSync(file, file.endsWith('.bson') ? documents : file.endsWith('.tar') ? tar : gzipSync(tar));
      const finished = new Date(Date.parse('2024-01-05T00:00:00Z') + i * 60_000);
      utimesSync(file, finished, finished);
    }
    await assertWayOut(named(join(root, 'b')), /holds the database d \d times/, expected);
  });
}

test('hosts and shards of one run are joined; those of another run are not', async () => {
  const at = (finished: string) => ({ of: finished, finished });
  const parts = (names: readonly string[], times: readonly string[]): Promise<string[]> =>
    readX(
      named(
        layOut(Object.fromEntries(names.map((name, i) => [`b/${name}/d/x.bson`, at(times[i] as string)]))),
      ),
    );
  const night = ['2024-01-01T02:00:00.000Z', '2024-01-01T02:20:00.000Z'];
  for (const names of [
    ['c0.example.net_27017', 'c1.example.net_27017'],
    ['shard0', 'shard1'],
    ['eu-rs1', 'eu-rs2'],
  ]) {
    assert.equal(await parts(names, night), night);
    await refusal(
      parts(names, ['2024-01-01T02:00:00Z', '2024-01-02T02:00:00Z']),
      /24 h lie between their files/,
    );
  }
  await refusal(parts(['shard0', 'shard0-old'], night), /not those of hosts or shards/);
  await refusal(parts(['monday', 'tuesday'], night), /not those of hosts or shards/);
});

test('two backups of a day whose names tell only the day: the last finished, said; refused where copies lost their times', async () => {
  const day = (times: readonly [string, string]): string =>
    layOut({
      'b/2024-03-10-evening/d/x.bson': { of: 'evening', finished: times[1] },
      'b/2024-03-10-morning/d/x.bson': { of: 'morning', finished: times[0] },
      'b/2024-03-09-evening/d/x.bson': { of: 'before', finished: '2024-03-09T18:00:00Z' },
    });
  const source = (root: string, at: string) => {
    const location = { kind: 'path', path: `${root}/b/{time:yyyy-MM-dd}-*`, timezone: 'UTC' } as const;
    return { ...sourceAt(location, { database: 'd', at: { epochMs: Date.parse(at), text: at } }), location };
  };
  const list = (one: ReturnType<typeof source>) => listBackups(QUIET, one, { wanted: new Set(['x']) });
  const sound = day(['2024-03-10T06:00:00Z', '2024-03-10T18:00:00Z']);
  for (const [at, of] of [
    ['2024-03-11T00:00:00Z', 'evening'],
    ['2024-03-10T12:00:00Z', 'morning'],
  ] as const) {
    const one = source(sound, at);
    assert.equal(await readX(one), [of]);
    const { events } = await readBackup(one, ['x']);
    assert.match(
      JSON.stringify(events),
      /was taken: of the same time by its name as .*the last that was finished at or before source\.at/,
    );
    const { backups } = await list(one);
    assert.match(backups.find(({ chosen }) => chosen)?.location ?? '', of);
    const tied = backups.filter(({ location, chosen }) => location.includes('03-10') && !chosen);
    assert.match(tied[0]?.reason ?? '', /another one of the same time serves/);
  }
  for (const root of [
    day(['2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z']),
    day(['2024-03-10T06:00:00Z', '2024-03-10T06:00:00Z']),
  ]) {
    const one = source(root, '2024-03-11T00:00:00Z');
    await assertWayOut(one, /2 backups have the same time by their names/, [['morning']]);
    const { backups, refusal: why } = await list(one);
    assert.not.ok(backups.some(({ chosen }) => chosen));
    assert.match(why?.message ?? '', /2 backups have the same time/);
  }
});

test('several that match a * without a time: the list and the dry-run refuse alike', async () => {
  const root = layOut({ 'b/backup-9/d/x.bson': { of: '9' }, 'b/backup-10/d/x.bson': { of: '10' } });
  const source = named(`${root}/b/backup-*`);
  const { location } = source as Source & { location: { kind: 'path'; path: string; timezone: undefined } };
  const listing = await listBackups(QUIET, { ...source, location }, { wanted: new Set(['x']) });
  assert.not.ok(listing.backups.some(({ chosen }) => chosen));
  const error = await refusal(readX(source), /2 backups match, and nothing says which to take/);
  assert.is(listing.refusal?.message, error.message);
  for (const way of remedies(error)) assert.is((await readX(way)).length, 1);
});

/** The folder as it is, as a tar and as a tar.gz. */
async function inEachForm(root: string): Promise<readonly Source[]> {
  const forms = [named(join(root, 'dump'))];
  for (const gzip of [false, true]) {
    const file = join(root, gzip ? 'dump.tgz' : 'dump.tar');
    await tarFolder(join(root, 'dump'), file, { gzip, members: ['d'] });
    forms.push(named(file));
  }
  return forms;
}

test('what an earlier run selected, kept in the folder of the backup, is no second backup', async () => {
  const kept = '.restore-plan/selections/incident-1';
  const root = layOut({
    'd/x.bson': { of: 'backup' },
    'd/x.metadata.json': { of: '' },
    [`${kept}/d/x.bson`]: { of: 'selection' },
    [`${kept}/d/x.metadata.json`]: { of: '' },
  });
  assert.equal(await readX(named(root)), ['backup']);
  assert.equal(await readX(named(join(root, kept))), ['selection']);
});

test('collections of two dumps that were written into one folder are not restored together', async () => {
  const root = layOut({
    'dump/d/y.bson': { of: 'old', finished: '2024-01-01T02:00:00Z' },
    'dump/d/x.bson': { of: 'new', finished: '2024-01-02T02:00:00Z' },
    'dump/d/z.bson': { of: 'new', finished: '2024-01-02T02:10:00Z' },
  });
  for (const source of await inEachForm(root)) {
    const error = await refusal(readBackup(source, ['x', 'y']), /Two dumps were written into one folder: .*/);
    assert.match(error.message, /y\.bson.*x\.bson/);
    assert.equal(await readX(source), ['new'], 'one of them alone is of one dump');
    for (const way of remedies(error)) {
      const { documents } = await readBackup(way, ['x', 'y']);
      assert.ok(documents.size > 0, error.hint);
    }
  }
});

test('some files compressed and some not: read, and said', async () => {
  const root = layOut({ 'dump/d/x.bson': { of: 'one' }, 'dump/d/y.bson.gz': { of: 'one' } });
  for (const source of await inEachForm(root)) {
    const { summary } = await readBackup(source, ['x', 'y']);
    assert.match(summary.warnings.join(), /y\.bson\.gz is compressed and .*x\.bson is not/);
  }
});

test('what is left over from an older dump is said, also where nothing else is read', async () => {
  const finished = (day: number): string => `2024-01-0${day}T02:00:00Z`;
  const root = layOut({
    'dump/d/x.bson': { of: 'old', finished: finished(1) },
    'dump/d/y.bson': { of: 'new', finished: finished(2) },
  });
  for (const source of await inEachForm(root)) {
    const { summary } = await readBackup(source, ['x']);
    assert.match(summary.warnings.join(), /x\.bson.* may be left over from an older dump: .*y\.bson/);
    assert.equal(
      (await readBackup(source, ['y'])).summary.warnings.filter((each) => each.includes('left over')),
      [],
    );
  }
});

test('a dump that takes long is one dump: other collections are finished meanwhile, or the last one is very large', async () => {
  const hours = Array.from({ length: 10 }, (_, i) => [
    `dump/d/c${i}.bson`,
    { of: 'one', finished: new Date(Date.parse('2024-01-01T00:00:00Z') + i * 5 * 3_600_000).toISOString() },
  ]);
  const root = layOut(Object.fromEntries(hours));
  for (const source of await inEachForm(root)) {
    const { documents } = await readBackup(source, ['c0', 'c9']);
    assert.is(documents.size, 2);
  }
  const file = (name: string, day: number, bytes: number): DatedFile => {
    const path = `d/${name}.bson`;
    const at = { location: path, modified: day * 86_400_000 };
    return { file: { path, root: '', packedIn: undefined, at }, bytes, wanted: true };
  };
  assert.is(refuseLeftovers([file('x', 1, 5), file('y', 2, 1e12)], undefined), undefined);
  assert.throws(() => refuseLeftovers([file('x', 1, 1e12), file('y', 2, 5)], undefined));
});

/** A tree of one to three backups, as parts, copies, renamed and packed folders; and what of it is one backup. */
function randomTree({ fraction, pick, chance }: Random): {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly times: Map<string, number>;
} {
  const files = new Map<string, Buffer>();
  const times = new Map<string, number>();
  const nights = pick([1, 1, 2]);
  const night = pick([
    (i: number) => `2024-01-0${i + 1}`,
    (i: number) => (i === 0 ? 'new' : 'old'),
    (i: number) => `daily.${i}`,
    () => '',
  ]);
  const part = pick([() => '', (i: number) => `shard${i}`, (i: number) => `m${i}.example.net_27017`]);
  for (let i = 0; i < nights; i++) {
    const parts = part(0) === '' ? 1 : 1 + Math.floor(fraction() * 3);
    for (let j = 0; j < parts; j++) {
      const root = ['b', night(i), part(j)].filter((name) => name !== '').join('/');
      const gzip = chance(0.3);
      const body = Buffer.from(serialize({ of: String(i) }));
      const documents = gzip ? gzipSync(body) : body;
      const inside = `d/x.bson${gzip ? '.gz' : ''}`;
      const how = pick(['open', 'open', 'tar', 'tgz', 'tar in a tar', 'tar in a tgz']);
      const inner = buildTar([{ path: inside, body: documents }]);
      const tar = how.startsWith('tar in') ? buildTar([{ path: 'inner.tar', body: inner }]) : inner;
      const path = how === 'open' ? `${root}/${inside}` : `${root}/db.${how.endsWith('tgz') ? 'tgz' : 'tar'}`;
      files.set(path, how === 'open' ? documents : how.endsWith('tgz') ? gzipSync(tar) : tar);
      times.set(path, Date.parse('2024-01-01T02:00:00Z') + i * 86_400_000 + j * 60_000);
    }
  }
  return { files, times };
}

test('whatever lies in a place, what is read of it is of one backup, or it is refused with a list', async () => {
  const random = seededRandom(16);
  let refused = 0;
  let joined = 0;
  for (let run = 0; run < 60; run++) {
    const { files, times } = randomTree(random);
    const root = join(folder.path, `random-${run}`);
    for (const [path, bytes] of files) {
      const file = join(root, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
      const time = new Date(times.get(path) as number);
      utimesSync(file, time, time);
    }
    const shown = [...files.keys()].join(' ');
    const outcome = await readX(named(join(root, 'b'))).catch((error: RestorePlanError) => error);
    if (Array.isArray(outcome)) {
      assert.is(new Set(outcome).size, 1, shown);
      if (outcome.length > 1) joined++;
    } else {
      assert.is(outcome.code, 'BACKUP', shown);
      assert.match(outcome.message, /(?:holds the database d \d+ times|is there twice)/, shown);
      for (const way of remedies(outcome)) {
        const after = await readX(way).catch((error: RestorePlanError) => error);
        if (Array.isArray(after)) assert.is(new Set(after).size, 1, shown);
      }
      refused++;
    }
    rmSync(root, { recursive: true });
  }
  assert.ok(refused > 10 && joined > 3, `${refused} refused, ${joined} joined`);
});

test('files of single collections, each by its name, with the metadata of its kind', async () => {
  const root = layOut({
    'd/x.bson.gz': { of: 'x' },
    'd/x.metadata.json.gz': { of: 'x' },
    'd/x.metadata.json': { of: 'another' },
    'night-2024-01-02/x.bson': { of: 'night' },
  });
  assert.equal(await readX(named(`${root}/d/{collection}.bson.gz`)), ['x']);
  const { kind, metadata } = await readBackup(named(`${root}/d/{collection}.bson.gz`), ['x']);
  assert.is(kind, 'files of collections');
  assert.is(metadata.get('x')?.text, '{"indexes":[]}');
  await refusal(readX(named(`${root}/d/{collection}.bson`)), /does not exist|There is nothing/);
  writeFileSync(
    join(root, 'd/x.tar'),
    buildTar([{ path: 'd/x.bson', body: readFileSync(join(root, 'night-2024-01-02/x.bson')) }]),
  );
  await refusal(readX(named(`${root}/d/{collection}.tar`)), /is a tar, and no file of a single collection/);
});

test.run();
