/**
 * What was deleted in a span of time, without a query: a deleteMany amid a running application, expiry, drops. What is right is taken from the
 * server's own pre-images.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { calculateObjectSize, deserialize } from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { mongodump } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';

const LOST = 3_200;
let production: ReplicaSet;
let folder: TemporaryFolder;
let target: ReplicaSet;
let from: Date;
let until: Date;
let afterAll: Date;

const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const gravity = () => production.client.db('gravity');
const staging = () => target.client.db('staging');
const numbered = (count: number, make: (i: number) => Document): Document[] =>
  Array.from({ length: count }, (_, i) => ({ _id: i as never, ...make(i) }));

test.before(
  async () => {
    folder = temporaryFolder('deleted');
    [production, target] = await Promise.all([
      startReplicaSet({ parameters: { ttlMonitorSleepSecs: 1 } }),
      startReplicaSet(),
    ]);
    const db = gravity();
    for (const name of ['artworks', 'bids', 'sessions', 'totals', 'gone'])
      await db.createCollection(name, { changeStreamPreAndPostImages: { enabled: true } });
    await db
      .collection('artworks')
      .insertMany(numbered(6_000, (i) => ({ partner: i < 3_000 ? 1 : 2, price: i })));
    await db.collection('bids').insertMany(numbered(500, (i) => ({ artwork: i, amount: i })));
    await db.collection('payments').insertMany(numbered(200, (i) => ({ bid_id: i })));
    await db.collection('views').insertMany(numbered(40, (i) => ({ user: i % 4, at: new Date(i) })));
    await db.collection('sessions').createIndex({ at: 1 }, { expireAfterSeconds: 3_600 });
    await db.collection('sessions').insertMany(numbered(100, (i) => ({ user: i % 4, at: new Date() })));
    await db.collection('totals').insertMany(numbered(300, (i) => ({ sum: i })));
    await db.collection('gone').insertMany(numbered(400, (i) => ({ n: i })));
    await pause(1_100);
    await mongodump(production.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    await theDay();
    await pause(1_100);
    from = new Date();
    await theAccident();
    await pause(1_100);
    until = new Date();
    await afterwards();
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await Promise.all([production.stop(), target.stop()]);
  folder.remove();
});

/** Between the backup and the accident: documents are made, changed (many in transactions), deleted and made again. */
async function theDay(): Promise<void> {
  const artworks = gravity().collection<Document>('artworks');
  await artworks.insertMany(
    numbered(LOST - 3_000, (i) => ({ _id: (10_000 + i) as never, partner: 1, new: true })),
  );
  await production.client.withSession(async (session) => {
    for (let batch = 0; batch < 4; batch++)
      await session.withTransaction(async () => {
        const some = { _id: { $gte: (batch * 60) as never, $lt: (batch * 60 + 60) as never } };
        await artworks.updateMany(some, { $inc: { price: 7 }, $set: { batch } }, { session });
      });
  });
  await artworks.deleteMany({ _id: { $in: [2_998, 2_999, 5_999] as never[] } });
  await artworks.insertMany([
    { _id: 2_998 as never, partner: 1, again: true },
    { _id: 2_999 as never, partner: 1 },
  ]);
  await gravity()
    .collection('bids')
    .updateMany({ _id: { $lt: 20 as never } }, { $set: { amount: -1 } });
}

async function theAccident(): Promise<void> {
  const db = gravity();
  const artworks = db.collection<Document>('artworks');
  let isOver = false;
  const application = async (): Promise<void> => {
    for (let i = 0; !isOver; i++) {
      await artworks.updateOne({ _id: (5_000 - i) as never }, { $inc: { price: 1 } });
      await artworks.updateOne({ _id: (3_000 - ((i * 7) % 3_000)) as never }, { $set: { seen: i } });
      await artworks.insertOne({ _id: (20_000 + i) as never, partner: 2 });
    }
  };
  const running = application();
  await artworks.deleteMany({ partner: 1 });
  await db.collection('bids').deleteMany({ artwork: { $lt: 300 } });
  await db.collection('payments').deleteMany({});
  await db.collection('views').deleteMany({ user: 1 });
  isOver = true;
  await running;
  // Some come back by themselves, and one of those is deleted once more.
  await artworks.insertMany([
    { _id: 5 as never, back: 1 },
    { _id: 6 as never, back: 1 },
    { _id: 7 as never, back: 1 },
  ]);
  await artworks.deleteOne({ _id: 7 as never });
  // Some expire while somebody deletes others.
  const sessions = db.collection<Document>('sessions');
  await sessions.updateMany({ user: 3 }, { $set: { at: new Date(0) } });
  while ((await sessions.countDocuments({ user: 3 })) > 0) await pause(50);
  await sessions.deleteMany({ user: 1 });
  await db.collection('totals').updateOne({ _id: 3 as never }, { $set: { sum: -3 } });
  await db.collection('totals').insertOne({ _id: 'new' as never });
  await db.collection('totals').deleteOne({ _id: 4 as never });
  await artworks.aggregate([{ $match: { partner: 2 } }, { $limit: 10 }, { $out: 'totals' }]).toArray();
  await db.collection('gone').updateOne({ _id: 1 as never }, { $set: { n: 'changed' } });
  await db.collection('gone').insertOne({ _id: 'made later' as never });
  await db.collection('gone').drop();
  await db.collection('gone').insertOne({ _id: 9 as never, n: 'made anew' });
}

/** What is deleted later, or before, is no part of it. */
async function afterwards(): Promise<void> {
  // More than the pause that ends a run of losses.
  await pause(4_500);
  await gravity()
    .collection('artworks')
    .deleteMany({ _id: { $gte: 5_900 as never, $lt: 5_950 as never } });
  await gravity()
    .collection('artworks')
    .insertOne({ _id: 8 as never, back: 2 });
  await pause(1_100);
  afterAll = new Date();
  await gravity().collection('other').insertOne({});
}

function writePlan(collections: string, oplog = `mongodb: { uri: "\${PRODUCTION_URI}" }`): void {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: lost
reason: Something was deleted.
source:
  database: gravity
  path: ./dump
  oplog: { ${oplog} }
collections:
${collections}
targets:
  staging: { uri: "\${STAGING_URI}", database: staging }
`,
  );
}

const span = (): string => `deleted: { from: ${from.toISOString()}, until: ${until.toISOString()} }`;

async function run(...args: string[]): Promise<PlanRun> {
  const env = { PRODUCTION_URI: production.uri, STAGING_URI: target.uri };
  return callPlan([args[0] as string, 'plan.yaml', ...args.slice(1)], { cwd: folder.path, env });
}

async function saveOplog(): Promise<PlanRun> {
  const env = { PRODUCTION_URI: production.uri, STAGING_URI: target.uri };
  return callPlan(['oplog', 'save', 'plan.yaml', '--to', './auto.bson'], { cwd: folder.path, env });
}

async function selected(): Promise<Document> {
  const { stdout, stderr, exitCode } = await run('select', '--json');
  assert.is(exitCode, 0, stderr);
  return checkedStream(stdout).find(({ type }) => type === 'select') as Document;
}

/** What each document was just before the last deletion of it in the window: the server kept it. */
async function preImages(collection: string, within = { from, until }): Promise<Map<string, Buffer>> {
  const entries = production.client.db('local').collection('oplog.rs');
  const images = new Map<string, Buffer>();
  for await (const each of production.client
    .db('config')
    .collection('system.preimages')
    .find({}, { raw: true })) {
    const raw = Buffer.from(each as unknown as Uint8Array);
    const { ts, index, image } = preImageIn(raw);
    images.set(`${ts}:${index}`, image);
  }
  const found = new Map<string, Buffer>();
  const ns = `gravity.${collection}`;
  const wall = { $gte: within.from, $lt: within.until };
  for await (const entry of entries
    .find({ wall, $or: [{ ns }, { 'o.applyOps.ns': ns }] })
    .sort({ $natural: 1 })) {
    const operations: Document[] = entry['op'] === 'c' ? (entry['o'].applyOps ?? []) : [entry];
    for (const [i, { op, ns: of, o }] of operations.entries()) {
      if (op !== 'd' || of !== ns) continue;
      found.set(String(o._id), images.get(`${entry['ts']}:${i}`) as Buffer);
    }
  }
  return found;
}

function preImageIn(raw: Buffer): { ts: string; index: number; image: Buffer } {
  const { _id, preImage } = deserialize(raw);
  // The image is the last field but for what it is measured by: its bytes are looked for by their length.
  const size = calculateObjectSize(preImage);
  const at = raw.indexOf(Buffer.from('\x03preImage\0', 'latin1')) + 10;
  const image = raw.subarray(at, at + raw.readInt32LE(at));
  assert.is(image.length, size);
  return { ts: String(_id.ts), index: Number(_id.applyOpsIndex), image };
}

test(
  'a deleteMany amid an application: all and only what was deleted, byte for byte, without a query',
  async () => {
    writePlan(`  - collection: artworks
    ${span()}
    dependents:
      - { collection: bids, foreignKey: artwork }`);
    const dry = await selected();
    const wanted = await preImages('artworks');
    const bids = await preImages('bids');
    assert.ok(wanted.size >= LOST, `${wanted.size}`);
    assert.is(bids.size, 300);
    assert.equal(
      dry['selection'].collections.map(({ collection, selected }: Document) => [collection, selected]),
      [
        ['artworks', wanted.size],
        ['bids', 300],
      ],
    );
    const applied = await run('apply', '--target', 'staging');
    assert.is(applied.exitCode, 0, applied.stderr);
    await holdsExactly('artworks', wanted);
    await holdsExactly('bids', bids);
  },
  { deadlineMs: 180_000 },
);

async function holdsExactly(collection: string, wanted: Map<string, Buffer>): Promise<void> {
  const found = await staging().collection(collection).find({}, { raw: true }).toArray();
  assert.is(found.length, wanted.size);
  for (const each of found) {
    const bytes = Buffer.from(each as unknown as Uint8Array);
    const id = String(deserialize(bytes)['_id']);
    assert.ok(wanted.get(id)?.equals(bytes), `${collection} ${id}`);
  }
}

test('what expired is left out and counted; a query is matched on the document as it was before', async () => {
  writePlan(`  - collection: sessions\n    ${span()}`);
  const sessions = await selected();
  assert.is(sessions['selection'].collections[0].selected, 25);
  assert.match(
    unwrapped((await run('dry-run')).stdout),
    /sessions: 25 documents deleted from \S+ until \S+ are left out: by a TTL index/,
  );
  writePlan(`  - collection: artworks\n    ${span()}\n    query: { new: true }`);
  assert.is((await selected())['selection'].collections[0].selected, LOST - 3_000);
  writePlan(`  - collection: artworks\n    ${span()}\n    query: { nobody: has it }`);
  const none = await run('dry-run');
  assert.is(none.exitCode, 12);
});

test('what was dropped or written over comes back whole, as many as the oplog says', async () => {
  writePlan(`  - collection: gone\n    ${span()}\n  - collection: totals\n    ${span()}`);
  const dry = await selected();
  const counts = dry['selection'].collections.map(({ collection, selected }: Document) => [
    collection,
    selected,
  ]);
  // One of totals was deleted, and one made, before it was replaced.
  assert.equal(counts.sort(), [
    ['gone', 401],
    ['totals', 301],
  ]);
  const applied = await run('apply', '--target', 'staging');
  assert.is(applied.exitCode, 0, applied.stderr);
  const gone = staging().collection('gone');
  assert.equal(await gone.findOne({ _id: 1 as never }), { _id: 1 as never, n: 'changed' });
  assert.equal(await gone.findOne({ _id: 9 as never }), { _id: 9 as never, n: 9 });
  assert.ok(await gone.findOne({ _id: 'made later' as never }));
  const third = await staging()
    .collection('totals')
    .findOne({ _id: 3 as never });
  assert.is(third?.['sum'], -3);
});

test('what plan history prints for a run, pasted into the plan, selects what that run deleted', async () => {
  writePlan('  - collection: artworks');
  const window = ['--collection', 'artworks', '--since', from.toISOString()];
  const stream = checkedStream((await run('history', ...window, '--json')).stdout);
  const { runs } = stream.find(({ type }) => type === 'history') as Document;
  const [lost] = runs
    .filter(({ kind }: Document) => kind === 'deletes')
    .sort((a: Document, b: Document) => b['count'] - a['count']);
  const entry = `  - collection: artworks
    deleted: { from: ${lost.entry.deleted.from}, until: ${lost.entry.deleted.until} }`;
  const page = await run('history', ...window);
  assert.ok(page.stdout.includes(`\n${entry}\n`), page.stdout);
  writePlan(entry);
  const [start, end] = [lost.entry.deleted.from, lost.entry.deleted.until].map((time) => new Date(time));
  const expected = await preImages('artworks', { from: start as Date, until: end as Date });
  assert.ok(expected.size >= lost.count - 1);
  assert.is((await selected())['selection'].collections[0].selected, expected.size);
});

test(
  'dependents: auto proposes what was lost in the same run, and apply waits until a person has put it into the plan',
  async () => {
    writePlan(`  - collection: artworks\n    ${span()}\n    dependents: auto`);
    const said = unwrapped((await run('explain')).stdout);
    assert.match(said, /proposes what other collections lost in the same run/);
    const reports = ['md', 'html', 'json'].flatMap((kind) => ['--report', `./proposed.${kind}`]);
    const dry = await run('dry-run', ...reports);
    assert.is(dry.exitCode, 0, dry.stderr);
    assert.match(
      unwrapped(dry.stdout),
      /bids: 300 documents were lost in the same run as those of artworks; artwork leads to artworks in 300 of them/,
    );
    assert.not.match(dry.stdout, /\bother\b.* were lost/, 'no losses in it');
    const block = `  - collection: artworks
    ${span()}
    dependents:
      - collection: bids
        foreignKey: artwork # in 300 of 300
        dependents:
          - collection: payments
            foreignKey: bid_id # in 200 of 200
`;
    assert.ok(dry.stdout.includes(`\n${block}`), dry.stdout);
    // Small numbers are the _id of some artwork in any case.
    assert.match(dry.stdout, /\n {6}# - collection: views\n {6}# {3}foreignKey: .*\buser\b/);
    const written = (kind: string): string =>
      readFileSync(join(folder.path, `proposed.${kind}`), 'utf8').replaceAll('&#39;', "'");
    assert.ok(written('md').includes(block) && written('html').includes(block));
    assert.equal(JSON.parse(written('json')).proposed[0].lines.join('\n').slice(0, block.length), block);

    const refused = await run('apply', '--target', 'staging');
    assert.is(refused.exitCode, 10, refused.stderr);
    assert.match(unwrapped(refused.stderr), /bids: 300 documents were lost .* `dependents: \[\]` for none/);
    assert.ok(refused.stderr.includes(block.trimEnd().split('\n').at(-1) as string), refused.stderr);
    const { suggestions } = checkedStream((await run('dry-run', '--json')).stdout).find(
      ({ type }) => type === 'dry-run',
    ) as Document;
    const [bids] = suggestions.filter(({ collection }: Document) => collection === 'bids');
    assert.equal(
      [bids.kind, bids.entry, bids.documents, bids.field, bids.parent, bids.referring],
      ['lostTogether', 'artworks', 300, 'artwork', 'artworks', 300],
    );
    assert.ok(
      !suggestions.some(({ kind, collection }: Document) => kind !== 'lostTogether' && collection === 'bids'),
    );

    writePlan(block);
    const selectedNow = await selected();
    const counts = selectedNow['selection'].collections.map(({ collection, selected }: Document) => [
      collection,
      selected,
    ]);
    assert.equal(counts.slice(1), [
      ['bids', 300],
      ['payments', 200],
    ]);
    assert.is((await run('dry-run')).exitCode, 0);
  },
  { deadlineMs: 180_000 },
);

test('dependents: auto: where nothing else was lost, apply goes on; what an oplog that was saved lacks is said', async () => {
  const later = 'deleted: { from: AFTER, until: LATER }'
    .replace('AFTER', until.toISOString())
    .replace('LATER', afterAll.toISOString());
  writePlan(`  - collection: artworks\n    ${later}\n    dependents: auto`);
  const dry = await run('dry-run');
  assert.match(
    unwrapped(dry.stdout),
    /artworks: no other collection lost documents in the same run/,
    dry.stderr,
  );
  const applied = await run('apply', '--target', 'staging');
  assert.is(applied.exitCode, 0, applied.stderr);
  writePlan(`  - collection: artworks\n    ${span()}`);
  // Of another span: what was proposed for a selection is kept with it.
  const other = span().replace(/until: [^ ]+/, `until: ${new Date(until.getTime() - 1).toISOString()}`);
  writePlan(`  - collection: artworks\n    ${other}`);
  assert.is((await saveOplog()).exitCode, 0);
  const auto = `  - collection: artworks\n    ${other}\n    dependents: auto`;
  writePlan(auto, 'path: ./auto.bson');
  const unknown = await run('apply', '--target', 'staging');
  assert.is(unknown.exitCode, 10, unknown.stderr);
  assert.match(
    unwrapped(unknown.stderr),
    /is not known: .*only the entries for artworks of gravity were saved/,
  );
  // With a plan that asks for it, all of the database is saved.
  rmSync(join(folder.path, 'auto.bson'));
  writePlan(auto);
  assert.is((await saveOplog()).exitCode, 0);
  writePlan(auto, 'path: ./auto.bson');
  assert.match(
    unwrapped((await run('apply', '--target', 'staging')).stderr),
    /bids: 300 documents were lost/,
  );
});

test('a saved oplog gives the same selection; the window stands for source.at', async () => {
  const collections = `  - collection: artworks\n    ${span()}\n    dependents: [{ collection: bids, foreignKey: artwork }]`;
  writePlan(collections);
  const live = await selected();
  await mongodump(production.uri, ['-d', 'local', '-c', 'oplog.rs', '--out', join(folder.path, 'saved')]);
  writePlan(collections.replace('bids, f', 'bids, orphans: insert, f'), 'path: ./saved/local/oplog.rs.bson');
  const saved = await selected();
  assert.is(saved['selection'].digest, live['selection'].digest);
  assert.is(saved['backup'].oplog.sha256, live['backup'].oplog.sha256);
});

test('entries of one collection by query and by window stand side by side', async () => {
  writePlan(
    `  - collection: artworks\n    ${span()}\n  - collection: artworks\n    query: { _id: 5999 }\n  - collection: artworks\n    query: { partner: 2, price: { $gte: 5990 } }`,
  );
  const twice = await run('validate');
  assert.is(twice.exitCode, 10);
  writePlan(
    `  - collection: artworks\n    ${span()}\n  - collection: artworks\n    query: { partner: 2, price: { $gte: 5990 } }`,
  );
  const dry = await selected();
  assert.is(dry['selection'].collections[0].selected, (await preImages('artworks')).size + 9);
  // One that is found both ways, in two states, is none that can be restored.
  writePlan(`  - collection: artworks\n    ${span()}\n  - collection: artworks\n    query: { _id: 7 }`);
  const { exitCode, stderr } = await run('dry-run');
  assert.is(exitCode, 12, stderr);
  assert.match(unwrapped(stderr), /artworks.*"7".*two states/);
});

test.run();
