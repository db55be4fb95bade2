import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { type Verification, verifyRestore } from '../../src/apply/verify-selection.ts';
import { JOURNAL } from '../../src/ledger/layout.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { type OwnServers, ownServers } from '../faults/own-servers.ts';
import { test } from '../harness.ts';
import { setFailPoint } from '../lab/failpoint.ts';
import { QUIET } from '../quiet-run.ts';
import { failure, numbered } from './documents.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

let servers: OwnServers;

test.before(async () => {
  servers = await ownServers();
});
test.after(() => servers.stop());

/** 3,000 documents of 4 KB: several batches, and several replies of a scan. */
const DOCUMENTS = numbered(0, 3_000, 'x'.repeat(4_000));

async function onRestored(body: (bench: Workbench, selection: Selection) => Promise<void>): Promise<void> {
  const bench = openWorkbench(servers);
  try {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    await bench.apply(selection, 'staging');
    await body(bench, selection);
  } finally {
    await bench.close();
  }
}

async function verify(bench: Workbench, selection: Selection, every = 1): Promise<Verification> {
  const target = await bench.target('staging');
  return verifyRestore(QUIET, { plan: bench.plan, selection, target, every });
}

/** Commands of ours that the server has answered since it started. */
async function answered(command: 'find' | 'getMore'): Promise<number> {
  const { metrics } = await servers.set.client.db('admin').command({ serverStatus: 1 });
  return metrics.commands[command].total;
}

test('a collection that holds what was selected and nothing else is scanned, not looked up', () =>
  onRestored(async (bench, selection) => {
    const before = await answered('getMore');
    assert.is((await verify(bench, selection)).failures, 0);
    assert.ok((await answered('getMore')) - before >= 5, 'it was scanned');
  }));

test('as many documents as were selected, but not those: each difference is named', () =>
  onRestored(async (bench, selection) => {
    const a = (await bench.db('staging')).collection<Document>('a');
    await a.deleteOne({ _id: 7 as never });
    await a.insertOne({ _id: 'somebody else’s' as never });
    await a.updateOne({ _id: 2_345 as never }, { $set: { text: 'changed' } });
    const { collections, differences } = await verify(bench, selection);
    assert.equal(differences, [
      { into: 'a', id: '{"$numberInt":"7"}', kind: 'missing' },
      { into: 'a', id: '{"$numberInt":"2345"}', kind: 'different' },
    ]);
    assert.is(collections[0]?.identical, 2_998);
  }));

test('more documents than were selected, or a sample: looked up', () =>
  onRestored(async (bench, selection) => {
    const before = await answered('getMore');
    assert.is((await verify(bench, selection, 10)).collections[0]?.checked, 300);
    await (await bench.db('staging')).collection<Document>('a').insertOne({ _id: 'one more' as never });
    assert.is((await verify(bench, selection)).collections[0]?.identical, 3_000);
    assert.is(await answered('getMore'), before);
  }));

test('the journal is asked about documents that differ, and left alone while there are none', () =>
  onRestored(async (bench, selection) => {
    const db = await bench.db('staging');
    await db.collection(JOURNAL).updateOne({ action: 'insert' }, { $set: { ids: 'cannot be read' } });
    assert.is((await verify(bench, selection)).collections[0]?.identical, 3_000);
    await db.collection<Document>('a').updateOne({ _id: 7 as never }, { $set: { text: 'changed' } });
    assert.match((await failure(verify(bench, selection))).message, 'damaged');
  }));

test('T1 the connection is cut in the middle of the scan: the rest is looked up', () =>
  onRestored(async (bench, selection) => {
    const data = { failCommands: ['getMore'], closeConnection: true, appName: 'restore-plan' };
    const mode = { skip: 2 };
    const fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode, data });
    assert.is((await verify(bench, selection)).collections[0]?.identical, 3_000);
    assert.ok((await fault.timesFired()) > 0);
    await fault.off();
  }));

test.run();
