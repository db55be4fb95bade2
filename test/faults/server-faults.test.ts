/** Faults T2 (servers die and step down), T10 (rights), T11 (which server answers). */

import { MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareServers } from '../../src/apply/gate.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { failure, numbered } from '../apply/documents.ts';
import { openWorkbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { startStandalone } from '../lab/mongod.ts';
import type { ServerProcess } from '../lab/server-process.ts';
import { QUIET } from '../quiet-run.ts';
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

/** Grows by one with each election. */
async function term(): Promise<number> {
  const ask = () => servers.set.client.db('admin').command({ replSetGetStatus: 1 });
  // The client may not have noticed yet whom it lost; then it looks for the primary anew.
  return Number((await ask().catch(ask))['term']);
}

test(
  'T2 the primary is killed, and the next one steps down, while documents are written: nothing lost, nothing double',
  async () => {
    const bench = openWorkbench(servers);
    const target = await bench.connect('staging', { patienceMs: 60_000 });
    let killed: Promise<unknown> | undefined;
    let termBefore = Number.POSITIVE_INFINITY;
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
            termBefore = await term();
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
      assert.ok((await term()) > termBefore, 'the next one did not step down');
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

test(
  'T2 all members die: stopped part-way within the patience; when they are back, a rerun finishes',
  async () => {
    const bench = openWorkbench(servers);
    const selection = bench.selection(SELECTION);
    const target = await bench.connect('staging', { patienceMs: 2_000 });
    try {
      let killed: Promise<unknown> | undefined;
      const stopped = await failure(
        bench.apply(selection, 'staging', {
          target,
          checkpoint: async (name) => {
            if (name !== 'batch-intended') return;
            killed ??= Promise.all(servers.set.members.map((member) => member.process.kill()));
            await killed;
          },
        }),
      );
      assert.ok(killed);
      assert.is(stopped.exitCode, 15, stopped.message);
      assert.match(stopped.message, 'the server cannot be reached');
      await Promise.all(servers.set.members.map((member) => member.restart()));
      await servers.set.primary();
      await bench.apply(selection, 'staging');
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    } finally {
      await target.close();
      await bench.close();
    }
  },
  { deadlineMs: 120_000 },
);

test(
  'T3 the majority is lost for a while: waited for, finished',
  async () => {
    const bench = openWorkbench(servers);
    const selection = bench.selection(SELECTION);
    const target = await bench.connect('staging', { patienceMs: 60_000 });
    const primary = await servers.set.primary();
    const others = servers.set.members.filter(({ port }) => port !== primary.port);
    const goOn = (): void => {
      for (const { process } of others) process.signal('SIGCONT');
    };
    try {
      let paused = false;
      await bench.apply(selection, 'staging', {
        target,
        checkpoint: (name) => {
          if (name !== 'batch-intended' || paused) return;
          paused = true;
          for (const { process } of others) process.signal('SIGSTOP');
          // Longer than an election takes: the primary has stepped down by then.
          setTimeout(goOn, 5_000);
        },
      });
      assert.ok(paused);
      assert.ok(
        bench.events.some(({ type }) => type === 'retry'),
        'nothing was in the way of the writes',
      );
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    } finally {
      goOn();
      await target.close();
      await bench.close();
    }
  },
  { deadlineMs: 120_000 },
);

test('T10 the rights are taken away in the middle: stopped by name; a rerun with them finishes', async () => {
  const { client, uri } = servers.staging;
  const admin = client.db('admin');
  await admin.command({
    createUser: 'passing',
    pwd: 'canary-passing-password',
    roles: ['readWriteAnyDatabase'],
  });
  const stagingUri = uri.replace('root:canary-faults-password', 'passing:canary-passing-password');
  const bench = openWorkbench(servers, { stagingUri });
  const selection = bench.selection(SELECTION);
  const grant = (command: string): Promise<unknown> =>
    admin.command({ [command]: 'passing', roles: ['readWriteAnyDatabase'] });
  let revoked: Promise<unknown> | undefined;
  const stopped = await failure(
    bench.apply(selection, 'staging', {
      checkpoint: async (name) => {
        if (name !== 'batch-written') return;
        revoked ??= grant('revokeRolesFromUser');
        await revoked;
      },
    }),
  );
  assert.ok(revoked);
  // A batch is in, and the ledger could not be told of it.
  assert.is(stopped.exitCode, 19, stopped.message);
  assert.match(stopped.message, /lacks the privilege "(?:insert|update|find)"/);
  await grant('grantRolesToUser');
  await bench.apply(selection, 'staging');
  await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  await bench.close();
});

for (const lacking of ['find', 'listCollections', 'listIndexes'] as const) {
  test(`T10 a role without ${lacking} is told so, with nothing written`, async () => {
    const { client, uri } = servers.staging;
    const admin = client.db('admin');
    const database = servers.databaseName('rights');
    await client
      .db(database)
      .collection('a')
      .insertOne({ _id: 99 as never });
    const all = [
      'find',
      'listCollections',
      'listIndexes',
      'insert',
      'update',
      'createCollection',
      'createIndex',
    ];
    const ledger = ['lock', 'runs', 'journal'].map((name) => ({
      resource: { db: database, collection: `restore_plan.${name}` },
      actions: all,
    }));
    const actions = all.filter((action) => action !== lacking);
    const name = `without-${lacking}`;
    const privileges = [{ resource: { db: database, collection: '' }, actions }, ...ledger];
    await admin.command({ createRole: name, privileges, roles: [] });
    await admin.command({ createUser: name, pwd: 'canary-lacking-password', roles: [name] });
    const stagingUri = uri.replace('root:canary-faults-password', `${name}:canary-lacking-password`);
    const bench = openWorkbench(servers, { stagingUri, database });
    const refusal = await failure(bench.apply(bench.selection(SELECTION), 'staging'));
    assert.is(refusal.code, 'TARGET');
    assert.match(refusal.message, `lacks the privilege "${lacking}"`);
    assert.is((await bench.documents('staging', 'a')).length, 1);
    await bench.close();
  });
}

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
  await admin.command({
    updateRole: 'almost',
    privileges: [{ resource: { db: database, collection: '' }, actions }],
  });
  assert.match(
    (await failure(bench.apply(selection, 'staging'))).message,
    `lacks the privilege "insert" or "update" on ${database}.restore_plan.lock`,
  );
  await bench.close();

  const wrong = uri.replace('canary-faults-password', 'canary-wrong-password');
  const plan = { uri: new Secret(wrong), database, gate: { soakMs: 0, approvals: 0 } };
  const unknown = await failure(connectTarget(QUIET, 'staging', plan));
  assert.is(unknown.code, 'TARGET');
  assert.match(unknown.message, 'user or the password');
});

test(
  'T11 a hidden member that is behind on purpose: refused when addressed itself, else it leads to the primary',
  async () => {
    const admin = servers.set.client.db('admin');
    const primary = await servers.set.primary();
    const hiddenOne = servers.set.members.find(({ port }) => port !== primary.port);
    assert.ok(hiddenOne);
    const reconfigure = async (change: Record<string, unknown>): Promise<void> => {
      const { config } = await admin.command({ replSetGetConfig: 1 });
      const members = config.members.map((member: { host: string }) =>
        member.host === hiddenOne.address ? { ...member, ...change } : member,
      );
      await admin.command({ replSetReconfig: { ...config, version: config.version + 1, members } });
    };
    await reconfigure({ priority: 0, hidden: true, secondaryDelaySecs: 3_600 });
    const credentials = 'root:canary-faults-password@';
    const gate = { soakMs: 0, approvals: 0 };
    const connect = (query: string) => {
      const uri = new Secret(`mongodb://${credentials}${hiddenOne.address}/?${query}`);
      return connectTarget(QUIET, 'staging', { uri, database: 'x', gate }, { patienceMs: 5_000 });
    };
    try {
      const direct = await failure(connect('directConnection=true'));
      assert.match(direct.message, 'a secondary and takes no writes');
      const found = await connect('replicaSet=faults');
      assert.is(found.reader.identity.exact, true);
      assert.not.ok(found.reader.identity.members.includes(hiddenOne.address));
      const byPrimary = await connectTarget(QUIET, 'production', {
        uri: new Secret(servers.set.uri),
        database: 'y',
        gate,
      });
      assert.is(compareServers(found.reader.identity, byPrimary.reader.identity), 'same');
      await found.close();
      await byPrimary.close();
    } finally {
      await reconfigure({ priority: 1, hidden: false, secondaryDelaySecs: 0 });
    }
  },
  { deadlineMs: 60_000 },
);

test(
  'T11 a secondary and a wrong set name are refused; a standalone works and is said',
  async () => {
    const primary = await servers.set.primary();
    const secondary = servers.set.members.find((member) => member.port !== primary.port);
    const gate = { soakMs: 0, approvals: 0 };
    const credentials = 'root:canary-faults-password@';
    const connect = (uri: string) =>
      connectTarget(QUIET, 'staging', { uri: new Secret(uri), database: 'x', gate }, { patienceMs: 3_000 });
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
    const unescaped = await failure(connect('mongodb://user:canary/in-password@host'));
    assert.match(unescaped.hint ?? '', '%40');
    assert.not.match(unescaped.message + unescaped.hint, 'canary');
    const anonymous = await failure(connect(`mongodb://127.0.0.1:${primary.port}/`));
    assert.is(anonymous.message, 'staging: the server asks for a user, and the connection string names none');
    const unknownOption = await failure(connect('mongodb://127.0.0.1:1/?colour=blue'));
    assert.match(unknownOption.message, /cannot be used: option colour is not supported/);

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
