/**
 * `plan select --engine slurm` with its coordinator and its workers killed with -9 at random moments, and started again until it ends: the digest of one
 * machine, and nothing left in the exchange.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../lab/random.ts';
import { digestOf, done, filesBelow } from './by-hand.ts';
import { killWorker, type SlurmGround, untilRunning } from './in-slurm.ts';

export interface Kills {
  /** How often something is to be killed in time. */
  readonly kills: number;
  readonly seed: number;
  readonly say?: (text: string) => void;
}

/** Throws where a digest differs, or anything is left. */
export async function killTogether(
  ground: SlurmGround,
  { kills, seed, say = () => {} }: Kills,
): Promise<void> {
  const random = seededRandom(seed);
  const shared = join(ground.folder, 'shared');
  const work = join(ground.folder, 'kills');
  const expected = digestOf(done(await ground.select('--work-dir', 'kills-alone', '--json')));
  const submitting = (exchange: string): string[] => [
    ...['--work-dir', work, '--engine', 'slurm', '--workers', '4', '--exchange', exchange, '--json'],
  ];
  let killed = 0;
  for (let round = 0; killed < kills; round++) {
    // By turns in a bucket and in a folder.
    const exchange = round % 2 === 0 ? ground.exchange : shared;
    const left = async (): Promise<readonly string[]> =>
      exchange === shared ? filesBelow(shared) : ground.parts();
    let ended: Awaited<ReturnType<SlurmGround['select']>> | undefined;
    for (let tries = 0; ended === undefined; tries++) {
      const running = ground.start(...submitting(exchange));
      let isOver = false;
      void running.ended.finally(() => {
        isOver = true;
      });
      // Three kills or so, then to the end: the later ones meet what the earlier ones left.
      if (tries < 3 && killed < kills) {
        const task = await untilRunning(ground, () => isOver);
        await sleep(random.fraction() * 2_000);
        if (random.fraction() < 0.5) running.signal('SIGKILL');
        else if (task !== undefined && !isOver && killWorker(ground, task)) killed++;
      }
      const run = await running.ended;
      if (run.signal === 'SIGKILL') killed++;
      else ended = run;
    }
    const found = digestOf(done(ended));
    if (found !== expected) throw new Error(`round ${round}: ${found} instead of ${expected}`);
    const some = await left();
    if (some.length > 0) throw new Error(`round ${round} left ${some.join(', ')}`);

    // And one that is given up.
    rmSync(work, { recursive: true, force: true });
    const given = ground.start(...submitting(exchange));
    await untilRunning(ground, () => false);
    await sleep(random.fraction() * 2_000);
    given.signal('SIGKILL');
    if ((await given.ended).signal === 'SIGKILL') killed++;
    done(await ground.select('--clean', '--exchange', exchange, '--engine', 'slurm'));
    const after = await left();
    if (after.length > 0) throw new Error(`round ${round}: --clean left ${after.join(', ')}`);
    rmSync(work, { recursive: true, force: true });
    say(`${killed} of ${kills} kills, ${round + 1} selections alike`);
  }
}
