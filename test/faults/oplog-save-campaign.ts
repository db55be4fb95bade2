/**
 * `plan oplog save`, and a selection that an oplog rolls forward, killed with -9 at random moments and run again until they end: the file must
 * hold the entries, and the selection the documents, that one undisturbed run leaves, byte for byte.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { temporaryFolder } from '../lab/guard.ts';
import { jsonLines, runPlan, startPlan } from '../lab/plan-command.ts';
import { seededRandom } from '../lab/random.ts';
import { startReplicaSet } from '../lab/replica-set.ts';
import {
  type Bucket,
  createBucket,
  type S3Address,
  s3Client,
  s3Environment,
  startS3Server,
} from '../lab/s3.ts';
import { mongodump } from '../lab/tools.ts';

export interface SaveKills {
  /** How often it is to be killed in time. */
  readonly kills: number;
  readonly seed: number;
  /** Connection string of a set, and the database to save, to which nobody writes meanwhile. */
  readonly uri: string;
  readonly database: string;
  /** An empty folder. */
  readonly folder: string;
  /** Saved to a bucket, not to a file of that folder. */
  readonly bucket?: { readonly at: Bucket; readonly server: S3Address };
  readonly say?: (text: string) => void;
}

/** Throws where a file differs. */
export async function killSaves({
  kills,
  seed,
  uri,
  database,
  folder,
  bucket,
  say = () => {},
}: SaveKills): Promise<void> {
  const env = {
    OPLOG_URI: uri,
    ...(bucket && { ...s3Environment(bucket.server), AWS_ENDPOINT_URL_S3: bucket.server.endpoint }),
  };
  const killed = bucket === undefined ? join(folder, 'killed.bson') : `s3://${bucket.at.name}/killed`;
  const args = (to: string): string[] => [
    'oplog',
    'save',
    '--uri-env',
    'OPLOG_URI',
    '--database',
    database,
    '--to',
    to,
  ];
  const save = async (to: string): Promise<void> => {
    const { exitCode, stderr } = await runPlan(args(to), { cwd: folder, env, deadlineMs: 180_000 });
    if (exitCode !== 0) throw new Error(`saving to ${to}: ${exitCode} ${stderr}`);
  };
  const begin = performance.now();
  await save('whole.bson');
  const wholeMs = performance.now() - begin;
  const whole = digestOf([readFileSync(join(folder, 'whole.bson'))], database);
  const random = seededRandom(seed);
  for (let count = 0, round = 0; count < kills; round++) {
    // Three kills or so, then to the end: the later ones meet what the earlier ones left.
    for (let i = 0; i < 3 && count < kills; i++) {
      const running = startPlan(args(killed), { cwd: folder, env });
      // Loading the program takes the first part of the time.
      await sleep((0.3 + 0.7 * random.fraction()) * wholeMs);
      running.signal('SIGKILL');
      if ((await running.ended).signal === 'SIGKILL') count++;
    }
    await save(killed);
    const files = bucket === undefined ? [readFileSync(killed)] : await objectsIn(bucket.at);
    const found = digestOf(files, database);
    if (found !== whole) throw new Error(`round ${round}: ${found} instead of ${whole}`);
    if (bucket === undefined) rmSync(killed);
    else await bucket.at.clear();
    if (round % 5 === 0) say(`oplog save: ${count} of ${kills} kills, ${round + 1} times alike`);
  }
}

/** All objects of a bucket, in the order of the timestamps in their names, which are numbers. */
export async function objectsIn({ client, name }: Bucket): Promise<Buffer[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: name }));
  const bodies: Buffer[] = [];
  const keys = Contents.map(({ Key = '' }) => Key).sort(new Intl.Collator('en', { numeric: true }).compare);
  for (const Key of keys) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: name, Key }));
    bodies.push(Buffer.from(await (Body as NonNullable<typeof Body>).transformToByteArray()));
  }
  return bodies;
}

/** Of the entries that name the database; those that a file ends with and the next begins with count once. Others are kept for their time alone. */
function digestOf(files: readonly Buffer[], database: string): string {
  const hash = createHash('sha256');
  const named = Buffer.from(`${database}.`);
  let last: Buffer = Buffer.alloc(0);
  for (const bytes of files) {
    for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
      const entry = bytes.subarray(at, at + bytes.readInt32LE(at));
      if (!entry.includes(named) || entry.equals(last)) continue;
      hash.update(entry);
      last = entry;
    }
  }
  return hash.digest('hex');
}

/** With servers of their own, and enough entries that most kills come while they are written: to a file, then to a bucket. */
export async function savesUnderKills(
  kills: number,
  { seed, say = () => {} }: Pick<SaveKills, 'seed' | 'say'>,
): Promise<void> {
  const set = await startReplicaSet();
  const server = await startS3Server();
  const client = s3Client(server);
  const folder = temporaryFolder('oplog-save');
  try {
    const collection = set.client.db('gravity').collection('artworks');
    await collection.insertMany(Array.from({ length: 150_000 }, (_, i) => ({ n: i, text: 'x'.repeat(300) })));
    await collection.updateMany({}, { $inc: { n: 1 } });
    const order = { kills, seed, uri: set.uri, database: 'gravity', folder: folder.path, say };
    await killSaves(order);
    say(`oplog save: killed ${kills} times, the same file each time`);
    await killSaves({ ...order, bucket: { at: await createBucket(client, 'saves'), server } });
    say(`oplog save to a bucket: killed ${kills} times, the same entries each time`);
  } finally {
    client.destroy();
    await Promise.all([set.stop(), server.stop()]);
    folder.remove();
  }
}

/** With a server of its own: a dump of 100,000 documents, each of them changed since. */
export async function selectionsUnderKills(
  kills: number,
  { seed, say }: Pick<SaveKills, 'seed' | 'say'>,
): Promise<void> {
  const set = await startReplicaSet();
  const folder = temporaryFolder('oplog-select');
  const env = { OPLOG_URI: set.uri, STAGING_URI: set.uri };
  try {
    const collection = set.client.db('gravity').collection('artworks');
    await collection.insertMany(Array.from({ length: 100_000 }, (_, i) => ({ n: i, text: 'x'.repeat(300) })));
    await mongodump(set.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    await collection.updateMany({}, { $inc: { n: 1 }, $set: { late: true } });
    await sleep(1100);
    writeFileSync(join(folder.path, 'plan.yaml'), planOfAll(new Date()));
    await sleep(100);
    await collection.insertOne({ n: -1 });
    const args = ['select', 'plan.yaml', '--json'];
    const select = async (): Promise<{ readonly digest: string; readonly ms: number }> => {
      const begin = performance.now();
      const { exitCode, stdout, stderr } = await runPlan(args, {
        cwd: folder.path,
        env,
        deadlineMs: 180_000,
      });
      const found = jsonLines(stdout).find(({ type }) => type === 'select');
      if (exitCode !== 0 || found === undefined) throw new Error(`select: ${exitCode} ${stderr}`);
      return { digest: JSON.stringify(found['selection']), ms: performance.now() - begin };
    };
    const work = join(folder.path, '.restore-plan');
    const whole = await select();
    const random = seededRandom(seed);
    for (let killed = 0, round = 0; killed < kills; round++) {
      rmSync(work, { recursive: true });
      for (let i = 0; i < 3 && killed < kills; i++) {
        const running = startPlan(args, { cwd: folder.path, env });
        await sleep((0.2 + 0.7 * random.fraction()) * whole.ms);
        running.signal('SIGKILL');
        if ((await running.ended).signal === 'SIGKILL') killed++;
      }
      const again = await select();
      if (again.digest !== whole.digest)
        throw new Error(`round ${round}: ${again.digest}, not ${whole.digest}`);
      if (round % 5 === 0) say?.(`selection: ${killed} of ${kills} kills, ${round + 1} selections alike`);
    }
    say?.(`selection by an oplog: killed ${kills} times, the same documents each time`);
  } finally {
    await set.stop();
    folder.remove();
  }
}

function planOfAll(at: Date): string {
  return `version: 1
name: kills
reason: killed at random
source:
  database: gravity
  path: ./dump
  at: ${at.toISOString()}
  oplog: { mongodb: { uri: "\${OPLOG_URI}" } }
collections:
  - { collection: artworks, query: { n: { $lt: 90000 } } }
targets:
  staging: { uri: "\${STAGING_URI}", database: staging }
`;
}
