/** Whole commands in hard places (faults by number: L2, L3, L10 to L12): told to stop in the middle, no user, no room, a mad clock. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Collection, Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { until } from '../follow-ups/until.ts';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { setFailPoint } from '../lab/failpoint.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { jsonLines, type PlanRun, type RunningPlan } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { whyNoSmallDisk } from '../lab/small-disk.ts';
import { createIncident, type Incident, takeTar } from './incident.ts';

const STAGING = ['apply', 'plan.yaml', '--target', 'staging'];
const RESTORED = 100;

let lab: Lab;
/** Staging of its own, whose failpoints nobody else meets. */
let slow: ReplicaSet;
let incident: Incident;
const outputs: PlanRun[] = [];

test.before(
  async () => {
    lab = await openLab();
    slow = await startReplicaSet({ name: 'slow', user: { name: 'restore', password: CANARY_PASSWORD } });
  },
  { deadlineMs: 120_000 },
);
test.before.each(async () => {
  incident = await createIncident({ ...lab, staging: { uri: slow.uri, client: slow.client } });
});
test.after.each(async () => {
  await incident.staging.dropDatabase();
  incident.close();
});
test.after(async () => {
  for (const { stdout, stderr } of outputs) assert.not.match(stdout + stderr, CANARY_PASSWORD);
  await slow.stop();
  await lab.close();
});

async function run(...[args, options]: Parameters<Incident['run']>): Promise<PlanRun> {
  const ran = await incident.call(args, options);
  outputs.push(ran);
  return ran;
}

const ledger = (name: string): Promise<Document | null> =>
  incident.staging.collection(`restore_plan.${name}`).findOne({}, { readConcern: { level: 'majority' } });

const artworks = (): Promise<number> =>
  incident.staging.collection('artworks').countDocuments({ partner_id: LOST_PARTNER });

/** Runs the command again, and looks at what it left: everything once, byte for byte, and no lock. */
async function rerunFinishes(): Promise<void> {
  const again = await run(STAGING);
  assert.is(again.exitCode, 0, again.stderr);
  assert.is(await artworks(), RESTORED);
  assert.is((await run(['verify', 'plan.yaml', '--target', 'staging'])).exitCode, 0);
  assert.is((await ledger('runs'))?.['status'], 'verified');
  assert.is((await ledger('lock'))?.['holder'], null);
}

/** An apply whose every insert takes a second, caught while a batch is on its way. */
async function caughtInTheMiddle(options?: Parameters<Incident['start']>[1]): Promise<{
  readonly running: RunningPlan;
  readonly calm: () => Promise<void>;
}> {
  const data = {
    failCommands: ['insert'],
    blockConnection: true,
    blockTimeMS: 1_000,
    appName: 'restore-plan',
  };
  const fault = await setFailPoint(slow.client, { name: 'failCommand', mode: 'alwaysOn', data });
  const running = incident.start(STAGING, options);
  const journal = incident.staging.collection('restore_plan.journal');
  await until(async () => (await journal.countDocuments({ state: 'intended' })) > 0);
  return {
    running,
    calm: async () => {
      assert.ok((await fault.timesFired()) > 0);
      await fault.off();
    },
  };
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(
    `L2: ${signal} in the middle of an apply: the batch in hand is finished, recorded, the lock given back`,
    async () => {
      const { running, calm } = await caughtInTheMiddle();
      const sent = performance.now();
      running.signal(signal);
      const stopped = await running.ended;
      outputs.push(stopped);
      assert.ok(performance.now() - sent < 6_000, `took ${performance.now() - sent} ms`);
      await calm();
      assert.is(stopped.exitCode, code, stopped.stderr);
      assert.match(stopped.stderr, /again/);
      assert.is((await ledger('lock'))?.['holder'], null);
      assert.is((await ledger('runs'))?.['status'], 'incomplete');
      const open = await incident.staging
        .collection('restore_plan.journal')
        .countDocuments({ state: 'intended' });
      assert.is(open, 0, 'the batch in hand was recorded');
      await rerunFinishes();
    },
    { deadlineMs: 90_000 },
  );
}

test(
  'L2: a second signal ends an apply at once; a rerun finishes',
  async () => {
    const { running, calm } = await caughtInTheMiddle();
    running.signal('SIGTERM');
    await running.untilOutput(/Once more to stop at once/);
    const sent = performance.now();
    running.signal('SIGTERM');
    assert.is((await running.ended).exitCode, 143);
    assert.ok(performance.now() - sent < 2_000);
    await calm();
    await rerunFinishes();
  },
  { deadlineMs: 90_000 },
);

const DRY_RUN = ['dry-run', 'plan.yaml', '--target', 'staging'];
const IDENTITY = { failCommands: ['replSetGetConfig'], appName: 'restore-plan' };

test('a server that is busy with something else when it is asked who it is, is asked again', async () => {
  const data = { ...IDENTITY, errorCode: 91 };
  const fault = await setFailPoint(slow.client, { name: 'failCommand', mode: { times: 2 }, data });
  const { exitCode, stderr } = await run(DRY_RUN);
  assert.is(exitCode, 0, stderr);
  assert.is(await fault.timesFired(), 2);
  await fault.off();
});

test('L2: SIGINT while a server does not say who it is ends the run at once', async () => {
  const data = { ...IDENTITY, blockConnection: true, blockTimeMS: 20_000 };
  const fault = await setFailPoint(slow.client, { name: 'failCommand', mode: { times: 1 }, data });
  const running = incident.start(DRY_RUN);
  await until(async () => (await fault.timesFired()) > 0);
  const sent = performance.now();
  running.signal('SIGINT');
  const { exitCode, stderr } = await running.ended;
  assert.is(exitCode, 130, stderr);
  assert.ok(performance.now() - sent < 5_000, `took ${performance.now() - sent} ms`);
  await fault.off();
});

test(
  'L3: a runner that cancels the shell around it, and then kills what is left of the tree: a rerun finishes',
  async () => {
    // The colon keeps the shell from becoming the program.
    const { running, calm } = await caughtInTheMiddle({ through: '"$@"; :' });
    const children = readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8');
    running.signal('SIGINT');
    await sleep(200);
    running.signal('SIGTERM');
    await sleep(200);
    for (const pid of children.trim().split(' ')) process.kill(Number(pid), 'SIGKILL');
    await running.ended;
    await calm();
    await rerunFinishes();
  },
  { deadlineMs: 90_000 },
);

const whyNot = whyNoSmallDisk();
const inNamespace = (name: string, body: () => Promise<void>): void => {
  if (whyNot === undefined) test(name, body, { deadlineMs: 90_000 });
  else test.skip(name, whyNot);
};

inNamespace('L10: a user id without a passwd entry works, and has a name in the ledger', async () => {
  const through = 'exec unshare --user --map-user=54321 --map-group=54321 "$@"';
  const { exitCode, stderr } = await run(STAGING, { through });
  assert.is(exitCode, 0, stderr);
  const [deed] = (await ledger('runs'))?.['appliedBy'] ?? [];
  assert.ok(deed.user.length > 0);
  assert.is(await artworks(), RESTORED);
});

inNamespace(
  'L10: a current folder that cannot be written to is said; another work directory helps',
  async () => {
    const readOnly =
      'mount --bind "$PWD" "$PWD" && mount -o remount,bind,ro "$PWD" && cd "$PWD" && exec "$@"';
    const through = `exec unshare --user --map-root-user --mount sh -c '${readOnly}' sh "$@"`;
    const refused = await run(STAGING, { through });
    assert.is(refused.exitCode, 20, refused.stderr);
    assert.match(refused.stderr, /cannot write[\s\S]*--work-dir/);
    const elsewhere = temporaryFolder('work');
    const { exitCode, stderr } = await run([...STAGING, '--work-dir', elsewhere.path], { through });
    elsewhere.remove();
    assert.is(exitCode, 0, stderr);
    assert.is(await artworks(), RESTORED);
  },
);

/** A cache that is full takes a document of this size only when it has written others to disk (WT_ROLLBACK). */
async function insertLarge(collection: Collection, document: Document): Promise<void> {
  for (let triesLeft = 20; ; triesLeft--) {
    try {
      await collection.insertOne(document);
      return;
    } catch (error) {
      if (triesLeft === 0 || (error as { code?: number }).code !== -31_800) throw error;
      await lab.production.client.db('admin').command({ fsync: 1 });
    }
  }
}

test(
  'L11: documents of 16 MiB go through with 64 MB for objects',
  async () => {
    const scans = incident.production.collection('scans');
    const pad = 'x'.repeat(16 * 1024 * 1024 - 200);
    for (let _id = 0; _id < 6; _id++) {
      await insertLarge(scans, { _id: _id as never, partner_id: LOST_PARTNER, pad: `${_id}${pad}` });
    }
    await takeTar(lab, incident.production.databaseName, incident.folder);
    await scans.drop();
    const scansAlone = 'collections:\n  - collection: scans\n    query: {}';
    incident.writePlan((text) => text.replace(/collections:[\s\S]*?(?=\ntargets:)/, scansAlone));
    const { exitCode, stderr } = await run(STAGING, { nodeArguments: ['--max-old-space-size=64'] });
    assert.is(exitCode, 0, stderr);
    assert.is(await incident.staging.collection('scans').countDocuments(), 6);
    assert.is((await run(['verify', 'plan.yaml', '--target', 'staging'])).exitCode, 0);
  },
  { deadlineMs: 120_000 },
);

/** A clock that is a day early or late by turns of 50 ms; says at the end that it was asked. */
const MAD_CLOCK = `let asked = 0;
const Real = Date;
const now = () => Real.now() + (++asked, Math.floor(performance.now() / 50) % 2 ? 86400000 : -86400000);
globalThis.Date = class Date extends Real {
  constructor(...given) { given.length === 0 ? super(now()) : super(...given); }
  static now() { return now(); }
};
process.on('exit', () => process._rawDebug('the clock was asked ' + asked + ' times'));`;

test(
  'L12: the clock of this machine jumps by days while documents are written: leases and times are the server’s',
  async () => {
    const nodeArguments = ['--import', `data:text/javascript,${encodeURIComponent(MAD_CLOCK)}`];
    const before = Date.now();
    for (const TZ of ['Pacific/Apia', 'America/St_Johns']) {
      const { exitCode, stdout, stderr } = await run([...STAGING, '--json'], { nodeArguments, env: { TZ } });
      assert.is(exitCode, 0, stderr);
      assert.match(stderr, /the clock was asked [1-9]\d* times/);
      assert.is(jsonLines(stdout).at(-2)?.['verified'], true);
    }
    const record = (await ledger('runs')) ?? {};
    for (const field of ['startedAt', 'verifiedAt', 'updatedAt']) {
      const at = (record[field] as Date).getTime();
      assert.ok(at > before - 60_000 && at < Date.now() + 60_000, field);
    }
    assert.is(record['fencing'], 2, 'each run took the lock once');
    await rerunFinishes();
  },
  { deadlineMs: 90_000 },
);

test.run();
