/**
 * Collections that are gone: dropped, dropped with their database, written over by $out or by a rename. They come back with a backup that the oplog
 * rolls forward, and out of the oplog by itself; as of before, and as what was deleted in a window.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Db, type Document, ObjectId, type Timestamp } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { mongodump } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';

const LOST = ['dropped', 'renamed', 'written'] as const;
const COUNT = 300;
let production: ReplicaSet;
let folder: TemporaryFolder;
/** Just before anything was lost, and when all of it was. */
let from: Date;
let until: Date;
/** The first entry of what is saved later, when some documents were there. */
let later: Timestamp;
let laterTime: Date;
/** The bids that were made after `later`, as they were when all were deleted. */
let bidsBefore: Buffer;
/** By `database.collection`, what was there just before. */
const before = new Map<string, Buffer>();

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');
const database = (name: string): Db => production.client.db(name);
const numbered = (first: number, count: number): Document[] =>
  Array.from({ length: count }, (_, i) => ({ _id: (first + i) as never, n: i, text: 'x'.repeat(i % 50) }));

test.before(
  async () => {
    folder = temporaryFolder('undrop');
    production = await startReplicaSet();
    const gravity = database('gravity');
    for (const name of LOST) {
      await gravity.collection(name).createIndex({ n: 1 });
      await gravity.collection<Document>(name).insertMany(numbered(0, COUNT));
    }
    await gravity.collection<Document>('other').insertMany(numbered(0, 20));
    await gravity.collection<Document>('kept').insertMany(numbered(0, 3));
    await gravity.collection<Document>('bids').insertMany(numbered(0, 10));
    for (const name of ['works', 'rooms'])
      await database('studio').collection<Document>(name).insertMany(numbered(0, COUNT));
    await mongodump(production.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    await pause(1_100);
    const { operationTime } = await gravity.command({ hello: 1 });
    later = operationTime as Timestamp;
    laterTime = new Date();
    for (const name of LOST) {
      const collection = gravity.collection<Document>(name);
      await collection.updateMany(
        { _id: { $lt: 40 as never } },
        { $inc: { n: 1000 }, $set: { 'deep.er': name } },
      );
      await collection.deleteMany({ _id: { $gte: 40 as never, $lt: 45 as never } });
      await collection.insertMany(numbered(COUNT, 50));
      await production.client.withSession((session) =>
        session.withTransaction(async () => {
          for (const _id of [COUNT, 7])
            await collection.replaceOne({ _id: _id as never }, { whole: true, b: 1, a: 2 }, { session });
        }),
      );
    }
    await database('studio').collection<Document>('works').insertMany(numbered(COUNT, 10));
    await gravity.collection<Document>('bids').insertMany(numbered(10, 20));
    await gravity
      .collection<Document>('bids')
      .insertOne({ _id: new ObjectId('57d17993a09a6759d8000d9e'), n: 0 });
    for (const name of LOST) before.set(`gravity.${name}`, await stored(gravity, name));
    for (const name of ['works', 'rooms'])
      before.set(`studio.${name}`, await stored(database('studio'), name));
    await pause(50);
    from = new Date();
    await gravity.collection('dropped').drop();
    await gravity.collection('other').rename('renamed', { dropTarget: true });
    await gravity
      .collection('kept')
      .aggregate([{ $out: 'written' }])
      .toArray();
    await database('studio').dropDatabase();
    const bids = gravity.collection<Document>('bids');
    await bids.updateMany({ n: { $lt: 12 } }, { $set: { n: -1 } });
    bidsBefore = await stored(gravity, 'bids', { _id: { $gte: 10 as never } });
    await bids.deleteMany({});
    // The name is taken again.
    await gravity.collection<Document>('dropped').insertOne({ _id: 1 as never, anew: true });
    await pause(50);
    until = new Date();
    await pause(1_100);
    await gravity.collection('kept').insertOne({});
    const query = JSON.stringify({ ts: { $gte: { $timestamp: { t: later.t, i: later.i } } } });
    await mongodump(production.uri, [
      ...['-d', 'local', '-c', 'oplog.rs', '--query', query],
      ...['--out', join(folder.path, 'saved')],
    ]);
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await production.stop();
  folder.remove();
});

/** All documents of a collection in the order of `_id`, as they are on the wire. */
async function stored(db: Db, collection: string, filter: Document = {}): Promise<Buffer> {
  const documents: unknown[] = await db
    .collection(collection)
    .find(filter, { raw: true, sort: { _id: 1 } })
    .toArray();
  return Buffer.concat(documents as Buffer[]);
}

const LIVE = `oplog: { mongodb: { uri: "\${PRODUCTION}" } }`;
const SAVED = 'oplog: { path: ./saved/local/oplog.rs.bson }';
const ROLLED = `path: ./dump\n  ${LIVE}`;
const window = (start = from): string =>
  `deleted: { from: ${start.toISOString()}, until: ${until.toISOString()} }`;

interface Asked {
  readonly of?: string;
  readonly source: string;
  /** Lines of `collections`. */
  readonly entries: readonly string[];
}

async function run(
  command: string,
  { of = 'gravity', source, entries }: Asked,
  more: readonly string[] = [],
): Promise<PlanRun> {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: undrop
reason: A collection is gone.
source:
  database: ${of}
  ${source}
collections:
${entries.map((entry) => `  - ${entry}`).join('\n')}
targets: { staging: { uri: "\${PRODUCTION}", database: staging } }
`,
  );
  return callPlan([command, 'plan.yaml', ...more], { cwd: folder.path, env: { PRODUCTION: production.uri } });
}

/** Applies it to an empty database. */
async function restored(asked: Asked): Promise<Db> {
  await database('staging').dropDatabase();
  const { exitCode, stderr } = await run('apply', asked, ['--target', 'staging']);
  assert.is(exitCode, 0, stderr);
  return database('staging');
}

async function holdsWhatWasThere(of: string, names: readonly string[]): Promise<void> {
  for (const name of names)
    assert.is(
      Buffer.compare(await stored(database('staging'), name), before.get(`${of}.${name}`) as Buffer),
      0,
      `${of}.${name}`,
    );
}

for (const [how, source] of [
  ['a backup that the oplog rolls forward', ROLLED],
  ['the oplog by itself', LIVE],
] as const) {
  test(`${how}: dropped, renamed over, written over by $out, each as it was, byte for byte`, async () => {
    const staging = await restored({
      source,
      entries: LOST.map((name) => `{ collection: ${name}, ${window()} }`),
    });
    await holdsWhatWasThere('gravity', ['renamed', 'written', 'dropped']);
    assert.is(await staging.collection('dropped').countDocuments(), COUNT - 5 + 50);
    await restored({
      source: `at: ${from.toISOString()}\n  ${source}`,
      entries: LOST.map((name) => `{ collection: ${name}, query: {} }`),
    });
    await holdsWhatWasThere('gravity', LOST);
    const indexes = await staging.collection('written').indexes();
    assert.equal(
      indexes.map(({ name }) => name),
      ['_id_', 'n_1'],
    );
  });

  test(`${how}: a database that was dropped`, async () => {
    const names = ['works', 'rooms'];
    const entries = names.map((name) => `{ collection: ${name}, ${window()} }`);
    await restored({ of: 'studio', source, entries });
    await holdsWhatWasThere('studio', names);
    await restored({
      ...{ of: 'studio', source: `at: ${from.toISOString()}\n  ${source}` },
      entries: names.map((name) => `{ collection: ${name}, query: {} }`),
    });
    await holdsWhatWasThere('studio', names);
  });
}

test('without a backup, what took the name is another collection: as of later it is asked for by its own creation', async () => {
  const staging = await restored({
    source: `at: ${until.toISOString()}\n  ${LIVE}`,
    entries: LOST.map((name) => `{ collection: ${name}, query: {} }`),
  });
  for (const name of LOST)
    assert.is(Buffer.compare(await stored(staging, name), await stored(database('gravity'), name)), 0, name);
});

test('an oplog that does not hold the inserts: count and ids by name, nothing is left out in silence', async () => {
  const source = SAVED;
  const refused = async (asked: Omit<Asked, 'source'> & { readonly at?: Date }): Promise<string> => {
    const at = asked.at === undefined ? '' : `at: ${asked.at.toISOString()}\n  `;
    const { exitCode, stdout, stderr } = await run('select', { ...asked, source: `${at}${source}` });
    assert.is(exitCode, 12, stdout);
    return unwrapped(stderr);
  };
  assert.match(
    await refused({ entries: [`{ collection: dropped, ${window(laterTime)} }`] }),
    /inserted before: 44 documents of dropped deleted from \S+ until \S+ \(_id \{"\$numberLong":"0"\}.* and 39 more\) would be incomplete; dropped was dropped at \S+ with 345 documents, and 90 of them are named in it\..*Name a backup.*\$nin/,
  );
  assert.match(
    await refused({ entries: [`{ collection: bids, ${window()} }`] }),
    /inserted before: 10 documents of bids deleted/,
  );
  assert.match(
    await refused({
      entries: [`{ collection: bids, changed: { ${window().slice(11)}, whenMatched: replace }`],
    }),
    /inserted before: 10 documents of bids changed/,
  );
  assert.match(
    await refused({ at: from, entries: ['{ collection: dropped, query: {} }'] }),
    /after dropped was created: documents that nothing happened to since are not known.*`deleted` or `changed`/,
  );
  assert.match(
    await refused({ at: from, entries: ['{ collection: never, query: {} }'] }),
    /no entry of it is about gravity\.never/,
  );
  const early = new Date(laterTime.getTime() - 3_600_000);
  assert.match(
    await refused({ entries: [`{ collection: bids, ${window(early)} }`] }),
    /begins at .*, later than \S+, from which on the plan asks/,
  );
});

test('documents that are left out by their ids are no holes', async () => {
  for (const condition of [
    'query: { _id: { $not: { $lt: 10 } } }',
    'query: { $and: [{ _id: { $nin: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] } }, { n: { $exists: true } }] }',
    'ids: ./ids.txt',
  ]) {
    const ids = [...Array.from({ length: 20 }, (_, i) => 10 + i), '57d17993a09a6759d8000d9e'];
    writeFileSync(join(folder.path, 'ids.txt'), ids.join('\n'));
    const entries = [`{ collection: bids, ${window()}, ${condition} }`];
    const staging = await restored({ source: SAVED, entries });
    const all = await stored(database('staging'), 'bids', { _id: { $gte: 10 as never } });
    assert.is(Buffer.compare(all, bidsBefore), 0, condition);
    assert.is(await staging.collection('bids').countDocuments(), 21, condition);
  }
});

test('what the oplog by itself gives is told: explained, checked, saved, and by plan sources', async () => {
  const asked = { source: LIVE, entries: [`{ collection: dropped, ${window()} }`] };
  assert.match(
    unwrapped((await run('explain', asked)).stdout),
    /by itself and without a backup.*refused by its _id/,
  );
  await run('explain', asked);
  const oplog = (word: string, ...more: string[]): Promise<PlanRun> =>
    callPlan(['oplog', word, 'plan.yaml', ...more], {
      cwd: folder.path,
      env: { PRODUCTION: production.uri },
    });
  const checked = await oplog('check');
  assert.is(checked.exitCode, 0, checked.stderr);
  assert.match(unwrapped(checked.stdout), /the first moment that the plan asks about/);
  assert.is((await oplog('save', '--to', 'own.bson')).exitCode, 0);
  await restored({ ...asked, source: 'oplog: { path: ./own.bson }' });
  await holdsWhatWasThere('gravity', ['dropped']);
  const dry = await run('dry-run', asked, ['--json']);
  const summary = checkedStream(dry.stdout).find(({ type }) => type === 'dry-run') as Document;
  assert.match(summary['backup'].location, /, without a backup/);
  assert.is(summary['backup'].oplog.beginSaid, 'oplog');
  assert.is(summary['backup'].oplog.inserted, COUNT - 5 + 50);
  assert.match(
    unwrapped((await run('dry-run', asked)).stdout),
    /no backup: it holds 345 documents from the insert on/,
  );
  const told = await run('sources', asked);
  assert.is(told.exitCode, 0, told.stderr);
  assert.match(unwrapped(told.stdout), /✓ oplog.*without a backup it gives back what was deleted or changed/);
});

test.run();
