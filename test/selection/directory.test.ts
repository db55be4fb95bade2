import { createHash } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serialize } from 'bson';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { BackupIdentity } from '../../src/backup/backup.ts';
import { fileNameOf } from '../../src/backup/layout/dump-paths.ts';
import {
  createPartialDirectory,
  publishSelection,
  selectionDirectory,
} from '../../src/selection/directory.ts';
import { readBatches } from '../../src/selection/file-batches.ts';
import { findSelection, openSelection } from '../../src/selection/open-selection.ts';
import {
  type SelectedCollection,
  type SelectionManifest,
  selectionDigest,
} from '../../src/selection/selection.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { refusal } from './selecting.ts';

const PLAN = { name: 'partner 57d1/artworks', digest: 'a'.repeat(64), selectsDigest: 'a'.repeat(64) };
const BACKUP: BackupIdentity = {
  location: '/backups/db.tar',
  kind: 'tar',
  time: undefined,
  localTime: undefined,
  modified: undefined,
  size: 1,
  fingerprint: 'f1',
};

let folder: TemporaryFolder;
let workDirectory: string;
test.before.each(() => {
  folder = temporaryFolder('selection');
  workDirectory = join(folder.path, '.restore-plan');
});
test.after.each(() => folder.remove());

function describe(collection: string, bytes: Buffer, count: number): SelectedCollection {
  return {
    collection,
    into: collection,
    whenMatched: 'keepExisting',
    scanned: count,
    count,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    file: `${fileNameOf(collection)}.bson`,
    metadataFile: undefined,
  };
}

async function publish(documents: readonly Buffer[]) {
  const bytes = Buffer.concat(documents);
  const collections = [describe('artworks', bytes, documents.length)];
  const manifest: SelectionManifest = {
    format: 2,
    toolVersion: '0.0.0',
    planName: PLAN.name,
    planDigest: PLAN.digest,
    backup: BACKUP,
    database: 'gravity',
    digest: selectionDigest(collections),
    collections,
    members: [{ path: 'db.tar!artworks.bson', collection: 'artworks', bytes: 9, crc32: '0badcafe' }],
    readToEnd: true,
    warnings: [],
  };
  const directory = selectionDirectory(workDirectory, PLAN, BACKUP);
  const partial = await createPartialDirectory(workDirectory, directory, 'gravity');
  await writeFile(join(partial.documents, 'artworks.bson'), bytes, { mode: 0o600 });
  const isThere = async () =>
    (await findSelection(workDirectory, PLAN, BACKUP))?.manifest.digest === manifest.digest;
  await publishSelection(partial, directory, { manifest, isThere });
  return { directory, manifest };
}

test('the digest depends on what would be written and on nothing else', () => {
  const artworks = describe('artworks', Buffer.from('one'), 2);
  const sales = describe('sales', Buffer.from('two'), 1);
  const digest = selectionDigest([artworks, sales]);
  assert.match(digest, /^[0-9a-f]{64}$/);
  assert.is(selectionDigest([sales, artworks]), digest, 'order of the plan');
  assert.is(
    selectionDigest([artworks, sales, describe('bids', Buffer.alloc(0), 0)]),
    digest,
    'nothing selected',
  );
  assert.is(selectionDigest([{ ...artworks, scanned: 99, file: 'x' } as SelectedCollection, sales]), digest);
  for (const change of [
    { collection: 'art' },
    { into: 'other' },
    { whenMatched: 'replace' as const },
    { count: 3 },
    { sha256: '0' },
  ]) {
    assert.is.not(selectionDigest([{ ...artworks, ...change }, sales]), digest, JSON.stringify(change));
  }
});

test('a published selection is private, hidden from git and found again', async () => {
  const { directory, manifest } = await publish([Buffer.from(serialize({ _id: 1 }))]);
  assert.equal((await openSelection(directory)).manifest, JSON.parse(JSON.stringify(manifest)));
  assert.is((await findSelection(workDirectory, PLAN, BACKUP))?.directory, directory);
  assert.is(await readFile(join(workDirectory, '.gitignore'), 'utf8'), '*\n');
  assert.is((await stat(workDirectory)).mode & 0o777, 0o700);
  assert.is((await stat(directory)).mode & 0o777, 0o700);
  assert.is((await stat(join(directory, 'manifest.json'))).mode & 0o777, 0o600);
  assert.equal(await readdir(join(directory, '..')), [directory.split('/').at(-1)]);
});

test('of two runs that select the same at once, the files of the first stay where they may be in use', async () => {
  const documents = [Buffer.from(serialize({ _id: 1 }))];
  const { directory } = await publish(documents);
  const file = join(directory, 'gravity', 'artworks.bson');
  const { ino } = await stat(file);
  await publish(documents);
  assert.is((await stat(file)).ino, ino);
  await writeFile(file, 'damaged');
  await publish(documents);
  assert.equal(await readFile(file), documents[0]);
  assert.equal(await readdir(join(directory, '..')), [directory.split('/').at(-1)]);
});

test('a selection of another plan or of other backup bytes is not reused', async () => {
  await publish([Buffer.from(serialize({ _id: 1 }))]);
  assert.is(
    await findSelection(workDirectory, { ...PLAN, selectsDigest: 'b'.repeat(64) }, BACKUP),
    undefined,
  );
  assert.is(await findSelection(workDirectory, PLAN, { ...BACKUP, fingerprint: 'f2' }), undefined);
  assert.is(await findSelection(join(workDirectory, 'elsewhere'), PLAN, BACKUP), undefined);
});

test('a selection whose files were changed is not reused', async () => {
  const { directory } = await publish([Buffer.from(serialize({ _id: 1, a: 'left' }))]);
  const path = join(directory, 'gravity', 'artworks.bson');
  await writeFile(path, Buffer.from(serialize({ _id: 1, a: 'lefT' })));
  assert.is(await findSelection(workDirectory, PLAN, BACKUP), undefined, 'same size, other bytes');
  await appendFile(path, 'x');
  await rejects(openSelection(directory), 'BACKUP', /has \d+ bytes, not \d+/);
  await rm(path);
  await rejects(openSelection(directory), 'BACKUP', /artworks\.bson is missing/);
});

/** As version 0.1.0 wrote it before members had a CRC-32. */
const FORMAT_1 = {
  format: 1,
  toolVersion: '0.1.0',
  planName: 'older',
  planDigest: '75f6a830a463469ef654310702d794c82243548fcf9f552b7110fa04bd510aab',
  selectsDigest: '75f6a830a463469ef654310702d794c82243548fcf9f552b7110fa04bd510aab',
  backup: {
    location: '/var/backups/d/',
    size: 105,
    modified: 1796007433346,
    fingerprint: 'files:206e2fa5e38f22b893cd751f5cb4eac20ec12411f92627f0397251b878296e7c',
    kind: 'dump directory',
  },
  database: 'gravity',
  digest: '6d77e261483331906d904a6cef2c3ae622dab9e0c482a8284f7b15e2935271f4',
  collections: [
    {
      collection: 'artworks',
      into: 'artworks',
      whenMatched: 'keepExisting',
      scanned: 2,
      count: 1,
      bytes: 29,
      sha256: '0d60b7b91df664dbdf61b519d0cc4380d3e47ff9b5352b2f3e27a7ec9a36548e',
      file: 'artworks.bson',
      metadataFile: 'artworks.metadata.json',
      metadataSha256: 'fb3868aeb8d48be630253f2c156f0ca2c8f8485a4282356337ae18a8a470c5ff',
    },
  ],
  members: [
    {
      path: '/var/backups/d/gravity/artworks.bson',
      collection: 'artworks',
      bytes: 43,
      sha256: 'bd010c8080ca6576e07c62acb9c9e6bb5d1b7c1a6a4b8939508f862b7a0ed0bb',
    },
  ],
  readToEnd: true,
  warnings: [],
};

test('a selection of format 1, whose members have a SHA-256, is used as it is', async () => {
  const plan = { name: FORMAT_1.planName, selectsDigest: FORMAT_1.selectsDigest };
  const backup: BackupIdentity = { ...FORMAT_1.backup, time: undefined, localTime: undefined };
  const directory = selectionDirectory(workDirectory, plan, backup);
  await mkdir(join(directory, 'gravity'), { recursive: true, mode: 0o700 });
  const write = (name: string, content: Buffer | string) =>
    writeFile(join(directory, name), content, { mode: 0o600 });
  await write('manifest.json', JSON.stringify(FORMAT_1));
  await write('gravity/artworks.bson', Buffer.from(serialize({ _id: 2, partner: 'p' })));
  await write(
    'gravity/artworks.metadata.json',
    '{"indexes":[],"collectionName":"artworks","type":"collection"}',
  );
  const why: string[] = [];
  const found = await findSelection(workDirectory, plan, backup, (reason) => why.push(reason));
  assert.equal(why, []);
  assert.equal(found, { directory, manifest: FORMAT_1 });
});

test('a manifest of a newer format, or one that was edited, is refused', async () => {
  const { directory, manifest } = await publish([Buffer.from(serialize({ _id: 1 }))]);
  const path = join(directory, 'manifest.json');
  await writeFile(path, JSON.stringify({ ...manifest, format: 3 }));
  await rejects(openSelection(directory), 'BACKUP', /has format 3/);
  await writeFile(path, JSON.stringify({ ...manifest, digest: 'c'.repeat(64) }));
  await rejects(openSelection(directory), 'BACKUP', /own digest/);
  await writeFile(path, '{');
  await rejects(openSelection(directory), 'BACKUP', /cannot be read/);
});

test('what a killed run left behind is swept away after a day', async () => {
  const directory = selectionDirectory(workDirectory, PLAN, BACKUP);
  const old = await createPartialDirectory(workDirectory, directory, 'gravity');
  const young = await createPartialDirectory(workDirectory, directory, 'gravity');
  const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
  for (const each of [old.documents, old.spool, old.directory]) await utimes(each, yesterday, yesterday);
  const fresh = await createPartialDirectory(workDirectory, directory, 'gravity');
  const left = (await readdir(join(directory, '..'))).sort();
  assert.equal(left, [young, fresh].map((partial) => partial.directory.split('/').at(-1)).sort());
});

test('a work directory that cannot be made is said, with the reason', async () => {
  await mkdir(join(workDirectory, '..'), { recursive: true });
  await writeFile(workDirectory, 'a file in the way');
  const directory = selectionDirectory(workDirectory, PLAN, BACKUP);
  await rejects(
    createPartialDirectory(workDirectory, directory, 'gravity'),
    'WORK_DIRECTORY',
    /cannot write .*selections/,
  );
});

test('batches hold every document once, whole and in order, within their limits', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 1000 }),
      fc.integer({ min: 1, max: 12 }),
      async (sizes, maxBytes, maxDocuments) => {
        const documents = sizes.map((size, _id) => Buffer.from(serialize({ _id, pad: 'x'.repeat(size) })));
        const { directory } = await publish(documents);
        const read: Buffer[] = [];
        for await (const batch of readBatches(await openSelection(directory), 'artworks', {
          maxBytes,
          maxDocuments,
        })) {
          assert.is(batch.first, read.length);
          assert.ok(batch.offsets.length <= maxDocuments);
          assert.ok(batch.bytes.length <= maxBytes || batch.offsets.length === 1);
          batch.offsets.forEach((at, i) => {
            read.push(batch.bytes.subarray(at, batch.offsets[i + 1] ?? batch.bytes.length));
          });
        }
        assert.equal(Buffer.concat(read), Buffer.concat(documents));
        assert.is(read.length, documents.length);
      },
    ),
    { numRuns: 60, seed: 1 },
  );
});

test('a batch is refused when the file does not hold whole documents', async () => {
  const { directory } = await publish([Buffer.from(serialize({ _id: 1 })), Buffer.from([9, 0, 0, 0, 0, 0])]);
  const selection = await openSelection(directory);
  const batches = readBatches(selection, 'artworks', { maxBytes: 1000, maxDocuments: 10 });
  await batches.next();
  await rejects(batches.next(), 'BACKUP', /does not hold whole documents/);
});

async function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  const error = await refusal(promise);
  assert.is(error.code, code);
  assert.match(error.message, message);
}

test.run();
