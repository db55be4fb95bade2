import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Decimal128, Long, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { LEDGER_FORMAT, LOCK, RUNS } from '../../src/ledger/layout.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { acquireLock, breakLock, type Lease } from '../../src/ledger/lock.ts';
import {
  type HolderProcess,
  type LockHolder,
  lifeOf,
  ownProcess,
  readLock,
  readLockState,
} from '../../src/ledger/lock-state.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { accessTo, type Target } from '../../src/target/target.ts';
import { failure } from '../apply/documents.ts';
import { test } from '../harness.ts';
import { guardProcess } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';

let lab: Lab;
let target: Target;

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  const plan = {
    uri: new Secret(lab.staging.uri),
    database: lab.databaseName('lock'),
    gate: { soakMs: 0, approvals: 0 },
  };
  target = await connectTarget(QUIET, 'staging', plan);
});
test.after.each(() => target.close());
test.after(() => lab.close());

/** Long enough that a busy machine takes a lock twice within it. */
const LEASE_MS = 3_000;
/** As if on another machine, of which only its heartbeat is known here. */
const ELSEWHERE: HolderProcess = { pid: 1, started: 1, host: 'ops-9', boot: 'b', namespace: 'pid:[1]' };
const holder = (name: string): LockHolder => ({
  name,
  token: `token of ${name}`,
  command: 'apply',
  process: ELSEWHERE,
});
const take = (name: string) => acquireLock(accessTo(target).commands, holder(name), { leaseMs: LEASE_MS });

test('each taking of the lock has a higher fencing number', async () => {
  for (const fencing of [1, 2, 3]) {
    const lease = await take('anna');
    assert.is(lease.fencing, fencing);
    await lease.release();
  }
});

test('a holder that lives is named, and not waited for longer than one heartbeat', async () => {
  const lease = await take('anna@ops-1:1');
  const started = performance.now();
  const refusal = await failure(take('bert@ops-2:2'));
  assert.ok(performance.now() - started < 10 * LEASE_MS);
  assert.is(refusal.code, 'LOCKED');
  assert.match(
    refusal.message,
    /anna@ops-1:1 \(apply\) has held the lock since \S+Z; it is alive: last sign of life \S+Z$/,
  );
  assert.match(refusal.hint ?? '', "unlock('staging', 'anna@ops-1:1')");
  await lease.release();
});

test('a holder whose process lives on this machine is named at once, and keeps its lock', async () => {
  const { child, identity } = await startProcess();
  const lease = await takeAs(identity);
  const started = performance.now();
  const refusal = await failure(take('bert'));
  assert.ok(performance.now() - started < LEASE_MS, 'nothing was waited for');
  assert.is(refusal.code, 'LOCKED');
  assert.match(refusal.message, /since \S+Z; it is alive, on this machine$/);
  assert.match(refusal.hint ?? '', `\`kill ${child.pid}\``);
  const kept = await failure(openLedger(target).unlock('here'));
  assert.is(kept.code, 'LOCKED');
  await lease.ensure();
  child.kill('SIGKILL');
  await once(child, 'exit');
  await openLedger(target).unlock('here');
  assert.is((await failure(lease.renew())).code, 'LOCKED');
});

test('of a run of this very process the heartbeat tells: it may have let go without being able to say so', async () => {
  const own = await thisProcess();
  const lease = await takeAs(own);
  lease.abandon();
  const next = await take('bert');
  await next.release();
});

test('a process id that was given out again is not the holder', async () => {
  const own = await thisProcess();
  const earlier = { ...own, started: own.started - 1 };
  assert.is(await lifeOf(own), 'alive');
  assert.is(await lifeOf(earlier), 'dead');
  assert.is(await lifeOf({ ...own, boot: 'another start of this machine' }), 'elsewhere');
  assert.is(await lifeOf({ ...own, host: 'another' }), 'elsewhere');
  assert.is(await lifeOf({ ...own, namespace: 'pid:[1]' }), 'elsewhere');
  const lease = await takeAs(earlier);
  await openLedger(target).unlock('here');
  assert.is((await failure(lease.renew())).code, 'LOCKED');
});

test('a process that is stopped renews nothing; one that ended is dead, also while nobody has taken note of its end', async () => {
  const { child, identity } = await startProcess();
  assert.is(await lifeOf(identity), 'alive');
  child.kill('SIGSTOP');
  while ((await lifeOf(identity)) === 'alive') await delay(5);
  assert.is(await lifeOf(identity), 'stopped');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.is(await lifeOf(identity), 'dead');
});

test('a lock of a version that did not name processes is read, and judged by its heartbeat', async () => {
  const lease = await take('anna');
  const db = lab.staging.client.db(target.reader.database);
  await db.collection(LOCK).updateOne({}, { $unset: { takenAt: '', 'holder.process': '' } });
  const refusal = await failure(take('bert'));
  assert.match(refusal.message, /anna \(apply\) holds the lock; it is alive: last sign of life/);
  await lease.release();
});

test('a lease that was given back gives no leave to write', async () => {
  const lease = await take('anna');
  await lease.ensure();
  await lease.release();
  assert.is((await failure(lease.ensure())).code, 'LOCKED');
});

test('L5 the lease of a holder that died is waited for and taken over', async () => {
  await lockLikeACrashedRun();
  const lease = await take('bert');
  assert.is(lease.fencing, 2);
  await lease.release();
});

test('L4 of ten runs that come at once, one gets the lock', async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => take(`run ${i}`)));
  const leases = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  assert.is(leases.length, 1);
  await leases[0]?.value.release();
});

test('L5 a holder whose lock was taken over is refused when it goes on', async () => {
  const lease = await take('anna');
  assert.is(await breakLock(accessTo(target).commands, 'anna'), true);
  const successor = await take('bert');
  const refusal = await failure(lease.renew());
  assert.is(refusal.code, 'LOCKED');
  assert.match(refusal.message, 'bert');
  assert.is((await failure(lease.ensure())).code, 'LOCKED');
  await lease.release();
  await successor.renew();
  await successor.release();
});

test('unlocking names the holder: another name changes nothing', async () => {
  const lease = await take('anna');
  assert.is(await breakLock(accessTo(target).commands, 'bert'), false);
  await lease.renew();
  await lease.release();
  assert.is((await readLock(target.reader))?.holder, undefined);
});

test('a lock whose document was removed by hand has numbers above those of the recorded runs', async () => {
  const db = lab.staging.client.db(target.reader.database);
  await db.collection<{ _id: string; fencing: number }>(RUNS).insertOne({ _id: 'a run', fencing: 41 });
  const lease = await take('anna');
  assert.is(lease.fencing, 42);
  await lease.release();
});

test('L12 a lease by a clock that was ahead by an hour is not waited for: its holder is named', async () => {
  await lockLikeACrashedRun();
  const ahead = 3_600_000;
  await lab.staging.client
    .db(target.reader.database)
    .collection(LOCK)
    .updateOne({}, [
      { $set: { heartbeatAt: { $add: ['$$NOW', ahead] }, expiresAt: { $add: ['$$NOW', ahead, 1_000] } } },
    ]);
  const refusal = await failure(take('bert'));
  assert.is(refusal.code, 'LOCKED');
  assert.match(refusal.hint ?? '', "unlock('staging', 'anna");
});

test('a time that a server can keep and no Date can hold is none that is known', () => {
  const times = { takenAt: new Date(0), heartbeatAt: new Date(0), expiresAt: new Date(1) };
  const raw = Buffer.from(
    serialize({ _id: 'lock', format: LEDGER_FORMAT, holder: null, fencing: 1, ...times }),
  );
  for (const name of ['takenAt', 'heartbeatAt'])
    raw.writeBigInt64LE(2n ** 62n, raw.indexOf(`${name}\0`) + name.length + 1);
  const { takenAt, heartbeatAt, expiresAt } = readLockState(raw);
  assert.equal([takenAt, heartbeatAt, expiresAt], [undefined, undefined, new Date(1)]);
});

const WRONG_FENCING: Readonly<Record<string, unknown>> = {
  'a fraction': 8.5,
  Infinity: Number.POSITIVE_INFINITY,
  NaN: Number.NaN,
  'the last safe integer': Number.MAX_SAFE_INTEGER,
  'the last long': Long.MAX_VALUE,
  negative: -1,
  'a decimal': Decimal128.fromString('8'),
  'a date': new Date(8),
  'a text': '8',
  null: null,
};

const DAMAGED_LOCKS: readonly (readonly [what: string, field: string, value: unknown])[] = [
  ...Object.entries(WRONG_FENCING).map(([what, value]) => [what, 'fencing', value] as const),
  ['a text', 'holder', 'eve'],
  ['nameless', 'holder', {}],
  ['named by a number', 'holder', { name: 42 }],
  ['named by a document', 'holder', { name: { a: 1 } }],
  ['a list', 'holder', [{ name: 'eve' }]],
  ['a text', 'format', 'two'],
  ['null', 'format', null],
  ['none', 'format', 0],
];

for (const [what, field, value] of DAMAGED_LOCKS) {
  test(`a lock whose ${field} is wrong (${what}) is refused as it is, and its remedy leads out`, async () => {
    const locks = lab.staging.client.db(target.reader.database).collection<{ _id: string }>(LOCK);
    for (const holder of [null, { name: 'eve', token: 't', command: 'apply' }]) {
      const sound = { _id: 'lock', format: LEDGER_FORMAT, holder, fencing: 7, expiresAt: new Date(0) };
      const document = { ...sound, [field]: value };
      await locks.replaceOne({ _id: 'lock' }, document, { upsert: true });
      const [raw] = await locks.find({}, { raw: true }).toArray();
      const attempts = [
        () => take('anna'),
        () => readLock(target.reader),
        () => openLedger(target).unlock('another run'),
      ];
      for (const attempt of attempts) {
        const refusal = await failure(attempt());
        assert.is(refusal.code, 'TARGET');
        assert.is(refusal.message, `restore_plan.lock is damaged: document lock has no valid ${field}`);
        assert.match(refusal.hint ?? '', "db.getCollection('restore_plan.lock').deleteOne({ _id: 'lock' })");
      }
      assert.equal(await locks.find({}, { raw: true }).toArray(), [raw], 'it was not touched');
    }
    await locks.deleteOne({ _id: 'lock' });
    const lease = await take('anna');
    assert.is(lease.fencing, 1);
    await lease.release();
  });
}

for (const what of ['a fraction', 'Infinity', 'the last safe integer', 'the last long', 'a decimal']) {
  test(`a lock does not go on from the number of a run that is wrong (${what})`, async () => {
    const db = lab.staging.client.db(target.reader.database);
    await db.collection(RUNS).insertOne({ _id: 'a run' as never, fencing: WRONG_FENCING[what] });
    const refusal = await failure(take('anna'));
    assert.is(refusal.message, 'restore_plan.runs is damaged: document a run has no valid fencing');
    assert.match(refusal.hint ?? '', 'Set it to the highest fencing of the other documents');
    assert.is(await db.collection(LOCK).countDocuments(), 0);
    await db.collection(RUNS).updateOne({}, { $set: { fencing: 1 } });
    const lease = await take('anna');
    assert.is(lease.fencing, 2);
    await lease.release();
  });
}

test('a lock written by a newer version is left alone', async () => {
  const document = { _id: 'lock' as never, format: 3, holder: null, fencing: 7 };
  await lab.staging.client.db(target.reader.database).collection(LOCK).insertOne(document);
  const refusal = await failure(take('anna'));
  assert.match(refusal.message, 'newer version');
  const after = await lab.staging.client.db(target.reader.database).collection(LOCK).findOne();
  assert.is(after?.['fencing'], 7);
});

async function thisProcess(): Promise<HolderProcess> {
  const own = await ownProcess();
  assert.ok(own !== undefined, 'this machine has /proc');
  assert.is(own.pid, process.pid);
  return own;
}

/** Another one, that lives until it is ended. */
async function startProcess(): Promise<{ child: ChildProcess; identity: HolderProcess }> {
  const child = spawn(process.execPath, ['-e', "console.log('up'); process.stdin.resume()"], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  guardProcess(child);
  await once(child.stdout, 'data');
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1');
  const started = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  return { child, identity: { ...(await thisProcess()), pid: child.pid ?? 0, started } };
}

function takeAs(identity: HolderProcess): Promise<Lease> {
  const named = { ...holder('here'), process: identity };
  return acquireLock(accessTo(target).commands, named, { leaseMs: LEASE_MS });
}

/** A lock that nobody renews any more, its lease still running. */
async function lockLikeACrashedRun(): Promise<void> {
  const lease = await take('anna');
  await lease.release();
  await lab.staging.client
    .db(target.reader.database)
    .collection(LOCK)
    .updateOne({}, [
      { $set: { holder: { $literal: holder('anna') }, expiresAt: { $add: ['$$NOW', LEASE_MS] } } },
    ]);
}

test.run();
