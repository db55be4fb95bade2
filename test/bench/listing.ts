/** A million keys: backups in a real bucket and on disk, the folder of all of them named as one, the files of an oplog. Memory must not grow with them. */
import { linkSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Binary, Long, serialize, Timestamp } from 'bson';
import { HOURLY_TAR, HOURLY_TEMPLATE, hourlyKeys } from '../backup/many-backups.ts';
import { storeCopies } from '../lab/many-objects.ts';
import { BUCKET, DATABASE, type Grounds } from './grounds.ts';
import { type Measure, type MeasureOptions, megabytes } from './measure.ts';
import { peakResult } from './memory.ts';
import { planProcess } from './plan-process.ts';

const MILLION = 1_000_000;
const AT = '2012-01-01T00:30:00Z';

type Say = Pick<MeasureOptions, 'say'>;

/** YAML below `source`. */
function writeListingPlan(grounds: Grounds, source: string): string {
  const folder = mkdtempSync(join(grounds.folder.path, 'listing-'));
  writeFileSync(
    join(folder, 'plan.yaml'),
    `version: 1
name: listing
source:
  database: ${DATABASE}
  ${source}
collections:
  - { collection: artworks, query: {} }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${DATABASE} }
`,
  );
  return folder;
}

async function listed(grounds: Grounds, source: string, { say }: Say): Promise<number> {
  const folder = writeListingPlan(grounds, `at: ${AT}\n  ${source}`);
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
  const seconds = (wallMs / 1000).toFixed(1);
  say(`  ${total} found in ${seconds} s, ${megabytes(peakBytes)}; chosen: ${chosen?.localTime}`);
  if (total !== MILLION) throw new Error(`${total} backups were listed, not ${MILLION}`);
  return peakBytes;
}

const LISTING: Measure = {
  name: 'listing',
  about: '1,000,000 backups in S3: plan backups, and the folder of all of them named as one backup',
  run: async (grounds, { say }) => {
    const { server, bucket } = await grounds.s3();
    say('  storing 1,000,000 backups');
    await storeCopies(server, bucket, { body: HOURLY_TAR, keys: hourlyKeys(MILLION) });
    const s3 = (key: string): string =>
      `s3: { bucket: ${BUCKET}, key: "${key}", region: us-east-1, endpoint: "${server.endpoint}", forcePathStyle: true`;
    const all = await listed(grounds, `${s3(HOURLY_TEMPLATE)}, timezone: UTC }`, { say });
    const folder = writeListingPlan(grounds, `${s3('hourly/')} }`);
    const refused = await planProcess(grounds, folder, ['select', 'plan.yaml'], [12]);
    say(`  ${refused.stderr.match(/error: .*/)?.[0]}: ${(refused.wallMs / 1000).toFixed(1)} s`);
    return [
      peakResult('peak memory: plan backups over 1,000,000 in S3', all),
      peakResult('peak memory: a prefix of 1,000,000 backups named as one', refused.peakBytes),
    ];
  },
};

/** A file system gives an inode no more names. */
const MOST_LINKS = 50_000;

const ON_DISK: Measure = {
  name: 'listing-disk',
  about: '1,000,000 backups on disk: plan backups',
  run: async (grounds, { say }) => {
    const home = mkdtempSync(join(grounds.folder.path, 'many-'));
    mkdirSync(join(home, 'hourly'));
    let made = 0;
    let first = '';
    for (const key of hourlyKeys(MILLION)) {
      const file = join(home, key.replace('/db.tar', '.tar'));
      if (made++ % MOST_LINKS > 0) linkSync(first, file);
      else {
        writeFileSync(file, HOURLY_TAR);
        first = file;
      }
    }
    const template = join(home, HOURLY_TEMPLATE.replace('/db.tar', '.tar'));
    const peak = await listed(grounds, `timezone: UTC\n  path: "${template}"`, { say });
    return [peakResult('peak memory: plan backups over 1,000,000 on disk', peak)];
  },
};

const OPLOG: Measure = {
  name: 'listing-oplog',
  about: '1,000,000 files of an oplog on disk, of which thirty are read',
  run: async (grounds, { say }) => {
    const home = mkdtempSync(join(grounds.folder.path, 'oplog-files-'));
    const end = writeOplogFiles(join(home, 'oplog'));
    const time = (minutesBefore: number): string => new Date(end - minutesBefore * 60_000).toISOString();
    mkdirSync(join(home, 'dump', DATABASE), { recursive: true });
    writeFileSync(join(home, 'dump', DATABASE, 'artworks.bson'), serialize({ _id: 1, n: 0 }));
    const metadata = { indexes: [], uuid: UUID, collectionName: 'artworks' };
    writeFileSync(join(home, 'dump', DATABASE, 'artworks.metadata.json'), JSON.stringify(metadata));
    const source = `path: ${home}/dump
  at: ${time(30)}
  oplog: { path: ${home}/oplog, begins: ${time(60)} }`;
    const folder = writeListingPlan(grounds, source);
    const { wallMs, peakBytes } = await planProcess(grounds, folder, ['select', 'plan.yaml']);
    say(`  ${(wallMs / 1000).toFixed(1)} s, ${megabytes(peakBytes)}`);
    return [peakResult('peak memory: 1,000,000 files of an oplog', peakBytes)];
  },
};

const UUID = '8f0e6f0a4c3f4b0e9a0d3c1b2a190817';
const WITH_ENTRIES = 200;

/** A file for each minute; only the last ones have an entry. Returns when they end, UTC milliseconds. */
function writeOplogFiles(folder: string): number {
  mkdirSync(folder);
  const end = Date.UTC(2026, 10, 22, 8) / 1000;
  for (let left = MILLION; left > 0; left--) {
    const from = end - left * 60;
    writeFileSync(
      join(folder, `oplog_${from}.1_${from + 60}.1.bson`),
      left > WITH_ENTRIES ? '' : changeAt(from + 30),
    );
  }
  return end * 1000;
}

function changeAt(seconds: number): Uint8Array {
  return serialize({
    ...{ op: 'u', ns: `${DATABASE}.artworks`, ui: new Binary(Buffer.from(UUID, 'hex'), 4) },
    ...{ o: { $v: 2, diff: { u: { n: seconds } } }, o2: { _id: 1 } },
    ...{ ts: new Timestamp({ t: seconds, i: 1 }), t: Long.ONE, v: Long.fromNumber(2) },
    wall: new Date(seconds * 1000),
  });
}

export const LISTINGS: readonly Measure[] = [LISTING, ON_DISK, OPLOG];
