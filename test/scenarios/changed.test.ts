/** A wrong updateMany amid an application's own updates, undone by a plan without a query; and reverted. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import type { PlanRun } from '../lab/plan-command.ts';
import { type ReplicaSet, startReplicaSet } from '../lab/replica-set.ts';
import { mongodump } from '../lab/tools.ts';
import { checkedStream } from './json-stream.ts';

const WRONG = 5_000;
let server: ReplicaSet;
let staging: ReplicaSet;
let folder: TemporaryFolder;
let from: Date;
let until: Date;
/** Prices just before the accident. */
const prices = new Map<number, unknown>();

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const gravity = () => server.client.db('gravity');
const artworks = () => gravity().collection<Document>('artworks');

test.before(
  async () => {
    folder = temporaryFolder('changed');
    [server, staging] = await Promise.all([startReplicaSet(), startReplicaSet()]);
    await artworks().insertMany(
      Array.from({ length: 6_000 }, (_, i) => ({
        _id: i as never,
        kind: i < WRONG ? 'print' : 'oil',
        price: { amount: i, currency: 'EUR' },
        seen: 0,
      })),
    );
    await pause(1_100);
    await mongodump(server.uri, ['--oplog', '--out', join(folder.path, 'dump')]);
    await artworks().updateMany({ _id: { $lt: 900 as never } }, { $inc: { 'price.amount': 10_000 } });
    await artworks().replaceOne(
      { _id: 4_000 as never },
      { kind: 'print', price: { amount: 1 }, whole: true },
    );
    await pause(1_100);
    from = new Date();
    await theAccident();
    await pause(1_100);
    until = new Date();
    await artworks().updateOne({ _id: 10 as never }, { $set: { seen: 'later' } });
    await artworks().updateOne({ _id: 3 as never }, { $set: { 'price.amount': 33 } });
    await pause(1_100);
    await gravity().collection('other').insertOne({});
  },
  { deadlineMs: 240_000 },
);
test.after(async () => {
  await Promise.all([server.stop(), staging.stop()]);
  folder.remove();
});

async function theAccident(): Promise<void> {
  // Replacements that leave the price as it is, and updates of other fields, are none of it.
  const kept = await artworks().findOne({ _id: 5_500 as never });
  await artworks().replaceOne({ _id: 5_500 as never }, { ...kept, seen: 'replaced' });
  await artworks().updateMany({ _id: { $gte: 5_600 as never } }, { $set: { seen: 7 } });
  await artworks().updateOne({ _id: 1 as never }, { $set: { seen: 'before' } });
  for await (const { _id, price } of artworks().find()) prices.set(_id as unknown as number, price);
  let isOver = false;
  const application = async (): Promise<void> => {
    for (let i = 0; !isOver; i++)
      await artworks().updateOne({ _id: (i % 6_000) as never }, { $inc: { seen2: 1 } });
  };
  const running = application();
  await artworks().updateMany({ kind: 'print' }, { $set: { 'price.amount': 0 } });
  await artworks().replaceOne({ _id: 5_501 as never }, { kind: 'oil', price: { amount: 0 }, seen: 'wrong' });
  isOver = true;
  await running;
  await artworks().updateOne({ _id: 3 as never }, { $set: { 'price.amount': -3 } });
  await artworks().updateOne({ _id: 2 as never }, { $set: { seen: 'after' } });
}

function writePlan(entry: string): void {
  writeFileSync(
    join(folder.path, 'plan.yaml'),
    `version: 1
name: prices
reason: A script set all prices to 0.
source:
  database: gravity
  path: ./dump
  oplog: { mongodb: { uri: "\${SERVER_URI}" } }
collections:
  - collection: artworks
    ${entry}
targets:
  staging: { uri: "\${STAGING_URI}", database: staging }
  production: { uri: "\${SERVER_URI}", database: gravity }
`,
  );
}

const changed = (fields: string): string =>
  `changed: { from: ${from.toISOString()}, until: ${until.toISOString()}${fields} }`;

async function run(...args: string[]): Promise<PlanRun> {
  return callPlan([args[0] as string, 'plan.yaml', ...args.slice(1)], {
    cwd: folder.path,
    env: { SERVER_URI: server.uri, STAGING_URI: staging.uri },
  });
}

async function ok(...args: string[]): Promise<PlanRun> {
  const ran = await run(...args);
  assert.is(ran.exitCode, 0, ran.stderr + ran.stdout);
  return ran;
}

async function selected(entry: string): Promise<number> {
  writePlan(entry);
  const { stdout } = await ok('select', '--json');
  const result = checkedStream(stdout).find(({ type }) => type === 'select') as Document;
  return result['selection'].collections[0].selected;
}

/** All documents of production, by `_id`. */
async function bytesNow(): Promise<Map<string, Buffer>> {
  const found = await artworks().find({}, { raw: true }).toArray();
  return new Map(
    found.map((each) => {
      const bytes = Buffer.from(each as unknown as Uint8Array);
      return [bytes.subarray(0, 16).toString('hex'), bytes];
    }),
  );
}

test(
  'merge sets the field as it was in all of them, and every other field stays; a revert gives back each byte',
  async () => {
    writePlan(`${changed(', fields: [price.amount]')}\n    whenMatched: merge`);
    await ok('dry-run');
    await ok('apply', '--target', 'staging');
    const before = await bytesNow();
    const others = new Map<string, Document>();
    for await (const { price: _, ...other } of artworks().find()) others.set(String(other._id), other);
    await ok('apply', '--target', 'production', '--confirm', 'gravity');
    let count = 0;
    for await (const { price, ...other } of artworks().find()) {
      count++;
      const id = other._id as unknown as number;
      // The one that was replaced lost another part of its price, which the plan does not name.
      if (id === 5_501) assert.equal(price, { amount: 5_501 });
      else assert.equal(price, prices.get(id), String(id));
      assert.equal(other, others.get(String(id)));
    }
    assert.is(count, 6_000);
    await ok('revert', '--target', 'production', '--confirm', 'gravity');
    const after = await bytesNow();
    assert.is(after.size, before.size);
    for (const [id, bytes] of before) assert.ok(after.get(id)?.equals(bytes), id);
  },
  { deadlineMs: 180_000 },
);

test(
  'of each document it is told what it was before, right after the change, and what it is now',
  async () => {
    writePlan(`${changed('')}\n    whenMatched: replace`);
    const production = ['--target', 'production'];
    const { stdout } = await ok('dry-run', '--json', '--full', ...production);
    const documents = checkedStream(stdout).filter(({ type }) => type === 'document') as Document[];
    assert.ok(documents.length >= WRONG + 402, `${documents.length}`);
    let same = 0;
    for (const { id, after, existing, changes } of documents) {
      assert.ok(changes.length > 0, id);
      // Two alone were changed once more behind the window.
      if (JSON.stringify(after) === JSON.stringify(existing)) same++;
      else assert.match(id, /"(?:3|10)"/);
    }
    assert.is(same, documents.length - 2);
    const reports = ['md', 'html', 'json'].flatMap((kind) => ['--report', `./changed.${kind}`]);
    writePlan(`${changed(', fields: [price]')}\n    whenMatched: merge`);
    const { stdout: page } = await ok('dry-run', '--full', ...production, ...reports);
    assert.match(page, /right after the change, price\.amount: -3/);
    const written = (kind: string): string => readFileSync(join(folder.path, `changed.${kind}`), 'utf8');
    const [row] = JSON.parse(written('json')).targets.production.collections[0].documents.filter(
      ({ id }: Document) => /"3"/.test(id),
    );
    assert.equal(row.changes, [{ path: 'price.amount', before: '10003', after: '-3', now: '33' }]);
    assert.is(row.after.price.amount.$numberInt, '-3');
    assert.ok(written('html').includes('[["price.amount","10003","-3","33",null,null,null]]'));
    assert.match(written('md'), /# right after the change, price\.amount: -3\n/);
    // Where the target has no such document, there is no third state.
    writePlan(`${changed(', fields: [price]')}\n    whenMatched: merge\n    into: elsewhere`);
    const { stdout: insert } = await ok('dry-run', '--json', '--target', 'staging');
    const [first] = checkedStream(insert).filter(({ type }) => type === 'document') as Document[];
    assert.equal(Object.keys(first?.['changes'][0]), ['path', 'before', 'after']);
  },
  { deadlineMs: 180_000 },
);

test(
  'what was changed once more since is said before it is written over, and stays where the plan names it',
  async () => {
    const said = async (entry: string): Promise<string[]> => {
      writePlan(entry);
      const { stdout } = await ok('dry-run', '--json', '--target', 'production');
      const summary = checkedStream(stdout).find(({ type }) => type === 'dry-run') as Document;
      return summary['targets'].production.collections[0].warnings ?? [];
    };
    const merge = `${changed(', fields: [price.amount]')}\n    whenMatched: merge`;
    // Of the other one another field was changed.
    const [once = '', ...more] = await said(merge);
    assert.match(
      once,
      /^1 document is, in price\.amount, not what the change left: .* A full listing says which/,
    );
    assert.equal(more, []);
    const [whole = ''] = await said(`${changed('')}\n    whenMatched: replace`);
    assert.match(whole, /^2 documents are not what the change left: /);
    const excepted = `${merge}\n    exceptions: [{ ids: [3], do: skip, reason: Corrected by hand. }]`;
    assert.equal(await said(excepted), []);
    await ok('apply', '--target', 'staging');
    await ok('apply', '--target', 'production', '--confirm', 'gravity');
    assert.is((await artworks().findOne({ _id: 3 as never }))?.['price'].amount, 33);
    assert.is((await artworks().findOne({ _id: 10 as never }))?.['price'].amount, 10_010);
    await ok('revert', '--target', 'production', '--confirm', 'gravity');
    // Who applies without a dry-run hears of it, too, if later.
    writePlan(merge);
    await ok('apply', '--target', 'staging');
    const { stderr } = await ok('apply', '--target', 'production', '--confirm', 'gravity');
    assert.match(
      stderr.replace(/\s+/g, ' '),
      /production\.artworks: 1 document was, in price\.amount, not what the change left, .* written over, and a revert puts it back: \{"\$numberInt":"3"\}/,
    );
    await ok('revert', '--target', 'production', '--confirm', 'gravity');
    assert.is((await artworks().findOne({ _id: 3 as never }))?.['price'].amount, 33);
  },
  { deadlineMs: 180_000 },
);

test('only what touches a field counts; without fields everything does', async () => {
  assert.is(await selected(`${changed(', fields: [price]')}\n    whenMatched: merge`), WRONG + 1);
  assert.is(
    await selected(`${changed(', fields: [price.amount.cents]')}\n    whenMatched: merge`),
    WRONG + 1,
  );
  assert.ok((await selected(`${changed('')}\n    whenMatched: replace`)) >= WRONG + 402);
});

test('what cannot be meant is said with its place', async () => {
  for (const [entry, message] of [
    [changed(''), /nothing says that they may be written over/],
    [`${changed('')}\n    whenMatched: merge`, /does not say which fields/],
    [`${changed(', fields: [_id]')}\n    whenMatched: merge`, /cannot be merged/],
    [`${changed(', fields: [a, a.b]')}\n    whenMatched: merge`, /overlap/],
    [`${changed('')}\n    whenMatched: replace\n    dependents: []`, /so are its dependents/],
    [
      `changed: { from: ${until.toISOString()}, until: ${from.toISOString()} }\n    whenMatched: replace`,
      /ends before/,
    ],
    ['deleted: { from: yesterday, until: 2026-01-01T00:00:00Z }', /no instant/],
    ['deleted: { from: 2026-01-01T00:00:00Z }', /has no `until`/],
  ] as const) {
    writePlan(entry);
    const { exitCode, stdout, stderr } = await run('validate');
    assert.is(exitCode, 10, entry);
    assert.match(stdout + stderr, message);
  }
});

test.run();
