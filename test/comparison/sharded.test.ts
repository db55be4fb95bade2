/** Comparison with a sharded collection: what is called refused is what mongos refuses. */
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { type ShardedCluster, startShardedCluster } from '../lab/sharded-cluster.ts';
import { compare } from './comparing.ts';

let cluster: ShardedCluster;
test.before(
  async () => {
    cluster = await startShardedCluster({ shards: 1 });
  },
  { deadlineMs: 90_000 },
);
test.after(() => cluster.stop());

test('documents without a place in the sharded collection are refused, as mongos refuses them', async () => {
  const things = cluster.client.db('gravity').collection<{ _id: number }>('things');
  await cluster.client
    .db('admin')
    .command({ shardCollection: 'gravity.things', key: { region: 1, 'at.day': 1 } });
  const documents = [
    { _id: 1, region: 'eu', at: { day: 1 } },
    { _id: 2, region: 'eu' },
    { _id: 3 },
    { _id: 4, region: ['eu', 'us'], at: { day: 1 } },
    { _id: 5, region: 'eu', at: [{ day: 1 }] },
    { _id: 6, region: { country: 'de' }, at: { day: null } },
  ];
  const { first } = await compare({
    uri: cluster.uri,
    database: 'gravity',
    collections: { things: { documents } },
  });
  const refused = first.documents
    .filter((each) => each.class === 'refused')
    .map(({ index }) => documents[index]?._id);
  assert.equal(first.warnings, [
    'a document lacks the shard key at.day; the server stores it as if that were null',
    'a document lacks the shard key region, at.day; the server stores it as if that were null',
  ]);
  const byMongos: number[] = [];
  for (const document of documents) {
    await things.insertOne(document as never).catch(() => byMongos.push(document._id));
  }
  assert.equal(refused.sort(), byMongos.sort());
});

test('whether a collation takes selected _ids for the same is said to be unknown through a mongos, where an _id holds text', async () => {
  const database = cluster.client.db('gravity');
  for (const name of ['whole', 'parted'])
    await database.createCollection(name, { collation: { locale: 'en', strength: 2 } });
  await cluster.client.db('admin').command({
    shardCollection: 'gravity.parted',
    key: { _id: 'hashed' },
    collation: { locale: 'simple' },
  });
  const ids = ['abc', 'ABC', 7];
  const collections = Object.fromEntries(
    ['whole', 'parted'].flatMap((into) => [[into, { documents: ids.map((_id) => ({ _id })) }]]),
  );
  const { collections: compared } = await compare({ uri: cluster.uri, database: 'gravity', collections });
  for (const { counts, warnings } of compared) {
    assert.is(counts.insert, 3);
    assert.is(warnings.length, 1);
    assert.match(warnings.join(), 'was not looked at');
  }
  const numbers = { whole: { documents: [{ _id: 7 }] } };
  const { first } = await compare({ uri: cluster.uri, database: 'gravity', collections: numbers });
  assert.equal(first.warnings, []);
});

test.run();
