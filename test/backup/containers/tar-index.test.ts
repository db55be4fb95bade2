/** How often a tar is read to find its files: over a network each read is a round trip. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { indexTar } from '../../../src/backup/containers/tar-files.ts';
import { DiskStore } from '../../../src/backup/disk/disk-store.ts';
import type { ByteSource } from '../../../src/backup/storage/byte-source.ts';
import { MemorySource, ReadAhead } from '../../../src/backup/storage/derived-sources.ts';
import type { StoredFile } from '../../../src/backup/storage/store.ts';
import { test } from '../../harness.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { buildTar } from '../../lab/tar.ts';
import { refusal } from '../reading.ts';

const folder = temporaryFolder('tar-index');
test.after(() => folder.remove());

interface ReadCount {
  reads: number;
  bytes: number;
}

/** The bytes as a file on disk that counts what is read of it. */
async function counted(tar: Buffer): Promise<{ file: ByteSource; read: ReadCount }> {
  const path = join(folder.path, 'db.tar');
  writeFileSync(path, tar);
  const stored = ((await new DiskStore().find(path)) as StoredFile).open();
  const read = { reads: 0, bytes: 0 };
  const file: ByteSource = {
    ...{
      location: stored.location,
      size: stored.size,
      modified: stored.modified,
      fingerprint: stored.fingerprint,
    },
    read: (offset, length) => {
      read.reads++;
      read.bytes += length;
      return stored.read(offset, length);
    },
    stream: (from, to) => {
      read.reads++;
      return stored.stream(from, to);
    },
    close: () => stored.close(),
  };
  return { file, read };
}

/** Finds the files of a tar of `count` files of `size` bytes each; says what was read for it. */
async function walk(count: number, size: number): Promise<ReadCount> {
  const members = Array.from({ length: count }, (_, i) => ({
    path: `db/${i}.bson`,
    body: Buffer.alloc(size, i),
  }));
  const { file, read } = await counted(buildTar(members));
  const found = await indexTar(new ReadAhead(file));
  assert.equal(
    found.map(({ path: name, bytes }) => [name, bytes.size]),
    members.map(({ path: name }) => [name, size]),
  );
  for (const i of [0, count - 1])
    assert.ok((await (found[i] as (typeof found)[number]).bytes.read(0, size)).equals(Buffer.alloc(size, i)));
  await file.close();
  return read;
}

test('many small files share a read', async () => {
  assert.ok((await walk(1000, 2000)).reads < 10);
});

test('files of some hundred kilobytes share a larger one', async () => {
  const { reads } = await walk(120, 300_000);
  assert.ok(reads < 45, `${reads} reads`);
});

test('large files cost a small read each', async () => {
  const { reads, bytes } = await walk(12, 5_000_000);
  assert.ok(reads <= 12 + 3, `${reads} reads`);
  assert.ok(bytes < 14 * 130 * 1024 + 2 * 5_000_000, `${bytes} bytes`);
});

test('metadata that came along with a header costs no further read', async () => {
  const large = Buffer.alloc(2_000_000, 1);
  const members = ['artworks', 'partners'].flatMap((name) => [
    { path: `db/${name}.bson`, body: large },
    { path: `db/${name}.metadata.json`, body: Buffer.from(`{"collectionName":"${name}"}`) },
  ]);
  const { file, read } = await counted(buildTar(members));
  const found = await indexTar(new ReadAhead(file));
  assert.is(found.length, members.length);
  const reads = read.reads;
  for (const i of [1, 3]) {
    const { bytes } = found[i] as (typeof found)[number];
    const body = members[i]?.body as Buffer;
    assert.ok((await bytes.read(0, bytes.size)).equals(body));
    for await (const chunk of bytes.stream(0, bytes.size)) assert.ok(chunk.equals(body));
  }
  assert.is(read.reads, reads);
  assert.ok(reads <= 3, `${reads} reads`);
  await file.close();
});

test('a read beyond the end is refused, not cut short', async () => {
  const ahead = new ReadAhead(
    new MemorySource(Buffer.alloc(10), 'db.tar', { modified: undefined, fingerprint: '' }),
  );
  assert.is((await ahead.read(5, 5)).length, 5);
  await refusal(ahead.read(5, 6), /db\.tar ends too early/);
  await refusal(ahead.read(9, 3), /db\.tar ends too early/);
});

test.run();
