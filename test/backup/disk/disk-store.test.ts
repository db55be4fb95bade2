/** A dump directory in which not everything is a file or a folder. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { EMPTY_DOCUMENT } from '../../../src/bson/document-builder.ts';
import { test } from '../../harness.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { onDisk, readBackup, refusal } from '../reading.ts';

const folder = temporaryFolder('disk-store');
test.after(() => folder.remove());

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

test.run();
