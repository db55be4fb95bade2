/**
 * `plan oplog save`, and a selection that an oplog rolls forward, killed with -9 at random moments and run again until they end: the file must
 * hold the entries, and the selection the documents, that one undisturbed run leaves, byte for byte.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../lab/guard.ts';
import { jsonLines, runPlan, startPlan } from '../lab/plan-command.ts';
import { seededRandom } from '../lab/random.ts';
import { startReplicaSet } from '../lab/replica-set.ts';
import { mongodump } from '../lab/tools.ts';

export interface SaveKills {
  /** How often it is to be killed in time. */
  readonly kills: number;
  readonly seed: number;
  /** Connection string of a set to which nobody writes meanwhile, and the database to save. */
  readonly uri: string;
  readonly database: string;
  /** An empty folder. */
  readonly folder: string;
  readonly say?: (text: string) => void;
}

/** Throws where a file differs. */
export async function killSaves({
  kills,
  seed,
  uri,
  database,
  folder,
  say = () => {},
}: SaveKills): Promise<void> {
  const env = { OPLOG_URI: uri };
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
  const whole = digestOf(join(folder, 'whole.bson'));
  const random = seededRandom(seed);
  for (let killed = 0, round = 0; killed < kills; round++) {
    // Three kills or so, then to the end: the later ones meet what the earlier ones left.
    for (let i = 0; i < 3 && killed < kills; i++) {
      const running = startPlan(args('killed.bson'), { cwd: folder, env });
      // Loading the program takes the first part of the time.
      await sleep((0.3 + 0.7 * random.fraction()) * wholeMs);
      running.signal('SIGKILL');
      if ((await running.ended).signal === 'SIGKILL') killed++;
    }
    await save('killed.bson');
    const found = digestOf(join(folder, 'killed.bson'));
    if (found !== whole) throw new Error(`round ${round}: ${found} instead of ${whole}`);
    rmSync(join(folder, 'killed.bson'));
    if (round % 5 === 0) say(`oplog save: ${killed} of ${kills} kills, ${round + 1} files alike`);
  }
}

/**
 * Without what a server that nobody writes to writes for itself, for the newest entry is always kept: a no-op every ten seconds, and every five
 * minutes the sessions in use.
 */
function digestOf(file: string): string {
  const bytes = readFileSync(file);
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
    const entry = bytes.subarray(at, at + bytes.readInt32LE(at));
    if (!entry.includes(NOOP) && !entry.includes(SESSIONS)) hash.update(entry);
  }
  return hash.digest('hex');
}

const SESSIONS = Buffer.from('config.system.sessions');
const NOOP = Buffer.from('\x02op\x00\x02\x00\x00\x00n\x00', 'latin1');

/** With a server of its own, and enough entries that most kills come while they are written. */
export async function savesUnderKills(
  kills: number,
  { seed, say }: Pick<SaveKills, 'seed' | 'say'>,
): Promise<void> {
  const set = await startReplicaSet();
  const folder = temporaryFolder('oplog-save');
  try {
    const collection = set.client.db('gravity').collection('artworks');
    await collection.insertMany(Array.from({ length: 150_000 }, (_, i) => ({ n: i, text: 'x'.repeat(300) })));
    await collection.updateMany({}, { $inc: { n: 1 } });
    await killSaves({
      kills,
      seed,
      uri: set.uri,
      database: 'gravity',
      folder: folder.path,
      ...(say && { say }),
    });
    say?.(`oplog save: killed ${kills} times, the same file each time`);
  } finally {
    await set.stop();
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
