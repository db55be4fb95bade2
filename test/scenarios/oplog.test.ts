/**
 * As it was at that moment: documents that were changed or made after the backup come back as they were before the accident, through
 * whole commands.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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

const user = { name: 'root', password: CANARY_PASSWORD };
let production: ReplicaSet;
let staging: ReplicaSet;
let folder: TemporaryFolder;
let begun: Date;
let at: Date;
/** What production had at `at`, by collection. */
const then = new Map<string, Buffer[]>();
const outputs: PlanRun[] = [];

const NAMES = ['partners', 'artworks'] as const;

test.before(
  async () => {
    folder = temporaryFolder('oplog-story');
    [production, staging] = await Promise.all([startReplicaSet({ user }), startReplicaSet({ user })]);
    const admin = production.client.db('admin');
    const resource = { db: 'local', collection: 'oplog.rs' };
    await admin.command({
      createRole: 'oplogReader',
      roles: [],
      privileges: [{ resource, actions: ['find'] }],
    });
    await admin.command({ createUser: 'oplog-reader', pwd: CANARY_PASSWORD, roles: ['oplogReader'] });
    const db = production.client.db('gravity');
    await db.createCollection('partners');
    await db.collection('partners').insertMany([
      { _id: 1 as never, name: 'lost' },
      { _id: 2 as never, name: 'other' },
    ]);
    await db.collection('artworks').insertMany(
      Array.from({ length: 60 }, (_, i) => ({
        _id: i as never,
        partner_id: 1 + (i % 2),
        price: i,
        tags: ['a'],
      })),
    );
    await db.collection('visits').insertMany(
      Array.from({ length: 10 }, (_, i) => ({
        _id: (i + 1) as never,
        kind: i < 6 || i > 7 ? 'school' : 'other',
      })),
    );
    // The oplog of a new server begins no earlier than the server.
    await pause(2500);
    begun = new Date();
    await pause(1100);
    await mongodump(production.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    await mongodump(production.uri, ['--db', 'gravity', '--out', join(folder.path, 'plain')]);
    await mongodump(production.uri, ['--oplog', `--archive=${join(folder.path, 'dump.archive')}`]);
    await theDay();
    await deletedInTheDay();
    for (const name of NAMES) then.set(name, await lost(production, name));
    await pause(1100);
    at = new Date();
    await pause(200);
    // The accident, and what went on after it.
    await db.collection('artworks').deleteMany({ partner_id: 1 });
    await db.collection('partners').deleteOne({ _id: 1 as never });
    await db.collection('visits').deleteOne({ _id: 4 as never });
    await db.collection('artworks').updateMany({}, { $set: { price: -1 } });
    await pause(1100);
    await db.collection('partners').insertOne({ _id: 3 as never, name: 'later' });
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await Promise.all([production.stop(), staging.stop()]);
  folder.remove();
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What the application did between the backup and the accident. */
async function theDay(): Promise<void> {
  const artworks = production.client.db('gravity').collection<Document>('artworks');
  await artworks.updateMany(
    { partner_id: 1, price: { $lt: 20 } },
    { $inc: { price: 1000 }, $push: { tags: 'b' } as never },
  );
  await artworks.insertOne({ _id: 'made after the backup' as never, partner_id: 1, price: 5 });
  await artworks.updateOne({ _id: 1 as never }, { $set: { partner_id: 1 } });
  await artworks.updateOne({ _id: 2 as never }, { $set: { partner_id: 2 } });
  await artworks.deleteOne({ _id: 4 as never });
  await production.client.withSession((session) =>
    session.withTransaction(async () => {
      await artworks.updateOne({ _id: 6 as never }, { $set: { together: true } }, { session });
      await production.client
        .db('gravity')
        .collection('partners')
        .updateOne({ _id: 1 as never }, { $set: { name: 'lost, renamed' } }, { session });
    }),
  );
}

/** Visits that were gone before the accident: of `school` were 1, 2, 7, 10, `new` and `twice` when they were deleted last. */
async function deletedInTheDay(): Promise<void> {
  const visits = production.client.db('gravity').collection<Document>('visits');
  const id = (...ids: unknown[]): Document => ({ _id: { $in: ids } });
  await visits.deleteMany(id(1, 2));
  for (const [_id, kind] of [
    [7, 'school'],
    [3, 'other'],
  ] as const) {
    await visits.updateOne(id(_id), { $set: { kind } });
    await visits.deleteOne(id(_id));
  }
  await visits.deleteOne(id(9));
  await visits.insertOne({ _id: 9 as never, kind: 'school' });
  await production.client.withSession((session) =>
    session.withTransaction(async () => {
      await visits.deleteOne(id(10), { session });
      await visits.updateOne(id(5), { $set: { seen: true } }, { session });
    }),
  );
  await visits.insertOne({ _id: 'new' as never, kind: 'school' });
  await visits.deleteOne(id('new'));
  for (const kind of ['other', 'school']) {
    await visits.insertOne({ _id: 'twice' as never, kind });
    await visits.deleteOne(id('twice'));
  }
  await visits.deleteOne(id(8));
}

/** The documents of the partner that is lost, as bytes, by `_id`. */
async function lost({ client }: ReplicaSet, name: string): Promise<Buffer[]> {
  const filter = name === 'partners' ? { _id: 1 as never } : { partner_id: 1 };
  const found = await client
    .db('gravity')
    .collection(name)
    .find(filter, { raw: true })
    .sort({ _id: 1 })
    .toArray();
  return found.map((each) => Buffer.from(each as unknown as Uint8Array));
}

const PARTNER = `  - collection: partners
    query: { _id: 1 }
    dependents:
      - { collection: artworks, foreignKey: partner_id }`;

function writePlan(source: string, collections = PARTNER): void {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: partner-1
reason: Partner 1 was deleted by a support script.
source:
  database: gravity
${source}
collections:
${collections}
targets:
  staging: { uri: "\${STAGING_URI}", database: gravity }
  production: { uri: "\${PRODUCTION_URI}", database: gravity }
`,
  );
}

/** Of a user who may do nothing but read the oplog. */
const oplogUri = (): string => production.uri.replace(/\/\/[^@]*@/, `//oplog-reader:${CANARY_PASSWORD}@`);

async function run(...args: string[]): Promise<PlanRun> {
  const env = { STAGING_URI: staging.uri, PRODUCTION_URI: production.uri, OPLOG_URI: oplogUri() };
  const ran = await callPlan([args[0] as string, 'plan.yaml', ...args.slice(1)], { cwd: folder.path, env });
  outputs.push(ran);
  return ran;
}

const live = (path: string, begins?: Date): string => `  at: ${at.toISOString()}
  path: ./${path}
  oplog:
    mongodb: { uri: "\${OPLOG_URI}" }${begins === undefined ? '' : `\n    begins: ${begins.toISOString()}`}`;

test('a dry-run says what came from the oplog, and the digest is the same from each dump', async () => {
  const digests = new Set<string>();
  for (const [path, begins] of [
    ['dump', undefined],
    ['dump.archive', undefined],
    ['plain', begun],
  ] as const) {
    writePlan(live(path, begins));
    const { stdout, stderr, exitCode } = await run('dry-run', '--json');
    assert.is(exitCode, 0, stderr);
    const result = checkedStream(stdout).find(({ type }) => type === 'dry-run') as Document;
    const { oplog } = result['backup'];
    assert.match(oplog.source, /^the oplog of 127\.0\.0\.1:\d+$/);
    assert.is(oplog.beginSaid, begins === undefined ? 'dump' : 'plan');
    assert.is(oplog.inserted, 1);
    assert.ok(oplog.rolled >= 10, `${oplog.rolled} rolled`);
    // An artwork was, which only its partner would have chosen.
    assert.is(oplog.deletedBefore, undefined);
    digests.add(result['selection'].digest);
    const selected = result['selection'].collections.reduce(
      (sum: number, each: Document) => sum + each['selected'],
      0,
    );
    // The accident deleted all of them, and nothing else happened to them.
    const { until, ...later } = oplog.later;
    assert.ok(Date.parse(until) >= at.getTime(), until);
    assert.equal(later, { changed: 0, deleted: selected, insertedAgain: 0, deletedAgain: 0 });
    const shown = checkedStream(stdout).filter(({ type }) => type === 'document') as Document[];
    assert.ok(shown.length >= 6);
    for (const document of shown) {
      assert.is(document['oplog'].later.end, 'deleted');
      assert.ok(Date.parse(document['oplog'].later.last) >= at.getTime());
    }
    const partner = shown.find(({ collection }) => collection === 'partners');
    assert.is(partner?.['oplog'].base, 'backup');
    assert.is(partner?.['oplog'].changes, 1);
  }
  assert.is(digests.size, 1);
  const reports = ['json', 'md', 'html'].flatMap((kind) => ['--report', `report.${kind}`]);
  const stdout = (await run('dry-run', '--full', ...reports)).stdout.replaceAll(/\s+/g, ' ');
  assert.match(
    stdout,
    /oplog the oplog of 127\.0\.0\.1:\d+, from 20\S+Z \(\d+,\d+\) up to, not including, \d+,\d+ \(20/,
  );
  assert.match(stdout, /\d+ entries used; \d+ documents rolled forward, 1 inserted after the backup/);
  assert.match(stdout, /afterwards, until \S+Z: \d+ deleted/);
  assert.match(stdout, /rolled forward, 1 change; afterwards deleted at 20\S+Z/);
  assert.match(stdout, /"made after the backup".*? inserted by the oplog; afterwards deleted at 20/);
  const read = (kind: string): string => readFileSync(join(folder.path, `report.${kind}`), 'utf8');
  for (const kind of ['md', 'html']) {
    assert.match(read(kind), /rolled forward, 1 change; afterwards deleted at 20/, kind);
    assert.match(read(kind), /inserted by the oplog; afterwards deleted at 20/, kind);
    assert.match(read(kind), /exact if the dump began after/, kind);
  }
  const report = JSON.parse(read('json'));
  const documents = Object.values(report.targets as Document).flatMap((target) =>
    target.collections.flatMap((each: Document) => each['documents']),
  ) as Document[];
  const made = documents.find(({ id }) => id === '"made after the backup"');
  assert.is(made?.['oplog'].base, 'oplog');
  assert.is(made?.['oplog'].later.end, 'deleted');
  assert.match(stdout, /exact if the dump began after \S+Z and was finished before \S+Z/);
});

test('what a query would have chosen, had it not been deleted before that moment, is counted', async () => {
  const oplog = production.client.db('local').collection<Document>('oplog.rs');
  const deletion = { op: 'd', ns: 'gravity.visits', 'o._id': 'twice' };
  const [last] = await oplog.find(deletion).sort({ ts: -1 }).limit(1).toArray();
  const told = async (plan: string, ...args: string[]): Promise<Document> => {
    writePlan(live('dump'), plan);
    const { stdout, stderr, exitCode } = await run('dry-run', '--json', ...args);
    assert.is(exitCode, 0, stderr);
    const results = checkedStream(stdout);
    const result = results.find(({ type }) => type === 'dry-run') as Document;
    const { deletedBefore } = result['backup'].oplog;
    const { digest, collections } = result['selection'];
    const isReused = results.some(({ type }) => type === 'selection-reused');
    return { deletedBefore, digest, selected: collections[0].selected, isReused };
  };
  const visits = '  - collection: visits\n    query: { kind: school }';
  const first = await told(visits);
  const expected = { collection: 'visits', count: 6, last: (last as Document)['wall'].toISOString() };
  assert.equal(first['deletedBefore'], [expected]);
  assert.is(first['selected'], 4);
  const reports = ['md', 'html'].flatMap((kind) => ['--report', `gone.${kind}`]);
  assert.equal(await told(visits, ...reports), { ...first, isReused: true });
  const sentence = `visits: 6 documents that match were deleted before that moment, the last at ${expected.last}, and not restored`;
  for (const kind of ['md', 'html'])
    assert.ok(readFileSync(join(folder.path, `gone.${kind}`), 'utf8').includes(sentence), kind);
  const { stdout } = await run('dry-run');
  assert.ok(stdout.replaceAll(/\s+/g, ' ').includes(sentence), stdout);

  writeFileSync(join(folder.path, 'ids.txt'), [1, 4, 5, 7, 8].join('\n'));
  const named = await told(`${visits}\n    ids: ./ids.txt`);
  assert.is(named['deletedBefore'][0].count, 2);
  assert.is(named['selected'], 2);
  writePlan(live('dump'), visits.replace('{ kind: school }', '{ _id: { $in: [1, 2] } }'));
  const none = await run('dry-run');
  assert.is(none.exitCode, 12, none.stdout);
  assert.match(
    none.stderr.replaceAll(/\s+/g, ' '),
    /none of the \d+ documents of visits \(.*\), but 2 documents that match were deleted before that moment, the last at 20.*An earlier moment, or `deleted`, brings back/,
  );
});

test('applied, the documents are byte for byte what they were at that moment', async () => {
  writePlan(live('dump'));
  const first = await run('apply', '--target', 'staging');
  assert.is(first.exitCode, 0, first.stderr);
  for (const name of NAMES)
    assert.equal((await lost(staging, name)).map(hex), (then.get(name) as Buffer[]).map(hex), name);
  const second = await run('apply', '--target', 'production', '--confirm', 'gravity');
  assert.is(second.exitCode, 0, second.stderr);
  const artworks = production.client.db('gravity').collection<Document>('artworks');
  assert.is(await artworks.countDocuments({ _id: 'made after the backup' as never }), 1);
  assert.is(await artworks.countDocuments({ _id: { $in: [2, 4] as never[] }, partner_id: 1 }), 0);
  const record = await production.client.db('gravity').collection('_restore_plan_runs').findOne();
  if (record !== null) assert.match(JSON.stringify(record['backup']), /rolled forward by the oplog of/);
});

test('a moment may be a timestamp of the oplog: the first entry that does not count', async () => {
  const told = async (source: string): Promise<Document> => {
    writePlan(source);
    const { stdout, stderr, exitCode } = await run('dry-run', '--json');
    assert.is(exitCode, 0, stderr);
    return checkedStream(stdout).find(({ type }) => type === 'dry-run') as Document;
  };
  const byTime = await told(live('dump'));
  const [seconds, ordinal] = byTime['backup'].oplog.cut.split(',');
  const ts = `{ ts: [${seconds}, ${ordinal}] }`;
  const byTimestamp = await told(live('dump').replace(at.toISOString(), ts));
  assert.is(byTimestamp['selection'].digest, byTime['selection'].digest);
  const { later: _, ...same } = byTime['backup'].oplog;
  const { later: __, ...told2 } = byTimestamp['backup'].oplog;
  assert.equal(told2, same);
  const { stdout } = await run('explain');
  assert.match(
    stdout.replaceAll(/\s+/g, ' '),
    new RegExp(`rolls its documents forward to ${seconds},${ordinal}`),
  );
  await refusedByTs(`  at: ${ts}\n  path: ./dump`, /only an oplog up to source\.at can find/);
  await refusedByTs(
    `  at: ${ts}\n  path: ./dump\n  oplog: { backup: true }`,
    /only an oplog up to source\.at/,
  );
  await refusedByTs(
    live('dump').replace(at.toISOString(), '{ ts: [1] }'),
    /source\.at\.ts has too few entries/,
  );
  await refusedByTs(live('dump').replace(at.toISOString(), '{ ts: [9999999999, 1] }'), /4294967295/);
  await refusedByTs(live('dump').replace(at.toISOString(), 'tomorrow'), /this is no instant/);
});

async function refusedByTs(source: string, message: RegExp): Promise<void> {
  writePlan(source);
  const { exitCode, stderr, stdout } = await run('validate');
  assert.is(exitCode, 10, stdout + stderr);
  assert.match(stdout + stderr, message);
}

test('a saved oplog selects the same documents as the live one', async () => {
  writePlan(live('dump'));
  const first = checkedStream((await run('dry-run', '--json')).stdout).find(
    ({ type }) => type === 'dry-run',
  ) as Document;
  await mongodump(production.uri, ['-d', 'local', '-c', 'oplog.rs', '--out', join(folder.path, 'saved')]);
  writePlan(live('dump').replace(/mongodb: .*/, 'path: ./saved/local/oplog.rs.bson'));
  const saved = await run('dry-run', '--json');
  assert.is(saved.exitCode, 0, saved.stderr);
  const second = checkedStream(saved.stdout).find(({ type }) => type === 'dry-run') as Document;
  assert.is(second['selection'].digest, first['selection'].digest);
  assert.is(second['backup'].oplog.sha256, first['backup'].oplog.sha256);
  // The plan's digest does not say where the oplog lies: the selection that was made first is used again.
  assert.is(second['plan'].digest, first['plan'].digest);
});

test('the dump’s own oplog gives the moment at which the dump ended', async () => {
  writePlan('  path: ./dump\n  oplog: { backup: true }');
  const { stdout, stderr, exitCode } = await run('dry-run', '--json');
  assert.is(exitCode, 0, stderr);
  const result = checkedStream(stdout).find(({ type }) => type === 'dry-run') as Document;
  assert.is(result['backup'].oplog.beginSaid, 'dump');
  assert.is(result['backup'].oplog.inserted, 0);
  assert.is(
    result['selection'].collections.find(({ collection }: Document) => collection === 'artworks').selected,
    30,
  );
});

test('what a plan cannot mean is said with its place; what cannot be proven ends a command', async () => {
  for (const [source, message] of [
    [`  path: ./dump\n  oplog: { mongodb: { uri: "\${OPLOG_URI}" } }`, /nothing says to which moment/],
    ['  path: ./dump\n  oplog: {}', /source\.oplog has no kind of oplog/],
    ['  path: ./dump\n  oplog: { pbm: true, backup: true }', /pbm/],
    [
      '  path: ./dump\n  oplog: { backup: true, begins: 2026-01-01T00:00:00Z }',
      /source\.oplog\.begins has no effect/,
    ],
    [
      `  mongodb: { uri: "\${OPLOG_URI}" }\n  oplog: { backup: true }`,
      /source\.mongodb cannot be rolled forward/,
    ],
    [`  at: 2026-01-01T00:00:00Z\n${live('plain', at).replace(/^.*\n/, '')}`, /an instant before source\.at/],
  ] as const) {
    writePlan(source);
    const { exitCode, stderr, stdout } = await run('validate');
    assert.is(exitCode, 10, source);
    assert.match(stderr + stdout, message);
  }
  writePlan(live('plain'));
  const unproven = await run('dry-run');
  assert.is(unproven.exitCode, 12);
  assert.match(unproven.stderr + unproven.stdout, /does not say when it was begun/);
  writePlan(live('dump').replace(at.toISOString(), new Date(begun.getTime() - 3_600_000).toISOString()));
  const backwards = await run('dry-run');
  assert.is(backwards.exitCode, 12, backwards.stderr);
  assert.match(backwards.stderr + backwards.stdout, /later than\s+source\.at/);
});

test('no output holds a password', () => {
  for (const { stdout, stderr } of outputs) assert.not.match(stdout + stderr, new RegExp(CANARY_PASSWORD));
});

const hex = (bytes: Buffer): string => bytes.toString('hex');

test.run();
