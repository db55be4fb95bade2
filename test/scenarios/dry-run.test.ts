/** `plan dry-run` end to end: a real backup, real targets, the real command line. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { dryRunObject } from '../../src/cli/views/dry-run.ts';
import { takeSnapshot } from '../demo/snapshot.ts';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { CANARY_KEY_ID, CANARY_SECRET_KEY, s3Environment } from '../lab/s3.ts';
import { createIncident, type Incident } from './incident.ts';
import { checkedStream } from './json-stream.ts';

type DryRunObject = ReturnType<typeof dryRunObject>;

const ESCAPE = '\u001b';

let lab: Lab;
let incident: Incident;
/** Everything that any command of this file has written. */
const outputs: PlanRun[] = [];

test.before(async () => {
  lab = await openLab();
  incident = await createIncident(lab);
});
test.after(async () => {
  incident.close();
  await lab.close();
});
test.before.each(() => incident.writePlan());

async function run(args: readonly string[], options?: Parameters<Incident['run']>[1]): Promise<PlanRun> {
  const ran = await incident.call(args, options);
  outputs.push(ran);
  return ran;
}

test('a selection alone needs no target, not even the variable of one; the dry-run uses it', async () => {
  const env = { STAGING_MONGODB_URI: undefined, PRODUCTION_MONGODB_URI: undefined };
  const { exitCode, stdout, stderr } = await run(['select', 'plan.yaml', '--work-dir', 'alone'], { env });
  assert.is(exitCode, 0, stderr);
  assert.match(stdout, /└─ sale_artworks +39/);
  assert.match(stdout.replace(/\s+/g, ' '), /Kept in .*alone\/selections\//);
  const again = await run(['select', 'plan.yaml', '--work-dir', 'alone', '--json'], { env });
  const lines = checkedStream(again.stdout);
  assert.ok(lines.some(({ type }) => type === 'selection-reused'));
  const alone = lines.at(-2) as unknown as Pick<DryRunObject, 'selection'> & { type: string };
  assert.is(alone.type, 'select');
  const compared = checkedStream(
    (await run(['dry-run', 'plan.yaml', '--work-dir', 'alone', '--json'])).stdout,
  );
  assert.ok(compared.some(({ type }) => type === 'selection-reused'));
  assert.is((compared.at(-2) as unknown as DryRunObject).selection.digest, alone.selection.digest);
});

test('the page shows the collections as a tree, and nothing is written', async () => {
  const before = [await takeSnapshot(incident.staging), await takeSnapshot(incident.production)];
  const { exitCode, stdout, stderr } = await run(['dry-run', 'plan.yaml']);
  assert.is(exitCode, 0, stderr);
  assert.match(stdout, /collection +selected +staging +production/);
  assert.match(stdout, /partners +1 +\+1 +\+1/);
  assert.match(stdout, /└─ artworks +100 +\+100 +\+100/);
  assert.match(stdout, /└─ sale_artworks +39 +\+39 +\+39/);
  assert.ok(
    stdout.split('\n').every((line) => line.length <= 80),
    'fits 80 columns',
  );
  assert.match(stderr, /Selected 140 documents/);
  assert.equal([await takeSnapshot(incident.staging), await takeSnapshot(incident.production)], before);
});

test('--json keeps the contract, and the second run uses the selection of the first', async () => {
  const { exitCode, stdout } = await run(['dry-run', 'plan.yaml', '--json', '--quiet']);
  assert.is(exitCode, 0);
  const lines = checkedStream(stdout);
  assert.is(lines[0]?.['type'], 'version');
  assert.ok(lines.some(({ type }) => type === 'selection-reused'));
  assert.equal(lines.at(-1), { type: 'exit', code: 0, name: 'OK' });
  const result = lines.at(-2) as unknown as DryRunObject;
  assert.is(result.type, 'dry-run');
  assert.equal(Object.keys(result).sort(), [
    ...['backup', 'notCompared', 'plan', 'selection', 'suggestions', 'targets', 'type'],
  ]);
  assert.equal(result.targets.staging?.collections[1], {
    collection: 'artworks',
    ...{ insert: 100, identical: 0, different: 0, softDeleted: 0, stale: 0, conflict: 0, refused: 0 },
    danglingReferences: 0,
    wouldCreate: false,
  });
});

test('--detailed-exitcode tells whether there is anything to write', async () => {
  assert.is((await run(['dry-run', 'plan.yaml', '--detailed-exitcode'])).exitCode, 2);
});

test('a last good moment that is still to come is refused at its place', async () => {
  incident.writePlan((text) => text.replace('path: ./db.tar', 'path: ./db.tar\n  at: 2999-09-13T13:00:00Z'));
  const { stderr, exitCode } = await run(['dry-run', 'plan.yaml', '--target', 'staging', '--quiet']);
  assert.is(exitCode, 10);
  assert.match(stderr, /plan\.yaml:7:7: error: source\.at 2999-09-13T13:00:00Z is still to come/);
});

test('asked of production alone, it does not send anybody past staging', async () => {
  const { stderr } = await run(['dry-run', 'plan.yaml', '--target', 'production']);
  assert.match(stderr, /\n {2}plan status plan\.yaml\n$/);
  assert.not.match(stderr, /plan apply/);
});

test('--full lists every document, --report writes what its ending says', async () => {
  const { stdout, exitCode } = await run([
    ...['dry-run', 'plan.yaml', '--full', '--target', 'staging'],
    ...['--report', 'out/review.md', '--report', 'out/review.json'],
  ]);
  assert.is(exitCode, 0);
  assert.is(stdout.match(/^\+ \{/gm)?.length, 140);
  assert.match(readFileSync(join(incident.folder, 'out/review.md'), 'utf8'), /partner-57d17993/);
  const report = JSON.parse(readFileSync(join(incident.folder, 'out/review.json'), 'utf8'));
  assert.is(report.targets.staging.collections[1].documents.length, 100);
  const left = readdirSync(join(incident.folder, '.restore-plan')).filter((name) =>
    name.startsWith('.comparison'),
  );
  assert.equal(left, []);
});

test('--full lists every dangling reference, on the page and in the report', async () => {
  await incident.staging.collection('sales').deleteMany({});
  const shown = await run(['dry-run', 'plan.yaml', '--target', 'staging']);
  assert.match(shown.stdout, /\d more dangling references; `--full` lists all/);
  const { stdout } = await run([
    ...['dry-run', 'plan.yaml', '--full', '--target', 'staging', '--report', 'review.json'],
  ]);
  const report = JSON.parse(readFileSync(join(incident.folder, 'review.json'), 'utf8'));
  const [lots] = report.targets.staging.collections.slice(-1);
  assert.ok(lots.danglingReferences > 5);
  assert.is(stdout.match(/^\? dangling reference/gm)?.length, lots.danglingReferences);
  assert.is(lots.dangling.length, lots.danglingReferences);
});

test('a query that matches nothing and a collection that the backup lacks exit 12', async () => {
  incident.writePlan((text) => text.replace(LOST_PARTNER.toHexString(), 'ffffffffffffffffffffffff'));
  const nothing = await run(['dry-run', 'plan.yaml']);
  assert.is(nothing.exitCode, 12, nothing.stderr);
  assert.match(nothing.stderr, /partners/);
  incident.writePlan((text) => text.replace('collection: partners', 'collection: partnerz'));
  const missing = await run(['dry-run', 'plan.yaml']);
  assert.is(missing.exitCode, 12, missing.stderr);
  assert.match(missing.stderr, /partnerz/);
});

test(
  'a target that nobody answers at is said and left out; when none answers, exit 13',
  async () => {
    const deaf = `mongodb://restore:${CANARY_PASSWORD}@127.0.0.1:1/?connectTimeoutMS=300&serverSelectionTimeoutMS=300`;
    const one = await run(['dry-run', 'plan.yaml'], { env: { PRODUCTION_MONGODB_URI: deaf } });
    assert.is(one.exitCode, 0, one.stderr);
    assert.match(one.stdout, /production was not compared/);
    assert.match(one.stdout, /artworks +100 +\+100/);
    const none = await run(['dry-run', 'plan.yaml', '--target', 'staging'], {
      env: { STAGING_MONGODB_URI: deaf },
    });
    assert.is(none.exitCode, 13);
    // Production alone was compared, and is not what comes next.
    const second = await run(['dry-run', 'plan.yaml'], { env: { STAGING_MONGODB_URI: deaf } });
    assert.is(second.exitCode, 0);
    assert.match(
      second.stderr,
      /Next, once staging answers, which comes first:\n {2}plan apply plan\.yaml --target staging\n/,
    );
    const foreign = await run(['dry-run', 'plan.yaml', '--target', 'staging'], {
      env: { STAGING_MONGODB_URI: lab.staging.uri.replace('replicaSet=staging', 'replicaSet=another') },
    });
    assert.is(foreign.exitCode, 13);
    assert.match(foreign.stderr, /no server that answers is a member of the replica set another/);
    const same = await run(['dry-run', 'plan.yaml'], { env: { STAGING_MONGODB_URI: lab.production.uri } });
    assert.is(same.exitCode, 0);
    assert.match(same.stderr, /Warning: staging and production are the same server: plan apply will refuse/);
    const review = await run(['dry-run', 'plan.yaml', '--quiet', '--report', 'review.md'], {
      env: { STAGING_MONGODB_URI: lab.production.uri },
    });
    assert.match(review.stdout, /^warning: staging and production are the same server/m);
    assert.match(readFileSync(join(incident.folder, 'review.md'), 'utf8'), 'are the same server');
  },
  { deadlineMs: 120_000 },
);

test('a view in the place of a collection exits 13, after the page for the other target', async () => {
  await incident.staging.createCollection('artworks_view', { viewOn: 'artworks', pipeline: [] });
  incident.writePlan((text) =>
    text.replace('foreignKey: partner_id', 'foreignKey: partner_id\n        into: artworks_view'),
  );
  const { exitCode, stdout } = await run(['dry-run', 'plan.yaml']);
  assert.is(exitCode, 13);
  assert.match(stdout, /staging was not compared:[\s\S]*artworks_view\s+is\s+a\s+view/);
  assert.match(stdout, /artworks → artworks_v/);
});

test('L14: hostile values stay harmless on the page', async () => {
  const artworks = incident.staging.collection('artworks');
  const backup = (await run(['dry-run', 'plan.yaml', '--json', '--full', '--target', 'staging'])).stdout;
  const line = checkedStream(backup).find(({ collection }) => collection === 'artworks') as Record<
    string,
    string
  >;
  const { ObjectId } = await import('bson');
  const _id = new ObjectId(JSON.parse(line['id'] as string).$oid);
  const hostile = '\u001b]8;;http://evil\u0007\n::error::pwned\n##[error]x\u202e<script>|`'.padEnd(
    1_000_000,
    'x',
  );
  await artworks.insertOne({ _id, title: hostile, [hostile.slice(0, 60)]: 1 });
  try {
    const { stdout, exitCode } = await run(['dry-run', 'plan.yaml', '--target', 'staging']);
    assert.is(exitCode, 0);
    assert.match(stdout, /≠ different, kept/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must be gone
    assert.not.match(stdout, /[\u0000-\u0009\u000b-\u001f\u202e]/);
    assert.not.match(stdout, /^\s*::|##\[/m);
    assert.ok(stdout.split('\n').every((row) => row.length <= 80));
  } finally {
    await artworks.deleteOne({ _id });
  }
});

test(
  'L9: a reader that goes away, a narrow and a dumb terminal',
  async () => {
    const started = incident.start(['dry-run', 'plan.yaml', '--full']);
    started.child.stdout?.destroy();
    started.child.stderr?.destroy();
    assert.is((await started.ended).exitCode, 0);
    const narrow = await run(['dry-run', 'plan.yaml'], { terminal: { columns: 20 } });
    assert.is(narrow.exitCode, 0);
    assert.match(narrow.stdout, /\+100/);
    const dumb = await run(['dry-run', 'plan.yaml'], { terminal: { columns: 80 }, env: { TERM: 'dumb' } });
    assert.is(dumb.exitCode, 0);
    assert.not.ok(dumb.stdout.includes(ESCAPE));
    const plain = await run(['dry-run', 'plan.yaml'], { terminal: { columns: 80 }, env: { NO_COLOR: '1' } });
    assert.not.ok(plain.stdout.slice(plain.stdout.indexOf('plan      ')).includes(`${ESCAPE}[3`));
  },
  { deadlineMs: 120_000 },
);

test('L10: no home, no temporary folder, a work directory that cannot be written', async () => {
  const bare = await run(['dry-run', 'plan.yaml', '--work-dir', 'elsewhere'], {
    env: { HOME: undefined, TMPDIR: '/nowhere' },
  });
  assert.is(bare.exitCode, 0, bare.stderr);
  const file = join(incident.folder, 'a-file');
  writeFileSync(file, '');
  const here = await run(['dry-run', 'plan.yaml', '--work-dir', '.']);
  assert.is(here.exitCode, 0, here.stderr);
  assert.not.ok(readdirSync(incident.folder).includes('.gitignore'), 'the plan is not hidden from git');
  const blocked = await run(['dry-run', 'plan.yaml', '--work-dir', join(file, 'work')]);
  assert.is(blocked.exitCode, 20);
  assert.match(blocked.stderr, /cannot write/);
  assert.match(blocked.stderr, /--work-dir/);
  const locked = join(incident.folder, 'locked');
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  if (process.getuid?.() !== 0) {
    assert.is((await run(['dry-run', 'plan.yaml', '--work-dir', join(locked, 'work')])).exitCode, 20);
  }
});

test(
  'an S3 backup that is not there exits 12, and an env file can hold the credentials',
  async () => {
    const where = `s3: { bucket: no-such-bucket, key: db.tar, region: us-east-1, endpoint: "${lab.s3.endpoint}", forcePathStyle: true }`;
    incident.writePlan((text) => text.replace('path: ./db.tar', where));
    const lines = Object.entries(s3Environment(lab.s3)).map(([name, value]) => `${name}='${value}'`);
    writeFileSync(join(incident.folder, 's3.env'), `${lines.join('\n')}\n`);
    // Credentials of a file reach the AWS chain through the process.
    const missing = await incident.run(['dry-run', 'plan.yaml', '--env-file', 's3.env', '--json']);
    assert.is(missing.exitCode, 12, missing.stderr);
    assert.match(missing.stderr, /no-such-bucket/);
    assert.not.match(missing.stderr, /credential|signature/i);
    // With keys in the environment as well, the SDK would have its own say on stderr.
    const profile = await run(['dry-run', 'plan.yaml', '--quiet'], {
      env: { ...s3Environment(lab.s3), AWS_PROFILE: 'nobody' },
    });
    assert.is(profile.exitCode, 12);
    assert.match(profile.stderr, /^error: .* no AWS credentials were found.*\nnext: .*\n$/);
  },
  { deadlineMs: 120_000 },
);

test('L15: no secret in anything that was written', () => {
  assert.ok(outputs.length > 10);
  for (const { stdout, stderr } of outputs) {
    for (const secret of [CANARY_PASSWORD, CANARY_KEY_ID, CANARY_SECRET_KEY]) {
      assert.not.ok(`${stdout}${stderr}`.includes(secret));
    }
  }
});

test.run();
