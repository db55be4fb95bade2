/** A dump directory in which not everything is a file or a folder. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { DiskStore, unreadable } from '../../../src/backup/disk/disk-store.ts';
import type { StoredFile } from '../../../src/backup/storage/store.ts';
import { EMPTY_DOCUMENT } from '../../../src/bson/document-builder.ts';
import { test } from '../../harness.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { onDisk, readBackup, refusal } from '../reading.ts';

const folder = temporaryFolder('disk-store');
test.after(() => folder.remove());

async function collected(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** A dump directory of one document, with room for more. */
function dump(name: string): string {
  const path = join(folder.path, name);
  mkdirSync(join(path, 'gravity'), { recursive: true });
  writeFileSync(join(path, 'gravity/artworks.bson'), EMPTY_DOCUMENT);
  return path;
}

test('a link to a folder is followed; a FIFO and a link to nothing are passed over', async () => {
  const path = dump('linked');
  const elsewhere = join(folder.path, 'linked-elsewhere');
  mkdirSync(elsewhere);
  symlinkSync(path, join(elsewhere, 'dump'));
  execFileSync('mkfifo', [join(path, 'gravity/sales.bson')]);
  symlinkSync('nowhere', join(path, 'gravity/offers.bson'));
  const { documents } = await readBackup(onDisk(elsewhere), ['artworks']);
  assert.equal([...documents], [['artworks', EMPTY_DOCUMENT]]);
});

test('links that lead in a circle: refused, and at once', async () => {
  const path = dump('circle');
  symlinkSync('.', join(path, 'latest'));
  symlinkSync('..', join(path, 'gravity/up'));
  await refusal(readBackup(onDisk(path), ['artworks']), /Links lead in a circle: .*circle\/.{0,200} …$/);
});

test('too many open files are no fault of the backup', () => {
  for (const code of ['EMFILE', 'ENFILE']) {
    const { message, hint } = unreadable('/backup/a.bson', Object.assign(new Error(code), { code }));
    assert.is(message, '/backup/a.bson cannot be read: too many files are open.');
    assert.match(hint ?? '', /ulimit -n/);
  }
});

for (const isInThread of [false, true]) {
  const by = isInThread ? 'by a thread itself' : 'ahead';
  test(`a file read ${by} is streamed any number of times, at once and one after the other`, async () => {
    const bytes = Buffer.alloc(20_000_001);
    for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeInt32LE(at, at);
    const path = join(folder.path, 'bytes');
    writeFileSync(path, bytes);
    const store = new DiskStore({ isInThread });
    const found = await store.find(path);
    assert.ok(found?.kind === 'file');
    const file = found.open();
    const streamed = async (from: number, to: number): Promise<boolean> => {
      let at = from;
      for await (const chunk of file.stream(from, to)) {
        assert.ok(bytes.subarray(at, at + chunk.length).equals(chunk), `bytes from ${at} on`);
        at += chunk.length;
      }
      return at === to;
    };
    const ranges = [
      [0, bytes.length],
      [7, 6_291_463],
      [100, 12_583_013],
      [5, 6],
      [9, 9],
      [1_000_000, 8_100_000],
      [3, 18_874_371],
      [2_000_000, bytes.length],
    ] as const;
    for (let round = 0; round < 2; round++)
      assert.ok((await Promise.all(ranges.map(([from, to]) => streamed(from, to)))).every(Boolean));
    await store.close();
  });

  test(`a file read ${by} that is cut off meanwhile, or written to: refused by name`, async () => {
    for (const [change, refused] of [
      [(path: string) => truncateSync(path, 100), /changed after it was found|ends at byte 100, too early/],
      [(path: string) => appendFileSync(path, 'x'), /changed after it was found/],
    ] as const) {
      const path = join(folder.path, 'changing');
      writeFileSync(path, Buffer.alloc(20_000_000));
      const store = new DiskStore({ isInThread });
      const found = await store.find(path);
      assert.ok(found?.kind === 'file');
      const read = async (): Promise<void> => {
        let chunks = 0;
        for await (const _ of (found as StoredFile).open().stream(0, 20_000_000))
          if (chunks++ === 0) change(path);
      };
      await refusal(read(), refused);
      await store.close();
    }
  });

  test(`a file read ${by} of which the system gives no byte: named, with the system's reason`, async () => {
    const path = '/proc/self/mem'; // nothing lies at its beginning
    const store = new DiskStore({ isInThread });
    const found = await store.find(path);
    assert.ok(found?.kind === 'file');
    const file = store.reopen({ ...found, size: 4096 });
    await refusal(
      collected(file.stream(0, 4096)),
      /^\/proc\/self\/mem cannot be read \(EIO: i\/o error\)\.$/,
    );
    await store.close();
  });
}

test.run();
