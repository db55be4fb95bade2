/**
 * A disk of ours that runs full, or becomes read-only in the middle: the work directory, a report, a saved oplog, a new plan. Each command
 * says so and ends with its code; nothing half-written is left where that is possible, and nothing of it is used. (Selections:
 * `../selection/work-directory.test.ts`.)
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { ComparedDocument } from '../../src/comparison/comparison.ts';
import { DocumentSpill } from '../../src/comparison/target-memory.ts';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type MountedDisk, onMountedDisk, whyNoMountedDisk } from '../lab/mounted-disk.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { entry, on, UUID, WALL } from '../oplog/by-hand.ts';
import { PlanFolder } from '../plan/plan-folder.ts';
import { createIncident, type Incident } from '../scenarios/incident.ts';

let lab: Lab;
let incident: Incident;
let folder: PlanFolder;
test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
});
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());
test.after(async () => {
  incident.close();
  await lab.close();
});

const whyNot = whyNoMountedDisk();

function onDisk(name: string, options: string, body: (disk: MountedDisk) => Promise<void>): void {
  if (whyNot === undefined) test(name, () => onMountedDisk(join(folder.path, 'disk'), options, body));
  else test.skip(name, whyNot);
}

/** `said` is looked for in stderr without its line breaks. */
function assertEnds({ exitCode, stderr }: PlanRun, code: number, said: RegExp): void {
  assert.is(exitCode, code, stderr);
  assert.match(stderr.replaceAll(/\s+/g, ' '), said, stderr);
}

const filesIn = (path: string): string[] => readdirSync(path, { recursive: true }).map(String).sort();

onDisk('a dry-run ends with the fault of the disk, not with that of tidying up', 'size=20m', async (disk) => {
  const work = join(disk.path, 'work');
  const dryRun = (...more: string[]): Promise<PlanRun> =>
    incident.call(['dry-run', 'plan.yaml', '--target', 'staging', '--work-dir', work, ...more]);
  assertEnds(await dryRun(), 0, /./);
  rmSync(join(work, 'seen'), { recursive: true });
  disk.become('ro');
  assertEnds(await dryRun(), 20, /cannot write \S*\/seen\/\S*: the file system is read-only/);
  assertEnds(await dryRun('--full'), 20, /cannot write \S*\/\.comparison-\S*: the file system is read-only/);
  disk.become('rw');
  assertEnds(await dryRun('--full'), 0, /./);
});

onDisk(
  'with the selection kept, a run and its revert need nothing more of the disk',
  'size=20m',
  async (disk) => {
    const target = ['--target', 'staging', '--work-dir', join(disk.path, 'work')];
    const confirmed = [...target, '--confirm', incident.staging.databaseName];
    disk.become('ro');
    assertEnds(
      await incident.call(['apply', 'plan.yaml', ...target]),
      20,
      /cannot write \S*: the file system is read-only/,
    );
    disk.become('rw');
    assertEnds(await incident.call(['dry-run', 'plan.yaml', ...target]), 0, /./);
    disk.become('ro');
    for (const command of ['apply', 'verify', 'revert'])
      assertEnds(
        await incident.call([command, 'plan.yaml', ...(command === 'revert' ? confirmed : target)]),
        0,
        /every byte as in the backup|Take back 140 documents/,
      );
    assert.is(await incident.staging.collection('artworks').countDocuments({ partner_id: LOST_PARTNER }), 0);
    disk.become('rw');
  },
);

onDisk(
  'what is only kept in between is no reason to fail where it cannot be removed',
  'size=20m',
  async (disk) => {
    const spill = await DocumentSpill.create(disk.path);
    await spill.add('a', { class: 'insert', id: '1' } as ComparedDocument);
    for await (const { id } of spill.read('a')) assert.is(id, '1');
    disk.become('ro');
    await spill.remove();
    disk.become('rw');
    const [left] = readdirSync(disk.path);
    assert.ok(left);
    utimesSync(join(disk.path, left, '0.ndjson'), 0, 0);
    utimesSync(join(disk.path, left), 0, 0);
    const next = await DocumentSpill.create(disk.path);
    assert.not.ok(existsSync(join(disk.path, left)), 'a later run removes it');
    await next.remove();
  },
);

onDisk('half a report is none', 'size=8k', async ({ path }) => {
  for (const name of ['r.html', 'r.json', 'r.md']) {
    const run = await incident.call(['dry-run', 'plan.yaml', '--full', '--report', join(path, name)]);
    assertEnds(run, 1, /error: the report \S+ could not be written: the disk is full/);
    assert.equal(filesIn(path), []);
  }
});

onDisk('a new plan is written whole or not at all', 'size=4k', async ({ path, become }) => {
  const init = (): Promise<PlanRun> => callPlan(['init', join(path, 'plan.yaml')], { cwd: folder.path });
  assertEnds(await init(), 1, /plan\.yaml could not be written: the disk is full/);
  assert.equal(filesIn(path), []);
  become('size=1m');
  assertEnds(await init(), 0, /^/);
  assert.equal(filesIn(path), ['plan.yaml', 'restore-plan.schema.json']);
});

onDisk('a saved oplog is gone on with when there is room again', 'size=64k', async ({ path, become }) => {
  const database = lab.databaseName('full-disk');
  const things = lab.staging.client.db(database).collection('things');
  for (let i = 0; i < 4; i++) await things.insertOne({ pad: 'x'.repeat(40_000) });
  const save = (to: string): Promise<PlanRun> =>
    callPlan(['oplog', 'save', '--uri-env', 'URI', '--database', database, '--to', to], {
      cwd: folder.path,
      env: { URI: lab.staging.uri },
    });
  assertEnds(await save(join(path, 'o.bson')), 20, /cannot write \S*o\.bson\.partial: the disk is full/);
  assert.equal(filesIn(path), ['o.bson.partial']);
  become('size=4m');
  assertEnds(await save(join(path, 'o.bson')), 0, /^/);
  assertEnds(await save('whole.bson'), 0, /^/);
  const [onDisk, whole] = [join(path, 'o.bson'), join(folder.path, 'whole.bson')].map((file) =>
    readFileSync(file),
  );
  assert.ok(onDisk && whole?.subarray(0, onDisk.length).equals(onDisk), 'the same entries, in their order');
});

onDisk('changes that find no room are no fault of the oplog', 'size=1m', async ({ path }) => {
  const pad = 'x'.repeat(1000);
  const ids = Array.from({ length: 10_000 }, (_, i) => i);
  const bson = (documents: readonly Document[]): Buffer =>
    Buffer.concat(documents.map((each) => serialize(each)));
  mkdirSync(join(folder.path, 'dump/shop'), { recursive: true });
  folder.write('dump/shop/a.metadata.json', JSON.stringify({ indexes: [], uuid: UUID, collectionName: 'a' }));
  writeFileSync(join(folder.path, 'dump/shop/a.bson'), bson(ids.map((_id) => ({ _id }))));
  const change = { $v: 2, diff: { u: { pad } } };
  writeFileSync(
    join(folder.path, 'oplog.bson'),
    Buffer.concat([
      entry(0, { op: 'n', ns: '', o: {} }),
      ...ids.map((_id) => entry(_id + 10, on('u', change, { o2: { _id } }))),
      entry(20_000, { op: 'n', ns: '', o: {} }),
    ]),
  );
  const time = (seconds: number): string => new Date(WALL + seconds * 1000).toISOString();
  folder.write(
    'plan.yaml',
    `version: 1
name: full
source:
  { database: shop, path: dump, at: '${time(15_000)}', oplog: { path: oplog.bson, begins: '${time(5)}' } }
collections: [{ collection: a, query: {} }]
targets: { staging: { uri: '\${URI}', database: shop } }
`,
  );
  const run = await callPlan(['select', 'plan.yaml', '--work-dir', path], { cwd: folder.path });
  assertEnds(
    run,
    20,
    /oplog-changes: the disk is full next: Name a directory with .*: --work-dir <directory>/,
  );
});

test.run();
