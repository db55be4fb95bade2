/**
 * Somebody changes documents, each in a way that a comparison of values would not see, while they are removed, replaced or merged. Every
 * change that the server acknowledged must still be there, and every document that was not changed must have been written.
 */

import { setImmediate as immediate } from 'node:timers/promises';
import { Binary, Decimal128, type Document, Double, Int32, serialize } from 'bson';
import type { Collection, CreateCollectionOptions, Db, MongoClient, UpdateFilter } from 'mongodb';
import * as assert from 'uvu/assert';
import { MergeFields } from '../../src/bson/merge-fields.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { accessTo, type Target, type WrittenCollection } from '../../src/target/target.ts';
import { startReplicaSet } from '../lab/replica-set.ts';
import { startShardedCluster } from '../lab/sharded-cluster.ts';
import { QUIET } from '../quiet-run.ts';
import { insertRaw } from '../target/insert-raw.ts';

/** What somebody changes: the same value to a server, or under a collation that takes cases for equal. */
export const CHANGES = ['type', 'scale', 'case', 'order'] as const;
export type Change = (typeof CHANGES)[number];
export const WRITINGS = ['remove', 'replace', 'merge'] as const;
export type Writing = (typeof WRITINGS)[number];

/** Where documents race; `prepare` makes the collection. */
export interface Ground {
  readonly name: string;
  readonly shardKey?: Document;
  readonly options?: CreateCollectionOptions;
}

const CASELESS = { locale: 'en', strength: 2 };

export const PLAIN: readonly Ground[] = [
  { name: 'plain' },
  { name: 'collated', options: { collation: CASELESS } },
  { name: 'clustered', options: { clusteredIndex: { key: { _id: 1 }, unique: true } } },
];

export const SHARDED: readonly Ground[] = [
  { name: 'unsharded' },
  { name: 'by-region', shardKey: { region: 1 } },
  { name: 'by-hash', shardKey: { _id: 'hashed' } },
  { name: 'by-region-collated', shardKey: { region: 1 }, options: { collation: CASELESS } },
];

const seenDocument = (n: number): Document => ({
  _id: `Document ${n}`,
  region: n % 2 === 0 ? 'eu' : 'us',
  state: new Int32(0),
  number: new Int32(1),
  decimal: Decimal128.fromString('1.5'),
  text: 'seen',
  filler: new Binary(Buffer.alloc(400, n)),
});

function changed(seen: Document, change: Change): UpdateFilter<Document> | Document {
  if (change === 'type') return { $set: { number: new Double(1) } };
  if (change === 'scale') return { $set: { decimal: Decimal128.fromString('1.50') } };
  if (change === 'case') return { $set: { text: 'SEEN' } };
  const { _id, filler, text, ...others } = seen;
  return { _id, text, filler, ...others };
}

export interface Race {
  readonly target: Target;
  readonly db: Db;
  readonly ground: Ground;
  readonly change: Change;
  readonly writing: Writing;
  readonly documents: number;
}

export interface RaceResult {
  /** Changes that the server acknowledged while the race was on. */
  readonly acknowledged: number;
  readonly written: number;
  /** Changes that were acknowledged, and are gone. */
  readonly lost: number;
}

const BATCH = 200;
const RIVALS = 8;

/** How far the writing is: rivals keep close to it, and ahead of it. */
interface Progress {
  from: number;
}

/** In a collection of its own, which it drops. */
export async function race(what: Race): Promise<RaceResult> {
  const { target, db, ground, documents: count } = what;
  const name = `${ground.name}-${what.change}-${what.writing}`;
  await db.createCollection(name, ground.options);
  if (ground.shardKey !== undefined) await shard(db, name, ground);
  const collection = db.collection<Document>(name);
  const seen = Array.from({ length: count }, (_, n) => Buffer.from(serialize(seenDocument(n))));
  for (let from = 0; from < count; from += BATCH) {
    await insertRaw(accessTo(target).writer, name, seen.slice(from, from + BATCH));
  }
  const described = await target.reader.collection(name);
  assert.ok(described);
  const acknowledged = new Set<number>();
  const progress: Progress = { from: 0 };
  const rivals = { collection, progress, open: new Set(seen.keys()), acknowledged };
  const [leftAlone] = await Promise.all([
    writeAll(what, { collection: described, seen, progress }),
    ...Array.from({ length: RIVALS }, () => changeSome(what, rivals)),
  ]);
  const result = await judge(what, collection, { seen, leftAlone, acknowledged });
  await collection.drop();
  return result;
}

async function shard(db: Db, name: string, { shardKey, options }: Ground): Promise<void> {
  const admin = db.client.db('admin');
  const simple = options?.collation === undefined ? {} : { collation: { locale: 'simple' } };
  const namespace = `${db.databaseName}.${name}`;
  await admin.command({ shardCollection: namespace, key: shardKey, ...simple });
  if (shardKey?.['region'] === undefined) return;
  await admin.command({ split: namespace, middle: { region: 'm' } });
  const there = await admin.command({ listShards: 1 });
  const ids = (there['shards'] as { readonly _id: string }[]).map(({ _id }) => _id);
  for (const [i, region] of ['eu', 'us'].entries()) {
    await admin.command({ moveChunk: namespace, find: { region }, to: ids[i % ids.length] });
  }
}

/** What a merge sets. Of the changes, those of the text and of the order leave them alone. */
const FIELDS = new MergeFields(['decimal', 'number', 'state']);
const SOURCE = Buffer.from(
  serialize({ number: new Int32(7), state: new Int32(1), decimal: Decimal128.fromString('2.5') }),
);
const touchesFields = (change: Change): boolean => change === 'type' || change === 'scale';

const AFTER = { state: new Int32(1), text: 'restored' };

function afterOf(n: number): Buffer {
  const { _id, region } = seenDocument(n);
  return Buffer.from(serialize({ _id, region, ...AFTER }));
}

/** Returns the numbers of the documents that were left alone. */
async function writeAll(
  { target, writing }: Race,
  {
    collection,
    seen,
    progress,
  }: {
    readonly collection: WrittenCollection;
    readonly seen: readonly Buffer[];
    readonly progress: Progress;
  },
): Promise<Set<number>> {
  const { writer } = accessTo(target);
  const leftAlone = new Set<number>();
  for (let from = 0; from < seen.length; from += BATCH) {
    progress.from = from;
    const batch = seen.slice(from, from + BATCH);
    const options = { identity: await writer.newIdentity() };
    const outcome = await {
      remove: () => writer.remove(collection, batch, options),
      replace: () =>
        writer.replace(
          collection,
          batch.map((each, i) => ({ seen: each, after: afterOf(from + i) })),
          options,
        ),
      merge: () => {
        const after = (_: number, found: Buffer): Buffer => FIELDS.merged(found, SOURCE);
        return writer.merge(collection, { fields: FIELDS, seen: batch, after }, options);
      },
    }[writing]();
    assert.equal(outcome.faults, []);
    for (const [index, now] of outcome.leftAlone) {
      assert.is(now, 'changed');
      leftAlone.add(from + index);
    }
  }
  progress.from = Number.POSITIVE_INFINITY;
  return leftAlone;
}

interface Rivals {
  readonly collection: Collection<Document>;
  readonly progress: Readonly<Progress>;
  /** Numbers of documents that no rival has tried yet. */
  readonly open: Set<number>;
  readonly acknowledged: Set<number>;
}

/** A rival changes a document of the batch that is being written, or of the next, and so on until all is written. */
async function changeSome(
  { change }: Race,
  { collection, progress, open, acknowledged }: Rivals,
): Promise<void> {
  for (;;) {
    const near = [...open].filter((n) => n >= progress.from && n < progress.from + 2 * BATCH);
    if (near.length === 0 && !Number.isFinite(progress.from)) return;
    const n = near[Math.floor(Math.random() * near.length)];
    if (n === undefined) {
      await immediate();
      continue;
    }
    open.delete(n);
    const seen = seenDocument(n);
    const filter = { _id: seen['_id'], region: seen['region'], state: 0 };
    const to = changed(seen, change);
    const { matchedCount } =
      change === 'order' ? await collection.replaceOne(filter, to) : await collection.updateOne(filter, to);
    if (matchedCount === 1) acknowledged.add(n);
  }
}

interface Evidence {
  readonly seen: readonly Buffer[];
  readonly leftAlone: ReadonlySet<number>;
  readonly acknowledged: ReadonlySet<number>;
}

async function judge(
  { writing, change }: Race,
  collection: Collection<Document>,
  { seen, leftAlone, acknowledged }: Evidence,
): Promise<RaceResult> {
  const found = new Map(
    (await collection.find({}, { promoteValues: false, readConcern: { level: 'majority' } }).toArray()).map(
      (document) => [String(document['_id']), document],
    ),
  );
  let lost = 0;
  /** A change of other fields does not keep a merge out, which keeps the change. */
  const isCompatible = writing === 'merge' && !touchesFields(change);
  for (let n = 0; n < seen.length; n++) {
    const there = found.get(`Document ${n}`);
    if (acknowledged.has(n)) {
      if (there === undefined || !isChanged(there, change)) lost++;
      if (!isCompatible) continue;
    }
    assert.not(leftAlone.has(n), `${n} was left alone, and nobody had changed what counts`);
    if (writing === 'merge') {
      const fields = FIELDS.image(Buffer.from(serialize(there ?? {})));
      assert.ok(fields.equals(FIELDS.image(SOURCE)), `${n} was not merged`);
    } else if (writing === 'remove') assert.is(there, undefined, `${n} was not removed`);
    else assert.ok(Buffer.from(serialize(there ?? {})).equals(afterOf(n)), `${n} was not replaced`);
  }
  const kept = isCompatible ? 0 : acknowledged.size;
  assert.is(leftAlone.size, kept, 'each document was either changed or written');
  return { acknowledged: acknowledged.size, written: seen.length - leftAlone.size, lost };
}

function isChanged(there: Document, change: Change): boolean {
  if (change === 'type') return there['number']?._bsontype === 'Double';
  if (change === 'scale') return String(there['decimal']) === '1.50';
  if (change === 'case') return there['text'] === 'SEEN';
  return Object.keys(there)[1] === 'text';
}

export interface RaceServer {
  readonly uri: string;
  readonly client: MongoClient;
}

/** Every change in every ground, removed, replaced and merged by turns. Returns the sums. */
export async function raceEverywhere(
  { uri, client }: RaceServer,
  grounds: readonly Ground[],
  { documents, database }: { readonly documents: number; readonly database: string },
): Promise<RaceResult> {
  const gate = { soakMs: 0, approvals: 0 };
  const target = await connectTarget(QUIET, 'staging', { uri: new Secret(uri), database, gate });
  const sum = { acknowledged: 0, written: 0, lost: 0 };
  try {
    const db = client.db(database);
    let turn = 0;
    for (const ground of grounds) {
      for (const change of CHANGES) {
        const writing = WRITINGS[turn++ % WRITINGS.length] as Writing;
        const result = await race({ target, db, ground, change, writing, documents });
        for (const key of ['acknowledged', 'written', 'lost'] as const) sum[key] += result[key];
      }
    }
    return sum;
  } finally {
    await target.close();
    await client.db(database).dropDatabase();
  }
}

/** Races on a set of three members and through a mongos until so many changes were acknowledged on each. */
export async function raceUntil(changes: number, say: (text: string) => void): Promise<void> {
  const set = await startReplicaSet({ name: 'races', members: 3 });
  try {
    await raceOn('three members', set, PLAIN, { changes, say });
  } finally {
    await set.stop();
  }
  const cluster = await startShardedCluster({ shards: 2 });
  try {
    await raceOn('a mongos', cluster, SHARDED, { changes, say });
  } finally {
    await cluster.stop();
  }
}

const MOST_ROUNDS = 50;

async function raceOn(
  where: string,
  server: RaceServer,
  grounds: readonly Ground[],
  { changes, say }: { readonly changes: number; readonly say: (text: string) => void },
): Promise<void> {
  const sum = { acknowledged: 0, written: 0, lost: 0 };
  const aborted = async (): Promise<number> =>
    (await server.client.db('admin').command({ serverStatus: 1 }))['transactions']['totalAborted'] as number;
  const before = await aborted();
  let aborts = 0;
  for (let round = 0; round < MOST_ROUNDS && sum.acknowledged < changes; round++) {
    const result = await raceEverywhere(server, grounds, { documents: 4_000, database: `races-${round}` });
    for (const key of ['acknowledged', 'written', 'lost'] as const) sum[key] += result[key];
    aborts = Number(await aborted()) - before;
    const { acknowledged, written, lost } = sum;
    say(`${where}: ${acknowledged} changes, ${written} documents written, ${aborts} aborts, ${lost} lost`);
    assert.is(lost, 0);
  }
  assert.ok(sum.acknowledged >= changes, `only ${sum.acknowledged} changes in ${MOST_ROUNDS} rounds`);
  assert.ok(aborts > 0, 'no change came between a look and a write: nothing was proven');
}
