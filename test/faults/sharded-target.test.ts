/** Faults T9 and T11, on a sharded cluster behind a mongos: two shards, the collection lies on both. */

import { Int32, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { compareServers } from '../../src/apply/gate.ts';
import { verifyRestore } from '../../src/apply/verify-selection.ts';
import { accessTo } from '../../src/target/target.ts';
import { failure } from '../apply/documents.ts';
import type { MadeCollection } from '../apply/made-selection.ts';
import { digests, openWorkbench, type Servers, type Workbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { type ShardedCluster, startShardedCluster } from '../lab/sharded-cluster.ts';
import { QUIET } from '../quiet-run.ts';
import { foundByIds } from '../target/found-by-ids.ts';
import { ALL_WRITTEN, insertRaw } from '../target/insert-raw.ts';
import { checkOpenTransaction, checkWhoseInserts } from '../target/write-checks.ts';
import { raceEverywhere, SHARDED } from './race-campaign.ts';

let cluster: ShardedCluster;
let servers: Servers;
test.before(
  async () => {
    cluster = await startShardedCluster({ shards: 2 });
    const [shard] = cluster.shards;
    let databases = 0;
    servers = {
      staging: cluster,
      production: { uri: shard?.uri ?? '', client: cluster.client },
      databaseName: (topic) => `${topic}-${++databases}`,
    };
  },
  { deadlineMs: 90_000 },
);
test.after(() => cluster.stop());

const document = (id: number, region: unknown): Buffer =>
  Buffer.from(serialize({ _id: id, region, text: 'x'.repeat(2_000) }));
const DOCUMENTS = Array.from({ length: 3_000 }, (_, i) => document(i, i % 2 === 0 ? 'eu' : 'us'));

/** A workbench whose staging has a collection `a` with `eu` on one shard and `us` on the other. */
async function onBothShards(body: (bench: Workbench) => Promise<void>): Promise<void> {
  const nowhere = { ...servers.production, uri: 'mongodb://127.0.0.1:1/' };
  const bench = openWorkbench({ ...servers, production: nowhere });
  try {
    const { databaseName } = await bench.db('staging');
    const namespace = `${databaseName}.a`;
    const admin = cluster.client.db('admin');
    await admin.command({ enableSharding: databaseName, primaryShard: 'shard0' });
    await admin.command({ shardCollection: namespace, key: { region: 1 } });
    await admin.command({ split: namespace, middle: { region: 'm' } });
    await admin.command({ moveChunk: namespace, find: { region: 'us' }, to: 'shard1' });
    await body(bench);
  } finally {
    await bench.close();
  }
}

test('T9 a sharded collection: applied to both shards, verified, applied again, reverted', () =>
  onBothShards(async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    await bench.apply(selection, 'staging');
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    const { databaseName } = await bench.db('staging');
    for (const shard of cluster.shards) {
      assert.is(await shard.client.db(databaseName).collection('a').countDocuments(), 1_500);
    }
    const target = await bench.target('staging');
    const { failures } = await verifyRestore(QUIET, {
      plan: bench.plan,
      selection,
      target,
      every: 1,
    });
    assert.is(failures, 0);
    const again = await bench.apply(selection, 'staging');
    assert.is(again.collections[0]?.identical, DOCUMENTS.length);
    const report = await bench.revert(selection, 'staging');
    assert.is(report.runs[0]?.collections[0]?.counts.remove, DOCUMENTS.length);
    assert.equal(await bench.documents('staging', 'a'), []);
  }));

test('T9 fields are merged into documents of both shards, and put back; a field of the shard key is refused by name', () =>
  onBothShards(async (bench) => {
    const target = await bench.target('staging');
    const standing = DOCUMENTS.map((_, id) =>
      Buffer.from(
        serialize({
          _id: id,
          region: id % 2 === 0 ? 'eu' : 'us',
          price: 'wrong',
          place: { zip: 'wrong', no: id },
        }),
      ),
    );
    await insertRaw(accessTo(target).writer, 'a', standing);
    const backup = DOCUMENTS.map((_, id) =>
      Buffer.from(serialize({ _id: id, region: 'elsewhere', price: new Int32(id), place: { zip: `${id}` } })),
    );
    const merging = (...fields: string[]) => ({
      ...{ collection: 'a', documents: backup, whenMatched: 'merge' },
      merge: { fields, whenNotMatched: 'insert' },
    });
    const refusal = await failure(
      bench.apply(bench.selection([merging('region') as MadeCollection]), 'staging'),
    );
    assert.match(refusal.message, 'its field region cannot be merged');
    const selection = bench.selection([merging('place.zip', 'price') as MadeCollection]);
    const result = await bench.apply(selection, 'staging');
    assert.ok(result.verified);
    assert.is(result.collections[0]?.replaced, DOCUMENTS.length);
    const expected = standing.map((_, id) =>
      Buffer.from(
        serialize({
          ...{ _id: id, region: id % 2 === 0 ? 'eu' : 'us', price: new Int32(id) },
          place: { zip: `${id}`, no: id },
        }),
      ),
    );
    await bench.expectRestored('staging', selection, { a: expected });
    await bench.revert(selection, 'staging');
    assert.equal(digests(await bench.documents('staging', 'a')), digests(standing));
  }));

test('T9 documents without a place in a sharded collection are refused one by one; the rest goes in', () =>
  onBothShards(async (bench) => {
    const homeless = [document(3_000, ['eu', 'us']), document(3_001, ['eu'])];
    const selection = bench.selection([
      { collection: 'a', documents: [...DOCUMENTS.slice(0, 10), ...homeless] },
    ]);
    const result = await bench.apply(selection, 'staging');
    assert.is(result.collections[0]?.inserted, 10);
    assert.is(result.collections[0]?.refused, 2);
    assert.is(result.verified, false);
  }));

test('T9 what a mongos cannot tell of indexes is warned of: neither a new collection nor a document is refused', () =>
  onBothShards(async (bench) => {
    const db = await bench.db('staging');
    await db.collection('a').createIndex({ tags: 1, text: 1 });
    const documents = [
      Buffer.from(serialize({ _id: 1, region: 'eu', tags: ['one', 'two'], text: 'x', place: [1, 2] })),
    ];
    const indexes = [
      { v: 2, key: { _id: 1 }, name: '_id_' },
      { v: 2, key: { tags: 1, text: 1 }, name: 'tags_1_text_1' },
      { v: 2, key: { place: '2dsphere' }, name: 'place_2dsphere', '2dsphereIndexVersion': 3 },
    ];
    const selection = bench.selection([
      { collection: 'a', documents },
      { collection: 'made', documents, metadata: JSON.stringify({ indexes, collectionName: 'made' }) },
    ]);
    const result = await bench.apply(selection, 'staging');
    assert.ok(result.verified);
    await bench.expectRestored('staging', selection, { a: documents, made: documents });
    assert.is((await db.collection('made').indexes()).length, 3);
  }));

test('two documents of one _id on two shards, too large for one reply, are both found', () =>
  onBothShards(async (bench) => {
    const db = await bench.db('staging');
    for (const region of ['eu', 'us']) {
      await db
        .collection<{ _id: number }>('a')
        .insertOne({ _id: 1, region, text: 'x'.repeat(9_000_000) } as never);
    }
    const target = await bench.target('staging');
    const asked = Buffer.from(serialize({ _id: 1 }));
    assert.is((await foundByIds(target.reader, 'a', [asked, Buffer.from(serialize({ _id: 2 }))])).length, 2);
    assert.is((await foundByIds(target.reader, 'a', [asked])).length, 2);
  }));

test(
  'T8 through a mongos, rivals that change type, scale, case or order alone lose nothing',
  async () => {
    const sum = await raceEverywhere(cluster, SHARDED, { documents: 200, database: 'races' });
    assert.is(sum.lost, 0);
    assert.ok(sum.acknowledged > 0 && sum.written > 0, JSON.stringify(sum));
  },
  { deadlineMs: 180_000 },
);

test('T8 documents on two shards: a shard key that would change is refused by name, an odd one is found', () =>
  onBothShards(async (bench) => {
    const target = await bench.target('staging');
    const { writer } = accessTo(target);
    const odd: readonly unknown[] = ['eu', undefined, null, new Int32(1), { a: 1, b: [] }, { $a: 1 }, 'us'];
    const seen = odd.map((region, _id) =>
      Buffer.from(serialize({ _id, ...(region === undefined ? {} : { region }), text: 'seen' })),
    );
    assert.equal(await insertRaw(writer, 'a', seen), ALL_WRITTEN);
    const collection = await target.reader.collection('a');
    assert.ok(collection);
    const after = odd.map((region, _id) => ({ _id, region: _id === 0 ? 'us' : _id === 3 ? 1.0 : region }));
    const outcome = await writer.replace(
      collection,
      after.map((each, i) => ({
        seen: seen[i] as Buffer,
        after: Buffer.from(serialize(each, { ignoreUndefined: true })),
      })),
      { identity: await writer.newIdentity() },
    );
    assert.equal(outcome, { leftAlone: new Map(), faults: [{ index: 0, code: 66, keyPattern: undefined }] });
    const db = await bench.db('staging');
    assert.is(await db.collection('a').countDocuments({ text: { $exists: false } }), seen.length - 1);
    assert.is(await db.collection('a').countDocuments({ region: 'eu', text: 'seen' }), 1);
  }));

test('T8 killed inside a transaction of both shards: a new connection frees the documents at once', () =>
  onBothShards(async (bench) => {
    const { databaseName } = await bench.db('staging');
    await checkOpenTransaction({ ...cluster, database: databaseName, collection: 'a' }, 'aborted');
  }));

test('T8 killed inside a transaction, and its mongos with it: another one frees the documents at once', () =>
  onBothShards(async (bench) => {
    const { databaseName } = await bench.db('staging');
    const place = { ...cluster, database: databaseName, collection: 'a' };
    await checkOpenTransaction(place, 'unknown', { settledThrough: await cluster.anotherMongos() });
  }));

test('T14 killed after its inserts on two shards: a new connection finds out which were its own', () =>
  onBothShards(async (bench) => {
    const { databaseName } = await bench.db('staging');
    await checkWhoseInserts({ ...cluster, database: databaseName, collection: 'a' });
  }));

test('T11 a mongos is said, and a shard of the same cluster is no other server', async () => {
  const bench = openWorkbench(servers);
  const staging = await bench.connect('staging');
  const production = await bench.connect('production');
  try {
    assert.match(staging.notes.join(), 'a sharded cluster (mongos)');
    assert.is(staging.reader.identity.exact, true);
    assert.is(compareServers(staging.reader.identity, production.reader.identity), 'same');
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS.slice(0, 3) }]);
    const refusal = await failure(
      bench.apply(selection, 'staging', { target: staging, other: production.reader }),
    );
    assert.is(refusal.code, 'GATE');
    assert.match(refusal.message, 'the same server');
  } finally {
    await staging.close();
    await production.close();
    await bench.close();
  }
});

test.run();
