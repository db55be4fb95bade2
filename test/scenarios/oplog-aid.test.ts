/** First aid: how far an oplog reaches, and saving what is needed of it before it is overwritten, also under `kill -9`. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { killSaves } from '../faults/oplog-save-campaign.ts';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import { type PlanRun, runPlan } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { whyNoSmallDisk } from '../lab/small-disk.ts';
import { mongodump, program } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';

const user = { name: 'root', password: CANARY_PASSWORD };
let production: ReplicaSet;
let folder: TemporaryFolder;
let begun: Date;
let at: Date;
let env: Record<string, string>;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test.before(
  async () => {
    folder = temporaryFolder('oplog-aid');
    production = await startReplicaSet({ user });
    const db = production.client.db('gravity');
    await db
      .collection('artworks')
      .insertMany(Array.from({ length: 200 }, (_, i) => ({ _id: i as never, n: i })));
    await db.collection('partners').insertMany([{ _id: 1 as never, name: 'one' }]);
    await pause(2500);
    begun = new Date();
    await pause(1100);
    await mongodump(production.uri, ['--db', 'gravity', '--out', join(folder.path, 'plain')]);
    await mongodump(production.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    await theDay();
    await pause(1100);
    at = new Date();
    await db.collection('artworks').deleteMany({ n: { $lt: 100 } });
    await pause(1100);
    await db.collection('partners').insertOne({ name: 'later' });
    await oplogReader();
    env = { OPLOG_URI: production.uri, STAGING_URI: production.uri, READER_URI: readerUri() };
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await production.stop();
  folder.remove();
});

/** Changes of the plan's collections among many others, a rename there and back, transactions in and beside the plan. */
async function theDay(): Promise<void> {
  const { client } = production;
  const db = client.db('gravity');
  await db.collection('artworks').updateMany({}, { $inc: { n: 1 } });
  await db
    .collection('others')
    .insertMany(Array.from({ length: 5000 }, (_, i) => ({ i, text: 'x'.repeat(200) })));
  await db.collection('artworks').rename('moved');
  await db.collection('moved').updateMany({ n: { $lt: 50 } }, { $set: { moved: true } });
  await db.collection('moved').rename('artworks');
  for (const name of ['artworks', 'others'])
    await client.withSession((session) =>
      session.withTransaction(async () => {
        for (let i = 0; i < 3; i++) await db.collection(name).insertOne({ inTransaction: i }, { session });
      }),
    );
}

async function oplogReader(): Promise<void> {
  const admin = production.client.db('admin');
  const find = { resource: { db: 'local', collection: 'oplog.rs' }, actions: ['find'] };
  await admin.command({ createRole: 'oplogReader', privileges: [find], roles: [] });
  await admin.command({ createUser: 'reader', pwd: CANARY_PASSWORD, roles: ['oplogReader'] });
  await admin.command({ createUser: 'nobody', pwd: CANARY_PASSWORD, roles: [] });
}

const readerUri = (): string => production.uri.replace('root:', 'reader:');

interface PlanText {
  readonly path?: string;
  readonly oplog?: string;
  readonly query?: string;
  readonly at?: Date;
}

function writePlan({
  path = 'dump',
  oplog = `mongodb: { uri: "\${OPLOG_URI}" }`,
  query = 'query: {}',
  at: moment = at,
}: PlanText): void {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: artworks
reason: gone
source:
  database: gravity
  path: ./${path}
  at: ${moment.toISOString()}
  oplog:
    ${oplog}
collections:
  - collection: artworks
    ${query}
targets:
  staging: { uri: "\${STAGING_URI}", database: staging }
`,
  );
}

const outputs: PlanRun[] = [];

async function run(...args: string[]): Promise<PlanRun> {
  const ran = await callPlan(args, { cwd: folder.path, env });
  outputs.push(ran);
  return ran;
}

async function objectOf(type: string, ...args: string[]): Promise<Document> {
  const { stdout, stderr } = await run(...args, '--json');
  const found = checkedStream(stdout).find((each) => each['type'] === type);
  assert.ok(found, stderr);
  return found as Document;
}

test('check: how far it reaches, from where it is needed, and how long it stays', async () => {
  writePlan({});
  const found = await objectOf('oplog-check', 'oplog', 'check', 'plan.yaml');
  assert.match(found['source'], /^the oplog of 127\.0\.0\.1:\d+$/);
  assert.is(found['needed'].said, 'dump');
  assert.ok(found['serves'], found['problems'].join());
  assert.ok(Date.parse(found['first'].time) < begun.getTime());
  assert.ok(Date.parse(found['last'].time) >= at.getTime());
  assert.ok(found['rollsOver'].inMs > 0);
  assert.is(found['rollsOver'].isFull, false);
  const { stdout, exitCode } = await run('oplog', 'check', 'plan.yaml');
  assert.is(exitCode, 0);
  assert.match(stdout.replaceAll(/\s+/g, ' '), /reaches from \d+,\d+ \(20/);
  assert.match(stdout.replaceAll(/\s+/g, ' '), /needed from 20\S+Z on, as the dump says, up to 20/);
  assert.match(stdout, /plan oplog save/);
});

test('check: what is missing ends it with 12, and is said', async () => {
  writePlan({ path: 'plain', oplog: `mongodb: { uri: "\${OPLOG_URI}" }\n    begins: 2020-01-01T00:00:00Z` });
  const early = await run('oplog', 'check', 'plan.yaml');
  assert.is(early.exitCode, 12);
  assert.match(
    early.stdout.replaceAll(/\s+/g, ' '),
    /does not serve: it begins at .*source\.oplog\.begins says that the dump began/,
  );
  writePlan({ path: 'plain' });
  const unsaid = await run('oplog', 'check', 'plan.yaml');
  assert.is(unsaid.exitCode, 0);
  assert.match(unsaid.stdout.replaceAll(/\s+/g, ' '), /unknown when the dump began: it took no oplog along/);
  writePlan({ path: 'not-there' });
  const gone = await run('oplog', 'check', 'plan.yaml');
  assert.is(gone.exitCode, 0, gone.stderr);
  assert.match(gone.stdout.replaceAll(/\s+/g, ' '), /unknown when the dump began: .*not-there/);
  writePlan({ oplog: `mongodb: { uri: "\${READER_URI}" }` });
  const least = await run('oplog', 'check', 'plan.yaml');
  assert.is(least.exitCode, 0, least.stderr);
  assert.match(least.stdout.replaceAll(/\s+/g, ' '), /collStats on local\.oplog\.rs/);
  env['READER_URI'] = production.uri.replace('root:', 'nobody:');
  const refused = await run('oplog', 'check', 'plan.yaml');
  env['READER_URI'] = readerUri();
  assert.is(refused.exitCode, 12);
  assert.match(refused.stderr, /may not read the oplog[\s\S]*actions: \["find"\]/);
});

test('save: a plan without a query is enough, the least rights too, and the file is a source like the live one', async () => {
  writePlan({ query: 'whenMatched: keepExisting', oplog: `mongodb: { uri: "\${READER_URI}" }` });
  const saved = await objectOf('oplog-save', 'oplog', 'save', 'plan.yaml', '--to', 'saved.bson');
  assert.equal(saved['collections'], ['artworks']);
  // 5,000 entries of another collection and a transaction on it are not in it.
  assert.ok(
    saved['entries'] > 200 && saved['bytes'] < 400_000,
    `${saved['entries']}, ${saved['bytes']} bytes`,
  );
  assert.is(statSync(join(folder.path, 'saved.bson')).mode & 0o777, 0o600);
  writePlan({});
  const live = await objectOf('dry-run', 'dry-run', 'plan.yaml');
  rmSync(join(folder.path, '.restore-plan', 'selections'), { recursive: true });
  writePlan({ oplog: 'path: ./saved.bson' });
  const byFile = await objectOf('dry-run', 'dry-run', 'plan.yaml');
  assert.is(byFile['selection'].digest, live['selection'].digest);
  assert.is(byFile['backup'].oplog.sha256, live['backup'].oplog.sha256);
  assert.is(byFile['backup'].oplog.entries, live['backup'].oplog.entries);
  assert.is(byFile['backup'].oplog.cut, live['backup'].oplog.cut);
  assert.equal(byFile['backup'].oplog.later.deleted, live['backup'].oplog.later.deleted);
  assert.ok(byFile['backup'].oplog.later.deleted > 0);
  const checked = await objectOf('oplog-check', 'oplog', 'check', 'plan.yaml');
  assert.ok(checked['serves'], checked['problems'].join());
  assert.is(checked['rollsOver'], undefined);
});

test('save: a plan that needs other collections is refused, never served with what is missing', async () => {
  writePlan({ oplog: 'path: ./saved.bson', query: 'query: {}\n  - collection: partners\n    query: {}' });
  for (const command of [['dry-run'], ['oplog', 'check']]) {
    const { exitCode, stderr, stdout } = await run(...command, 'plan.yaml');
    assert.is(exitCode, 12);
    assert.match(
      (stderr + stdout).replaceAll(/\s+/g, ' '),
      /only the entries for artworks of gravity were saved in it/,
    );
  }
  const again = await run('oplog', 'save', 'plan.yaml', '--to', 'saved.bson');
  assert.is(again.exitCode, 11, again.stderr);
  assert.match(again.stderr, /holds the entries for other collections/);
});

test('save: run again it adds what came since; a torn end is cut off', async () => {
  writePlan({});
  const first = await objectOf('oplog-save', 'oplog', 'save', 'plan.yaml', '--to', 'more.bson');
  await production.client
    .db('gravity')
    .collection('artworks')
    .updateMany({}, { $inc: { n: 1 } });
  const second = await objectOf('oplog-save', 'oplog', 'save', 'plan.yaml', '--to', 'more.bson');
  assert.is(second['resumedFrom'], first['entries']);
  assert.ok(second['entries'] > first['entries'] + 90);
  const whole = readFileSync(join(folder.path, 'more.bson'));
  writeFileSync(join(folder.path, 'more.bson.partial'), whole);
  truncateSync(join(folder.path, 'more.bson.partial'), whole.length - 7);
  rmSync(join(folder.path, 'more.bson'));
  const third = await objectOf('oplog-save', 'oplog', 'save', 'plan.yaml', '--to', 'more.bson');
  assert.is(third['resumedFrom'], second['entries'] - 1);
  assert.not(existsSync(join(folder.path, 'more.bson.partial')));
  assert.ok(
    readFileSync(join(folder.path, 'more.bson'))
      .subarray(0, whole.length - 2000)
      .equals(whole.subarray(0, whole.length - 2000)),
  );
  writeFileSync(join(folder.path, 'foreign.bson.partial'), whole.subarray(1000));
  const anew = await objectOf('oplog-save', 'oplog', 'save', 'plan.yaml', '--to', 'foreign.bson');
  assert.is(anew['resumedFrom'], 0);
});

test('a database that nobody knows is wrong usage, and errors name the variable', async () => {
  for (const variable of ['READER_URI', 'OPLOG_URI'])
    for (const command of [['oplog', 'save'], ['oplog', 'check'], ['history']]) {
      const { exitCode, stderr } = await run(...command, '--uri-env', variable, '--database', 'gravty');
      assert.is(exitCode, 11, stderr);
      assert.match(
        stderr.replaceAll(/\s+/g, ' '),
        /no entry of the oplog of .* names it.* Did you mean gravity\?/,
      );
    }
  const folderNamed = await run(
    'oplog',
    'save',
    '--uri-env',
    'READER_URI',
    '--database',
    'gravity',
    '--to',
    '.',
  );
  assert.is(folderNamed.exitCode, 11);
  assert.match(folderNamed.stderr, /--to \. is a folder[\s\S]*--to gravity\.bson/);
  env['NOBODY_URI'] = production.uri.replace('root:', 'nobody:');
  const refused = await run('oplog', 'save', '--uri-env', 'NOBODY_URI', '--database', 'gravity');
  assert.is(refused.exitCode, 12);
  assert.match(refused.stderr, /The user of --uri-env NOBODY_URI may not read the oplog/);
  assert.not.match(refused.stderr, /source\.oplog/);
});

test('save: a database without a plan', async () => {
  const saved = await objectOf(
    'oplog-save',
    'oplog',
    'save',
    '--uri-env',
    'READER_URI',
    '--database',
    'gravity',
    '--to',
    'all.bson',
  );
  assert.is(saved['collections'], undefined);
  assert.ok(saved['bytes'] > 1_000_000, `${saved['bytes']}`);
  writePlan({ oplog: 'path: ./all.bson', query: 'query: {}\n  - collection: partners\n    query: {}' });
  const { exitCode, stderr } = await run('dry-run', 'plan.yaml');
  assert.is(exitCode, 0, stderr);
  const bare = await run('oplog', 'save');
  assert.is(bare.exitCode, 11);
  assert.match(bare.stderr, /--uri-env <variable> --database <name>/);
});

test('save: a pipe is not waited for, and nothing but a plain file is replaced', async () => {
  const place = temporaryFolder('oplog-places');
  try {
    const at = (name: string): string => join(place.path, name);
    mkdirSync(at('folder'));
    await program('mkfifo', [at('pipe'), at('beside.partial')]);
    writeFileSync(at('elsewhere'), '');
    symlinkSync(at('elsewhere'), at('link'));
    const socket = createServer();
    await new Promise<void>((listening) => socket.listen(at('socket'), listening));
    for (const [name, what] of [
      ['folder', 'folder is a folder'],
      ['pipe', 'pipe is a pipe'],
      ['beside', 'beside.partial is a pipe'],
      ['link', 'link is a link'],
      ['socket', 'socket is no plain file'],
    ] as const) {
      const order = ['oplog', 'save', '--uri-env', 'READER_URI', '--database', 'gravity', '--to', at(name)];
      const { exitCode, stderr } = await run(...order);
      assert.is(exitCode, 11, stderr);
      assert.match(stderr, what);
    }
    assert.ok(lstatSync(at('link')).isSymbolicLink() && lstatSync(at('socket')).isSocket());
    socket.close();
    const work = at('work');
    mkdirSync(join(work, 'oplog'), { recursive: true });
    chmodSync(join(work, 'oplog'), 0o777);
    const save = ['oplog', 'save', '--uri-env', 'READER_URI', '--database', 'gravity', '--work-dir', work];
    const open = await run(...save);
    assert.is(open.exitCode, 20, open.stderr);
    assert.match(open.stderr, 'others than you may write to');
  } finally {
    place.remove();
  }
});

async function killedAtRandom(): Promise<void> {
  const place = temporaryFolder('oplog-kills');
  try {
    await killSaves({ kills: 6, seed: 20_261, uri: production.uri, database: 'gravity', folder: place.path });
  } finally {
    place.remove();
  }
}

test('save: killed at random moments and run again, the file is the same', killedAtRandom, {
  deadlineMs: 300_000,
});

async function onFullDisk(): Promise<void> {
  const through = `exec unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=256k tmpfs small && exec "$@"' sh "$@"`;
  mkdirSync(join(folder.path, 'small'));
  for (const place of [
    ['--to', 'small/saved.bson'],
    ['--work-dir', 'small/work'],
  ]) {
    const args = ['oplog', 'save', '--uri-env', 'OPLOG_URI', '--database', 'gravity', ...place];
    const { exitCode, stderr } = await runPlan(args, { cwd: folder.path, env, through });
    assert.is(exitCode, 20, stderr);
    assert.match(stderr, /cannot write \S+: the disk is full/);
  }
}

const whyNot = whyNoSmallDisk();
if (whyNot === undefined) test('save: a full disk ends it with 20', onFullDisk);
else test.skip('save: a full disk ends it with 20', whyNot);

test('no output holds a password', () => {
  for (const { stdout, stderr } of outputs) assert.not.match(stdout + stderr, new RegExp(CANARY_PASSWORD));
});

test.run();
