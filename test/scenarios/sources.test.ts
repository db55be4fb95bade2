/** Which source could give back what was lost, and until when: asked of a real server, real backups, and of servers that are not there. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { mongodump } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';

let production: ReplicaSet;
let folder: TemporaryFolder;
let env: Record<string, string>;
const outputs: PlanRun[] = [];

test.before(
  async () => {
    folder = temporaryFolder('sources');
    production = await startReplicaSet({ user: { name: 'root', password: CANARY_PASSWORD } });
    const db = production.client.db('gravity');
    await db.collection('artworks').insertMany([1, 2, 3].map((_id) => ({ _id: _id as never })));
    await db.collection('partners').insertOne({ _id: 1 as never });
    const born = Date.now();
    const admin = production.client.db('admin');
    const role = { role: 'read', db: 'gravity' };
    await admin.command({ createUser: 'reader', pwd: CANARY_PASSWORD, roles: [role] });
    // Of an hour to come: newer than the oplog's beginning, and none that is older is needed.
    for (const name of [backupName(3600_000), backupName(-3600_000)]) {
      mkdirSync(join(folder.path, 'backups', name), { recursive: true });
      await mongodump(production.uri, ['--db', 'gravity', '--out', join(folder.path, 'backups', name)]);
    }
    const reader = production.uri.replace('root:', 'reader:');
    const nobody = `mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300`;
    env = { PRODUCTION: production.uri, READER: reader, NOBODY: nobody };
    // Without a plan, the second before the present one is asked for.
    await setTimeout(born + 2000 - Date.now());
  },
  { deadlineMs: 120_000 },
);
test.after(async () => {
  await production.stop();
  folder.remove();
});

const backupName = (agoMs: number): string =>
  new Date(Date.now() - agoMs).toISOString().slice(0, 19).replaceAll(/[T:]/g, '.').replaceAll('-', '.');

interface PlanText {
  readonly at?: Date;
  readonly production?: string;
  readonly source?: string;
}

function writePlan({ at = new Date(), production: variable = 'PRODUCTION', source = '' }: PlanText): void {
  const text = `version: 1
name: lost
source:
  at: ${at.toISOString()}
  database: gravity
  path: ./backups/{time:yyyy.MM.dd.HH.mm.ss}
  timezone: UTC
${source}collections:
  - collection: artworks
  - collection: partners
targets:
  production: { uri: "\${${variable}}", database: gravity }
`;
  writeFileSync(join(folder.path, 'plan.yaml'), text);
}

async function run(...args: string[]): Promise<PlanRun> {
  const ran = await callPlan(['sources', ...args], { cwd: folder.path, env });
  outputs.push(ran);
  return ran;
}

/** The answers by their source, and the exit code. */
async function ask(
  ...args: string[]
): Promise<{ answers: Record<string, Document>; exitCode: number | undefined }> {
  const { stdout, stderr, exitCode } = await run(...args, '--json');
  const found = checkedStream(stdout).find(({ type }) => type === 'sources');
  assert.ok(found, stderr);
  const answers = (found as Document)['sources'] as Document[];
  return { answers: Object.fromEntries(answers.map((each) => [each['source'], each])), exitCode };
}

const preImagesOf = (collection: string, enabled: boolean): Promise<unknown> =>
  production.client.db('gravity').command({ collMod: collection, changeStreamPreAndPostImages: { enabled } });

test('a plan without a query: each source with how far it reaches, how long, and what to write', async () => {
  const at = new Date();
  writePlan({ at });
  const { answers, exitCode } = await ask('plan.yaml');
  const { preImages, snapshot, oplog, backup } = answers as Record<string, Document>;
  assert.is(exitCode, 0);
  assert.equal([preImages?.['answers'], preImages?.['sum']], ['no', 'off']);
  assert.is(snapshot?.['answers'], 'yes');
  assert.match(snapshot?.['sum'], /^(?:4 min \d+ s|5 min) left$/);
  assert.is(Date.parse(snapshot?.['until']), at.getTime() + 300_000);
  assert.equal(snapshot?.['write'].at(-1), `  snapshot: { uri: "\${PRODUCTION}" }`);
  assert.match(snapshot?.['facts'].join(), /it holds artworks, partners/);
  // The backup of an hour ago by its name: the oplog began later.
  assert.is(oplog?.['answers'], 'no');
  assert.match(oplog?.['sum'], /^back to \d{4}-/);
  assert.match(oplog?.['facts'].join(), /begins after the backup of .*cannot roll it forward/);
  assert.is(backup?.['answers'], 'yes');
  assert.match(backup?.['sum'], /^of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  assert.match(backup?.['facts'].join(), /1 h before source\.at.*2 found.* 1 at or before/);
  const page = await run('plan.yaml');
  assert.is(page.exitCode, 0, page.stderr);
  assert.match(
    page.stdout,
    /\npre-images: off; snapshot: [45] min[^;]*\s+left; oplog\s+back\s+to [^;]*;\s+backup\s+of /,
  );
});

test('the server alone, without a plan', async () => {
  const { answers, exitCode } = await ask('--uri-env', 'PRODUCTION', '--database', 'gravity');
  assert.is(exitCode, 0);
  const { snapshot, oplog, backup } = answers as Record<string, Document>;
  assert.equal(
    [snapshot?.['answers'], snapshot?.['sum'], snapshot?.['until']],
    ['yes', 'back by 5 min', null],
  );
  assert.equal(snapshot?.['write'].slice(0, 2), [
    'source:',
    '  at: … # the last moment at which the data was good, with its offset',
  ]);
  assert.is(oplog?.['answers'], 'unknown');
  assert.match(oplog?.['facts'].join(), /no backup is known.*plan history/);
  assert.equal([backup?.['answers'], backup?.['sum']], ['no', 'none is named']);
});

test('pre-images: for which collections, how long, and how old the oldest is', async () => {
  const db = production.client.db('gravity');
  await preImagesOf('artworks', true);
  const before = Date.now();
  await db.collection('artworks').updateOne({ _id: 1 as never }, { $set: { n: 1 } });
  writePlan({});
  const { answers } = await ask('plan.yaml');
  const { preImages } = answers as Record<string, Document>;
  assert.is(preImages?.['answers'], 'yes');
  assert.match(preImages?.['sum'], /^on for artworks, back to /);
  assert.ok(Math.abs(Date.parse(preImages?.['from']) - before) < 5000);
  assert.match(preImages?.['facts'].join(), /off for partners.*as long as the oplog has their entries/);
  const admin = production.client.db('admin');
  const expire = (expireAfterSeconds: number | 'off'): Promise<unknown> =>
    admin.command({
      setClusterParameter: { changeStreamOptions: { preAndPostImages: { expireAfterSeconds } } },
    });
  await expire(600);
  await preImagesOf('partners', true);
  const later = await ask('plan.yaml');
  assert.match(later.answers['preImages']?.['facts'].join(), /kept for 10 min \(expireAfterSeconds\)/);
  assert.match(later.answers['preImages']?.['sum'], /^on, back to /);
  writePlan({ at: new Date(Date.now() - 3600_000) });
  const tooLate = await ask('plan.yaml');
  assert.is(tooLate.answers['preImages']?.['answers'], 'no');
  assert.match(tooLate.answers['preImages']?.['facts'].join(), /right after source\.at .* has expired/);
  await expire('off');
});

test('a user with plain read: what it may, and the rights for what it may not, by name', async () => {
  writePlan({ production: 'READER' });
  const { answers, exitCode } = await ask('plan.yaml');
  assert.is(exitCode, 0);
  const { preImages, snapshot, oplog } = answers as Record<string, Document>;
  assert.is(preImages?.['answers'], 'yes');
  assert.equal(preImages?.['missingRights'], [
    'getClusterParameter on the cluster',
    'find on config.system.preimages',
  ]);
  assert.is(snapshot?.['answers'], 'yes');
  assert.match(
    snapshot?.['facts'].join(),
    /unless its minSnapshotHistoryWindowInSeconds.*may not read the oplog/,
  );
  assert.is(oplog?.['answers'], 'unknown');
  assert.match(oplog?.['facts'].join(), /may not read the oplog.*Grant it/);
  const page = await run('plan.yaml');
  assert.match(page.stdout, /not known without the right: find on\s+config\.system\.preimages/);
});

test('too late for the snapshot, a dropped collection, an oplog that reaches back', async () => {
  writePlan({ at: new Date(Date.now() - 1800_000) });
  const late = await ask('plan.yaml');
  assert.equal([late.answers['snapshot']?.['answers'], late.answers['snapshot']?.['sum']], ['no', 'gone']);
  assert.match(late.answers['snapshot']?.['facts'].join(), /SnapshotTooOld/);
  await production.client.db('gravity').dropCollection('partners');
  const now = new Date();
  const source = `  oplog: { mongodb: { uri: "\${PRODUCTION}" }, begins: ${now.toISOString()} }\n`;
  await production.client
    .db('gravity')
    .collection('artworks')
    .insertOne({ _id: 9 as never });
  writePlan({ at: new Date(now.getTime() + 1), source });
  const { answers } = await ask('plan.yaml');
  assert.match(
    answers['preImages']?.['facts'].join(),
    /not there any more: partners; a drop leaves no pre-images/,
  );
  assert.is(answers['oplog']?.['answers'], 'yes', JSON.stringify(answers['oplog']));
  assert.equal(answers['oplog']?.['write'], []);
  assert.ok(Date.parse(answers['oplog']?.['until']) > Date.now());
});

test('a server that is not there keeps no other source from answering', async () => {
  writePlan({ production: 'NOBODY' });
  const { answers, exitCode } = await ask('plan.yaml');
  assert.is(exitCode, 0);
  for (const source of ['preImages', 'snapshot', 'oplog'])
    assert.equal(
      [source, answers[source]?.['answers'], answers[source]?.['sum']],
      [source, 'unknown', 'cannot be asked'],
    );
  assert.is(answers['backup']?.['answers'], 'yes');
});

test('nothing answers: exit 12; no plan and no server: exit 11', async () => {
  assert.is((await run('--uri-env', 'NOBODY', '--database', 'gravity')).exitCode, 12);
  for (const args of [
    [],
    ['--uri-env', 'PRODUCTION'],
    ['--database', 'gravity'],
    ['plan.yaml', '--database', 'x'],
  ]) {
    const { exitCode, stderr } = await run(...args);
    assert.is(exitCode, 11, args.join(' '));
    assert.match(stderr, /--uri-env <variable> --database <name>/);
  }
  assert.is((await run('--uri-env', 'MISSING', '--database', 'gravity')).exitCode, 11);
});

test('no output holds a connection string', () => {
  assert.ok(outputs.length > 10);
  for (const { stdout, stderr } of outputs) assert.not.match(stdout + stderr, new RegExp(CANARY_PASSWORD));
});

test.run();
