/**
 * Every plan of plans/examples is dry-run as it stands: this file makes the backups that the examples name, on disk, in S3
 * and in a live database, and checks what each plan selects from them.
 */
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Document, EJSON, ObjectId, serialize } from 'bson';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import type { dryRunObject } from '../../src/cli/views/dry-run.ts';
import { suite } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { jsonLines, runPlan } from '../lab/plan-command.ts';
import { createBucket, s3Client, s3Environment } from '../lab/s3.ts';
import { tarFolder } from '../lab/tar.ts';

const test = suite('the example plans');
const EXAMPLES = join(import.meta.dirname, '../../plans/examples');

/** Collections of one database, with their documents. */
type Content = Readonly<Record<string, readonly Document[]>>;

const partner = new ObjectId('57d17993a09a6759d8000d9e');
const [one, two, other] = [new ObjectId(), new ObjectId(), new ObjectId()];
const sale = new ObjectId();

const GRAVITY_2016: Content = {
  partners: [{ _id: partner }, { _id: other }],
  artworks: [
    { _id: one, partner_id: partner },
    { _id: two, partner_id: partner },
    { _id: other, partner_id: other },
  ],
  sale_artworks: [
    { _id: 1, artwork_id: one, sale_id: sale, state: 'open' },
    { _id: 2, artwork_id: two, sale_id: sale, state: 'draft' },
    { _id: 3, artwork_id: other, sale_id: sale, state: 'open' },
  ],
  sales: [{ _id: sale }],
};

const GRAVITY_2024: Content = {
  sales: [
    { _id: sale, slug: 'autumn-2024' },
    { _id: other, slug: 'test-sale' },
  ],
  lots: [
    { _id: 1, sale_id: sale },
    { _id: 2, sale_id: other },
  ],
  bids: [
    { _id: 1, lot_id: 1, placed_at: new Date('2024-10-02'), bidder_id: 1 },
    { _id: 2, lot_id: 1, placed_at: new Date('2024-09-30'), bidder_id: 1 },
    { _id: 3, lot_id: 2, placed_at: new Date('2024-10-02'), bidder_id: 1 },
  ],
  bidders: [{ _id: 1 }],
};

const ACCOUNTS: Content = {
  users: [
    { _id: 'a', login: 'ann', company: 'acme', last_login: new Date('2022-01-01') },
    { _id: 'b', login: 'bob', company: 'acme', last_login: new Date('2024-01-01') },
    { _id: 'c', login: 'cy', company: 'other', last_login: new Date('2022-01-01') },
  ],
  sessions: [
    { _id: 1, user: { id: 'a' } },
    { _id: 2, user: { id: 'b' } },
  ],
  api_keys: [
    { _id: 1, owner: 'ann' },
    { _id: 2, owner: 'a' },
  ],
};

const GRAVITY_COPY: Content = {
  feature_settings: [{ _id: 1, on: true }, { _id: 2 }],
  categories: [
    { _id: 1, slug: 'painting' },
    { _id: 2, slug: 'oil', parent_id: 1 },
    { _id: 3, slug: 'oil-on-wood', parent_id: 2 },
    { _id: 4, slug: 'sculpture' },
  ],
};

const SHOP: Content = {
  orders: [
    { _id: 1, number: 'A-1', placed: new Date('2024-03-05') },
    { _id: 2, number: 'A-2', placed: new Date('2024-04-05') },
  ],
  order_lines: [
    { _id: 1, order: 'A-1' },
    { _id: 2, order: 'A-1' },
    { _id: 3, order: 'A-2' },
  ],
};

/** What each example selects, in the order of its collections. */
const SELECTED: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'partner-artworks.yaml': { partners: 1, artworks: 2, sale_artworks: 1 },
  'bids-of-a-sale.yaml': { sales: 1, lots: 1, bids: 1 },
  'users-from-disk.yaml': { users: 1, sessions: 1, api_keys: 1 },
  'company-of-users.yaml': { users: 3 },
  'settings-from-live-copy.yaml': { feature_settings: 2, categories: 3 },
  'just-dropped.yaml': { feature_settings: 2, categories: 4 },
  'undo-exactly-that.yaml': { offers: 2, offer_lines: 1, price_lists: 1 },
  'report-lines.yaml': { orders: 1, order_lines: 2 },
};

/** Databases that the examples restore into: a dry-run refuses a production database that is not there. */
const TARGETS = {
  staging: ['gravity-staging', 'accounts', 'shop'],
  production: ['gravity', 'accounts'],
} as const;

let lab: Lab;
let folder: TemporaryFolder;
/** Just before the collections of `just-dropped` were dropped. */
let lastGood: string;
/** Around what `undo-exactly-that` undoes. */
const accident = { began: '', over: '' };

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('examples');
  cpSync(EXAMPLES, folder.path, { recursive: true });

  const bucket = await createBucket(s3Client(lab.s3), 'gravity-production-db-backup');
  await bucket.putFile('db/backup/2016.09.13.08.00.00/db.tar', await tarOf('gravity', GRAVITY_2016));
  await bucket.putFile('db/backup/2024.10.18.01.00.00/db.tar', await tarOf('gravity', GRAVITY_2024));
  bucket.client.destroy();

  mkdirSync(join(folder.path, 'backups'));
  await tarOf('accounts', ACCOUNTS, join(folder.path, 'backups/accounts-2024-03-04.tar.gz'));
  mkdirSync(join(folder.path, 'exports/2024-04-01'), { recursive: true });
  for (const [collection, documents] of Object.entries(SHOP)) {
    const lines = documents.map((document) => `${EJSON.stringify(document, { relaxed: false })}\n`);
    writeFileSync(join(folder.path, 'exports/2024-04-01', `${collection}.jsonl`), lines.join(''));
  }
  for (const [collection, documents] of Object.entries(GRAVITY_COPY)) {
    await lab.staging.client
      .db('gravity-copy')
      .collection(collection)
      .insertMany([...documents]);
  }
  for (const target of ['staging', 'production'] as const) {
    for (const database of TARGETS[target]) await lab[target].client.db(database).createCollection('present');
  }
  const gravity = lab.production.client.db('gravity');
  for (const [collection, documents] of Object.entries(GRAVITY_COPY))
    await gravity.collection(collection).insertMany([...documents]);
  await sleep(5);
  lastGood = new Date().toISOString();
  await sleep(5);
  for (const collection of Object.keys(GRAVITY_COPY)) await gravity.dropCollection(collection);
  await haveAccident(gravity);
});

/** Offers and a line are deleted, a price is changed, amid other writes. */
async function haveAccident(gravity: Db): Promise<void> {
  const withPreImages = { changeStreamPreAndPostImages: { enabled: true } };
  const [offers, lines, prices] = await Promise.all(
    ['offers', 'offer_lines', 'price_lists'].map((name) =>
      gravity.createCollection<{ _id: number }>(name, withPreImages),
    ),
  );
  await offers?.insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3 }, { _id: 4 }]);
  await lines?.insertMany([
    { _id: 1, offer_id: 1 },
    { _id: 2, offer_id: 4 },
    { _id: 3, offer_id: 3 },
  ] as never);
  await prices?.insertMany([
    { _id: 1, price: 10 },
    { _id: 2, price: 20 },
  ] as never);
  await offers?.deleteOne({ _id: 4 });
  await sleep(5);
  accident.began = new Date().toISOString();
  await offers?.deleteMany({ _id: { $lt: 3 } });
  await lines?.deleteMany({ _id: { $lt: 3 } });
  await prices?.updateOne({ _id: 1 }, { $set: { price: 0 } });
  await prices?.updateOne({ _id: 2 }, { $set: { note: 'of the application' } });
  await sleep(5);
  accident.over = new Date().toISOString();
}

test.after(async () => {
  await lab.staging.client.db('gravity-copy').dropDatabase();
  for (const target of ['staging', 'production'] as const) {
    for (const database of TARGETS[target]) await lab[target].client.db(database).dropDatabase();
  }
  folder.remove();
  await lab.close();
});

/** A dump of the database, packed; the ending of the name says whether it is compressed. */
async function tarOf(database: string, content: Content, file?: string): Promise<string> {
  const dump = temporaryFolder('dump');
  const target = file ?? join(folder.path, `${database}-${Object.keys(content)[0]}.tar`);
  mkdirSync(join(dump.path, database));
  for (const [collection, documents] of Object.entries(content)) {
    const path = join(dump.path, database, collection);
    writeFileSync(`${path}.bson`, Buffer.concat(documents.map((document) => serialize(document))));
    writeFileSync(
      `${path}.metadata.json`,
      JSON.stringify({ indexes: [], collectionName: collection, type: 'collection' }),
    );
  }
  await tarFolder(dump.path, target, { members: [database], gzip: target.endsWith('.gz') });
  dump.remove();
  return target;
}

test('none is left out', () => {
  const names = readdirSync(EXAMPLES).filter(
    (name) => name.endsWith('.yaml') && !name.endsWith('.base.yaml'),
  );
  assert.equal(names.sort(), Object.keys(SELECTED).sort());
});

for (const [name, expected] of Object.entries(SELECTED)) {
  test(`${name} selects what its comments say`, async () => {
    const env = {
      ...s3Environment(lab.s3),
      AWS_ENDPOINT_URL_S3: lab.s3.endpoint,
      STAGING_MONGODB_URI: lab.staging.uri,
      PRODUCTION_MONGODB_URI: lab.production.uri,
      ANALYTICS_MONGODB_URI: lab.staging.uri,
      LAST_GOOD_MOMENT: lastGood,
      ACCIDENT_BEGAN: accident.began,
      ACCIDENT_WAS_OVER: accident.over,
    };
    const { exitCode, stdout, stderr } = await runPlan(['dry-run', '--json', '--quiet', name], {
      cwd: folder.path,
      env,
    });
    assert.is(exitCode, 0, stderr);
    const result = jsonLines(stdout).at(-2) as unknown as ReturnType<typeof dryRunObject>;
    const selected = result.selection.collections.map((entry) => [entry.collection, entry.selected]);
    assert.equal(Object.fromEntries(selected), expected);
  });
}

test.run();
