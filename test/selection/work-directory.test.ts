/** Fault L10 as far as selections go: a work directory on a full disk, on a read-only one, or behind a file. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { RunEvent } from '../../src/events.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type MountedDisk, onMountedDisk, whyNoMountedDisk } from '../lab/mounted-disk.ts';
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

const whyNot = whyNoMountedDisk();

/** With a disk that has only these options. */
function onDisk(name: string, options: string, body: (disk: MountedDisk) => Promise<void>): void {
  if (whyNot === undefined) test(name, () => onMountedDisk(join(folder.path, 'disk'), options, body));
  else test.skip(name, whyNot);
}

const selectionsOn = (disk: string): string[] => readdirSync(join(disk, '.restore-plan', 'selections'));

onDisk('L10 a full disk is said, and nothing half-written is left', 'size=2m', async ({ path }) => {
  const error = await refusal(select(PLAN, { backup: backupOf(8000), folder: path }));
  assert.is(error.exitCode, 20);
  assert.match(error.message, /cannot write .*artworks\.bson: the disk is full/);
  assert.match(error.hint ?? '', /workDirectory/);
  assert.equal(selectionsOn(path), []);
});

onDisk(
  'L10 a disk too small for children that are kept only in case: the backup is read again',
  'size=2m',
  async ({ path }) => {
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
    // By default half of the free space is used; then, more than there is.
    for (const more of [{}, { spareBytes: 1e9 }]) {
      const warnings: RunEvent[] = [];
      const emit = (event: RunEvent): unknown => event.type === 'warning' && warnings.push(event);
      const from = backup();
      const selection = await select(plan, { backup: from, folder: path, emit, ...more });
      assert.equal(await idsOf(selection, 'lots'), [1, 2]);
      assert.is(from.reads.get('dump/gravity/lots.bson'), 2);
      assert.is(warnings.length, 1);
    }
  },
);

onDisk('L10 a read-only disk is said', 'size=1m,ro', async ({ path }) => {
  const error = await refusal(select(PLAN, { backup: backupOf(1), folder: path }));
  assert.match(error.message, /cannot write .*: the file system is read-only/);
});

onDisk(
  'L10 a disk that becomes read-only in the middle is said, and what it keeps half-written is not used',
  'size=20m',
  async ({ path, become }) => {
    const emit = ({ type }: RunEvent): void => {
      if (type === 'selection-started') become('ro');
    };
    const error = await refusal(select(PLAN, { backup: backupOf(3), folder: path, emit }));
    assert.is(error.exitCode, 20);
    assert.match(error.message, /cannot write .*artworks\.bson: the file system is read-only/);
    assert.is(selectionsOn(path).length, 1, 'it could not be removed');
    become('rw');
    const selection = await select(PLAN, { backup: backupOf(3), folder: path });
    assert.equal(await idsOf(selection, 'artworks'), [0, 1, 2]);
  },
);

onDisk(
  'L10 a read-only disk is said of a work directory of which several levels are missing',
  'size=2m',
  async ({ path, become }) => {
    become('ro');
    const missing = join(path, 'one', 'two');
    const error = await refusal(select(PLAN, { backup: backupOf(1), folder: missing }));
    assert.match(error.message, /cannot write .*\.restore-plan.*: the file system is read-only/);
  },
);

if (process.platform === 'linux')
  test('a work directory where the system makes none, and says that there is none, is refused at once', async () => {
    const error = await refusal(select(PLAN, { backup: backupOf(1), folder: '/proc/none/deeper' }));
    assert.is(error.exitCode, 20);
    assert.match(error.message, /cannot write \/proc\/none\/.*: there is no such file or folder/);
  });

test('L10 a file in the way of the work directory is said', async () => {
  writeFileSync(join(folder.path, '.restore-plan'), '');
  const error = await refusal(select(PLAN, { backup: backupOf(1), folder: folder.path }));
  assert.match(error.message, /cannot write .*\.restore-plan.*: a part of the path is not a directory/);
});

test.run();
