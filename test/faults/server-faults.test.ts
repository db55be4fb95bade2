/** Faults T2 (servers die and step down), T10 (rights), T11 (which server answers). */
import { MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { failure, numbered } from '../apply/documents.ts';
import { openWorkbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { startStandalone } from '../lab/mongod.ts';
import type { ServerProcess } from '../lab/server-process.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

let servers: OwnServers;

test.before(
  async () => {
    servers = await ownServers({ members: 3, user: { name: 'root', password: 'canary-faults-password' } });
  },
  { deadlineMs: 120_000 },
);
test.after(() => servers.stop());

const DOCUMENTS = numbered(0, 4_000, 'x'.repeat(4_000));
const SELECTION = [{ collection: 'a', documents: DOCUMENTS }];

test(
  'T2 the primary is killed, and the next one steps down, while documents are written: nothing lost, nothing double',
  async () => {
    const bench = openWorkbench(servers);
    const target = await bench.connect('staging', { patienceMs: 60_000 });
    let killed: Promise<unknown> | undefined;
    try {
      const selection = bench.selection(SELECTION);
      let batches = 0;
      await bench.apply(selection, 'staging', {
        target,
        checkpoint: async (name) => {
          if (name !== 'batch-intended') return;
          batches++;
          if (batches === 1) {
            const primary = await servers.set.primary();
            await primary.process.kill();
            killed = primary.restart();
          }
          if (batches === 4) {
            await servers.set.client
              .db('admin')
              .command({ replSetStepDown: 5, force: true })
              .catch(() => undefined);
          }
        },
      });
      assert.ok(killed);
      await killed;
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    } finally {
      await killed;
      await target.close();
      await bench.close();
    }
  },
  { deadlineMs: 120_000 },
);

test(
  'T2 the primary is paused in the middle of a batch (a machine that hangs): its successor gets the rest',
  async () => {
    const bench = openWorkbench(servers);
    const target = await bench.connect('staging', { patienceMs: 60_000, replyMs: 8_000 });
    let paused: ServerProcess | undefined;
    let batches = 0;
    try {
      const selection = bench.selection(SELECTION);
      await bench.apply(selection, 'staging', {
        target,
        checkpoint: async (name) => {
          // The fourth: then all that are sent at once are on their way.
          if (name !== 'batch-intended' || ++batches !== 4) return;
          paused = (await servers.set.primary()).process;
          paused.signal('SIGSTOP');
        },
      });
      assert.ok(paused);
      paused.signal('SIGCONT');
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    } finally {
      paused?.signal('SIGCONT');
      await target.close();
      await bench.close();
    }
  },
  { deadlineMs: 120_000 },
);

test('T10 a role that lacks a privilege: named, with nothing written', async () => {
  const database = servers.databaseName('rights');
  const { client, uri } = servers.staging;
  await client
    .db(database)
    .collection('a')
    .insertOne({ _id: 99 as never });
  const admin = client.db('admin');
  const actions = ['find', 'listCollections', 'listIndexes', 'update', 'createCollection', 'createIndex'];
  await admin.command({
    createRole: 'almost',
    privileges: [
      { resource: { db: database, collection: '' }, actions },
      { resource: { db: database, collection: 'restore_plan.lock' }, actions: [...actions, 'insert'] },
      { resource: { db: database, collection: 'restore_plan.runs' }, actions: [...actions, 'insert'] },
      { resource: { db: database, collection: 'restore_plan.journal' }, actions: [...actions, 'insert'] },
    ],
    roles: [],
  });
  await admin.command({ createUser: 'almost', pwd: 'canary-almost-password', roles: ['almost'] });
  const limited = uri.replace('root:canary-faults-password', 'almost:canary-almost-password');
  const bench = openWorkbench(servers, { stagingUri: limited, database });
  const selection = bench.selection(SELECTION);
  const refusal = await failure(bench.apply(selection, 'staging'));
  assert.is(refusal.code, 'TARGET', 'nothing was written, so it is no run that stopped part-way');
  assert.match(refusal.message, `lacks the privilege "insert" on ${database}.a`);
  assert.not.match(JSON.stringify(refusal), 'canary');
  assert.is((await bench.documents('staging', 'a')).length, 1);
  await bench.close();

  const wrong = uri.replace('canary-faults-password', 'canary-wrong-password');
  const plan = { uri: new Secret(wrong), database, gate: { soakMs: 0, approvals: 0 } };
  const unknown = await failure(connectTarget('staging', plan));
  assert.is(unknown.code, 'TARGET');
  assert.match(unknown.message, 'user or the password');
});

test(
  'T11 a secondary and a wrong set name are refused; a standalone works and is said',
  async () => {
    const primary = await servers.set.primary();
    const secondary = servers.set.members.find((member) => member.port !== primary.port);
    const gate = { soakMs: 0, approvals: 0 };
    const credentials = 'root:canary-faults-password@';
    const connect = (uri: string) =>
      connectTarget('staging', { uri: new Secret(uri), database: 'x', gate }, { patienceMs: 3_000 });
    const direct = await failure(
      connect(`mongodb://${credentials}127.0.0.1:${secondary?.port}/?directConnection=true`),
    );
    assert.match(direct.message, 'a secondary and takes no writes');
    const wrongName = await failure(
      connect(`mongodb://${credentials}127.0.0.1:${primary.port}/?replicaSet=other`),
    );
    assert.is(wrongName.code, 'TARGET');
    const nobody = await failure(connect('mongodb://127.0.0.1:1/'));
    assert.match(nobody.message, 'cannot be reached');
    const nonsense = await failure(connect('mongo://user:canary-in-nonsense@host'));
    assert.not.match(nonsense.message + nonsense.hint, 'canary');

    const standalone = await startStandalone();
    const client = await new MongoClient(standalone.uri).connect();
    const bench = openWorkbench(
      { ...servers, staging: { uri: standalone.uri, client } },
      { database: 'alone' },
    );
    const { notes, close } = await bench.connect('staging');
    await close();
    assert.match(notes.join(), 'a standalone server');
    const selection = bench.selection(SELECTION);
    await bench.apply(selection, 'staging');
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    await bench.close();
    await client.close();
    await standalone.stop();
  },
  { deadlineMs: 60_000 },
);

test.run();
