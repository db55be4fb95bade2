/** The same database, dumped by the real mongodump and packed in every layout, gives the same bytes. */

import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import type { Source } from '../../src/plan/plan.ts';
import { test } from '../harness.ts';
import { artMarket, fillArtMarket, LOST_PARTNER } from '../lab/art-market.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import type { Bucket } from '../lab/s3.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump } from '../lab/tools.ts';
import { QUIET } from '../quiet-run.ts';
import { planOf } from '../selection/plans.ts';
import { select } from '../selection/selecting.ts';
import { inBucket, onDisk, readBackup, refusal, useCredentials } from './reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let bucket: Bucket;
let database: string;
let expected: ReadonlyMap<string, Buffer>;
const WANTED = ['artworks', 'sales', 'empty'];

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('layouts');
  bucket = await lab.bucket('layouts');
  useCredentials(lab.s3);
  const db = lab.database('gravity');
  database = db.databaseName;
  await fillArtMarket(db, artMarket({ artworks: 300 }));
  await db.createCollection('empty');
  await mongodump(lab.staging.uri, ['--db', database, '--out', at('dump')]);
  await mongodump(lab.staging.uri, ['--db', database, '--out', at('gz'), '--gzip']);
  expected = new Map(WANTED.map((name) => [name, readFileSync(at(`dump/${database}/${name}.bson`))]));
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

const at = (path: string): string => join(folder.path, path);

async function assertSame(path: string, kind: string): Promise<void> {
  await assertSameAt(onDisk(path, { database }), kind);
}

async function assertSameAt(source: Source, kind: string): Promise<void> {
  const read = await readBackup(source, WANTED);
  assert.is(read.kind, kind);
  for (const name of WANTED) {
    assert.ok(read.documents.get(name)?.equals(expected.get(name) as Buffer), `${name} has other bytes`);
    const text = readFileSync(at(`dump/${database}/${name}.metadata.json`), 'utf8');
    assert.equal(read.metadata.get(name), { collection: name, text, type: 'collection' });
  }
}

test('a dump directory', () => assertSame(at('dump'), 'dump directory'));

test('the folder of the database itself', () => assertSame(at(`dump/${database}`), 'dump directory'));

test('a dump directory made with --gzip', () => assertSame(at('gz'), 'dump directory'));

for (const format of ['gnu', 'pax', 'ustar', 'v7'] as const) {
  test(`a ${format} tar`, async () => {
    await tarFolder(at('dump'), at(`${format}.tar`), { format });
    await assertSame(at(`${format}.tar`), 'tar');
  });
}

test('a tar.gz', async () => {
  await tarFolder(at('dump'), at('dump.tar.gz'), { gzip: true });
  await assertSame(at('dump.tar.gz'), 'tar.gz');
});

test('a tar of a dump made with --gzip', async () => {
  await tarFolder(at('gz'), at('gz.tar'));
  await assertSame(at('gz.tar'), 'tar');
});

test('a tar.gz of a dump made with --gzip', async () => {
  await tarFolder(at('gz'), at('gz.tar.gz'), { gzip: true });
  await assertSame(at('gz.tar.gz'), 'tar.gz');
});

test('folders above the folder of the database', async () => {
  mkdirSync(at('nested/db/c0.example.net_27017'), { recursive: true });
  cpSync(at('dump'), at('nested/db/c0.example.net_27017'), { recursive: true });
  await tarFolder(at('nested'), at('nested.tar'), { members: ['db'] });
  await assertSame(at('nested.tar'), 'tar');
  await assertSame(at('nested'), 'dump directory');
});

for (const [kind, args] of [
  ['mongodump archive', []],
  ['mongodump archive, gzip', ['--gzip']],
] as const) {
  test(`a ${kind}, on disk and in a bucket`, async () => {
    const file = at(`archive${args.length}`);
    await mongodump(lab.staging.uri, ['--db', database, `--archive=${file}`, ...args]);
    await assertSame(file, kind);
    await bucket.putFile('db/archive', file);
    await assertSameAt(inBucket(lab.s3, bucket, 'db/archive', { database }), kind);
  });
}

test('a tar in a bucket', async () => {
  await tarFolder(at('dump'), at('bucket.tar'));
  await bucket.putFile('db/db.tar', at('bucket.tar'));
  await assertSameAt(inBucket(lab.s3, bucket, 'db/db.tar', { database }), 'tar');
});

test('a tar.gz in a bucket', async () => {
  await tarFolder(at('dump'), at('bucket.tar.gz'), { gzip: true });
  await bucket.putFile('db/db.tar.gz', at('bucket.tar.gz'));
  await assertSameAt(inBucket(lab.s3, bucket, 'db/db.tar.gz', { database }), 'tar.gz');
});

for (const folder of ['dump', 'gz']) {
  test(`a prefix that is the dump: ${folder}`, async () => {
    for (const name of readdirSync(at(`${folder}/${database}`))) {
      await bucket.putFile(`${folder}/${database}/${name}`, at(`${folder}/${database}/${name}`));
    }
    await assertSameAt(inBucket(lab.s3, bucket, `${folder}/`, { database }), 'dump directory');
  });
}

test('the same plan gives the same selection digest from each layout', async () => {
  await tarFolder(at('dump'), at('same.tar'));
  await tarFolder(at('gz'), at('same.tar.gz'), { gzip: true });
  await bucket.putFile('same.tar', at('same.tar'));
  await mongodump(lab.staging.uri, ['--db', database, `--archive=${at('same.archive')}`, '--gzip']);
  const sources = [
    ...['dump', 'gz', 'same.tar', 'same.tar.gz', 'same.archive'].map((path) =>
      onDisk(at(path), { database }),
    ),
    inBucket(lab.s3, bucket, 'same.tar', { database }),
  ];
  const dependents = [{ collection: 'sale_artworks', foreignKey: 'artwork_id' }];
  const plan = planOf({ collection: 'artworks', query: { partner_id: LOST_PARTNER }, dependents });
  const digests = new Set<string>();
  for (const source of sources) {
    const backup = await openBackup(QUIET, source, { wanted: new Set() });
    try {
      const { manifest } = await select({ ...plan, source }, { backup, folder: folder.path });
      assert.ok(manifest.collections.every(({ count }) => count > 0));
      digests.add(manifest.digest);
    } finally {
      await backup.close();
    }
  }
  assert.is(digests.size, 1);
});

test('A10 a database that is not there is refused, naming those that are', async () => {
  const reading = readBackup(onDisk(at('dump'), { database: 'gravty' }), WANTED);
  const error = await refusal(reading, /does not hold the database gravty; it holds only /);
  assert.equal(error.facts['databases'], [database]);
});

test.run();
