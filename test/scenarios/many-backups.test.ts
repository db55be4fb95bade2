/** `plan backups` over a bucket full of them. `npm run bench -- --only listing` does it with 100,000. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { BackupListing } from '../../src/backup/list-backups.ts';
import { HOURLY_TAR, HOURLY_TEMPLATE, hourlyKeys } from '../backup/many-backups.ts';
import { peakOf } from '../bench/process-cost.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { storeCopies } from '../lab/many-objects.ts';
import { jsonLines, startPlan } from '../lab/plan-command.ts';
import {
  type Bucket,
  createBucket,
  type S3Server,
  s3Client,
  s3Environment,
  startS3Server,
} from '../lab/s3.ts';

const BACKUPS = 12_000;
const LIMIT_BYTES = 256 * 1024 * 1024;

let server: S3Server;
let bucket: Bucket;
let folder: TemporaryFolder;

test.before(async () => {
  server = await startS3Server();
  bucket = await createBucket(s3Client(server), 'many');
  folder = temporaryFolder('many');
  await storeCopies(server, bucket, { body: HOURLY_TAR, keys: hourlyKeys(BACKUPS) });
});
test.after(async () => {
  bucket.client.destroy();
  await server.stop();
  folder.remove();
});

async function backupsAt(at: string): Promise<{ listing: BackupListing; peak: number }> {
  const where = `bucket: many, key: "${HOURLY_TEMPLATE}", timezone: America/New_York`;
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: many
source:
  at: ${at}
  database: gravity
  s3: { ${where}, region: us-east-1, endpoint: "${server.endpoint}", forcePathStyle: true }
collections:
  - { collection: artworks, query: {} }
targets:
  staging: { uri: "mongodb://127.0.0.1:1", database: gravity }
`,
  );
  const running = startPlan(['backups', 'plan.yaml', '--json'], {
    cwd: folder.path,
    env: s3Environment(server),
  });
  let peak = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, peakOf(running.pid));
  }, 20);
  const { stdout, stderr, exitCode } = await running.ended;
  clearInterval(look);
  assert.is(exitCode, 0, stderr);
  return { listing: jsonLines(stdout).at(-2) as unknown as BackupListing, peak };
}

test(
  'of 12,000 backups in twelve pages, the right one is chosen, and memory stays small',
  async () => {
    const { listing, peak } = await backupsAt('2016-01-31T23:59:59-05:00');
    assert.is(listing.total, BACKUPS);
    const chosen = listing.backups.filter((backup) => backup.chosen);
    assert.equal(
      chosen.map(({ location, localTime }) => [location, localTime]),
      [['s3://many/hourly/2016.01.31.23.00.00/db.tar', '2016-01-31 23:00:00 America/New_York']],
    );
    assert.is(listing.backups.length, 15);
    assert.ok(peak > 0 && peak <= LIMIT_BYTES, `${peak} bytes`);
  },
  { deadlineMs: 120_000 },
);

test.run();
