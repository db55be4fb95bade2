/** What was deleted or changed, out of the pre-images of the server alone: no backup, no oplog, plain read on the database. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Db, Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { withFailPoint } from '../lab/failpoint.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';

const KEPT = { changeStreamPreAndPostImages: { enabled: true } };
let production: ReplicaSet;
let folder: TemporaryFolder;
let env: Record<string, string>;
let db: Db;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const numbered = (count: number, make: (i: number) => Document): Document[] =>
  Array.from({ length: count }, (_, i) => ({ _id: i as never, ...make(i) }));
const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');

test.before(
  async () => {
    folder = temporaryFolder('pre-images');
    // A small cache refuses writes of documents of 16 MB now and then (TemporarilyUnavailable).
    const user = { name: 'root', password: CANARY_PASSWORD };
    production = await startReplicaSet({ user, cacheGB: 1 });
    db = production.client.db('gravity');
    const admin = production.client.db('admin');
    const role = { role: 'read', db: 'gravity' };
    await admin.command({ createUser: 'reader', pwd: CANARY_PASSWORD, roles: [role] });
    env = { READER: production.uri.replace('root:', 'reader:'), STAGING: production.uri };
  },
  { deadlineMs: 120_000 },
);
test.after(async () => {
  await production.stop();
  folder.remove();
});

/** All documents of a collection in the order of `_id`, as they are on the wire. */
async function stored(from: Db, collection: string, filter: Document = {}): Promise<Buffer> {
  const documents: unknown[] = await from
    .collection(collection)
    .find(filter, { raw: true, sort: { _id: 1 } })
    .toArray();
  return Buffer.concat(documents as Buffer[]);
}

/** Does something between two moments, with a second of peace around it: the plan's window. */
async function within(act: () => Promise<unknown>): Promise<string> {
  await pause(20);
  const from = new Date();
  await act();
  await pause(20);
  return `{ from: ${from.toISOString()}, until: ${new Date().toISOString()}`;
}

/** Runs a command on a plan whose collections are these lines. */
async function run(command: string, collections: string, more: readonly string[] = []): Promise<PlanRun> {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: undone
source: { database: gravity, preImages: { uri: "\${READER}" } }
collections:
${collections}
targets: { staging: { uri: "\${STAGING}", database: staging } }
`,
  );
  return callPlan([command, 'plan.yaml', ...more], { cwd: folder.path, env });
}

/** Applies it to an empty staging database; returns the database. */
async function restored(collections: string): Promise<Db> {
  const staging = production.client.db('staging');
  await staging.dropDatabase();
  const { exitCode, stderr } = await run('apply', collections, ['--target', 'staging']);
  assert.is(exitCode, 0, stderr);
  return staging;
}

test('deleted amid other writes: all and only these, each as it was just before, byte for byte', async () => {
  await db.createCollection('artworks', KEPT);
  await db.createCollection('bids', KEPT);
  const artworks = db.collection<Document>('artworks');
  await artworks.insertMany(numbered(3_000, (i) => ({ partner: i % 2, price: i, text: 'x'.repeat(50) })));
  await db.collection('bids').insertMany(numbered(100, (i) => ({ artwork: i })));
  let before: Buffer = Buffer.alloc(0);
  let bids: Buffer = Buffer.alloc(0);
  await artworks.deleteOne({ _id: 2_999 as never });
  const window = await within(async () => {
    await artworks.updateMany(
      { _id: { $lt: 50 as never } },
      { $inc: { price: 1 }, $set: { 'deep.er': [1, 2] } },
    );
    await production.client.withSession((session) =>
      session.withTransaction(async () => {
        for (let _id = 50; _id < 60; _id++)
          await artworks.replaceOne({ _id: _id as never }, { partner: 1, whole: true }, { session });
      }),
    );
    await artworks.insertOne({ _id: 5_001 as never, partner: 1, new: true });
    before = await stored(db, 'artworks', { partner: 1 });
    bids = await stored(db, 'bids', { artwork: { $lt: 40 }, _id: { $mod: [2, 1] } });
    // In one transaction: all its events have one time, and come in several replies.
    await production.client.withSession((session) =>
      session.withTransaction(() => artworks.deleteMany({ partner: 1 }, { session })),
    );
    await db.collection('bids').deleteMany({ artwork: { $lt: 40 } });
    // One that comes back stays what it is, and one that is deleted once more is given as it was then.
    await artworks.insertMany([
      { _id: 1 as never, back: true },
      { _id: 3 as never, back: true },
    ] as Document[]);
  });
  await artworks.deleteMany({ _id: { $lt: 10 as never } });
  const staging = await restored(
    `  - { collection: artworks, deleted: ${window} }, dependents: [{ collection: bids, foreignKey: artwork }] }`,
  );
  assert.is(Buffer.compare(await stored(staging, 'artworks'), before), 0);
  assert.is(
    Buffer.compare(await stored(staging, 'bids'), bids),
    0,
    'bids of what was deleted, and no others',
  );
});

test('changed: as it was before the first change of the field, whatever else changed it; replacements by what they change', async () => {
  await db.createCollection('prices', KEPT);
  const prices = db.collection<Document>('prices');
  await prices.insertMany(numbered(40, (i) => ({ price: i, list: [1, 2, 3], seen: 0 })));
  let before: Buffer = Buffer.alloc(0);
  const window = await within(async () => {
    await prices.updateMany({}, { $set: { seen: 1 } });
    before = await stored(db, 'prices', { _id: { $in: [1, 2, 3, 5] as never[] } });
    await prices.updateOne({ _id: 1 as never }, { $set: { price: -1 } });
    await prices.updateOne({ _id: 1 as never }, { $set: { price: -2, more: 1 } });
    await prices.updateOne({ _id: 2 as never }, { $unset: { price: 1 } });
    await prices.replaceOne({ _id: 3 as never }, { price: 0 });
    await prices.replaceOne({ _id: 4 as never }, { price: 4, list: [1, 2, 3], other: true });
    await prices.updateOne({ _id: 5 as never }, { $push: { list: { $each: [], $slice: 1 } } } as Document);
    await prices.updateOne({ _id: 6 as never }, { $set: { seen: 2 } });
  });
  const entry = `changed: ${window}, fields: [price, list] }, whenMatched: replace`;
  const staging = await restored(`  - { collection: prices, ${entry} }`);
  assert.is(Buffer.compare(await stored(staging, 'prices'), before), 0);
});

test('events larger than a document may be come in parts, and are put together', async () => {
  await db.createCollection('large', KEPT);
  const large = db.collection<Document>('large');
  const text = (letter: string, megabytes: number): string => letter.repeat(megabytes * 1_000_000);
  await large.insertMany([
    { _id: 1 as never, text: text('a', 12) },
    { _id: 2 as never, text: text('b', 16) },
  ]);
  const before = await stored(db, 'large');
  const window = await within(async () => {
    await large.replaceOne({ _id: 1 as never }, { text: text('c', 12) });
    await large.replaceOne({ _id: 2 as never }, { text: text('d', 15) });
  });
  const staging = await restored(`  - { collection: large, changed: ${window} }, whenMatched: replace }`);
  assert.is(Buffer.compare(await stored(staging, 'large'), before), 0);
});

test('a document without a pre-image, a drop, a stream that no longer reaches back: exit 12, and what helps', async () => {
  await db.createCollection('holes', KEPT);
  const holes = db.collection<Document>('holes');
  await holes.insertMany(numbered(6, (i) => ({ n: i })));
  const keep = (enabled: boolean): Promise<unknown> =>
    db.command({ collMod: 'holes', changeStreamPreAndPostImages: { enabled } });
  const window = await within(async () => {
    await holes.deleteOne({ _id: 1 as never });
    await keep(false);
    await holes.updateOne({ _id: 2 as never }, { $set: { n: 7 } });
    await holes.deleteOne({ _id: 3 as never });
    await keep(true);
  });
  const entry = `  - { collection: holes, deleted: ${window} } }`;
  const hole = await run('select', entry);
  assert.is(hole.exitCode, 12);
  assert.match(
    unwrapped(hole.stderr),
    /holes has no pre-image of the document _id \{"\$numberInt":"3"\} \(delete at .*plan sources/,
  );
  // What the plan does not want may lack its own.
  const early = await within(() => holes.deleteOne({ _id: 4 as never }));
  await keep(false);
  await holes.deleteOne({ _id: 5 as never });
  const staging = await restored(`  - { collection: holes, deleted: ${early} } }`);
  assert.is(await staging.collection('holes').countDocuments(), 1);
  await withFailPoint(
    production.client,
    {
      name: 'failCommand',
      mode: { times: 1 },
      data: { failCommands: ['aggregate'], errorCode: 286, appName: 'restore-plan' },
    },
    async () => {
      rmSync(join(folder.path, '.restore-plan'), { recursive: true });
      const lost = await run('select', `  - { collection: holes, deleted: ${early} } }`);
      assert.is(lost.exitCode, 12, lost.stderr);
      assert.match(unwrapped(lost.stderr), /no longer reaches back .*ChangeStreamHistoryLost.*source\.oplog/);
    },
  );
  const dropped = await within(async () => {
    await holes.drop();
    await db.createCollection('holes');
  });
  const gone = await run('select', `  - { collection: holes, deleted: ${dropped} } }`);
  assert.is(gone.exitCode, 12);
  assert.match(unwrapped(gone.stderr), /holes was lost as a whole \(drop at .*leaves no pre-images/);
});

test('a selection that was made in time is used when the pre-images are gone', async () => {
  await db.createCollection('brief', KEPT);
  const brief = db.collection<Document>('brief');
  await brief.insertMany(numbered(3, () => ({})));
  const window = await within(() => brief.deleteMany({}));
  const entry = `  - { collection: brief, deleted: ${window} } }`;
  assert.is((await run('select', entry)).exitCode, 0);
  await production.client.db('config').collection('system.preimages').deleteMany({});
  const again = await run('apply', entry, ['--target', 'staging']);
  assert.is(again.exitCode, 0, again.stderr);
  assert.match(again.stderr, /is already here/);
});

test('an entry that ends in the future is refused: what is selected now would be used again then', async () => {
  await db.createCollection('running', KEPT);
  await db.collection<Document>('running').insertOne({ _id: 1 as never });
  const from = new Date();
  await db.collection<Document>('running').deleteOne({ _id: 1 as never });
  const entry = (until: number): string =>
    `  - { collection: running, deleted: { from: ${from.toISOString()}, until: ${new Date(until).toISOString()} } }`;
  const far = await run('select', entry(Date.now() + 3_600_000));
  assert.is(far.exitCode, 10, far.stdout);
  assert.match(unwrapped(far.stderr), /which is still to come/);
  // Clocks may differ so much: there the server's counts.
  const early = await run('select', entry(Date.now() + 120_000));
  assert.is(early.exitCode, 12, early.stdout);
  assert.match(unwrapped(early.stderr), /before \S+, until when the plan asks what happened/);
  const passed = await run('select', entry(Date.now()));
  assert.is(passed.exitCode, 0, passed.stderr);
});

test('no right on the database, no connection string, what a plan may not say: each by name', async () => {
  const entry =
    '  - { collection: artworks, deleted: { from: 2026-11-22T08:00:00Z, until: 2026-11-22T09:00:00Z } }';
  const { env: kept } = { env };
  env = { ...env, READER: '' };
  assert.match((await run('select', entry)).stderr, /READER/);
  env = kept;
  await production.client.db('admin').command({ createUser: 'nobody', pwd: CANARY_PASSWORD, roles: [] });
  env = { ...kept, READER: production.uri.replace('root:', 'nobody:') };
  const refused = await run('select', entry);
  env = kept;
  assert.is(refused.exitCode, 12);
  assert.match(unwrapped(refused.stderr), /user of source\.preImages may not read it .*role "read"/);
  const plain = await run('validate', '  - { collection: artworks, query: {} }');
  assert.is(plain.exitCode, 10);
  assert.match(unwrapped(plain.stdout), /source\.preImages holds only what was deleted or changed/);
});

test('a database that was dropped later gives what was deleted before, and nothing of the time when it was dropped', async () => {
  await db.createCollection('lots', KEPT);
  const lots = db.collection<Document>('lots');
  await lots.insertMany(numbered(5, (n) => ({ n })));
  const before = await stored(db, 'lots');
  const window = await within(() => lots.deleteMany({}));
  // Behind what the reading takes in beyond the window, for clocks that differ.
  await pause(2_100);
  const dropping = await within(async () => {
    await db.dropDatabase();
    await db.createCollection('lots', KEPT);
  });
  const staging = await restored(`  - { collection: lots, deleted: ${window} } }`);
  assert.is(Buffer.compare(await stored(staging, 'lots'), before), 0);
  const refused = await run('select', `  - { collection: lots, deleted: ${dropping} } }`);
  assert.is(refused.exitCode, 12);
  assert.match(unwrapped(refused.stderr), /lots was lost as a whole|the database was dropped before the end/);
});

test.run();
