/** The catalogue of faults, group L, by number: the process dies, two run at once, the ledger fails. The long form is `npm run faults`. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { JOURNAL, RUNS } from '../../src/ledger/layout.ts';
import { breakLock } from '../../src/ledger/lock.ts';
import { CHECKPOINTS } from '../../src/run.ts';
import { accessTo } from '../../src/target/target.ts';
import { failure, numbered } from '../apply/documents.ts';
import { type Workbench, withWorkbench } from '../apply/workbench.ts';
import { until } from '../follow-ups/until.ts';
import { test } from '../harness.ts';
import { type FailPoint, setFailPoint } from '../lab/failpoint.ts';
import { applyInChild, type ChildRun, startChild } from './child.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

let servers: OwnServers;

test.before(async () => {
  servers = await ownServers();
});
test.after(() => servers.stop());

/** Three batches of them. */
const DOCUMENTS = numbered(0, 110, 'x'.repeat(80_000));
const SELECTION = [{ collection: 'a', documents: DOCUMENTS }];
/** One batch, where the number of batches proves nothing. */
const FEW = numbered(0, 110);
const SMALL_SELECTION = [{ collection: 'a', documents: FEW }];
const OURS = { appName: 'restore-plan' };

const on = (body: (bench: Workbench) => Promise<void>) => withWorkbench(servers, body);

for (const checkpoint of CHECKPOINTS) {
  test(`L1 kill -9 at ${checkpoint}: one rerun finishes`, () =>
    on(async (bench) => {
      const selection = bench.selection(SELECTION);
      const died = await applyInChild(bench, selection, { dieAt: checkpoint });
      assert.is(died.signal, 'SIGKILL', died.stderr);
      assert.not.match(died.stderr, 'canary');
      await bench.apply(selection, 'staging', { leaseMs: 1_500 });
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
      const [run] = await bench.runs('staging');
      assert.is(run?.collections[0]?.inserted, DOCUMENTS.length, 'the ledger knows all of them as ours');
      const open = await (await bench.db('staging'))
        .collection(JOURNAL)
        .countDocuments({ state: 'intended' });
      assert.is(open, 0, 'no batch is left open in the journal');
    }));
}

test(
  'L1 kill -9 between collections whose creation is recorded together: reruns make them all, each with its indexes',
  () =>
    on(async (bench) => {
      // One more than are recorded one by one: they go by twos.
      const names = Array.from({ length: 101 }, (_, i) => `c${String(i).padStart(3, '0')}`);
      const documents = numbered(0, 1);
      const indexes = [{ v: 2, key: { text: 1 }, name: 'text_1' }];
      const metadata = JSON.stringify({ options: {}, indexes });
      const selection = bench.selection(names.map((collection) => ({ collection, documents, metadata })));
      for (const death of [
        { dieAt: 'indexes-created', dieAtTime: 3 },
        { dieAt: 'collection-created', dieAtTime: 1 },
        { dieAt: 'collection-intended', dieAtTime: 2 },
      ] as const) {
        const died = await applyInChild(bench, selection, death);
        assert.is(died.signal, 'SIGKILL', died.stderr);
      }
      await bench.apply(selection, 'staging', { leaseMs: 1_500 });
      await bench.expectRestored(
        'staging',
        selection,
        Object.fromEntries(names.map((name) => [name, documents])),
      );
      const db = await bench.db('staging');
      for (const name of names.slice(0, 8)) {
        const made = await db.collection(name).indexes();
        assert.equal(made.map((index) => index.name).sort(), ['_id_', 'text_1'], name);
      }
      const [run] = await bench.runs('staging');
      assert.is(run?.creations.length, names.length, 'all of them were made by this run');
      assert.ok(run?.creations.every(({ done }) => done));
    }),
  { deadlineMs: 200_000 },
);

for (const [which, other] of [
  ['the same selection', SMALL_SELECTION],
  ['another one', [{ collection: 'b', documents: numbered(0, 5) }]],
] as const)
  test(`L4 two applies at once, of ${which}: one goes through, the other names its holder`, () =>
    on(async (bench) => {
      const selection = bench.selection(SMALL_SELECTION);
      let another: Promise<unknown> | undefined;
      const apply = (user: string, host: string, checkpoint?: (name: string) => unknown) =>
        bench.apply(user === 'anna' ? selection : bench.selection(other), 'staging', {
          actor: { user, host, pid: 1 },
          ...(checkpoint && { checkpoint: async (name) => void (await checkpoint(name)) }),
        });
      const [first] = await Promise.allSettled([
        apply('anna', 'ops-1', (name) => {
          if (name !== 'batch-intended') return undefined;
          another ??= apply('bert', 'ops-2');
          return another.catch(() => undefined);
        }),
      ]);
      const [second] = await Promise.allSettled([another]);
      assert.is(first.status, 'fulfilled');
      assert.is(second.status, 'rejected');
      assert.match(String((second as PromiseRejectedResult).reason.message), 'anna@ops-1:1');
      await bench.expectRestored('staging', selection, { a: FEW });
    }));

for (const [deed, isTakenOut] of [
  ['done its work', false],
  ['done its work and another one has taken it out', true],
] as const)
  test(`L5 a process is stopped past its lease (SIGSTOP) and goes on when another run has ${deed}`, () =>
    on(async (bench) => {
      const selection = bench.selection(SELECTION);
      const child = startChild();
      let ended: Promise<ChildRun> | undefined;
      const pid = await new Promise<number>((resolve) => {
        ended = child.run(bench, selection, { pauseAt: 'batch-intended', onPause: resolve });
      });
      await until(() => /^\d+ \(.*\) T/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
      await bench.apply(selection, 'staging');
      if (isTakenOut) await bench.revert(selection, 'staging');
      process.kill(pid, 'SIGCONT');
      const revived = await ended;
      assert.is(revived?.exitCode, 1);
      assert.match(revived?.stderr ?? '', 'LOCKED');
      assert.match(revived?.stderr ?? '', 'this run lost the lock');
      assert.not.match(revived?.stderr ?? '', 'canary');
      if (isTakenOut) assert.equal(await bench.documents('staging', 'a'), [], 'it wrote nothing');
      const again = await bench.apply(selection, 'staging');
      assert.is(again.collections[0]?.identical, isTakenOut ? 0 : DOCUMENTS.length);
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    }));

test('L5 a write that is tried again is refused when another run has taken the lock meanwhile', () =>
  on(async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS.slice(0, 10) }]);
    const target = await bench.connect('staging');
    const data = { failCommands: ['insert'], errorCode: 11602, ...OURS };
    let fault: FailPoint | undefined;
    const refused = failure(
      bench.apply(selection, 'staging', {
        target,
        checkpoint: async (name) => {
          if (name !== 'batch-intended') return;
          fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: 'alwaysOn', data });
        },
      }),
    );
    await until(async () => ((await fault?.timesFired()) ?? 0) > 0);
    await breakLock(accessTo(await bench.target('staging')).commands, 'anna@ops-1:4242');
    await bench.revert(selection, 'staging');
    const { code } = await refused.finally(() => fault?.off());
    await target.close();
    assert.is(code, 'LOCKED');
    assert.equal(await bench.documents('staging', 'a'), []);
  }));

test('L5 a holder that was paused past its lease is refused at its next batch', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const target = await bench.connect('staging');
    let taken = false;
    const refused = await failure(
      bench.apply(selection, 'staging', {
        target,
        checkpoint: async (name) => {
          if (name !== 'batch-compared' || taken) return;
          taken = true;
          // What a pause looks like from outside: somebody else has the lock by now.
          await breakLock(accessTo(target).commands, 'anna@ops-1:4242');
          await new Promise((resolve) => setTimeout(resolve, 1_500));
        },
      }),
    );
    await target.close();
    assert.is(refused.code, 'LOCKED');
    await bench.apply(selection, 'staging');
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  }));

test('L6 the ledger cannot be written after documents were: kept on this machine, adopted by the next run', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const data = { failCommands: ['update'], errorCode: 13, ...OURS };
    let fault: Awaited<ReturnType<typeof setFailPoint>> | undefined;
    const unsaved = await failure(
      bench.apply(selection, 'staging', {
        leaseMs: 60_000,
        checkpoint: async (name) => {
          if (name === 'batch-written')
            fault ??= await setFailPoint(servers.set.client, { name: 'failCommand', mode: 'alwaysOn', data });
        },
      }),
    );
    assert.is(unsaved.code, 'LEDGER_UNSAVED', unsaved.message);
    assert.ok(((await fault?.timesFired()) ?? 0) > 0);
    await fault?.off();
    const [record] = readdirSync(join(bench.workDirectory, 'ledger'));
    assert.match(record ?? '', selection.manifest.digest);
    await breakLock(accessTo(await bench.target('staging')).commands, 'anna@ops-1:4242');
    await bench.apply(selection, 'staging');
    assert.equal(readdirSync(join(bench.workDirectory, 'ledger')), [], 'the record was adopted');
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  }));

test('L6 the ledger cannot be written while documents are taken back: that is what is said', () =>
  on(async (bench) => {
    const selection = bench.selection(SMALL_SELECTION);
    await bench.apply(selection, 'staging');
    const data = { failCommands: ['update'], errorCode: 13, ...OURS };
    let fault: Awaited<ReturnType<typeof setFailPoint>> | undefined;
    const unsaved = await failure(
      bench.revert(selection, 'staging', {
        leaseMs: 60_000,
        checkpoint: async (name) => {
          if (name === 'batch-written')
            fault ??= await setFailPoint(servers.set.client, { name: 'failCommand', mode: 'alwaysOn', data });
        },
      }),
    );
    await fault?.off();
    assert.is(unsaved.code, 'LEDGER_UNSAVED', unsaved.message);
    assert.match(
      unsaved.message,
      /^documents were taken back in staging, but its ledger could not be written/,
    );
    await breakLock(accessTo(await bench.target('staging')).commands, 'anna@ops-1:4242');
    await bench.revert(selection, 'staging');
    assert.equal(await bench.documents('staging', 'a'), []);
  }));

test('L6 a ledger that is only slow when a run stops is no ledger that cannot be written', () =>
  on(async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: numbered(0, 10) }]);
    const stopped = new AbortController();
    const data = { failCommands: ['update'], blockConnection: true, blockTimeMS: 2_500, ...OURS };
    let fault: Awaited<ReturnType<typeof setFailPoint>> | undefined;
    const refusal = await failure(
      bench.apply(selection, 'staging', {
        leaseMs: 60_000,
        signal: stopped.signal,
        checkpoint: async (name) => {
          if (name !== 'batch-recorded') return;
          fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times: 1 }, data });
          stopped.abort();
        },
      }),
    );
    assert.ok(((await fault?.timesFired()) ?? 0) > 0);
    await fault?.off();
    assert.is(refusal.code, 'INCOMPLETE', refusal.message);
    await bench.apply(selection, 'staging', { leaseMs: 60_000 });
  }));

test('L6 neither the ledger nor the disk can be written after documents were: said, and found out by the next run', () =>
  on(async (bench) => {
    const selection = bench.selection(SMALL_SELECTION);
    const data = { failCommands: ['update'], errorCode: 13, ...OURS };
    let fault: Awaited<ReturnType<typeof setFailPoint>> | undefined;
    const unsaved = await failure(
      bench.apply(selection, 'staging', {
        checkpoint: async (name) => {
          if (name !== 'batch-written') return;
          // No folder of local records can be made where a file is.
          mkdirSync(bench.workDirectory, { recursive: true });
          writeFileSync(join(bench.workDirectory, 'ledger'), '');
          fault ??= await setFailPoint(servers.set.client, { name: 'failCommand', mode: 'alwaysOn', data });
        },
      }),
    );
    await fault?.off();
    assert.is(unsaved.code, 'LEDGER_UNSAVED', unsaved.message);
    rmSync(join(bench.workDirectory, 'ledger'));
    await bench.apply(selection, 'staging');
    await bench.expectRestored('staging', selection, { a: FEW });
    const [run] = await bench.runs('staging');
    assert.is(run?.collections[0]?.inserted, FEW.length, 'the ledger knows all of them as ours');
  }));

test('L7 a ledger of a newer version or damaged is refused; a lost one is rebuilt by comparing', () =>
  on(async (bench) => {
    const selection = bench.selection(SMALL_SELECTION);
    await bench.apply(selection, 'staging');
    const db = await bench.db('staging');
    for (const change of [{ format: 9 }, { status: 'fine' }, { appliedBy: 'anna' }]) {
      const [record] = await db.collection(RUNS).find().toArray();
      await db.collection(RUNS).updateOne({}, { $set: change });
      const refusal = await failure(bench.apply(selection, 'staging'));
      assert.is(refusal.code, 'TARGET');
      assert.ok(refusal.hint);
      await db.collection(RUNS).replaceOne({}, record ?? {});
    }
    await db.collection(JOURNAL).updateOne({ action: 'insert' }, { $set: { ids: 'gone' } });
    assert.match((await failure(bench.apply(selection, 'staging'))).message, 'damaged');
    await db.collection(JOURNAL).drop();
    await db.collection(RUNS).drop();
    const again = await bench.apply(selection, 'staging');
    assert.is(again.collections[0]?.identical, FEW.length);
    await bench.expectRestored('staging', selection, { a: FEW });
  }));

test('L13 a revert that is killed at its checkpoints goes on where it stopped', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    await bench.apply(selection, 'staging');
    for (const dieAt of ['batch-intended', 'batch-written', 'run-recorded'] as const) {
      const died = await applyInChild(bench, selection, { dieAt, command: 'revert' });
      assert.is(died.signal, 'SIGKILL', died.stderr);
    }
    await bench.revert(selection, 'staging');
    assert.equal(await bench.documents('staging', 'a'), []);
  }));

test.run();
