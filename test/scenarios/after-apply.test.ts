/** What comes after an apply: status, approval, verification, revert, a dead run's lock. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareSnapshots, takeSnapshot } from '../demo/snapshot.ts';
import { test } from '../harness.ts';
import { artMarket, LOST_PARTNER } from '../lab/art-market.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { jsonLines, type PlanRun } from '../lab/plan-command.ts';
import { createIncident, type Incident } from './incident.ts';
import { checkedStream } from './json-stream.ts';

let lab: Lab;
let incident: Incident;
const outputs: PlanRun[] = [];

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  incident = await createIncident(lab);
});
test.after.each(() => incident.close());
test.after(() => lab.close());

async function plan(command: string, ...args: string[]): Promise<PlanRun> {
  const ran = await incident.call([command, 'plan.yaml', ...args]);
  outputs.push(ran);
  return ran;
}

async function planOk(command: string, ...args: string[]): Promise<PlanRun> {
  const ran = await plan(command, ...args);
  assert.is(ran.exitCode, 0, ran.stderr);
  return ran;
}

const STAGING = ['--target', 'staging'];
const production = () => ['--target', 'production', '--confirm', incident.production.databaseName];

function result(run: PlanRun, type: string): Record<string, unknown> {
  const found = jsonLines(run.stdout).find((line) => line['type'] === type);
  assert.ok(found, run.stdout);
  return found;
}

test(
  'status tells the story: nothing applied, staging verified, production done',
  async () => {
    const before = await planOk('status');
    assert.match(before.stdout, /nothing of this plan was applied here/);
    assert.match(before.stdout, /gate is shut/);
    await planOk('apply', ...STAGING);
    const staged = await planOk('status');
    assert.match(staged.stdout, /verified since/);
    assert.match(staged.stdout, /artworks: \+100 inserts/);
    assert.match(staged.stdout, /gate is open/);
    await planOk('apply', ...production());
    const last = await planOk('status', '--json');
    checkedStream(last.stdout);
    const status = result(last, 'status');
    const { targets, gate } = status as {
      targets: Record<string, { run: { status: string }; runs: Record<string, unknown>[] }>;
      gate: { open: boolean };
    };
    assert.is(targets['staging']?.run.status, 'verified');
    assert.is(targets['production']?.run.status, 'verified');
    assert.is(gate.open, true);
    assert.equal(
      targets['staging']?.runs.map((run) => [run['status'], run['current'], run['foreign']]),
      [['verified', true, false]],
    );
    // A record of another plan, which came with a copy of production.
    const runs = incident.staging.collection('restore_plan.runs');
    const copy = await incident.production.collection('restore_plan.runs').findOne();
    const _id = { plan: 'another-plan', selection: 'b'.repeat(64) };
    await runs.insertOne({ ...copy, _id: _id as never, plan: { ...copy?.['plan'], name: 'another-plan' } });
    const listed = await planOk('status');
    assert.match(listed.stdout, /runs, newest first \(\* = what this plan selects now\):/);
    assert.match(listed.stdout, /\n {2}\* [0-9a-f]{12} verified, /);
    assert.match(listed.stdout, /\n {4}b{12} verified,[^*]*\splan\s+another-plan,\s+from\s+a\s+copy\s+of/);
    checkedStream((await planOk('status', '--json')).stdout);
  },
  { deadlineMs: 120_000 },
);

test(
  'approval by the one who applied is refused, and status says that somebody else is wanted',
  async () => {
    incident.writePlan((text) => `${text}    gate: { approvals: 1, soak: 1s }\n`);
    const early = await plan('approve');
    assert.is(early.exitCode, 18);
    await planOk('apply', ...STAGING);
    const own = await plan('approve');
    assert.is(own.exitCode, 18, own.stderr);
    assert.match(own.stderr, /second person/);
    const status = await planOk('status');
    assert.match(status.stdout, /0 of 1 approvals/);
    assert.match(
      status.stderr,
      /Next, as 0 of 1 approvals are given, by another person:\n {2}plan approve plan\.yaml\n/,
    );
    assert.is((await plan('apply', ...production())).exitCode, 18);
  },
  { deadlineMs: 120_000 },
);

test(
  'one database user for several people is said by dry-run, status and approve, with both ways out',
  async () => {
    incident.writePlan((text) => `${text}    gate: { approvals: 1 }\n`);
    const applied = await planOk('apply', ...STAGING);
    assert.match(applied.stderr, /Next, as 0 of 1 approvals are given/);
    const runs = incident.staging.collection('restore_plan.runs');
    await runs.updateMany({}, { $set: { 'appliedBy.$[].user': 'somebody-else' } });
    const approve = await plan('approve', '--confirm', incident.production.databaseName);
    assert.is(approve.exitCode, 18);
    for (const { stdout, stderr } of [await planOk('dry-run', ...STAGING), await planOk('status'), approve]) {
      const said = (stdout + stderr).replace(/\s+/g, ' ');
      assert.match(said, /one database user for several people/);
      assert.match(said, /a database user of their own\. Or write `approvalsBy: os-user`/);
    }
  },
  { deadlineMs: 240_000 },
);

test(
  'what comes next is no invitation to a gate that is known to be shut',
  async () => {
    incident.writePlan((text) => `${text}    gate: { soak: 1h }\n`);
    const { stderr } = await planOk('apply', ...STAGING);
    const said = stderr.replace(/\s+/g, ' ');
    assert.match(
      said,
      /Next, as the gate of production is shut \(the restore has soaked on staging for .* of 1 h\. Wait until/,
    );
    assert.not.match(said, /Next, after a look at staging/);
  },
  { deadlineMs: 240_000 },
);

test(
  'approve shows what is approved, and wants the name of the database that it opens',
  async () => {
    incident.writePlan((text) => `${text}    gate: { approvals: 1, approvalsBy: os-user }\n`);
    await planOk('apply', ...STAGING);
    const runs = incident.staging.collection('restore_plan.runs');
    await runs.updateMany({}, { $set: { 'appliedBy.$[].user': 'somebody-else' } });
    assert.is((await plan('approve')).exitCode, 11, 'nobody can be asked here');
    assert.is((await plan('approve', '--confirm', 'another')).exitCode, 11);
    assert.match((await planOk('status')).stdout, /0 of 1 approvals/);
    const approved = await planOk('approve', '--confirm', incident.production.databaseName);
    assert.match(approved.stderr, /To be approved: .*\n(?: {2}.*\n)+/);
    assert.match(approved.stderr, /no exceptions; 0 of 1 approvals are given/);
    assert.match(approved.stderr, /\+100 inserts/);
    assert.match(
      approved.stderr,
      /Next, after a look at staging:\n {2}plan apply plan\.yaml --target production\n/,
    );
    assert.match(approved.stdout, /that is all the plan asks for/);
    await planOk('apply', ...production());
  },
  { deadlineMs: 240_000 },
);

test(
  'verify finds what was changed and what is gone since, whole or by sample',
  async () => {
    await planOk('apply', ...STAGING);
    const good = await planOk('verify', ...STAGING);
    assert.match(good.stdout, /byte for byte/);
    await planOk('verify', ...STAGING, '--sample', '1/10');
    const artworks = incident.staging.collection('artworks');
    const restored = await artworks.find({ partner_id: LOST_PARTNER }).limit(2).toArray();
    await artworks.updateOne({ _id: restored[0]!._id }, { $set: { title: 'changed since' } });
    await artworks.deleteOne({ _id: restored[1]!._id });
    const bad = await plan('verify', ...STAGING, '--json');
    assert.is(bad.exitCode, 16);
    const { verified, differences } = result(bad, 'verify') as {
      verified: boolean;
      differences: { kind: string }[];
    };
    assert.is(verified, false);
    assert.equal(differences.map(({ kind }) => kind).sort(), ['different', 'missing']);
    const wrong = await plan('verify', ...STAGING, '--sample', '5%');
    assert.is(wrong.exitCode, 11);
  },
  { deadlineMs: 120_000 },
);

test(
  'revert takes out what was restored and nothing else, once',
  async () => {
    const before = await takeSnapshot(incident.staging);
    await planOk('apply', ...STAGING);
    const artworks = incident.staging.collection('artworks');
    const one = await artworks.findOne({ partner_id: LOST_PARTNER });
    await artworks.updateOne({ _id: one!._id }, { $set: { title: 'changed since' } });
    await artworks.deleteOne({ partner_id: LOST_PARTNER, _id: { $ne: one!._id } });
    const other = await plan('revert', ...STAGING, '--confirm', 'another');
    assert.is(other.exitCode, 11);
    const preview = await plan('revert', ...STAGING, '--dry-run', '--detailed-exitcode');
    assert.is(preview.exitCode, 2, preview.stderr);
    assert.match(preview.stdout, /would do this/);
    const reverted = await plan('revert', ...STAGING);
    assert.is(reverted.exitCode, 14, 'a document that was left alone is said by the exit code, too');
    assert.match(reverted.stdout, /artworks: −98 removed, =1 gone already, ≠1 kept/);
    assert.match(reverted.stdout, /changed since it was restored/);
    assert.match(reverted.stderr, /Revert 1 run of this plan/);
    await artworks.deleteOne({ _id: one!._id });
    const { missing, added, changed } = compareSnapshots(
      before as never,
      (await takeSnapshot(incident.staging)) as never,
    );
    assert.equal(
      [missing, added, changed].map((list) => list.length),
      [0, 0, 0],
    );
    assert.match((await planOk('revert', ...STAGING)).stdout, /nothing to revert/);
    assert.match((await planOk('status')).stdout, /reverted/);
    assert.is((await plan('verify', ...STAGING)).exitCode, 16);
    assert.is((await plan('apply', ...production())).exitCode, 18);
  },
  { deadlineMs: 120_000 },
);

test(
  'what was done after a restore is done again when the documents are restored again',
  async () => {
    const command = "[sh, -c, 'cat > /dev/null; echo told >> log']";
    incident.writePlan(
      (usual) => `${usual}followUps:\n  - { name: Tell the cache, on: staging, run: ${command} }\n`,
    );
    const told = (): number => readFileSync(join(incident.folder, 'log'), 'utf8').split('\n').length - 1;
    await planOk('apply', ...STAGING);
    await planOk('apply', ...STAGING);
    assert.is(told(), 1);
    await planOk('revert', ...STAGING);
    await planOk('apply', ...STAGING);
    assert.is(told(), 2);
  },
  { deadlineMs: 120_000 },
);

test(
  'revert needs nothing but the target: no plan, no backup, no work directory',
  async () => {
    const before = await takeSnapshot(incident.production);
    await planOk('apply', ...STAGING);
    await planOk('apply', ...production());
    incident.writePlan((text) => text.replace('query: {', 'query: { name: { $exists: true }, '));
    await planOk('apply', ...STAGING);
    await planOk('apply', ...production());
    const elsewhere = temporaryFolder('elsewhere');
    const database = incident.production.databaseName;
    const place = [
      '--plan-name',
      'partner-57d17993',
      '--uri-env',
      'PRODUCTION_MONGODB_URI',
      '--database',
      database,
    ];
    try {
      const refused = await incident.call(['revert', ...place], { cwd: elsewhere.path });
      assert.is(refused.exitCode, 11, refused.stderr);
      const ran = await incident.call(['revert', ...place, '--confirm', database, '--json'], {
        cwd: elsewhere.path,
      });
      assert.is(ran.exitCode, 0, ran.stderr);
      assert.is(result(ran, 'revert')['target'], 'production', 'the ledger says which target it is');
      outputs.push(refused, ran);
    } finally {
      elsewhere.remove();
    }
    const { missing, added, changed } = compareSnapshots(before, await takeSnapshot(incident.production));
    assert.equal([missing.length, added.length, changed.length], [0, 0, 0]);
  },
  { deadlineMs: 120_000 },
);

test(
  'revert of production wants the name of the database',
  async () => {
    await planOk('apply', ...STAGING);
    await planOk('apply', ...production());
    const count = await incident.production.collection('artworks').countDocuments();
    const refused = await plan('revert', '--target', 'production');
    assert.is(refused.exitCode, 11);
    assert.is(await incident.production.collection('artworks').countDocuments(), count);
    await planOk('revert', ...production());
    assert.is(await incident.production.collection('artworks').countDocuments(), count - 100);
  },
  { deadlineMs: 120_000 },
);

test(
  'a plan edited since is reverted as it was applied',
  async () => {
    await planOk('apply', ...STAGING);
    incident.writePlan((text) =>
      text.replace('collection: partners\n', 'collection: partners\n    whenMatched: fail\n'),
    );
    const { stdout } = await planOk('status');
    assert.match(stdout, /\n {2}the plan has changed since\n/);
    assert.match(
      stdout,
      /gate is open: [^.]*\.[^.]*\.\nThe plan has changed since: plan apply selects anew, and the gate is/,
    );
    await planOk('revert', ...STAGING);
    assert.is(await incident.staging.collection('artworks').countDocuments({ partner_id: LOST_PARTNER }), 0);
  },
  { deadlineMs: 120_000 },
);

test(
  'a run that died leaves a lock that names it; unlock takes exactly that name',
  async () => {
    const died = await incident.call(['apply', 'plan.yaml', ...STAGING], {
      dieAt: 'batch-intended',
    });
    assert.is(died.signal, 'SIGKILL');
    const lock = incident.staging.collection<{ _id: string; holder: { name: string } }>('restore_plan.lock');
    const holder = (await lock.findOne({ _id: 'lock' }))?.holder.name ?? '';
    assert.match(
      (await planOk('status')).stdout.replaceAll(/\s+/g, ' '),
      /has held the lock since \S+; its process on this machine has ended/,
    );
    const wrong = await plan('unlock', ...STAGING, '--holder', 'nobody@nowhere:1');
    assert.is(wrong.exitCode, 17);
    assert.match(wrong.stderr, holder);
    await planOk('unlock', ...STAGING, '--holder', holder);
    await planOk('apply', ...STAGING);
    await planOk('verify', ...STAGING);
  },
  { deadlineMs: 120_000 },
);

test(
  'a run that lives keeps its lock: a second apply names it, unlock refuses, until it is killed',
  async () => {
    const holds = await openTransaction();
    try {
      const running = incident.start(['apply', 'plan.yaml', ...STAGING]);
      const holder = await holderOf(incident.staging);
      const second = await plan('apply', ...STAGING);
      assert.is(second.exitCode, 17);
      assert.match(unwrapped(second.stderr), `${holder} (apply) has held the lock since `);
      assert.match(unwrapped(second.stderr), 'it is alive, on this machine');
      assert.match(unwrapped(second.stderr), `\`kill ${running.pid}\``);
      assert.match(unwrapped((await planOk('status')).stdout), 'it is alive, on this machine');
      const kept = await plan('unlock', ...STAGING, '--holder', holder);
      assert.is(kept.exitCode, 17);
      assert.match(unwrapped(kept.stderr), `\`kill ${running.pid}\``);
      running.signal('SIGKILL');
      await running.ended;
      await planOk('unlock', ...STAGING, '--holder', holder);
    } finally {
      await holds.end();
    }
    await planOk('apply', ...STAGING);
  },
  { deadlineMs: 120_000 },
);

test(
  'a revert that finds the lock held names the command that frees it, as it can be typed',
  async () => {
    await planOk('apply', ...STAGING);
    const [holder, ahead] = ['eve@ops-9:7', 3_600_000];
    const lock = incident.staging.collection<{ _id: string }>('restore_plan.lock');
    // Its process is out of sight, and its lease does not end while it is waited for.
    await lock.updateOne({ _id: 'lock' }, [
      {
        $set: {
          holder: { $literal: { name: holder, token: 't', command: 'apply' } },
          heartbeatAt: { $add: ['$$NOW', ahead] },
          expiresAt: { $add: ['$$NOW', ahead, 1_000] },
        },
      },
    ]);
    const lost = await lock.findOne({ _id: 'lock' });
    const place = ['--uri-env', 'STAGING_MONGODB_URI', '--database', incident.staging.databaseName];
    const without = ['--plan-name', 'partner-57d17993', ...place];
    const namings: readonly (readonly [asked: readonly string[], named: readonly string[]])[] = [
      [['plan.yaml', ...STAGING], ['plan.yaml']],
      [without, place],
    ];
    for (const [asked, named] of namings) {
      await lock.replaceOne({ _id: 'lock' }, lost as never);
      const refused = await incident.call(['revert', ...asked]);
      assert.is(refused.exitCode, 17);
      const said = /`plan (unlock [^`]+)`/.exec(unwrapped(refused.stderr))?.[1] ?? '';
      assert.is(said, `unlock ${named.join(' ')} --target staging --holder ${holder}`);
      const typed = await incident.call(said.split(' '));
      assert.is(typed.exitCode, 0, typed.stderr);
    }
    await planOk('revert', ...STAGING);
  },
  { deadlineMs: 120_000 },
);

const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** Whoever inserts one of the lost artworks waits for its end. */
async function openTransaction(): Promise<{ end(): Promise<void> }> {
  const { artworks } = artMarket({ artworks: 200 });
  const lost = artworks.find((each) => each['partner_id'] === LOST_PARTNER);
  assert.ok(lost !== undefined);
  const session = lab.staging.client.startSession();
  session.startTransaction();
  await incident.staging.collection('artworks').insertOne({ _id: lost['_id'] }, { session });
  return {
    end: async () => {
      await session.abortTransaction();
      await session.endSession();
    },
  };
}

/** As soon as there is one. */
async function holderOf(database: Db): Promise<string> {
  const lock = database.collection<{ _id: string; holder: { name: string } | null }>('restore_plan.lock');
  for (;;) {
    const name = (await lock.findOne({ _id: 'lock' }))?.holder?.name;
    if (name !== undefined) return name;
    await delay(20);
  }
}

test('no output of this file holds a secret', () => {
  for (const { stdout, stderr } of outputs) assert.not.match(stdout + stderr, CANARY_PASSWORD);
});

test.run();
