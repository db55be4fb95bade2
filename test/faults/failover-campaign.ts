/** The primary of a three-member set is killed every few seconds while documents are applied. */
import { setTimeout as sleep } from 'node:timers/promises';
import { numbered } from '../apply/documents.ts';
import { openWorkbench } from '../apply/workbench.ts';
import { ownServers } from './own-servers.ts';

export interface FailoverOrders {
  readonly documents: number;
  readonly say: (text: string) => void;
}

const BETWEEN_KILLS_MS = 2_000;

export async function killPrimaries({ documents, say }: FailoverOrders): Promise<void> {
  const servers = await ownServers({ members: 3 });
  const bench = openWorkbench(servers);
  const expected = numbered(0, documents, 'x'.repeat(1_000));
  const selection = bench.selection([{ collection: 'a', documents: expected }]);
  let isRunning = true;
  let deaths = 0;
  const killing = (async () => {
    while (isRunning) {
      await sleep(BETWEEN_KILLS_MS);
      if (!isRunning) break;
      const primary = await servers.set.primary();
      await primary.process.kill();
      deaths++;
      await primary.restart();
    }
  })();
  const target = await bench.connect('staging', { patienceMs: 120_000 });
  const started = performance.now();
  await bench.apply(selection, 'staging', { target, leaseMs: 10_000 });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  isRunning = false;
  await killing;
  await target.close();
  const stored = Buffer.concat(await bench.documents('staging', 'a'));
  if (!stored.equals(Buffer.concat(expected))) throw new Error('the target holds other bytes');
  await bench.expectRestored('staging', selection, {});
  say(
    `failover: ${documents} documents in ${seconds} s, the primary killed ${deaths} times, nothing lost, nothing double`,
  );
  await bench.close();
  await servers.stop();
  if (deaths === 0) throw new Error('no primary was killed: the campaign proved nothing');
}
