/**
 * `plan oplog save` killed with -9 at random moments, and run again until it ends: the file must hold the entries that one undisturbed run leaves,
 * byte for byte.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../lab/guard.ts';
import { runPlan, startPlan } from '../lab/plan-command.ts';
import { seededRandom } from '../lab/random.ts';
import { startReplicaSet } from '../lab/replica-set.ts';

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
