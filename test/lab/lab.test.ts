import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { withFailPoint } from './failpoint.ts';
import { temporaryFolder } from './guard.ts';
import { startHttpProxy } from './http-proxy.ts';
import { type Lab, openLab } from './lab.ts';
import { startReplicaSet } from './replica-set.ts';
import { s3Client } from './s3.ts';
import { startShardedCluster } from './sharded-cluster.ts';
import { buildTar, gnuLongName, paxHeader, tarFolder } from './tar.ts';
import { startTcpProxy } from './tcp-proxy.ts';
import { mongodump, mongorestore, mongoTool, program } from './tools.ts';

let lab: Lab;
test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

const s3Port = (): number => Number(new URL(lab.s3.endpoint).port);

test('the official tools dump, pack and restore through the lab', async () => {
  const folder = temporaryFolder('lab-test');
  const source = lab.database('source');
  const copy = lab.databaseName('copy');
  await source.collection('artworks').insertMany([{ title: 'Nighthawks' }, { title: 'Automat' }]);
  await mongodump(lab.staging.uri, ['--db', source.databaseName, '--out', join(folder.path, 'dump')]);
  await tarFolder(folder.path, join(folder.path, 'dump.tar'), { members: ['dump'] });
  const listing = await program('tar', ['-tf', join(folder.path, 'dump.tar')]);
  assert.match(listing.stdout.toString(), `dump/${source.databaseName}/artworks.bson`);
  await mongorestore(lab.production.uri, [
    ...['--nsFrom', `${source.databaseName}.*`, '--nsTo', `${copy}.*`, join(folder.path, 'dump')],
  ]);
  assert.is(await lab.production.client.db(copy).collection('artworks').countDocuments(), 2);
  const artworks = join(folder.path, 'dump', source.databaseName, 'artworks.bson');
  assert.match((await mongoTool('bsondump', [artworks])).stdout.toString(), 'Nighthawks');
  folder.remove();
});

test('a large file is stored in S3 in parts and read back whole', async () => {
  const folder = temporaryFolder('lab-test');
  const bucket = await lab.bucket('parts');
  const body = Buffer.alloc(17 * 1024 * 1024, 'art');
  writeFileSync(join(folder.path, 'large'), body);
  const etag = await bucket.putFile('large', join(folder.path, 'large'));
  assert.match(etag, /-2"$/);
  const object = await bucket.client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'large' }));
  assert.ok(body.equals(Buffer.from((await object.Body?.transformToByteArray()) ?? [])));
  folder.remove();
});

test('a built tar is what the system reads', async () => {
  const folder = temporaryFolder('lab-test');
  const long = `${'long-name/'.repeat(20)}a.bson`;
  const tar = buildTar([
    { path: 'short.bson', body: 'one' },
    paxHeader({ path: long }),
    { path: 'cut-off', body: 'two' },
    gnuLongName(`gnu/${long}`),
    { path: 'cut-off', body: 'three' },
  ]);
  writeFileSync(join(folder.path, 'built.tar'), tar);
  mkdirSync(join(folder.path, 'out'));
  await program('tar', ['-xf', join(folder.path, 'built.tar'), '-C', join(folder.path, 'out')]);
  const read = (path: string): string => readFileSync(join(folder.path, 'out', path), 'utf8');
  assert.equal([read('short.bson'), read(long), read(`gnu/${long}`)], ['one', 'two', 'three']);
  folder.remove();
});

test('the TCP proxy cuts, stalls and flips at the chosen byte, and says that it did', async () => {
  const bucket = await lab.bucket('faults');
  await bucket.put('object', Buffer.alloc(2_000_000, 1));
  const proxy = await startTcpProxy({ to: s3Port() });
  const client = s3Client({ ...lab.s3, endpoint: `http://127.0.0.1:${proxy.port}` });
  const read = async (): Promise<Buffer> => {
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'object' }));
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  };
  const cut = proxy.setFault({ kind: 'reset', afterBytes: 1_000_000 });
  const error = await read().catch((reason: Error) => reason);
  assert.instance(error, Error);
  assert.is(cut.hits, 1);
  const flip = proxy.setFault({ kind: 'flip', afterBytes: 1_000_000 });
  const flipped = await read();
  assert.is(flip.hits, 1);
  assert.is(flipped.filter((byte) => byte !== 1).length, 1);
  const stall = proxy.setFault({ kind: 'stall', afterBytes: 1_000_000 });
  const outcome = await Promise.race([read(), sleep(300, 'still waiting')]);
  assert.is(outcome, 'still waiting');
  assert.is(stall.hits, 1);
  client.destroy();
  await proxy.stop();
});

test('the TCP proxy can be far away and thin', async () => {
  const bucket = await lab.bucket('pace');
  await bucket.put('object', Buffer.alloc(2_000_000, 1));
  const proxy = await startTcpProxy({ to: s3Port(), latencyMs: 50, bytesPerSecond: 10_000_000 });
  const client = s3Client({ ...lab.s3, endpoint: `http://127.0.0.1:${proxy.port}` });
  const started = performance.now();
  const answer = await client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'object' }));
  const body = await answer.Body?.transformToByteArray();
  const took = performance.now() - started;
  assert.is(body?.length, 2_000_000);
  assert.ok(took >= 240 && took < 10_000, `2 MB at 10 MB/s and 50 ms took ${took} ms`);
  client.destroy();
  await proxy.stop();
});

test('the HTTP proxy answers in the place of the server, or changes its answer', async () => {
  const bucket = await lab.bucket('http');
  await bucket.put('object', 'paint');
  const proxy = await startHttpProxy(s3Port());
  const client = s3Client({ ...lab.s3, endpoint: proxy.endpoint });
  const read = async (): Promise<string | undefined> =>
    (
      await client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'object' }))
    ).Body?.transformToString();
  const slowDown = proxy.setFault({ answer: { status: 503, body: 'SlowDown' } });
  assert.is(await read(), 'paint');
  assert.is(slowDown.hits, 1);
  const captive = proxy.setFault({ rewrite: (answer) => ({ ...answer, headers: {}, body: '<html>' }) });
  assert.is(await read(), '<html>');
  assert.is(captive.hits, 1);
  client.destroy();
  await proxy.stop();
});

test('a failpoint hits the chosen client and is counted', async () => {
  const server = await startReplicaSet();
  const ping = (): Promise<unknown> => server.client.db('x').command({ ping: 1 });
  const data = { failCommands: ['ping'], errorCode: 6, appName: 'lab' };
  const fired = await withFailPoint(
    server.client,
    { name: 'failCommand', mode: { times: 1 }, data },
    async () => {
      assert.instance(await ping().catch((error: Error) => error), Error);
      await ping();
    },
  );
  assert.is(fired, 1);
  await server.stop();
});

test(
  'a member of a replica set can be killed and comes back',
  async () => {
    const server = await startReplicaSet({ members: 3 });
    const killed = await server.primary();
    await killed.process.kill();
    const next = await server.primary();
    assert.is.not(next.port, killed.port);
    await killed.restart();
    await server.client
      .db('x')
      .collection('y')
      .insertOne({}, { writeConcern: { w: 3, wtimeoutMS: 20_000 } });
    await server.stop();
  },
  { deadlineMs: 60_000 },
);

test('a sharded cluster spreads a collection over its shards', async () => {
  const cluster = await startShardedCluster();
  await cluster.client.db('admin').command({ shardCollection: 'gravity.artworks', key: { _id: 'hashed' } });
  await cluster.client
    .db('gravity')
    .collection('artworks')
    .insertMany(Array.from({ length: 100 }, () => ({})));
  const counts = await Promise.all(
    cluster.shards.map((shard) => shard.client.db('gravity').collection('artworks').countDocuments()),
  );
  assert.is(counts.length, 2);
  assert.ok(counts.every((count) => count > 0 && count < 100));
  await cluster.stop();
});

test('servers and folders do not outlive a process that is killed', async () => {
  const script = `
    import { startStandalone } from ${JSON.stringify(join(import.meta.dirname, 'mongod.ts'))};
    import { temporaryFolder } from ${JSON.stringify(join(import.meta.dirname, 'guard.ts'))};
    setInterval(() => undefined, 1000);
    startStandalone().then((mongod) =>
      process.stdout.write(JSON.stringify({ pid: mongod.process.pid, folder: temporaryFolder('orphan').path }) + '\\n'));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve));
  const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string };
  assert.ok(isAlive(pid) && existsSync(folder));
  child.kill('SIGKILL');
  while (isAlive(pid) || existsSync(folder)) await sleep(10);
});

/** A process that has ended and waits for its parent to notice counts as gone. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test.run();
