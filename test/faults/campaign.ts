/**
 * The long fault runs: `npm run faults -- [kills] [--documents 50000] [--failover 200000] [--cut-every 16]`; 0 leaves one out.
 *
 * 1. An apply is killed with -9 at random moments (200 by default), each followed by one rerun; the target must end as after
 *    an undisturbed run, with nothing left open in the journal.
 * 2. The primary of a three-member set is killed every few seconds while 200,000 documents are applied.
 * 3. Backups of every layout are cut off at every 16 bytes; each is refused, or what was cut off was not needed.
 */
import { parseArgs } from 'node:util';
import { JOURNAL } from '../../src/ledger/layout.ts';
import { numbered } from '../apply/documents.ts';
import { openWorkbench } from '../apply/workbench.ts';
import { applyInChild } from './child.ts';
import { ownServers } from './own-servers.ts';
import { cutEveryLayout } from './truncation.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { documents: { type: 'string' }, failover: { type: 'string' }, 'cut-every': { type: 'string' } },
});
const kills = Number(positionals[0] ?? 200);
const documents = Number(values.documents ?? 50_000);
const failover = Number(values.failover ?? 200_000);
const cutEvery = Number(values['cut-every'] ?? 16);
const say = (text: string): boolean => process.stdout.write(`${text}\n`);

/** Reproducible, so that a failure can be run again. */
function* moments(longestMs: number): Generator<number> {
  for (let state = 4711; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    yield 150 + (state / 2_147_483_648) * longestMs;
  }
}

async function killAtRandom(): Promise<void> {
  const servers = await ownServers();
  const expected = numbered(0, documents, 'x'.repeat(1_000));
  const started = performance.now();
  const first = openWorkbench(servers);
  await applyInChild(first, first.selection([{ collection: 'a', documents: expected }]), {});
  const wholeMs = performance.now() - started;
  await first.close();
  const moment = moments(wholeMs);
  let hits = 0;
  for (let i = 1; i <= kills; i++) {
    const bench = openWorkbench(servers);
    const selection = bench.selection([{ collection: 'a', documents: expected }]);
    const killAfterMs = moment.next().value as number;
    const died = await applyInChild(bench, selection, { killAfterMs });
    if (died.signal === 'SIGKILL') hits++;
    await bench.apply(selection, 'staging', { leaseMs: 1_500 });
    await bench.expectRestored('staging', selection, { a: expected });
    const db = await bench.db('staging');
    const open = await db.collection(JOURNAL).countDocuments({ state: 'intended' });
    if (open > 0) throw new Error(`${open} batches are left open after a kill at ${killAfterMs} ms`);
    await db.dropDatabase();
    await bench.close();
    if (i % 10 === 0) say(`kill -9: ${i} of ${kills} runs, ${hits} of them hit, all ended the same`);
  }
  await servers.stop();
  if (hits === 0) throw new Error('no kill hit a run: the campaign proved nothing');
}

async function killPrimaries(): Promise<void> {
  const servers = await ownServers({ members: 3 });
  const bench = openWorkbench(servers);
  const expected = numbered(0, failover, 'x'.repeat(1_000));
  const selection = bench.selection([{ collection: 'a', documents: expected }]);
  let isRunning = true;
  let deaths = 0;
  const killing = (async () => {
    while (isRunning) {
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      if (!isRunning) break;
      const primary = await servers.set.primary();
      await primary.process.kill();
      deaths++;
      await primary.restart();
    }
  })();
  const target = await bench.connect('staging', { patienceMs: 120_000 });
  await bench.apply(selection, 'staging', { target, leaseMs: 10_000 });
  isRunning = false;
  await killing;
  await target.close();
  await bench.expectRestored('staging', selection, { a: expected });
  say(`failover: ${failover} documents, the primary killed ${deaths} times, nothing lost, nothing double`);
  await bench.close();
  await servers.stop();
  if (deaths === 0) throw new Error('no primary was killed: the campaign proved nothing');
}

if (kills > 0) await killAtRandom();
if (failover > 0) await killPrimaries();
if (cutEvery > 0) await cutEveryLayout(cutEvery, say);
