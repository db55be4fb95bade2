/** Files that are written behind the caller's back, and are open only meanwhile. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { AppendFile } from '../../src/selection/file-batches.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { seededRandom } from '../lab/random.ts';

const folder = temporaryFolder('append');
test.after(() => folder.remove());

test('whatever comes at whatever moment of the writing is in the file, in order', async () => {
  const random = seededRandom(3);
  for (let round = 0; round < 20; round++) {
    const file = await AppendFile.create(join(folder.path, `${round}`));
    const parts: Buffer[] = [];
    for (let i = 0; i < 30; i++) {
      const part = Buffer.alloc(random.integer(1, 700_000), i);
      parts.push(part);
      file.append(part, 0, part.length);
      if (random.integer(0, 3) === 0) await file.flush();
      for (let turns = random.integer(0, 12); turns > 0; turns--) await turn();
      if (random.integer(0, 3) === 0) await file.drain();
    }
    await file.close();
    assert.ok(readFileSync(file.path).equals(Buffer.concat(parts)));
  }
});

test('a thousand files that are being filled hold none open', async () => {
  const before = readdirSync('/proc/self/fd').length;
  const files: AppendFile[] = [];
  for (let i = 0; i < 1_000; i++) files.push(await AppendFile.create(join(folder.path, `many-${i}`)));
  for (const file of files) file.append(Buffer.from('x'), 0, 1);
  assert.ok(readdirSync('/proc/self/fd').length < before + 50);
  for (const file of files) await file.close();
  assert.is(readFileSync(files[999]?.path as string, 'utf8'), 'x');
});

test.run();
