/** `plan apply` end to end: staging before production, byte for byte, and nothing written where something is refused. */
import { copyFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareSnapshots, takeSnapshot } from '../demo/snapshot.ts';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { createIncident, type Incident, takeTar } from './incident.ts';
import { checkedStream } from './json-stream.ts';

const PLAN = ['plan.yaml'];
const STAGING = ['apply', ...PLAN, '--target', 'staging'];

let lab: Lab;
let incident: Incident;
const outputs: PlanRun[] = [];

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  incident = await createIncident(lab);
});
test.after(() => lab.close());

async function run(args: readonly string[], options?: Parameters<Incident['run']>[1]): Promise<PlanRun> {
  const ran = await incident.call(args, options);
  outputs.push(ran);
  return ran;
}

const PRODUCTION = () => [
  'apply',
  ...PLAN,
  '--target',
  'production',
  '--confirm',
  incident.production.databaseName,
];

/** Documents, without the ledger's. */
async function snapshots(): Promise<Map<string, unknown>[]> {
  return Promise.all(
    [incident.staging, incident.production].map((database: Db) => takeSnapshot(database) as never),
  );
}

test(
  'staging, then production: every document is back, and the rest untouched',
  async () => {
    const before = await snapshots();
    const elsewhere = await run([...STAGING, '--confirm', incident.production.databaseName]);
    assert.is(elsewhere.exitCode, 11);
    assert.match(
      elsewhere.stderr,
      /--confirm names gravity-\d.*, but the target's database is gravity-staging-\d/,
    );
    assert.equal(await snapshots(), before);
    const staging = await run(STAGING);
    assert.is(staging.exitCode, 0, staging.stderr);
    assert.match(staging.stdout, /artworks +100/);
    assert.match(staging.stdout, /Verified: 140 documents read back from staging/);
    const production = await run(PRODUCTION());
    assert.is(production.exitCode, 0, production.stderr);
    const after = await snapshots();
    for (const [index, snapshot] of before.entries()) {
      const { missing, added, changed } = compareSnapshots(snapshot as never, after[index] as never);
      assert.equal([missing.length, added.length, changed.length], [0, 140, 0]);
    }
    const again = await run(['dry-run', ...PLAN, '--detailed-exitcode']);
    assert.is(again.exitCode, 0, 'nothing is left to write');
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  '--json keeps the contract, and a second apply writes nothing',
  async () => {
    await run(STAGING);
    const { exitCode, stdout } = await run([...STAGING, '--json', '--quiet']);
    assert.is(exitCode, 0);
    const lines = checkedStream(stdout);
    const result = lines.at(-2) as Record<string, unknown>;
    assert.is(result['type'], 'apply');
    assert.is(result['verified'], true);
    assert.equal((result['collections'] as unknown[])[1], {
      collection: 'artworks',
      ...{ inserted: 0, identical: 100, replaced: 0, kept: 0, conflict: 0, refused: 0 },
      ...{ heldBack: 0, excepted: 0, doubtful: 0 },
    });
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'a plan of this name that restored from elsewhere is said, and its name has to be given',
  async () => {
    assert.is((await run(STAGING)).exitCode, 0);
    copyFileSync(join(incident.folder, 'db.tar'), join(incident.folder, 'other.tar'));
    incident.writePlan((text) => text.replace('./db.tar', './other.tar'));
    const before = await snapshots();
    const refused = await run(STAGING);
    assert.is(refused.exitCode, 11, refused.stderr);
    assert.match(
      refused.stderr,
      /a plan named partner-57d17993 was applied before from \.\/db\.tar \(database gravity-.*\); this one restores from \.\/other\.tar/,
    );
    assert.match(refused.stderr, '--confirm-plan partner-57d17993');
    const mistaken = await run([...STAGING, '--confirm-plan', 'partner']);
    assert.is(mistaken.exitCode, 11);
    assert.match(mistaken.stderr, '--confirm-plan names partner, but the plan is partner-57d17993');
    assert.equal(await snapshots(), before);
    const confirmed = await run([...STAGING, '--confirm-plan', 'partner-57d17993']);
    assert.is(confirmed.exitCode, 0, confirmed.stderr);
    assert.is((await run(STAGING)).exitCode, 0, 'the newest run is of the other source now');
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'production before staging is refused, and nothing is written',
  async () => {
    const before = await snapshots();
    const { exitCode, stderr } = await run(PRODUCTION());
    assert.is(exitCode, 18, stderr);
    assert.match(stderr, /staging/);
    assert.equal(await snapshots(), before);
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'a plan edited to select other documents is refused; an edited reason is not',
  async () => {
    assert.is((await run(STAGING)).exitCode, 0);
    const before = await snapshots();
    incident.writePlan((text) =>
      text
        .replace(
          'foreignKey: artwork_id',
          'foreignKey: artwork_id\n            query: { lot_number: { $gte: 0 } }',
        )
        .replace('collection: sale_artworks', 'collection: offers')
        .replace(/\n +references:\n.*\n/, '\n'),
    );
    const edited = await run(PRODUCTION());
    assert.is(edited.exitCode, 18, edited.stderr);
    assert.equal(await snapshots(), before);
    incident.writePlan((text) => text.replace('by a support script.', 'by a support script; incident 4711.'));
    assert.is((await run(PRODUCTION())).exitCode, 0);
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'S6 a backup replaced by one with other documents is refused',
  async () => {
    assert.is((await run(STAGING)).exitCode, 0);
    // The partner returns to production under another name, and a new backup is taken.
    await incident.production.collection('partners').insertOne({ _id: LOST_PARTNER, name: 'Another' });
    await takeTar(lab, incident.production.databaseName, incident.folder);
    await incident.production.collection('partners').deleteOne({ _id: LOST_PARTNER });
    incident.writePlan((text) => text.replace(/\n {4}dependents:[\s\S]*?(?=\ntargets:)/, ''));
    const before = await snapshots();
    const { exitCode, stderr } = await run(PRODUCTION());
    assert.is(exitCode, 18, stderr);
    assert.equal(await snapshots(), before);
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'the same server behind both connection strings is refused, for staging already',
  async () => {
    const before = await snapshots();
    const other = `${lab.staging.uri}${lab.staging.uri.includes('?') ? '&' : '/?'}appName=other`;
    const same = { env: { PRODUCTION_MONGODB_URI: other } };
    for (const args of [STAGING, PRODUCTION()]) {
      const { exitCode, stderr } = await run(args, same);
      assert.ok(exitCode === 18 || exitCode === 13, stderr);
    }
    assert.equal(await snapshots(), before);
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'production wants its database named: without a terminal by --confirm, and rightly',
  async () => {
    assert.is((await run(STAGING)).exitCode, 0);
    const before = await snapshots();
    const unnamed = await run(['apply', ...PLAN, '--target', 'production']);
    assert.is(unnamed.exitCode, 11, unnamed.stderr);
    assert.match(unnamed.stderr, new RegExp(`--confirm ${incident.production.databaseName}`));
    const wrong = await run(['apply', ...PLAN, '--target', 'production', '--confirm', 'gravity']);
    assert.is(wrong.exitCode, 11);
    assert.equal(await snapshots(), before);
    const typed = await run(['apply', ...PLAN, '--target', 'production'], {
      terminal: { columns: 100 },
      input: `${incident.production.databaseName}\n`,
    });
    assert.is(typed.exitCode, 0, typed.stdout);
    assert.match(typed.stdout, /artworks +100 +\S*\+100/, 'production is compared and shown before');
    assert.match(typed.stdout, /Type the name of the database/);
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'where a document cannot be written, exit code and words say how to go on',
  async () => {
    await incident.staging.command({ collMod: 'partners', validator: { never: { $exists: true } } });
    const stuck = await run(STAGING);
    assert.is(stuck.exitCode, 14, stuck.stderr);
    // The partner is refused, and what belongs to it is held back with it.
    assert.match(stuck.stdout, /\d+ documents could not be written to staging/);
    assert.match(stuck.stdout.replace(/\s+/g, ' '), /↳[\d,]+ held back/);
    assert.match(
      stuck.stderr,
      /Next, to see why .* could not be written to staging:\n {2}plan dry-run plan\.yaml --target staging\n/,
    );
    const dryRun = await run(['dry-run', ...PLAN, '--target', 'staging']);
    assert.match(dryRun.stdout, /validator/);
    await incident.staging.command({ collMod: 'partners', validator: {} });
    assert.is((await run(STAGING)).exitCode, 0);
  },
  { deadlineMs: 90_000 },
);

test(
  'what changed in the target since the dry-run is named document by document',
  async () => {
    await run(['dry-run', ...PLAN]);
    await incident.staging.collection('partners').insertOne({ _id: LOST_PARTNER, name: 'Somebody else' });
    const { exitCode, stdout } = await run(STAGING);
    assert.is(exitCode, 0);
    assert.match(stdout, / kept$/m);
    assert.match(stdout, /Changed since the dry-run of .* UTC: 1 document\n {2}appeared: partners _id/);
    const again = checkedStream((await run([...STAGING, '--json'])).stdout).at(-2) as Record<
      string,
      unknown[]
    >;
    assert.is(again['changedSinceDryRun']?.length, 1, 'its own documents are no news');
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'L9: a closed pipe does not end an apply',
  async () => {
    const started = incident.start(STAGING);
    started.child.stdout?.destroy();
    started.child.stderr?.destroy();
    assert.is((await started.ended).exitCode, 0);
    assert.is(
      await incident.staging.collection('artworks').countDocuments({ partner_id: LOST_PARTNER }),
      100,
    );
    incident.close();
  },
  { deadlineMs: 120_000 },
);

test(
  'a target that nobody answers at is said before the backup is read, and a missing backup before that',
  async () => {
    const deaf = `mongodb://restore:${CANARY_PASSWORD}@127.0.0.1:1/?connectTimeoutMS=300&serverSelectionTimeoutMS=300`;
    const env = { STAGING_MONGODB_URI: deaf };
    const typesOf = ({ stdout }: PlanRun): unknown[] => checkedStream(stdout).map(({ type }) => type);
    const unread = await run([...STAGING, '--json'], { env });
    assert.is(unread.exitCode, 13, unread.stderr);
    assert.ok(typesOf(unread).includes('backup-located'));
    assert.not.ok(typesOf(unread).includes('selection-started'));
    incident.writePlan((text) => text.replace('db.tar', 'no-such.tar'));
    const absent = await run([...STAGING, '--json'], { env });
    assert.is(absent.exitCode, 12, absent.stderr);
    assert.not.ok(typesOf(absent).includes('backup-located'));
    incident.close();
  },
  { deadlineMs: 60_000 },
);

test(
  'a backup that is gone after staging: production is given what was selected from it, unless that is not one thing',
  async () => {
    const tar = join(incident.folder, 'db.tar');
    assert.is((await run(STAGING)).exitCode, 0);
    renameSync(tar, `${tar}.moved`);
    const { exitCode, stderr } = await run(PRODUCTION());
    assert.is(exitCode, 0, stderr);
    assert.match(
      stderr,
      /db\.tar does not exist\. What this plan selected earlier from .*db\.tar is used instead/,
    );
    assert.is(
      await incident.production.collection('artworks').countDocuments({ partner_id: LOST_PARTNER }),
      100,
    );
    assert.is((await run(['verify', ...PLAN, '--target', 'production'])).exitCode, 0);

    // Of another backup in its place something else was selected: which of them is meant, nobody can tell.
    await takeTar(lab, incident.production.databaseName, incident.folder);
    assert.is((await run(['select', ...PLAN])).exitCode, 0);
    rmSync(tar);
    const unclear = await run(['dry-run', ...PLAN, '--target', 'staging']);
    assert.is(unclear.exitCode, 12);
    assert.match(unclear.stderr, /db\.tar does not exist\./);
    // And what another plan selected is none of this one.
    renameSync(`${tar}.moved`, tar);
    assert.is((await run(['select', ...PLAN])).exitCode, 0);
    rmSync(tar);
    incident.writePlan((text) => text.replace('query: ', 'query: { title: nothing } # '));
    assert.is((await run(['dry-run', ...PLAN, '--target', 'staging'])).exitCode, 12);
  },
  { deadlineMs: 120_000 },
);

test('L15: no secret in anything that was written', () => {
  assert.ok(outputs.length > 10);
  for (const { stdout, stderr } of outputs) assert.not.ok(`${stdout}${stderr}`.includes(CANARY_PASSWORD));
});

test.run();
