/** Fault T13: the target has no room. mongod ends itself then; a service may block writes before it comes to that. */
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { readLock } from '../../src/ledger/lock-state.ts';
import { failure, numbered } from '../apply/documents.ts';
import { openWorkbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { seededRandom } from '../lab/random.ts';
import { openSmallDisk, whyNoSmallDisk } from '../lab/small-disk.ts';
import { ownServers } from './own-servers.ts';

const MB = 1024 * 1024;
const ROOT = { name: 'root', password: 'canary-full-disk-password' };

/** What no server can pack into less. */
function incompressible(count: number): Buffer[] {
  const random = seededRandom(13);
  return Array.from(
    { length: count },
    (_, i) => numbered(i, i + 1, random.bytes(6_000).toString('base64'))[0] as Buffer,
  );
}

async function fillDisk(): Promise<void> {
  const disk = await openSmallDisk();
  const servers = await ownServers({ disk, user: ROOT });
  const bench = openWorkbench(servers);
  try {
    const documents = incompressible(6_000);
    const selection = bench.selection([{ collection: 'a', documents }]);
    const target = await bench.connect('staging', { patienceMs: 3_000 });
    disk.leaveFree(24 * MB);
    const started = performance.now();
    const stopped = await failure(bench.apply(selection, 'staging', { target, leaseMs: 5_000 }));
    const seconds = (performance.now() - started) / 1_000;
    await target.close();

    const [member] = servers.set.members;
    assert.ok(member);
    assert.ok(disk.freeBytes() < MB, `${disk.freeBytes()} bytes are free: the disk did not run full`);
    assert.match(readFileSync(member.logFile, 'utf8'), 'No space left on device');
    assert.is(stopped.exitCode, 15, stopped.message);
    assert.match(stopped.message, 'stopped part-way: staging: the server cannot be reached');
    assert.match(stopped.hint ?? '', 'a full disk');
    assert.match(stopped.hint ?? '', 'goes on where this run stopped');
    assert.ok(seconds < 40, `took ${seconds} s`);

    disk.leaveFree(2_048 * MB);
    await member.restart();
    await servers.set.primary();
    const there = (await bench.documents('staging', 'a')).length;
    assert.ok(there > 0 && there < documents.length, `${there} were written before the disk was full`);
    const { reader } = await bench.target('staging');
    const leftMs = ((await readLock(reader))?.expiresAt?.getTime() ?? 0) - (await reader.serverTime());
    assert.ok(leftMs <= 5_000, 'the lock that was left behind ends with its lease');

    const { collections } = await bench.apply(selection, 'staging');
    assert.is(collections[0]?.identical, there, 'what was in already');
    await bench.expectRestored('staging', selection, { a: documents });
    const [run] = await bench.runs('staging');
    assert.is(run?.collections[0]?.inserted, documents.length, 'the ledger knows all of them as ours');
    assert.not.match(JSON.stringify([stopped, bench.events]), 'canary');
  } finally {
    await bench.close();
    await servers.stop();
    disk.remove();
  }
}

const FULL_DISK =
  'T13 the disk of the target runs full: stopped part-way; when it has room again, a rerun finishes';
const whyNot = whyNoSmallDisk();
if (whyNot === undefined) test(FULL_DISK, fillDisk, { deadlineMs: 120_000 });
else test.skip(FULL_DISK, whyNot);

test(
  'T13 writes are blocked, as services do when a disk is nearly full: waited for, said, no document blamed for it',
  async () => {
    const servers = await ownServers({ user: ROOT });
    const admin = servers.set.client.db('admin');
    // Root may write in spite of it.
    const roles = ['readWriteAnyDatabase', 'clusterMonitor'];
    await admin.command({ createUser: 'writer', pwd: 'canary-writer-password', roles });
    const stagingUri = servers.set.uri.replace(`root:${ROOT.password}`, 'writer:canary-writer-password');
    const block = (global: boolean): Promise<unknown> => admin.command({ setUserWriteBlockMode: 1, global });
    const documents = numbered(0, 3_000, 'x'.repeat(4_000));
    try {
      for (const endsInTime of [true, false]) {
        const bench = openWorkbench(servers, { stagingUri });
        const selection = bench.selection([{ collection: 'a', documents }]);
        const target = await bench.connect('staging', { patienceMs: endsInTime ? 20_000 : 1_500 });
        let blocked: Promise<unknown> | undefined;
        const applying = bench.apply(selection, 'staging', {
          target,
          checkpoint: async (name) => {
            if (name !== 'batch-intended') return;
            blocked ??= block(true);
            await blocked;
          },
        });
        if (endsInTime) {
          while (!bench.events.some(({ type }) => type === 'retry')) {
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          await block(false);
          await applying;
        } else {
          const stopped = await failure(applying);
          // 19 when a batch was written just before: then its record is kept on this machine.
          assert.ok([15, 19].includes(stopped.exitCode), stopped.message);
          assert.match(stopped.message, 'the server takes no writes at present');
          await block(false);
          await bench.apply(selection, 'staging');
        }
        assert.ok(
          bench.events.some((event) => event.type === 'retry' && event.reason === 'UserWritesBlocked'),
        );
        await target.close();
        await bench.expectRestored('staging', selection, { a: documents });
        assert.not.match(JSON.stringify(bench.events), 'canary');
        await bench.close();
      }
    } finally {
      await servers.stop();
    }
  },
  { deadlineMs: 60_000 },
);

test.run();
