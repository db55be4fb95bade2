/** Kills an apply with -9 at random moments and at every checkpoint; one rerun each must end as an undisturbed run does. */

import { JOURNAL } from '../../src/ledger/layout.ts';
import { CHECKPOINTS } from '../../src/run.ts';
import { numbered } from '../apply/documents.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { type ChildOptions, startChild } from './child.ts';
import { ownServers } from './own-servers.ts';

export interface KillOrders {
  /** Random moments. */
  readonly kills: number;
  /** Another seed, other moments. */
  readonly seed: number;
  readonly documents: number;
  readonly atCheckpoints: boolean;
  readonly say: (text: string) => void;
}

/** Short, so that a rerun does not wait long for the lock that the dead left behind. */
const LEASE_MS = 600;

export async function killAtRandom({
  kills,
  seed,
  documents,
  atCheckpoints,
  say,
}: KillOrders): Promise<void> {
  const servers = await ownServers();
  const bench = openWorkbench(servers);
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, documents, 'x'.repeat(1_000)) },
  ]);
  const undisturbed = await startChild().run(bench, selection, {});
  const expected = await stored(bench);
  await clear(bench);
  say(`undisturbed: ${documents} documents in ${Math.round(undisturbed.workedMs)} ms`);

  let next = startChild();
  const tally = { checkpoints: 0, killed: 0, missed: 0, inTheMiddle: 0, doubtful: 0 };
  /** False when the run had ended before its moment came. */
  const dieAndRerun = async (death: ChildOptions, moment: string): Promise<boolean> => {
    const child = next;
    const { signal } = await child.run(bench, selection, { ...death, leaseMs: LEASE_MS });
    next = startChild();
    if ((await openBatches(bench)) > 0) tally.inTheMiddle++;
    await bench.apply(selection, 'staging', { leaseMs: LEASE_MS });
    if (!(await stored(bench)).equals(expected)) throw new Error(`other bytes after a kill at ${moment}`);
    await bench.expectRestored('staging', selection, {});
    const { inserted = 0, doubtful = 0 } = (await bench.runs('staging'))[0]?.collections[0] ?? {};
    if (inserted + doubtful !== documents) throw new Error(`${inserted} are ours after a kill at ${moment}`);
    tally.doubtful += doubtful;
    if ((await openBatches(bench)) > 0) throw new Error(`batches are left open after a kill at ${moment}`);
    await clear(bench);
    return signal === 'SIGKILL';
  };

  for (const dieAt of atCheckpoints ? CHECKPOINTS : []) {
    if (!(await dieAndRerun({ dieAt }, dieAt))) throw new Error(`${dieAt} was never reached`);
    tally.checkpoints++;
  }
  const random = randomNumbers(seed);
  while (tally.killed < kills) {
    const killAfterMs = (random.next().value as number) * undisturbed.workedMs;
    if (await dieAndRerun({ killAfterMs }, `${Math.round(killAfterMs)} ms`)) tally.killed++;
    else tally.missed++;
    if (tally.missed > kills + 20) throw new Error('most runs end before they can be killed');
    if ((tally.killed + tally.missed) % 10 === 0) say(summary(tally));
  }
  say(summary(tally));
  next.stop();
  await bench.close();
  await servers.stop();
  if (tally.inTheMiddle === 0) throw new Error('no kill hit a batch under way: the campaign proved nothing');
}

interface Tally {
  readonly checkpoints: number;
  readonly killed: number;
  readonly missed: number;
  readonly inTheMiddle: number;
  /** Documents that came to the server while it was asked about them. */
  readonly doubtful: number;
}

function summary({ checkpoints, killed, missed, inTheMiddle, doubtful }: Tally): string {
  return `kill -9 at ${checkpoints} checkpoints and ${killed} random moments (${missed} came too late), ${inTheMiddle} times with batches under way, ${doubtful} documents doubtful; every rerun ended the same`;
}

/** Every document of the collection, by `_id`, at majority. */
async function stored(bench: Workbench): Promise<Buffer> {
  return Buffer.concat(await bench.documents('staging', 'a'));
}

async function openBatches(bench: Workbench): Promise<number> {
  return (await bench.db('staging')).collection(JOURNAL).countDocuments({ state: 'intended' });
}

async function clear(bench: Workbench): Promise<void> {
  await (await bench.db('staging')).dropDatabase();
}

/** From 0 to 1, reproducible, so that a failure can be run again. */
function* randomNumbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    yield state / 2_147_483_648;
  }
}
