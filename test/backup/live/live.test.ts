/** A running database as the source: its server answers the queries, its documents come as they are. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BSONSymbol, Code, Decimal128, Double, Long, MinKey, ObjectId, Timestamp, UUID } from 'bson';
import * as assert from 'uvu/assert';
import { openBackup } from '../../../src/backup/open-backup.ts';
import type { Plan, Source } from '../../../src/plan/plan.ts';
import { Secret } from '../../../src/secret.ts';
import { test } from '../../harness.ts';
import { artMarket, fillArtMarket, LOST_PARTNER } from '../../lab/art-market.ts';
import { openBlackHole } from '../../lab/black-hole.ts';
import { type TemporaryFolder, temporaryFolder } from '../../lab/guard.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../../lab/lab.ts';
import { freePort } from '../../lab/server-process.ts';
import { mongodump } from '../../lab/tools.ts';
import { QUIET } from '../../quiet-run.ts';
import { planOf } from '../../selection/plans.ts';
import { select } from '../../selection/selecting.ts';
import { readBackup, refusal, sourceAt } from '../reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let database: string;
const market = artMarket({ artworks: 300 });

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('live');
  const db = lab.database('gravity');
  database = db.databaseName;
  await fillArtMarket(db, market);
  await db.createCollection('capped', { capped: true, size: 4096 });
  await db.createCollection('view', { viewOn: 'artworks', pipeline: [] });
  await mongodump(lab.staging.uri, ['--db', database, '--out', folder.path]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

function live(uri = lab.staging.uri, more: Partial<Source> = {}): Source {
  return sourceAt({ kind: 'mongodb', uri: new Secret(uri) }, { database, ...more });
}

/** Documents as hexadecimal text, sorted: a live database gives them in the order of `_id`. */
function sorted(documents: Buffer): string[] {
  const all: string[] = [];
  for (let at = 0; at < documents.length; at += documents.readInt32LE(at)) {
    all.push(documents.toString('hex', at, at + documents.readInt32LE(at)));
  }
  return all.sort();
}

test('documents and metadata are those that mongodump writes', async () => {
  const wanted = ['artworks', 'sales', 'capped'];
  const { documents, metadata, kind, summary } = await readBackup(live(), wanted);
  assert.is(kind, 'live database');
  assert.is(summary.readToEnd, true);
  for (const name of wanted) {
    const dumped = (ending: string): Buffer => readFileSync(join(folder.path, database, `${name}.${ending}`));
    assert.equal(sorted(documents.get(name) as Buffer), sorted(dumped('bson')));
    assert.is(metadata.get(name)?.text, dumped('metadata.json').toString('utf8'));
  }
});

/** Selects from the live database and tells how many documents it sent for each collection. */
async function selected(plan: Plan): Promise<Record<string, { scanned: number; count: number }>> {
  const backup = await openBackup(QUIET, live(), { wanted: new Set() });
  try {
    const { manifest } = await select(plan, { backup, folder: folder.path, emit: () => undefined });
    return Object.fromEntries(
      manifest.collections.map(({ collection, scanned, count }) => [collection, { scanned, count }]),
    );
  } finally {
    await backup.close();
  }
}

test('the server answers the query, and finds the children of what it found', async () => {
  const works = market.artworks.filter(({ partner_id }) => LOST_PARTNER.equals(partner_id));
  const lots = market.sale_artworks.filter((lot) => works.some(({ _id }) => _id.equals(lot['artwork_id'])));
  const dependents = [{ collection: 'sale_artworks', foreignKey: 'artwork_id' }];
  const found = await selected(
    planOf({ collection: 'artworks', query: { partner_id: LOST_PARTNER }, dependents }),
  );
  assert.equal(found, {
    artworks: { scanned: works.length, count: works.length },
    sale_artworks: { scanned: lots.length, count: lots.length },
  });
});

test('a collection reached by two routes, and keys that are no ObjectIds', async () => {
  const [sale] = market.sales;
  const bySlug = [{ collection: 'artworks', foreignKey: 'slug', localKey: 'slug' }];
  const found = await selected(
    planOf(
      { collection: 'sales', query: { _id: sale?.['_id'] } },
      { collection: 'sale_artworks', query: { sale_id: sale?.['_id'] } },
      { collection: 'artworks', query: { partner_id: LOST_PARTNER }, dependents: bySlug },
    ),
  );
  assert.equal(found['sales'], { scanned: 1, count: 1 });
  assert.ok((found['artworks']?.count ?? 0) > 0);
});

/** Parents with keys of many types, and children that refer to them by equal values of the same or another type. */
const KEYS: Readonly<Record<string, readonly [parent: unknown, child: unknown]>> = {
  int32: [1, new Double(1)],
  double: [new Double(2.5), Decimal128.fromString('2.50')],
  int64: [Long.fromString('9007199254740993'), Decimal128.fromString('9007199254740993')],
  decimal: [Decimal128.fromString('0.1'), Decimal128.fromString('0.10')],
  NaN: [new Double(Number.NaN), Decimal128.fromString('NaN')],
  string: ['Straße', 'Straße'],
  symbol: ['letters', new BSONSymbol('letters')],
  uuid: [new UUID('0c4a6b56-70b1-4d3c-9d62-0de0d1d2a5a0'), new UUID('0c4a6b56-70b1-4d3c-9d62-0de0d1d2a5a0')],
  date: [new Date(5), new Date(5)],
  timestamp: [new Timestamp({ t: 3, i: 4 }), new Timestamp({ t: 3, i: 4 })],
  boolean: [true, true],
  MinKey: [new MinKey(), new MinKey()],
  ObjectId: [new ObjectId('57d17993a09a6759d8000d9e'), new ObjectId('57d17993a09a6759d8000d9e')],
};

test('keys of every plain type: the server sends the children that refer to them, and no others', async () => {
  const db = lab.staging.client.db(database);
  const pairs = Object.entries(KEYS);
  await db.collection('owners').insertMany(pairs.map(([name, [key]], i) => ({ _id: i as never, name, key })));
  await db.collection('owned').insertMany([
    ...pairs.map(([name, [, key]]) => ({ name, owner: key })),
    ...['straße', 'Strasse', 4, null, new Double(0.1), /letters/].map((owner) => ({
      name: 'other',
      owner,
    })),
  ]);
  const dependents = [{ collection: 'owned', foreignKey: 'owner', localKey: 'key' }];
  const all = await selected(planOf({ collection: 'owners', query: {}, dependents }));
  assert.equal(all['owned'], { scanned: pairs.length, count: pairs.length });
  for (const [name] of pairs) {
    const found = await selected(planOf({ collection: 'owners', query: { name }, dependents }));
    assert.equal(found['owned'], { scanned: 1, count: 1 }, name);
  }
});

test('keys that a list in a query does not take as themselves: everything is read, the same is found', async () => {
  const db = lab.staging.client.db(database);
  const keys = [{ a: 1, b: 'x' }, /^a/i, new Code('x')];
  await db.collection('exotic').insertMany(keys.map((key, i) => ({ _id: i as never, key })));
  await db.collection('exotics').insertMany([...keys, 'abc', { b: 'x', a: 1 }].map((owner) => ({ owner })));
  const dependents = [{ collection: 'exotics', foreignKey: 'owner', localKey: 'key' }];
  const found = await selected(planOf({ collection: 'exotic', query: {}, dependents }));
  assert.equal(found['exotics'], { scanned: keys.length + 2, count: keys.length });
});

test('a query that matches nothing, a collection that is not there, a view: refused', async () => {
  await refusal(
    selected(planOf({ collection: 'artworks', query: { partner_id: new ObjectId() } })),
    /no document of artworks/,
  );
  await refusal(selected(planOf({ collection: 'nothing', query: {} })), /holds no collection nothing/);
  await refusal(readBackup(live(), ['view']), /view is a view in mongodb \(live\)/);
});

test('another database, a wrong password, nobody there, no connection string: refused without a secret', async () => {
  const wrongPassword = lab.staging.uri.replace(CANARY_PASSWORD, 'wrong-password');
  const nobody = `mongodb://user:${CANARY_PASSWORD}@127.0.0.1:${await freePort()}/?serverSelectionTimeoutMS=300`;
  for (const [source, words] of [
    [
      live(lab.staging.uri, { database: 'nowhere' }),
      /does not hold the database nowhere; it holds only .*gravity/,
    ],
    [live(wrongPassword), /refused the user or the password/],
    [live(nobody), /cannot be read \(connecting: connect ECONNREFUSED 127\.0\.0\.1:\d+\)/],
    [live('not a uri'), /is not a valid MongoDB connection string/],
    [sourceAt({ kind: 'mongodb', uri: undefined }), /connection string of source\.mongodb is not set/],
  ] as const) {
    const { message, hint } = await refusal(readBackup(source, ['artworks']), words);
    assert.not.match(`${message} ${hint}`, /canary|wrong-password/);
  }
});

test('a run that is stopped while it connects ends at once', async () => {
  const hole = await openBlackHole();
  const patient = `mongodb://127.0.0.1:${hole.port}/?serverSelectionTimeoutMS=600000&connectTimeoutMS=600000`;
  const reason = new Error('stopped by the test');
  const stopped = new AbortController();
  const reading = readBackup(live(patient), ['artworks'], {}, stopped.signal);
  setTimeout(() => stopped.abort(reason), 500);
  await reading.then(
    () => assert.unreachable('it went on'),
    (error: unknown) => assert.is(error, reason),
  );
  assert.is(hole.refusedOrTaken(), false);
  hole.close();
});

test.run();
