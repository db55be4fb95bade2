/** The catalogue of faults, T14, once more: a slow server writes what it was sent when the run that sent it has ended. */
import * as assert from 'uvu/assert';
import type { Selection } from '../../src/selection/selection.ts';
import { failure, numbered } from '../apply/documents.ts';
import { type Workbench, withWorkbench } from '../apply/workbench.ts';
import { until } from '../follow-ups/until.ts';
import { test } from '../harness.ts';
import { type FailPoint, setFailPoint } from '../lab/failpoint.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

let servers: OwnServers;

test.before(async () => {
  servers = await ownServers();
});
test.after(() => servers.stop());

const DOCUMENTS = numbered(0, 10);
const SELECTION = [{ collection: 'a', documents: DOCUMENTS }];

const on = (body: (bench: Workbench) => Promise<void>) => withWorkbench(servers, body);

/** A run that is stopped while a slow server has its batch in hand; the batch is written some time after the run has ended. */
async function stopWithBatchOnItsWay(
  bench: Workbench,
  selection: Selection,
  { blockTimeMS, leaseMs }: { readonly blockTimeMS: number; readonly leaseMs: number },
): Promise<FailPoint> {
  const stopped = new AbortController();
  const target = await bench.connect('staging', { signal: stopped.signal });
  const data = { failCommands: ['insert'], blockConnection: true, blockTimeMS, appName: 'restore-plan' };
  let fault: FailPoint | undefined;
  const refused = failure(
    bench.apply(selection, 'staging', {
      target,
      leaseMs,
      signal: stopped.signal,
      checkpoint: async (name) => {
        if (name !== 'batch-intended') return;
        fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times: 1 }, data });
      },
    }),
  );
  await until(async () => ((await fault?.timesFired()) ?? 0) > 0);
  stopped.abort();
  assert.is((await refused).code, 'INCOMPLETE');
  await target.close();
  assert.equal(await bench.documents('staging', 'a'), [], 'nothing has arrived yet');
  assert.ok(fault);
  return fault;
}

/** Waits for the end of every insert of ours that the server is holding; how often it had to look. */
async function untilNoneIsBlocked(): Promise<number> {
  let looks = 0;
  await until(async () => {
    const filter = { appName: 'restore-plan', 'command.insert': 'a' };
    const running = await servers.set.client
      .db('admin')
      .aggregate([{ $currentOp: { allUsers: true, idleConnections: true } }, { $match: filter }])
      .toArray();
    if (running.length > 0) looks++;
    return running.length === 0;
  });
  return looks;
}

test('T14 what a stopped run had sent to a slow server is refused when it arrives after the next run has begun', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const fault = await stopWithBatchOnItsWay(bench, selection, { blockTimeMS: 8_000, leaseMs: 1_000 });
    let waited = 0;
    const result = await bench.apply(selection, 'staging', {
      // Every insert that was on its way has come to the server by then.
      checkpoint: async (name) => {
        if (name === 'batch-intended') waited = await untilNoneIsBlocked();
      },
    });
    await fault.off();
    assert.ok(waited > 0, 'the batch was still on its way when the next run had begun');
    assert.is(result.collections[0]?.inserted, DOCUMENTS.length);
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    assert.is((await bench.runs('staging'))[0]?.collections[0]?.inserted, DOCUMENTS.length);
    await bench.revert(selection, 'staging');
    assert.equal(await bench.documents('staging', 'a'), []);
  }));

test('T14 a run that is stopped with a batch on its way keeps its lock for the rest of the lease', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const fault = await stopWithBatchOnItsWay(bench, selection, { blockTimeMS: 5_000, leaseMs: 6_000 });
    const report = await bench.revert(selection, 'staging');
    await fault.off();
    assert.is(
      report.runs[0]?.collections[0]?.counts.remove,
      DOCUMENTS.length,
      'it looked when the batch had arrived',
    );
    assert.equal(await bench.documents('staging', 'a'), []);
  }));

test.run();
