/** What is held of collections that were read: as good as nothing, however many they are. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ObjectId } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { test } from '../harness.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { bson, chunkedBackup } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { select } from './selecting.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const MEGABYTE = 1024 * 1024;
const COLLECTIONS = 60;

/** The same, and each chunk is a buffer of its own, as those of files are. */
function inOwnBuffers(backup: Backup): Backup {
  return {
    ...backup,
    async *read(...asked) {
      for await (const piece of backup.read(...asked))
        yield piece.type === 'documents'
          ? { ...piece, bytes: Buffer.from(new Uint8Array(piece.bytes)) }
          : piece;
    },
  };
}

for (const access of ['random', 'sequential'] as const) {
  test(`no chunk of a collection is held once it was read: ${access}`, async () => {
    const documents = Array.from({ length: 1000 }, (_, n) =>
      bson({ _id: new ObjectId(), a: { n }, text: 'x'.repeat(1000) }),
    );
    const bytes = Buffer.concat(documents);
    const names = Array.from({ length: COLLECTIONS }, (_, i) => `c${i}`);
    const members = names.map((collection) => ({ collection, bytes }));
    const backup = inOwnBuffers(chunkedBackup({ access, members, nextLength: () => MEGABYTE }));
    const plan = planOf(
      ...names.map((collection) => ({ collection, query: { 'a.n': { $lt: 5 }, text: { $regex: '^x' } } })),
    );
    const folder = temporaryFolder('many');
    let least = Number.POSITIVE_INFINITY;
    let most = 0;
    try {
      await select(plan, {
        backup,
        folder: folder.path,
        emit: ({ type }) => {
          if (type !== 'selection-progress') return;
          // Buffers are freed beside the program; a second collection waits for the first one's.
          collectGarbage();
          collectGarbage();
          const { arrayBuffers } = process.memoryUsage();
          least = Math.min(least, arrayBuffers);
          most = Math.max(most, arrayBuffers);
        },
      });
    } finally {
      folder.remove();
    }
    assert.ok(
      most - least < (COLLECTIONS / 4) * MEGABYTE,
      `grew by ${Math.round((most - least) / MEGABYTE)} MiB`,
    );
  });
}

test.run();
