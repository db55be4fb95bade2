/** What a real dump holds beside plain documents: odd names, views, time series, GridFS, oplog, users. */

import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BSON, type Db, GridFSBucket } from 'mongodb';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startReplicaSet } from '../lab/replica-set.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump } from '../lab/tools.ts';
import { QUIET } from '../quiet-run.ts';
import { onDisk, type ReadBackup, readBackup, refusal } from './reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let db: Db;
const ODD_NAMES = [
  'a b',
  'a+b',
  'a/b',
  'a%b',
  'a:b',
  'ünï',
  "x!*'()",
  'dots.in.it',
  'é'.repeat(60),
  `${'%'.repeat(90)}+`,
];

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('contents');
  db = lab.database('gravity');
  for (const [i, name] of ODD_NAMES.entries()) await db.collection(name).insertOne({ name, i });
  await db.createCollection('log', { capped: true, size: 10_000 });
  await db.collection('log').insertOne({ line: 1 });
  await db.createCollection('published', { viewOn: 'log', pipeline: [] });
  await db.createCollection('weather', { timeseries: { timeField: 't' } });
  await db.collection('weather').insertOne({ t: new Date(0), c: 20 });
  await db.createCollection('german', { collation: { locale: 'de', strength: 2 } });
  const upload = new GridFSBucket(db, { chunkSizeBytes: 100 }).openUploadStream('a.jpg');
  await new Promise((resolve) => upload.end(Buffer.alloc(250, 7), resolve as () => void));
  await dump('plain', ['--db', db.databaseName]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

/** Dumps into a folder, packs it as a tar and a tar.gz beside it, and dumps as an archive. */
async function dump(name: string, args: readonly string[], { uri } = lab.staging): Promise<void> {
  const out = join(folder.path, name);
  await mongodump(uri, [...args, '--out', out]);
  await mongodump(uri, [...args, `--archive=${out}.archive`]);
  await tarFolder(out, `${out}.tar`);
  await tarFolder(out, `${out}.tar.gz`, { gzip: true });
}

/** Reads the dump as a folder, a tar, a tar.gz and an archive in turn. */
async function readEach(
  name: string,
  wanted: readonly string[],
  check: (read: Promise<ReadBackup>) => unknown,
): Promise<void> {
  for (const file of [name, `${name}.tar`, `${name}.tar.gz`, `${name}.archive`]) {
    await check(readBackup(onDisk(join(folder.path, file), { database: db.databaseName }), wanted));
  }
}

for (const [i, name] of ODD_NAMES.entries()) {
  test(`A11 a collection named ${name.slice(0, 20)}`, () =>
    readEach('plain', [name], async (reading) => {
      const read = await reading;
      const document = BSON.deserialize(read.documents.get(name) as Buffer);
      assert.is(document['i'], i);
      assert.is(read.metadata.get(name)?.collection, name);
    }));
}

test('the names of all collections, as they are', async () => {
  const source = onDisk(join(folder.path, 'plain.tar'), { database: db.databaseName });
  const backup = await openBackup(QUIET, source, { wanted: new Set() });
  const names = (await backup.collections())?.map(({ collection }) => collection);
  assert.equal(
    names,
    [...ODD_NAMES, 'fs.chunks', 'fs.files', 'german', 'log', 'published', 'weather'].sort(),
  );
  assert.ok(backup.holds('a+b'));
  assert.not.ok(backup.holds('a%2Bb'));
  await backup.close();
});

test('A12 capped and collated collections are documents like any other', () =>
  readEach('plain', ['log', 'german'], async (reading) => {
    const { metadata, documents } = await reading;
    assert.match(metadata.get('log')?.text ?? '', /"capped":true/);
    assert.match(metadata.get('german')?.text ?? '', /"locale":"de"/);
    assert.is(BSON.deserialize(documents.get('log') as Buffer)['line'], 1);
  }));

test('A12 a view and a time series are refused by name', async () => {
  await readEach('plain', ['published'], (reading) => refusal(reading, /published is a view in/));
  await readEach('plain', ['weather'], (reading) =>
    refusal(reading, /weather is a time series collection in/),
  );
});

test('a view dumped with --viewsAsCollections is documents', async () => {
  await dump('views', ['--db', db.databaseName, '--viewsAsCollections']);
  await readEach('views', ['published'], async (reading) => {
    const { documents } = await reading;
    assert.is(BSON.deserialize(documents.get('published') as Buffer)['line'], 1);
  });
});

test('GridFS: files and chunks are plain collections', () =>
  readEach('plain', ['fs.files', 'fs.chunks'], async (reading) => {
    const { documents } = await reading;
    const file = join(folder.path, 'plain', db.databaseName, 'fs.chunks.bson');
    assert.ok(documents.get('fs.chunks')?.equals(readFileSync(file)));
    assert.is(BSON.deserialize(documents.get('fs.files') as Buffer)['length'], 250);
  }));

test('A10 an oplog beside the databases is said, not read; so is the prelude', async () => {
  // A server of its own: all of it is dumped, and a collection that another test renames meanwhile would end that.
  const set = await startReplicaSet();
  try {
    const own = set.client.db(db.databaseName);
    await own.collection('log').insertOne({ line: 1 });
    // Where nothing is written meanwhile, an archive has no oplog.
    let isDumped = false;
    const dumped = dump('full', ['--oplog'], set).finally(() => {
      isDumped = true;
    });
    while (!isDumped) await own.collection('written').insertOne({});
    await dumped;
  } finally {
    await set.stop();
  }
  copyFileSync(
    join(folder.path, 'full/prelude.json'),
    join(folder.path, 'full', db.databaseName, 'prelude.json'),
  );
  await readEach('full', ['log'], async (reading) => {
    const { summary, documents } = await reading;
    assert.match(summary.warnings.join(), /holds an oplog/);
    assert.is(BSON.deserialize(documents.get('log') as Buffer)['line'], 1);
  });
});

test('users and roles inside the folder of the database are passed over', async () => {
  await dump('users', ['--db', db.databaseName, '--dumpDbUsersAndRoles']);
  await readEach('users', ['log', '$admin.system.users', 'system.js'], async (reading) => {
    assert.equal([...(await reading).documents.keys()], ['log']);
  });
});

test.run();
