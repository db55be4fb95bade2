/** Slices and array jobs at length: what each run does stands in `USAGE`. */
import { join } from 'node:path';
import { BUILT_PROGRAM, ROOT } from '../lab/plan-command.ts';
import { scriptOptions } from '../lab/script-options.ts';
import { installSlurm, whyNoSlurm } from '../lab/slurm.ts';
import { cutAnywhere } from '../selection/slices/cut-campaign.ts';
import { digestOf, done } from './by-hand.ts';
import { killWorker, openGround, untilRunning } from './in-slurm.ts';
import { killTogether } from './kill-campaign.ts';

const USAGE = `npm run distributed -- [options]; 0 leaves a run out
  --install            installs Slurm with the system's packages where it is missing
  --cuts 500           members are cut at so many places and more, and scanned by 1, 2, 3 and 8 threads: the same digest
  --artworks 3400000   in a real Slurm, a tar of so many artworks (4 GB) in MinIO is selected from by an array of 8, of which one worker is
                       killed in the middle: the digest of one thread
  --kills 50           there, coordinator and workers are killed with -9 until so many kills came in time: the same digest, and nothing left
  --seed 4711          of all that is random`;

const {
  values: { install, cuts, artworks, kills, seed },
} = scriptOptions({
  usage: USAGE,
  defaults: { install: false, cuts: 500, artworks: 3_400_000, kills: 50, seed: 4711 },
});
const started = performance.now();
const say = (text: string): void => {
  process.stdout.write(`${((performance.now() - started) / 1_000).toFixed(0).padStart(5)} s  ${text}\n`);
};

// What was just built is started dozens of times: from its sources each start would take a second more.
process.env[BUILT_PROGRAM] ??= join(ROOT, 'dist', 'main.cjs');
if (cuts > 0) await cutAnywhere({ cuts, seed, say });
if (artworks === 0 && kills === 0) process.exit();
if (install && whyNoSlurm() !== undefined) installSlurm();
const why = whyNoSlurm();
if (why !== undefined) {
  process.stderr.write(`Slurm cannot run here: ${why}\n`);
  process.exit(1);
}

if (artworks > 0) await largeOne(artworks);
if (kills > 0) {
  const ground = await openGround(
    { artworks: 40_000, lots: 60_000, people: 10, offers: 10 },
    { processors: 4 },
  );
  try {
    await killTogether(ground, { kills, seed, say });
    say(`killed ${kills} times: the digest of one machine each time, and nothing left`);
  } finally {
    await ground.stop();
  }
}

async function largeOne(count: number): Promise<void> {
  const ground = await openGround(
    { artworks: count, lots: Math.round(count * 0.4), people: 10, offers: 10 },
    { processors: 8 },
  );
  try {
    say(`${(ground.size / 1e9).toFixed(2)} GB in MinIO`);
    const one = done(await ground.select('--work-dir', 'alone', '--json'));
    say(`one process: ${(one.durationMs / 1000).toFixed(1)} s, digest ${digestOf(one).slice(0, 12)}`);
    const workers = ['--engine', 'slurm', '--workers', '8', '--exchange', ground.exchange];
    const running = ground.start('--work-dir', 'together', ...workers, '--json');
    let isOver = false;
    void running.ended.finally(() => {
      isOver = true;
    });
    const task = await untilRunning(ground, () => isOver);
    while (!isOver && (await ground.parts()).length < 30) await untilRunning(ground, () => isOver);
    const wasKilled = task !== undefined && killWorker(ground, task);
    say(`worker ${task} ${wasKilled ? 'killed' : 'had ended'} when 30 parts were there`);
    const eight = done(await running.ended);
    say(`array of 8: ${(eight.durationMs / 1000).toFixed(1)} s, digest ${digestOf(eight).slice(0, 12)}`);
    if (digestOf(one) !== digestOf(eight)) throw new Error('the digests differ');
    if ((await ground.parts()).length > 0) throw new Error('parts are left');
  } finally {
    await ground.stop();
  }
}
