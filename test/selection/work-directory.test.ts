/** Fault L10 as far as selections go: a work directory on a full disk, on a read-only one, or behind a file. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { RunEvent } from '../../src/events.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type ChunkedBackup, chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { idsOf, refusal, select } from './selecting.ts';

let folder: TemporaryFolder;
test.before.each(() => {
  folder = temporaryFolder('work-directory');
});
test.after.each(() => folder.remove());

const PLAN = planOf({ collection: 'artworks', query: {} });
const backupOf = (documents: number) =>
  chunkedBackup({
    access: 'random',
    members: [
      {
        collection: 'artworks',
        bytes: Buffer.concat(
          Array.from({ length: documents }, (_, _id) =>
            Buffer.from(serialize({ _id, pad: 'x'.repeat(1000) })),
          ),
        ),
      },
    ],
  });

const mount = (path: string, options: string): boolean =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'small', path]).status === 0;

/** Runs with a file system of a few megabytes mounted at `path`. */
async function onSmallDisk(path: string, options: string, run: () => Promise<void>): Promise<void> {
  mkdirSync(path);
  assert.ok(mount(path, options));
  try {
    await run();
  } finally {
    spawnSync('umount', [path]);
  }
}

const mayMount = ((): boolean => {
  const probe = temporaryFolder('mount-probe');
  const could = mount(probe.path, 'size=1m');
  if (could) spawnSync('umount', [probe.path]);
  probe.remove();
  return could;
})();

if (mayMount) {
  test('L10 a full disk is said, and nothing half-written is left', async () => {
    const disk = join(folder.path, 'disk');
    await onSmallDisk(disk, 'size=2m', async () => {
      const error = await refusal(select(PLAN, { backup: backupOf(8000), folder: disk }));
      assert.is(error.exitCode, 20);
      assert.match(error.message, /cannot write .*artworks\.bson: the disk is full/);
      assert.match(error.hint ?? '', /workDirectory/);
      assert.equal(readdirSync(join(disk, '.restore-plan', 'selections')), []);
    });
  });

  test('L10 a disk too small for children that are kept only in case: the backup is read again', async () => {
    const disk = join(folder.path, 'disk');
    const lots = Array.from({ length: 8000 }, (_, _id) => ({ _id, artwork: _id, pad: 'x'.repeat(1000) }));
    const backup = (): ChunkedBackup =>
      chunkedBackup({
        access: 'sequential',
        members: [
          memberOf('artworks', [{ _id: 1, lost: true }], 'c0/gravity/artworks.bson'),
          memberOf('lots', lots),
          memberOf('artworks', [{ _id: 2, lost: true }], 'c1/gravity/artworks.bson'),
        ],
      });
    const plan = planOf({
      collection: 'artworks',
      query: { lost: true },
      dependents: [{ collection: 'lots', foreignKey: 'artwork' }],
    });
    await onSmallDisk(disk, 'size=2m', async () => {
      // By default half of the free space is used; then, more than there is.
      for (const more of [{}, { spareBytes: 1e9 }]) {
        const warnings: RunEvent[] = [];
        const emit = (event: RunEvent): unknown => event.type === 'warning' && warnings.push(event);
        const from = backup();
        const selection = await select(plan, { backup: from, folder: disk, emit, ...more });
        assert.equal(await idsOf(selection, 'lots'), [1, 2]);
        assert.is(from.reads.get('dump/gravity/lots.bson'), 2);
        assert.is(warnings.length, 1);
      }
    });
  });

  test('L10 a read-only disk is said', async () => {
    const disk = join(folder.path, 'disk');
    await onSmallDisk(disk, 'size=1m,ro', async () => {
      const error = await refusal(select(PLAN, { backup: backupOf(1), folder: disk }));
      assert.match(error.message, /cannot write .*: the file system is read-only/);
    });
  });
} else {
  test.skip(
    'L10 a full disk is said, and nothing half-written is left',
    'this user may not mount a small disk',
  );
  test.skip(
    'L10 a disk too small for children that are kept only in case: the backup is read again',
    'this user may not mount a small disk',
  );
  test.skip('L10 a read-only disk is said', 'this user may not mount a read-only disk');
}

test('L10 a file in the way of the work directory is said', async () => {
  writeFileSync(join(folder.path, '.restore-plan'), '');
  const error = await refusal(select(PLAN, { backup: backupOf(1), folder: folder.path }));
  assert.match(error.message, /cannot write .*\.restore-plan.*: a part of the path is not a directory/);
});

test.run();
