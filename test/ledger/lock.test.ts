import * as assert from 'uvu/assert';
import { LOCK, RUNS } from '../../src/ledger/layout.ts';
import { acquireLock, breakLock } from '../../src/ledger/lock.ts';
import type { LockHolder } from '../../src/ledger/lock-state.ts';
import { readLock } from '../../src/ledger/read-lock.ts';
import { Secret } from '../../src/secret.ts';
import { accessTo } from '../../src/target/access.ts';
import { connectTarget } from '../../src/target/connect.ts';
import type { Target } from '../../src/target/target.ts';
import { failure } from '../apply/documents.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';

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
  target = await connectTarget('staging', plan);
});
test.after.each(() => target.close());
test.after(() => lab.close());

/** Long enough that a busy machine takes a lock twice within it. */
const LEASE_MS = 3_000;
const holder = (name: string): LockHolder => ({ name, token: `token of ${name}`, command: 'apply' });
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
  assert.match(refusal.message, 'anna@ops-1:1');
  assert.match(refusal.hint ?? '', '--holder anna@ops-1:1');
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
  assert.match(refusal.hint ?? '', '--holder anna');
});

test('a lock written by a newer version is left alone', async () => {
  const document = { _id: 'lock' as never, format: 3, holder: null, fencing: 7 };
  await lab.staging.client.db(target.reader.database).collection(LOCK).insertOne(document);
  const refusal = await failure(take('anna'));
  assert.match(refusal.message, 'newer version');
  const after = await lab.staging.client.db(target.reader.database).collection(LOCK).findOne();
  assert.is(after?.['fencing'], 7);
});

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
