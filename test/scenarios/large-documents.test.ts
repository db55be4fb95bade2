/** Memory for documents as large as there are. `npm run bench -- --only memory-largest,memory-fields` does it with more of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { peakOf } from '../bench/process-cost.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startPlan } from '../lab/plan-command.ts';

const LIMIT_BYTES = 256 * 1024 * 1024;
/** As the small cache of the lab's servers takes them. */
const LARGE = 8 * 1024 * 1024;

let lab: Lab;
let folder: TemporaryFolder;

test.before(async () => {
  lab = await openLab();
});
test.before.each(() => {
  folder = temporaryFolder('large');
});
test.after.each(() => folder.remove());
test.after(() => lab.close());

const ids = Array.from({ length: 8 }, (_, i) => new ObjectId((i + 1).toString(16).padStart(24, '0')));

/** Compares what the backup has with what the target has; returns the most memory that the program ever held, bytes. */
async function peakOfDryRun(
  backup: readonly Document[],
  target: readonly Document[],
  more: readonly string[],
): Promise<number> {
  const database = lab.databaseName('large');
  mkdirSync(join(folder.path, 'dump/gravity'), { recursive: true });
  writeFileSync(
    join(folder.path, 'dump/gravity/things.bson'),
    Buffer.concat(backup.map((each) => serialize(each))),
  );
  const things = lab.staging.client.db(database).collection('things');
  for (const document of target) await things.insertOne(document);
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: large
source: { database: gravity, path: ./dump }
collections:
  - { collection: things, query: {} }
targets:
  staging: { uri: "\${URI}", database: ${database} }
`,
  );
  const running = startPlan(['dry-run', 'plan.yaml', ...more], {
    cwd: folder.path,
    env: { URI: lab.staging.uri },
  });
  let peak = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, peakOf(running.pid));
  }, 10);
  const { exitCode, stderr } = await running.ended.finally(() => clearInterval(look));
  assert.is(exitCode, 0, stderr);
  return peak;
}

test('documents of 8 MB that differ from the target', async () => {
  const withPad = (pad: string) => ids.map((_id) => ({ _id, pad: pad.repeat(LARGE) }));
  const peak = await peakOfDryRun(withPad('x'), withPad('y'), []);
  assert.ok(peak > 0 && peak <= LIMIT_BYTES, `${peak / 1e6} MB`);
});

test('a document of 400,000 fields that all differ, in every report', async () => {
  const fields = (value: (i: number) => unknown): Document =>
    Object.fromEntries(Array.from({ length: 400_000 }, (_, i) => [`f${i}`, value(i)]));
  const peak = await peakOfDryRun(
    [{ _id: ids[0], ...fields((i) => i) }],
    [{ _id: ids[0], ...fields(String) }],
    [...['--report', 'a.html', '--report', 'b.md', '--report', 'c.json', '--full']],
  );
  assert.ok(peak > 0 && peak <= LIMIT_BYTES, `${peak / 1e6} MB`);
});

test.run();
