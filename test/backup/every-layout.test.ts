/** Every layout of the same data, made by the real mongodump: one selection from all of them, and none from a piece of one. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { deserialize } from 'bson';
import * as assert from 'uvu/assert';
import { hexOfCrc32, type MemberRead } from '../../src/backup/backup.ts';
import { openBackup } from '../../src/backup/open-backup.ts';
import { inTurn } from '../../src/selection/slices/slice-runner.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { seededRandom } from '../lab/random.ts';
import type { Bucket } from '../lab/s3.ts';
import { QUIET } from '../quiet-run.ts';
import { select } from '../selection/selecting.ts';
import { threadsOf } from '../selection/slices/compared.ts';
import { documentsOf, everyLayout, type Layout } from './every-layout.ts';
import { inBucket, readBackup, useCredentials } from './reading.ts';
import { fillSmallGallery, GALLERY_COLLECTIONS, GALLERY_PLAN, IMAGE, sourceOnDisk } from './small-gallery.ts';
import { bytesOf, digestOf, sweepTruncation } from './truncation.ts';

let lab: Lab;
let folder: TemporaryFolder;
let bucket: Bucket;
let database: string;
let layouts: readonly Layout[];

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('every-layout');
  bucket = await lab.bucket('every-layout');
  useCredentials(lab.s3);
  const db = lab.database('gallery');
  database = db.databaseName;
  await fillSmallGallery(db);
  layouts = await everyLayout({ uri: lab.staging.uri, database, root: folder.path });
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

const digestFrom = (source: Parameters<typeof readBackup>[0]): Promise<string> =>
  digestOf({ plan: GALLERY_PLAN, source, folder: folder.path });

test(
  'the same plan gives the same selection digest from every layout on disk',
  async () => {
    const digests = new Map<string, string>();
    for (const layout of layouts) {
      const source = sourceOnDisk(layout, folder.path, database);
      digests.set(layout.name, await digestFrom(source));
      assert.is((await readBackup(source, ['artworks'])).kind, layout.kind, layout.name);
    }
    const expected = digests.get('a dump directory');
    assert.equal(
      [...digests].filter(([, digest]) => digest !== expected),
      [],
    );
    assert.ok(digests.size >= 25, `${digests.size} layouts`);
  },
  { deadlineMs: 120_000 },
);

test(
  'and from every layout in S3',
  async () => {
    for (const file of new Set(layouts.flatMap(({ files }) => files)))
      await bucket.put(file, readFileSync(join(folder.path, file)));
    const expected = await digestFrom(sourceOnDisk(layouts[0] as Layout, folder.path, database));
    for (const { name, path, files, isJsonl } of layouts) {
      if (isJsonl) continue; // tested with its own source
      const isFolder = files[0]?.startsWith(`${path}/`);
      const source = inBucket(lab.s3, bucket, isFolder ? `${path}/` : path, { database });
      assert.is(await digestFrom(source), expected, name);
    }
  },
  { deadlineMs: 120_000 },
);

test(
  'and by slices of any layout, cut anywhere, scanned by any number of threads',
  async () => {
    const random = seededRandom(26);
    const expected = await digestFrom(sourceOnDisk(layouts[0] as Layout, folder.path, database));
    const isRemote = new Set(['a dump directory', 'a gnu tar', 'a dump directory made with --gzip']);
    for (const [i, layout] of layouts.entries()) {
      const sources = [sourceOnDisk(layout, folder.path, database)];
      const { name, path, files } = layout;
      const key = files[0]?.startsWith(`${path}/`) ? `${path}/` : path;
      if (isRemote.has(name)) sources.push(inBucket(lab.s3, bucket, key, { database }));
      for (const source of sources) {
        const threads = [1, 2, 3, 5][i % 4] as number;
        const sliceBytes = random.integer(200, 4_000);
        const sliced =
          threads === 1 ? { runner: inTurn(sliceBytes) } : { threads: await threadsOf(threads, sliceBytes) };
        const given = { plan: GALLERY_PLAN, source, folder: folder.path, sliced };
        assert.is(await digestOf(given), expected, `${name}, ${threads} threads, ${sliceBytes} bytes`);
      }
    }
  },
  { deadlineMs: 120_000 },
);

test('GridFS: a file comes with its chunks, byte for byte', async () => {
  const source = sourceOnDisk(layouts[0] as Layout, folder.path, database);
  const backup = await openBackup(QUIET, source, { wanted: new Set() });
  const { directory, manifest } = await select({ ...GALLERY_PLAN, source }, { backup, folder: folder.path });
  await backup.close();
  const chunks = documentsOf(readFileSync(join(directory, manifest.database, 'fs.chunks.bson')));
  const data = chunks.map((chunk) => deserialize(chunk, { promoteBuffers: true })['data'] as Buffer);
  assert.equal(Buffer.concat(data), IMAGE);
  const whole = manifest.collections.find(({ collection }) => collection === 'fs.files');
  assert.is(whole?.count, 1);
  // The member's length and CRC-32 in the manifest are those of the file in the backup, not of what was chosen of it.
  const dumped = readFileSync(join(folder.path, 'MongoDB', database, 'fs.chunks.bson'));
  const member = manifest.members.find(({ path }) => path.endsWith('fs.chunks.bson'));
  const { path, collection } = member as MemberRead;
  assert.equal(member, { path, collection, bytes: dumped.length, crc32: hexOfCrc32(crc32(dumped)) });
});

/** Read by the same code as another one; the long run of `npm run faults` leaves out none, and cuts every few bytes. */
const LIKE_ANOTHER = new Set([
  'the folder of the database',
  'folders of two hosts',
  'a tar of the folders of two shards',
  'a tar.gz of the folders of two shards',
  'a ustar tar',
  'a v7 tar',
  'a tar of gzipped files',
  'a .tgz of gzipped files',
  'a tar of the backup gem, version 3',
  'a tar of the backup gem, version 4, gzip',
  'a PBM backup, not compressed',
  'a PBM backup, gzip',
  'an archive of mongodump 3',
  'a dump directory of mongodump 3',
  'a dump directory of mongodump 3, its documents gzipped',
]);

test(
  'A1 a tar cut at each of its blocks, and any file of a backup at every few percent: refused, or nothing was missing',
  async () => {
    for (const layout of layouts.filter(({ name }) => !LIKE_ANOTHER.has(name))) {
      const source = sourceOnDisk(layout, folder.path, database);
      // Whether the files of a folder end in a whole document, only a selection looks.
      const isFolder = layout.kind === 'dump directory';
      const digest = (): Promise<string> =>
        isFolder ? digestFrom(source) : bytesOf(source, GALLERY_COLLECTIONS);
      const { refused } = await sweepTruncation({
        layout,
        root: folder.path,
        digest,
        cuts: {
          // What is packed has no blocks of its own; of tars one is cut at each, and the long run cuts all of them.
          everyBytes: layout.name === 'a gnu tar' ? 512 : Number.POSITIVE_INFINITY,
          // A folder has a dozen files, each of them small.
          everyPercent: layout.files.length > 3 ? 50 : 12,
          lastBytes: 2,
        },
      });
      assert.ok(refused > 0, `${layout.name}: no cut was refused`);
    }
  },
  { deadlineMs: 200_000 },
);

test(
  'A1 a selection from a backup that is cut, on disk and in S3: refused, or the whole one',
  async () => {
    for (const name of ['a dump directory', 'a gnu tar', 'a tar of the backup gem in chunks', 'a tar.gz']) {
      const layout = layouts.find((one) => one.name === name) as Layout;
      const { path, files } = layout;
      const common = { layout, root: folder.path };
      const everyPercent = files.length > 3 ? 60 : 24;
      const cuts = { everyBytes: Number.POSITIVE_INFINITY, everyPercent, lastBytes: 1 };
      const onDisk = sourceOnDisk(layout, folder.path, database);
      const stored = inBucket(lab.s3, bucket, files.length > 3 ? `${path}/` : path, { database });
      const store = (file: string, bytes: Buffer): Promise<string> => bucket.put(file, bytes);
      const local = await sweepTruncation({ ...common, cuts, digest: () => digestFrom(onDisk) });
      const remote = await sweepTruncation({ ...common, cuts, store, digest: () => digestFrom(stored) });
      assert.ok(local.refused > 0, `${name}: no cut was refused`);
      assert.equal(remote, local);
    }
  },
  { deadlineMs: 200_000 },
);

test.run();
