/** `plan backups` over 100,000 backups in a real bucket: time, and memory that must not grow with them. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HOURLY_TAR, HOURLY_TEMPLATE, hourlyKeys } from '../backup/many-backups.ts';
import { storeCopies } from '../lab/many-objects.ts';
import { BUCKET, type Grounds } from './grounds.ts';
import type { Measure } from './measure.ts';
import { peakResult } from './memory.ts';
import { planProcess } from './plan-process.ts';

const BACKUPS = 100_000;

export const LISTING: Measure = {
  name: 'listing',
  about: `plan backups over ${BACKUPS} backups in S3: the most memory it ever holds`,
  run: async (grounds, { say }) => {
    const { server, bucket } = await grounds.s3();
    say(`  storing ${BACKUPS} backups`);
    await storeCopies(server, bucket, { body: HOURLY_TAR, keys: hourlyKeys(BACKUPS) });
    const folder = writeListingPlan(grounds, server.endpoint);
    const { wallMs, peakBytes, stdout } = await planProcess(grounds, folder, [
      'backups',
      'plan.yaml',
      '--json',
    ]);
    const listing = stdout.split('\n').find((line) => line.includes('"type":"backups"')) ?? '{}';
    const { total, backups } = JSON.parse(listing) as {
      total: number;
      backups: { chosen: boolean; localTime: string }[];
    };
    const chosen = backups.find((backup) => backup.chosen);
    say(`  ${total} found in ${(wallMs / 1000).toFixed(1)} s, chosen: ${chosen?.localTime}`);
    if (total !== BACKUPS) throw new Error(`${total} backups were listed, not ${BACKUPS}`);
    return [peakResult(`peak memory: plan backups over ${BACKUPS}`, peakBytes)];
  },
};

function writeListingPlan(grounds: Grounds, endpoint: string): string {
  const folder = mkdtempSync(join(grounds.folder.path, 'listing-'));
  writeFileSync(
    join(folder, 'plan.yaml'),
    `version: 1
name: listing
source:
  at: 2012-01-01T00:30:00Z
  database: gravity
  s3: { bucket: ${BUCKET}, key: "${HOURLY_TEMPLATE}", timezone: UTC, region: us-east-1, endpoint: "${endpoint}", forcePathStyle: true }
collections:
  - { collection: artworks, query: {} }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: gravity }
`,
  );
  return folder;
}
