/** Dumps packed in ways that backup tools have: tars in tars, chunks, several hosts, Percona Backup for MongoDB. */

import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as zlib from 'node:zlib';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { Source } from '../../src/plan/plan.ts';
import { test } from '../harness.ts';
import { artMarket, fillArtMarket } from '../lab/art-market.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import type { Bucket } from '../lab/s3.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump } from '../lab/tools.ts';
import { layOutPbm } from './pbm-layout.ts';
import { inBucket, onDisk, readBackup, refusal, useCredentials } from './reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let bucket: Bucket;
let database: string;
const WANTED = ['artworks', 'sales', 'empty'];

const at = (path: string): string => join(folder.path, path);
const dumped = (file: string): Buffer => readFileSync(at(`MongoDB/${database}/${file}`));

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('packed');
  bucket = await lab.bucket('packed');
  useCredentials(lab.s3);
  const db = lab.database('gravity');
  database = db.databaseName;
  await fillArtMarket(db, artMarket({ artworks: 100 }));
  await db.createCollection('empty');
  await mongodump(lab.staging.uri, ['--db', database, '--out', at('MongoDB')]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

async function assertSame(source: Source, kind: string): Promise<void> {
  const read = await readBackup(source, WANTED);
  assert.is(read.kind, kind);
  for (const name of WANTED) {
    assert.ok(read.documents.get(name)?.equals(dumped(`${name}.bson`)), `${name} has other bytes`);
    assert.is(read.metadata.get(name)?.text, dumped(`${name}.metadata.json`).toString('utf8'));
  }
}

/** Packs paths of the temporary folder as `trigger/…` would lie in the outer tar of the Ruby gem. */
async function packTrigger(name: string, contents: Readonly<Record<string, string>>): Promise<string> {
  rmSync(at('trigger'), { recursive: true, force: true });
  for (const [path, from] of Object.entries(contents)) {
    mkdirSync(dirname(at(`trigger/${path}`)), { recursive: true });
    cpSync(at(from), at(`trigger/${path}`), { recursive: true });
  }
  await tarFolder(folder.path, at(name), { members: ['trigger'] });
  return at(name);
}

test('the Ruby backup gem, version 3, without a compressor', async () => {
  const file = await packTrigger('v3.tar', { 'databases/MongoDB': 'MongoDB' });
  await assertSame(onDisk(file, { database }), 'tar');
});

test('the Ruby backup gem, version 3, with gzip', async () => {
  await tarFolder(folder.path, at('inner.tar.gz'), { members: ['MongoDB'], gzip: true });
  const file = await packTrigger('v3gz.tar', { 'databases/MongoDB-12345.tar.gz': 'inner.tar.gz' });
  await assertSame(onDisk(file, { database }), 'tar.gz in tar');
});

test('the Ruby backup gem, version 4, with other archives beside the database, on disk and in a bucket', async () => {
  await tarFolder(folder.path, at('inner.tar'), { members: ['MongoDB'] });
  writeFileSync(at('notes.txt'), 'notes');
  await tarFolder(folder.path, at('files.tar'), { members: ['notes.txt'] });
  const contents = {
    'archives/files.tar': 'files.tar',
    'databases/MongoDB.tar': 'inner.tar',
    'read.me': 'notes.txt',
  };
  const file = await packTrigger('v4.tar', contents);
  await assertSame(onDisk(file, { database }), 'tar in tar');
  await bucket.putFile('v4/db.tar', file);
  await assertSame(inBucket(lab.s3, bucket, 'v4/db.tar', { database }), 'tar in tar');
});

test('a tar inside a tar.gz, and a tar.gz inside a tar.gz', async () => {
  for (const gzip of [false, true]) {
    await tarFolder(folder.path, at('deep'), { members: ['MongoDB'], gzip });
    writeFileSync(at('notes.txt'), 'notes');
    await tarFolder(folder.path, at('outer.tar.gz'), { members: ['notes.txt', 'deep'], gzip: true });
    await assertSame(onDisk(at('outer.tar.gz'), { database }), 'tar.gz');
  }
});

test('a mongodump archive inside a tar, and a tar inside a folder', async () => {
  await mongodump(lab.staging.uri, ['--db', database, `--archive=${at('dump.archive')}`, '--gzip']);
  await tarFolder(folder.path, at('archive.tar'), { members: ['dump.archive'] });
  await assertSame(onDisk(at('archive.tar'), { database }), 'mongodump archive, gzip in tar');
  await tarFolder(folder.path, at('archive.tgz'), { members: ['dump.archive'], gzip: true });
  await assertSame(onDisk(at('archive.tgz'), { database }), 'mongodump archive, gzip in tar.gz');
  await bucket.putFile('archive.tgz', at('archive.tgz'));
  await assertSame(
    inBucket(lab.s3, bucket, 'archive.tgz', { database }),
    'mongodump archive, gzip in tar.gz',
  );
  writeFileSync(at('large'), randomBytes(300_000));
  await tarFolder(folder.path, at('behind.tgz'), { members: ['large', 'dump.archive'], gzip: true });
  const behind = readBackup(onDisk(at('behind.tgz'), { database }), WANTED);
  await refusal(behind, /dump\.archive is a mongodump archive behind other files/);
  const cut = readFileSync(at('archive.tgz')).subarray(0, -12);
  writeFileSync(at('cut.tgz'), cut);
  await refusal(readBackup(onDisk(at('cut.tgz'), { database }), WANTED), /cut off/);
  mkdirSync(at('only-a-tar'), { recursive: true });
  await tarFolder(folder.path, at('only-a-tar/db.tar'), { members: ['MongoDB'] });
  await assertSame(onDisk(at('only-a-tar'), { database }), 'tar');
});

test('two mongodump archives: that of the database is read; parts of it in both are refused, not half of them taken', async () => {
  mkdirSync(at('archives'), { recursive: true });
  const dump = (db: string, name: string): Promise<unknown> =>
    mongodump(lab.staging.uri, ['--db', db, `--archive=${at(`archives/${name}`)}`]);
  const other = lab.database('other');
  await other.collection('things').insertOne({});
  await dump(other.databaseName, 'a.archive');
  await dump(database, 'b.archive');
  await assertSame(onDisk(at('archives'), { database }), 'mongodump archive');
  await dump(database, 'c.archive');
  const error = await refusal(
    readBackup(onDisk(at('archives'), { database }), WANTED),
    /holds the database gravity-\S+ 2 times.*archives\/b\.archive .*archives\/c\.archive /,
  );
  assert.match(error.hint ?? '', /for one of them, source\.path: /);
});

test('two dumps in one tar, compressed or not, are counted and named alike', async () => {
  for (const dump of ['monday', 'tuesday']) cpSync(at('MongoDB'), at(`nights/${dump}`), { recursive: true });
  for (const name of ['nights.tar', 'nights.tar.gz']) {
    await tarFolder(folder.path, at(name), { members: ['nights'], gzip: name.endsWith('.gz') });
    await refusal(
      readBackup(onDisk(at(name), { database }), WANTED),
      /holds the database gravity-\S+ 2 times.*!nights\/monday\/.*!nights\/tuesday\//,
    );
  }
});

test('a tar.gz that is cut off beside a whole one is refused, not passed over', async () => {
  mkdirSync(at('halves'), { recursive: true });
  await tarFolder(folder.path, at('halves/shard0.tar.gz'), { members: ['MongoDB'], gzip: true });
  const whole = readFileSync(at('halves/shard0.tar.gz'));
  for (const length of [0, 1, 12, 300]) {
    writeFileSync(at('halves/shard1.tar.gz'), whole.subarray(0, length));
    await refusal(readBackup(onDisk(at('halves'), { database }), WANTED), /shard1\.tar\.gz is/);
  }
});

test('the parts of very many shards, of which not all would be looked into, are refused', async () => {
  mkdirSync(at('many'), { recursive: true });
  await tarFolder(folder.path, at('one.tar.gz'), { members: ['MongoDB'], gzip: true });
  for (let i = 0; i < 65; i++) cpSync(at('one.tar.gz'), at(`many/shard${i}.tar.gz`));
  await refusal(
    readBackup(onDisk(at('many'), { database }), WANTED),
    /more than 64 packed files, many\/shard0\.tar\.gz/,
  );
  rmSync(at('many/shard64.tar.gz'));
  for (let i = 0; i < 70; i++) writeFileSync(at(`many/notes ${i}`), 'notes');
  const { documents } = await readBackup(onDisk(at('many'), { database }), ['sales']);
  assert.is(documents.get('sales')?.length, 64 * dumped('sales.bson').length);
});

test('what is packed with something unreadable is named', async () => {
  writeFileSync(at('MongoDB.tar.bz2'), Buffer.concat([Buffer.from('BZh91AY&SY'), Buffer.alloc(900, 1)]));
  const file = await packTrigger('bz2.tar', { 'databases/MongoDB.tar.bz2': 'MongoDB.tar.bz2' });
  await refusal(readBackup(onDisk(file, { database }), WANTED), /MongoDB\.tar\.bz2 is compressed with bzip2/);
});

/** Cuts a file into chunks as `split` does. */
function chunksOf(file: string, count: number): Map<string, Buffer> {
  const bytes = readFileSync(file);
  const size = Math.ceil(bytes.length / count);
  const names = Array.from({ length: count }, (_, i) => `db.tar-a${String.fromCharCode(97 + i)}`);
  return new Map(names.map((name, i) => [name, bytes.subarray(i * size, (i + 1) * size)]));
}

test('chunks -aa, -ab, -ac are one tar, on disk and in a bucket, by name and by template', async () => {
  await tarFolder(folder.path, at('whole.tar'), { members: ['MongoDB'] });
  const day = 'chunks/2016.09.13.08.00.00';
  mkdirSync(at(day), { recursive: true });
  for (const [name, bytes] of chunksOf(at('whole.tar'), 3)) {
    writeFileSync(at(`${day}/${name}`), bytes);
    await bucket.put(`${day}/${name}`, bytes);
  }
  await assertSame(onDisk(at(`${day}/db.tar`), { database }), 'tar');
  await assertSame(inBucket(lab.s3, bucket, `${day}/db.tar`, { database }), 'tar');
  const template = 'chunks/{time:yyyy.MM.dd.HH.mm.ss}/db.tar';
  const text = '2016-09-13T12:00:00Z';
  const instant = { epochMs: Date.parse(text), text };
  await assertSame(onDisk(at(template), { database, at: instant }), 'tar');
  await assertSame(inBucket(lab.s3, bucket, template, { database, at: instant }), 'tar');
});

test('a chunk that is missing: refused, the first, one in the middle and the last', async () => {
  await tarFolder(folder.path, at('whole.tar'), { members: ['MongoDB'] });
  for (const [missing, words] of [
    ['db.tar-aa', /db\.tar-aa is missing/],
    ['db.tar-ab', /db\.tar-ab is missing/],
    ['db.tar-ac', /db\.tar is cut off/],
  ] as const) {
    rmSync(at('incomplete'), { recursive: true, force: true });
    mkdirSync(at('incomplete'));
    for (const [name, bytes] of chunksOf(at('whole.tar'), 3)) {
      if (name !== missing) writeFileSync(at(`incomplete/${name}`), bytes);
    }
    await refusal(readBackup(onDisk(at('incomplete/db.tar'), { database }), WANTED), words);
  }
});

test('a chunk that is cut off: refused by its size, whichever it is', async () => {
  await tarFolder(folder.path, at('whole.tar'), { members: ['MongoDB'] });
  const chunks = chunksOf(at('whole.tar'), 3);
  for (const [cut, words] of [
    ['db.tar-aa', /db\.tar-aa is cut off: it is smaller/],
    ['db.tar-ab', /db\.tar-ab is cut off: it is smaller/],
    ['db.tar-ac', /db\.tar is cut off/],
  ] as const) {
    rmSync(at('cut'), { recursive: true, force: true });
    mkdirSync(at('cut'));
    for (const [name, bytes] of chunks) {
      writeFileSync(at(`cut/${name}`), name === cut ? bytes.subarray(0, -512 * 30) : bytes);
    }
    await refusal(readBackup(onDisk(at('cut/db.tar'), { database }), WANTED), words);
  }
});

test('folders of several hosts: every member is read', async () => {
  for (const host of ['c0.example.net_27017', 'c1.example.net_27017']) {
    cpSync(at('MongoDB'), at(`hosts/${host}`), { recursive: true });
  }
  await tarFolder(at('hosts'), at('hosts.tar'));
  await tarFolder(at('hosts'), at('hosts.tar.gz'), { gzip: true });
  for (const file of ['hosts', 'hosts.tar', 'hosts.tar.gz']) {
    const { documents, summary } = await readBackup(onDisk(at(file), { database }), ['sales']);
    assert.is(summary.members.length, 2);
    assert.is.not(summary.members[0]?.path, summary.members[1]?.path);
    assert.is(summary.members[0]?.crc32, summary.members[1]?.crc32);
    assert.equal(documents.get('sales'), Buffer.concat([dumped('sales.bson'), dumped('sales.bson')]));
  }
});

/** A PBM backup of the dump in a folder of the temporary one. */
function layOut(root: string, extension = '', compress?: (bytes: Buffer) => Buffer): void {
  const dump = { dumped: at(`MongoDB/${database}`), database };
  layOutPbm(at(root), { ...dump, extension, ...(compress && { compress }) });
}

for (const [extension, compress] of [
  ['', (bytes: Buffer) => bytes],
  ['.gz', (bytes: Buffer) => zlib.gzipSync(bytes)],
] as const) {
  test(`a PBM backup, ${extension === '' ? 'not compressed' : 'gzip'}, by its time`, async () => {
    layOut(`pbm${extension}/2016-09-13T08:00:00Z`, extension, compress);
    const text = '2016-09-13T09:00:00Z';
    const path = at(`pbm${extension}/{time:yyyy-MM-ddTHH:mm:ssZ}/`);
    await assertSame(onDisk(path, { database, at: { epochMs: Date.parse(text), text } }), 'PBM backup');
  });
}

test('a PBM backup with a damaged file, without one of its files, compressed in other ways: refused by name', async () => {
  const reading = (root: string): Promise<unknown> =>
    readBackup(onDisk(at(`${root}/`), { database }), WANTED);
  layOut('pbm-damaged', '', (bytes) => Buffer.from(bytes).fill(0x20, 90, 91));
  await refusal(reading('pbm-damaged'), /gravity-.*\.(artworks|sales) is damaged: its checksum is wrong/);
  layOut('pbm-incomplete');
  rmSync(at(`pbm-incomplete/rs0/${database}.sales`));
  await refusal(reading('pbm-incomplete'), /has the metadata of sales but not its documents/);
  layOut('pbm-lz4', '.lz4');
  await refusal(reading('pbm-lz4'), /\.lz4 is compressed with lz4, which is not supported/);
});

test('a PBM backup whose metadata is damaged: refused by name', async () => {
  const number = Buffer.from(serialize({ specifications: [2 ** 31 - 1] }));
  for (const [name, metadata] of [
    ['metadata.json', '{"namespaces":[null]}'],
    ['metadata.json', '{"namespaces":[{"db":5,"collection":"artworks"}]}'],
    ['meta.pbm', number],
  ] as const) {
    rmSync(at('pbm-metadata'), { recursive: true, force: true });
    mkdirSync(at('pbm-metadata/rs0'), { recursive: true });
    writeFileSync(at(`pbm-metadata/rs0/${name}`), metadata);
    const reading = readBackup(onDisk(at('pbm-metadata/'), { database }), WANTED);
    await refusal(reading, /is damaged: a collection has no name/);
  }
});

test('a physical backup, and the disk of a mongod: refused by name', async () => {
  for (const file of ['pbm-physical/rs0/collection-0-42.wt.s2', 'db-path/WiredTiger']) {
    mkdirSync(dirname(at(file)), { recursive: true });
    writeFileSync(at(file), 'WiredTiger');
    const root = at(file.split('/')[0] as string);
    await refusal(readBackup(onDisk(root, { database }), WANTED), /is a copy of a mongod's data files/);
  }
});

test('A8 a tar.zst: read where the runtime has zstd, refused by name where it has not', async () => {
  await tarFolder(folder.path, at('plain.tar'), { members: ['MongoDB'] });
  const library = zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer };
  const magic = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(2000)]);
  const compressed = library.zstdCompressSync?.(readFileSync(at('plain.tar'))) ?? magic;
  writeFileSync(at('db.tar.zst'), compressed);
  const source = onDisk(at('db.tar.zst'), { database });
  if (library.zstdCompressSync !== undefined) {
    await assertSame(source, 'tar.zst');
    writeFileSync(at('db.tar.zst'), compressed.subarray(0, compressed.length - 20));
    await refusal(readBackup(source, WANTED), /cut off|damaged/);
  } else await refusal(readBackup(source, WANTED), /compressed with zstd, which this Node\.js cannot read/);
});

test.run();
