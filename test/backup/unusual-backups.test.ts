/** Backups as people have them: what can be read of them is read and said; what cannot is refused by its name, with the way out. */

import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { buildTar, type TarMember } from '../lab/tar.ts';
import { QUIET } from '../quiet-run.ts';
import { onDisk, type ReadBackup, readBackup, refusal, summaryOf } from './reading.ts';

const folder = temporaryFolder('unusual');
test.after(() => folder.remove());

const at = (path: string): string => join(folder.path, path);
const DOCUMENTS = Buffer.from(serialize({ _id: 1 }));
const METADATA = '{"indexes":[],"collectionName":"x","type":"collection"}';
const X: readonly TarMember[] = [
  { path: 'd/x.bson', body: DOCUMENTS },
  { path: 'd/x.metadata.json', body: METADATA },
];

function read(bytes: Buffer, name = 'backup', database = 'd'): Promise<ReadBackup> {
  writeFileSync(at(name), bytes);
  return readBackup(onDisk(at(name), { database }), ['x']);
}

async function assertX(reading: Promise<ReadBackup>): Promise<ReadBackup> {
  const found = await reading;
  assert.equal(found.documents.get('x'), DOCUMENTS);
  return found;
}

/** Lays the members out as files. */
function layOut(name: string, members: readonly TarMember[]): string {
  for (const { path, body = '' } of members) {
    mkdirSync(join(at(name), path, '..'), { recursive: true });
    writeFileSync(join(at(name), path), body);
  }
  return at(name);
}

test('metadata of another collection that is empty or cut: a note, and the names are there all the same', async () => {
  for (const body of ['', METADATA.slice(0, 20)]) {
    const members = [...X, { path: 'd/y.bson', body: DOCUMENTS }, { path: 'd/y.metadata.json', body }];
    const tar = buildTar(members);
    await assertX(read(gzipSync(tar)));
    writeFileSync(at('other.tar'), tar);
    for (const path of [layOut(`other-${body.length}`, members), at('other.tar')]) {
      const backup = await openBackup(QUIET, onDisk(path, { database: 'd' }), {
        wanted: new Set(['x']),
      });
      assert.equal(
        (await backup.collections())?.map(({ collection }) => collection),
        ['x', 'y'],
      );
      const { warnings } = await summaryOf(backup, 'x');
      assert.match(
        warnings.join(),
        /y\.metadata\.json is not valid JSON\. Nothing that is read here needs it/,
      );
      await backup.close();
      await refusal(
        readBackup(onDisk(path, { database: 'd' }), ['y']),
        /y\.metadata\.json is not valid JSON/,
      );
    }
  }
});

test('the files of a database at the top of a tar, or in a folder renamed to a time: read, and said', async () => {
  const flat = X.map(({ path, ...rest }) => ({ ...rest, path: path.replace('d/', './') }));
  const dated = X.map(({ path, ...rest }) => ({ ...rest, path: path.replace('d/', '2024-01-01/') }));
  for (const tar of [buildTar(flat), gzipSync(buildTar(flat)), buildTar(dated), gzipSync(buildTar(dated))]) {
    const { summary } = await assertX(read(tar));
    assert.match(summary.warnings.join(), /without the name of a database: they were taken for d/);
  }
  await assertX(readBackup(onDisk(layOut('renamed', dated), { database: 'd' }), ['x']));
  await assertX(readBackup(onDisk(at('renamed/2024-01-01'), { database: 'd' }), ['x']));
});

test('a folder that may be that of another database is not taken for the one of the plan', async () => {
  const other = X.map(({ path, ...rest }) => ({ ...rest, path: path.replace('d/', 'shop-copy/') }));
  for (const tar of [buildTar(other), gzipSync(buildTar(other))]) {
    const error = await refusal(read(tar), /does not hold the database d; it holds only shop-copy/);
    assert.match(error.hint ?? '', /Correct source\.database/);
    await assertX(read(tar, 'backup', 'shop-copy'));
  }
  const two = ['2024-01-01', '2024-01-02'].map((day) => ({ path: `${day}/x.bson`, body: DOCUMENTS }));
  await refusal(read(buildTar(two)), /does not hold the database d/);
  // Old metadata names the database.
  const old = buildTar([
    { path: 'x.bson', body: DOCUMENTS },
    {
      path: 'x.metadata.json',
      body: '{"options":{},"indexes":[{"v":1,"key":{"_id":1},"name":"_id_","ns":"shop.x"}]}',
    },
  ]);
  for (const tar of [old, gzipSync(old)]) {
    await refusal(read(tar), /does not hold the database d; it holds only shop/);
    await assertX(read(tar, 'backup', 'shop'));
  }
});

test('one file of a collection as the backup: refused with how to name it, which works', async () => {
  writeFileSync(at('x.bson.gz'), gzipSync(DOCUMENTS));
  const error = await refusal(
    readBackup(onDisk(at('x.bson.gz'), { database: 'd' }), ['x']),
    /a single collection/,
  );
  assert.match(error.hint ?? '', /\{collection\}\.bson\.gz/);
  await assertX(readBackup(onDisk(at('{collection}.bson.gz'), { database: 'd' }), ['x']));
});

test("a mongod's data files, on disk and in a tar.gz: refused by name", async () => {
  const files = ['WiredTiger', 'WiredTiger.lock', 'mongod.lock', '_mdb_catalog.wt', 'collection-0-1.wt'];
  const members = [
    ...files.map((name) => ({ path: `data/${name}`, body: 'x' })),
    { path: 'data/storage.bson', body: DOCUMENTS },
  ];
  const tar = buildTar(members);
  const root = layOut('dbpath', members);
  for (const reading of [
    () => readBackup(onDisk(root, { database: 'd' }), ['x']),
    () => readBackup(onDisk(join(root, 'data'), { database: 'd' }), ['x']),
    () => read(tar),
    () => read(gzipSync(tar)),
  ])
    await refusal(reading(), /is a copy of a mongod's data files/);
});

test('gzipped twice, and other packers: refused with what to do, which works', async () => {
  const packed = gzipSync(buildTar(X));
  const twice = gzipSync(packed);
  const error = await refusal(read(twice), /is gzip inside gzip/);
  assert.match(error.hint ?? '', /decompress it once/);
  await assertX(read(gunzipSync(twice)));
  for (const [magic, words, remedy] of [
    ['PK\x03\x04', /a zip archive/, /Unpack it/],
    ['7z\xbc\xaf', /a 7-Zip archive/, /Unpack it/],
    ['Rar!\x1a\x07', /a RAR archive/, /Unpack it/],
    ['BZh91AY', /bzip2/, /bunzip2/],
    ['Salted__', /encrypted with OpenSSL/, /Decrypt it/],
  ] as const) {
    const start = Buffer.concat([Buffer.from(magic, 'latin1'), Buffer.alloc(2000, 1)]);
    for (const bytes of [start, buildTar([{ path: 'dump.zip', body: start }])]) {
      const refused = await refusal(read(bytes), words);
      assert.match(refused.hint ?? '', remedy);
    }
  }
});

test('bytes behind a gzip stream were added, a stream that ends too early was cut off: each is called what it is', async () => {
  const packed = gzipSync(buildTar(X));
  for (const added of ['\n', '\r\n', '\x1f', '\x1f\x8b', 'garbage', '\0', 'x'.repeat(100_000)]) {
    const name = `added-${added.length}-${added.charCodeAt(0)}`;
    writeFileSync(at(name), packed);
    appendFileSync(at(name), Buffer.from(added, 'latin1'));
    const reading = readBackup(onDisk(at(name), { database: 'd' }), ['x']);
    const error = await refusal(reading, /bytes after the end of its gzip data/);
    assert.match(error.hint ?? '', /They were added/);
    truncateSync(at(name), packed.length);
    await assertX(readBackup(onDisk(at(name), { database: 'd' }), ['x']));
  }
  for (const cut of [1, 4, 8, 20]) await refusal(read(packed.subarray(0, -cut)), /is cut off/);
});

test('the layout of ApsaraDB, each collection in parts: named, and read by the way that is said', async () => {
  const members = [
    { path: 'd/x/data/x_0_part0.bson', body: DOCUMENTS },
    { path: 'd/y/data/y_0_part0.bson', body: DOCUMENTS },
  ];
  const folder = layOut('apsara', members);
  writeFileSync(at('apsara.tar.gz'), gzipSync(buildTar(members)));
  for (const [path, above] of [
    [folder, join(folder, '..')],
    [at('apsara.tar.gz'), folder],
  ] as const) {
    const { message, hint = '' } = await refusal(
      readBackup(onDisk(path, { database: 'd' }), ['x']),
      /laid out as ApsaraDB for MongoDB does it/,
    );
    assert.match(message, 'd/x/data/x_0_part0.bson');
    const template = /source\.path that ends in (\S+)/.exec(hint)?.[1] ?? '';
    assert.match(template, /d\/\{collection\}\/data\/\{collection\}_0_part0\.bson$/);
    const found = await assertX(readBackup(onDisk(join(above, template), { database: 'd' }), ['x']));
    assert.is(found.documents.size, 1);
  }
  // Parts are put together by `cat`.
  mkdirSync(at('together'));
  writeFileSync(at('together/x.bson'), Buffer.concat([DOCUMENTS, Buffer.from(serialize({ _id: 2 }))]));
  const { documents } = await readBackup(onDisk(at('together/{collection}.bson'), { database: 'd' }), ['x']);
  assert.is(documents.get('x')?.length, 2 * DOCUMENTS.length);
});

test.run();
