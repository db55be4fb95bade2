/** The catalogue of faults, group T, by number: what goes wrong between us and the target while documents are written. */

import { serialize, UUID } from 'bson';
import type { Collection, Db } from 'mongodb';
import * as assert from 'uvu/assert';
import { BSON } from '../../src/bson/types.ts';
import { JOURNAL, LOCK, RUNS } from '../../src/ledger/layout.ts';
import { acquireLock, breakLock } from '../../src/ledger/lock.ts';
import { accessTo } from '../../src/target/target.ts';
import { failure, numbered } from '../apply/documents.ts';
import { type Workbench, withWorkbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { assertFired, type FailPoint, setFailPoint } from '../lab/failpoint.ts';
import { CANARY_PASSWORD } from '../lab/lab.ts';
import { startTcpProxy } from '../lab/tcp-proxy.ts';
import { build } from '../target/every-type.ts';
import { ALL_WRITTEN, insertRaw } from '../target/insert-raw.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

let servers: OwnServers;

test.before(async () => {
  servers = await ownServers({ parameters: { ttlMonitorSleepSecs: 1 } });
});
test.after(() => servers.stop());

/** 3,000 documents of 4 KB: three batches. */
const DOCUMENTS = numbered(0, 3_000, 'x'.repeat(4_000));
const SELECTION = [{ collection: 'a', documents: DOCUMENTS }];
const DETERMINISTIC = 'AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic';
const OURS = { appName: 'restore-plan' };
/** Beside one batch there are two others, and the lease's heartbeat. */
const OTHERS = { beside: 3 };

const on = (body: (bench: Workbench) => Promise<void>, uri?: string) =>
  withWorkbench(servers, body, uri === undefined ? {} : { stagingUri: uri });

for (const times of [1, 2, 5]) {
  test(`T1 the connection is cut before the server acts, ${times} times: ridden out`, () =>
    on(async (bench) => {
      const data = { failCommands: ['insert', 'update'], closeConnection: true, ...OURS };
      const fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times }, data });
      const selection = bench.selection(SELECTION);
      await bench.apply(selection, 'staging');
      await assertFired(fault, times, OTHERS);
      await fault.off();
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    }));
}

test('T1 replies are lost after the server acted: every document once, and known as ours', async () => {
  const [member] = servers.set.members;
  const proxy = await startTcpProxy({ to: member?.port ?? 0 });
  const uri = `mongodb://root:${CANARY_PASSWORD}@127.0.0.1:${proxy.port}/?directConnection=true`;
  await on(async (bench) => {
    const selection = bench.selection(SELECTION);
    let fault: ReturnType<typeof proxy.setFault> | undefined;
    const result = await bench.apply(selection, 'staging', {
      checkpoint: (name) => {
        // From here on the server's answers are a few hundred bytes each, so these hit answers to inserts.
        if (name === 'batch-intended') fault ??= proxy.setFault({ kind: 'reset', afterBytes: 50, times: 4 });
      },
    });
    assert.ok(fault);
    assert.ok(
      bench.events.some(({ type }) => type === 'retry'),
      'a connection was lost',
    );
    assert.is(result.collections[0]?.inserted, DOCUMENTS.length);
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    const [run] = await bench.runs('staging');
    assert.is(run?.collections[0]?.inserted, DOCUMENTS.length);
  }, uri);
  await proxy.stop();
});

test('T11 an older server, which cannot keep an empty Timestamp, is restored to all the same', () =>
  on(async (bench) => {
    const { client } = servers.set;
    const data = { failCommands: ['insert', 'update'], errorCode: 40415, ...OURS };
    const insert = async (document: Buffer): Promise<unknown> => {
      const target = await bench.connect('staging');
      const fault = await setFailPoint(client, { name: 'failCommand', mode: { times: 1 }, data });
      try {
        return await insertRaw(accessTo(target).writer, 'older', [document]);
      } finally {
        assert.is(await fault.timesFired(), 1);
        await target.close();
      }
    };
    const empty = build((b) => {
      b.element(BSON.INT32, '_id');
      b.int32(7);
      b.element(BSON.TIMESTAMP, 'at');
      b.raw(Buffer.alloc(8));
    });
    assert.equal(await insert(DOCUMENTS[0] as Buffer), ALL_WRITTEN);
    assert.match((await failure(insert(empty))).message, 'empty Timestamp');
    assert.is((await bench.documents('staging', 'older')).length, 1, 'nothing was changed on its way in');
  }));

test('T1 the connection is cut always: stopped part-way within the patience, resumable', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const data = { failCommands: ['insert'], closeConnection: true, ...OURS };
    const target = await bench.connect('staging', { patienceMs: 1_500 });
    let fault: Awaited<ReturnType<typeof setFailPoint>> | undefined;
    const stopped = await failure(
      bench.apply(selection, 'staging', {
        target,
        checkpoint: async (name) => {
          if (name === 'batch-intended')
            fault ??= await setFailPoint(servers.set.client, { name: 'failCommand', mode: 'alwaysOn', data });
        },
      }),
    );
    assert.is(stopped.code, 'INCOMPLETE');
    assert.ok(((await fault?.timesFired()) ?? 0) > 1);
    await fault?.off();
    await target.close();
    await bench.apply(selection, 'staging');
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  }));

for (const [what, code] of [
  ['a write concern that timed out', 64],
  ['a write concern that cannot be met', 100],
] as const) {
  test(`T3 ${what}: not believed, read back instead`, () =>
    on(async (bench) => {
      const writeConcernError = { code, errmsg: 'not now' };
      const data = { failCommands: ['insert'], writeConcernError, ...OURS };
      const fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times: 3 }, data });
      const selection = bench.selection(SELECTION);
      await bench.apply(selection, 'staging');
      await assertFired(fault, 3, OTHERS);
      await fault.off();
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    }));
}

/** The next write of this collection is carried out, and its reply says that the majority was not waited for. */
const doubtReply = (namespace: string) =>
  setFailPoint(servers.set.client, {
    name: 'failCommand',
    mode: { times: 1 },
    data: {
      failCommands: ['update'],
      namespace,
      writeConcernError: { code: 64, errmsg: 'not now' },
      ...OURS,
    },
  });

test('T3 a verified run is begun again, and that is written twice: its approvals stay, and when it was verified', () =>
  on(async (bench) => {
    const documents = DOCUMENTS.slice(0, 10);
    const selection = bench.selection([{ collection: 'a', documents }]);
    await bench.apply(selection, 'staging');
    const db = await bench.db('staging');
    const approval = { user: 'bert', host: 'ops-2', serverUser: 'bert@admin', at: new Date() };
    await db.collection(RUNS).updateOne({}, { $set: { approvals: [approval] } });
    const [before] = await bench.runs('staging');
    let fault: FailPoint | undefined;
    await bench.apply(selection, 'staging', {
      checkpoint: async (name) => {
        if (name === 'lock-taken') fault = await doubtReply(`${db.databaseName}.${RUNS}`);
      },
    });
    assert.is(await fault?.timesFired(), 1);
    const [run] = await bench.runs('staging');
    assert.is(run?.status, 'verified');
    assert.is(run?.approvals.length, 1);
    assert.equal(run?.verifiedAt, before?.verifiedAt);
    assert.is(run?.appliedBy.length, 2, 'by one each');
    await bench.expectRestored('staging', selection, { a: documents });
  }));

test('T3 a lock is taken away from its dead holder, and that is written twice: it is said to be done', () =>
  on(async (bench) => {
    const { commands } = accessTo(await bench.target('staging'));
    const process = { pid: 1, started: 1, host: 'ops-9', boot: 'b', namespace: 'pid:[1]' };
    const lease = await acquireLock(commands, { name: 'anna', token: 'anna', command: 'apply', process });
    const fault = await doubtReply(`${commands.database}.${LOCK}`);
    assert.is(await breakLock(commands, 'anna'), true);
    assert.is(await fault.timesFired(), 1);
    assert.is(await breakLock(commands, 'anna'), false, 'nobody holds it any more');
    lease.abandon();
  }));

for (const [how, lose] of [
  ['dropped', (db) => db.collection(JOURNAL).drop()],
  ['renamed', (db) => db.collection(JOURNAL).rename('elsewhere')],
  ['emptied', (db) => db.collection(JOURNAL).deleteMany({})],
] as readonly (readonly [string, (db: Db) => Promise<unknown>])[]) {
  test(`L7 the journal is ${how} while documents are written: not called done, as a revert could not take them back`, () =>
    on(async (bench) => {
      const documents = DOCUMENTS.slice(0, 10);
      const selection = bench.selection([{ collection: 'a', documents }]);
      const db = await bench.db('staging');
      const stopped = await failure(
        bench.apply(selection, 'staging', {
          checkpoint: async (name) => {
            if (name === 'batch-written') await lose(db);
          },
        }),
      );
      assert.is(stopped.code, 'INCOMPLETE');
      assert.match(stopped.message, /restore_plan\.journal has lost the batch that was just written/);
      assert.match(stopped.hint ?? '', 'a revert leaves alone');
      assert.is((await bench.runs('staging'))[0]?.status, 'incomplete');
      const again = await bench.apply(selection, 'staging');
      assert.is(again.collections[0]?.identical, documents.length);
      await bench.expectRestored('staging', selection, { a: documents });
    }));
}

for (const command of ['apply', 'revert'] as const) {
  test(`L7 the records are dropped during ${command}: said, and an apply makes them anew`, () =>
    on(async (bench) => {
      const documents = DOCUMENTS.slice(0, 10);
      const selection = bench.selection([{ collection: 'a', documents }]);
      const db = await bench.db('staging');
      if (command === 'revert') await bench.apply(selection, 'staging');
      const stopped = await failure(
        bench[command](selection, 'staging', {
          checkpoint: async (name) => {
            if (name === 'batch-written') await db.collection(RUNS).drop();
          },
        }),
      );
      assert.is(stopped.code, 'INCOMPLETE', stopped.message);
      assert.match(
        stopped.message,
        /restore_plan\.runs has lost the record of this selection: it was dropped/,
      );
      assert.match(stopped.hint ?? '', "If not, run `apply('staging')`");
      assert.not.match(stopped.hint ?? '', 'The same command');
      await bench.apply(selection, 'staging');
      await bench.expectRestored('staging', selection, { a: documents });
      assert.is((await bench.runs('staging'))[0]?.collections[0]?.inserted, documents.length);
      await bench.revert(selection, 'staging');
      assert.equal(await bench.documents('staging', 'a'), []);
    }));
}

test('L7 the journal is lost after an apply: a revert does not say that all of it is taken back', () =>
  on(async (bench) => {
    const documents = DOCUMENTS.slice(0, 10);
    const selection = bench.selection([{ collection: 'a', documents }]);
    await bench.apply(selection, 'staging');
    await (await bench.db('staging')).collection(JOURNAL).drop();
    assert.is((await bench.preview('staging')).unnamed, documents.length);
    assert.is((await bench.revert(selection, 'staging')).unnamed, documents.length);
    assert.is((await bench.runs('staging'))[0]?.left, documents.length);
    assert.is((await bench.documents('staging', 'a')).length, documents.length);
  }));

test('T4 w=0 and w=1 in the connection string are overridden, and said', async () => {
  for (const weak of [
    'w=0',
    'w=1',
    'journal=false&w=1',
    'readConcernLevel=local&readPreference=secondaryPreferred',
  ]) {
    await on(
      async (bench) => {
        const { notes, close } = await bench.connect('staging');
        await close();
        assert.ok(notes.length > 0 && notes.every((note) => note.includes('overridden')), notes.join());
        const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS.slice(0, 10) }]);
        await bench.apply(selection, 'staging');
        await bench.expectRestored('staging', selection, { a: DOCUMENTS.slice(0, 10) });
      },
      servers.set.uri + (servers.set.uri.includes('?') ? '&' : '/?') + weak,
    );
  }
});

test('T5 documents that a TTL index would delete at once are refused by name, and verification does not miss them', () =>
  on(async (bench) => {
    const db = await bench.db('staging');
    await db.collection('a').createIndex({ at: 1 }, { expireAfterSeconds: 60 });
    await db.collection('b').insertMany([
      { _id: 1 as never, at: new Date(0) },
      { _id: 2 as never, at: new Date(Date.now() + 86_400_000) },
    ]);
    const documents = await bench.documents('staging', 'b');
    const selection = bench.selection([{ collection: 'a', documents }]);
    const result = await bench.apply(selection, 'staging');
    assert.is(result.collections[0]?.refused, 1);
    assert.is(result.collections[0]?.inserted, 1);
    assert.match(result.notices[0]?.reason ?? '', 'TTL index');
    assert.is(result.verification.failures, 0);
  }));

test('T6 T8 a document of the same _id appears while the batch is on its way: kept when other, counted when the same', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const db = await bench.db('staging');
    let done = false;
    const result = await bench.apply(selection, 'staging', {
      checkpoint: async (name) => {
        if (name !== 'batch-intended' || done) return;
        done = true;
        await db.collection('a').insertMany([
          { _id: 2_998 as never, text: 'x'.repeat(4_000) },
          { _id: 2_999 as never, text: 'somebody else’s' },
        ]);
      },
    });
    assert.is(result.collections[0]?.kept, 1);
    assert.is(result.collections[0]?.identical, 1);
    assert.match(result.notices[0]?.reason ?? '', 'was there first');
    const expected = [...DOCUMENTS.slice(0, -1), ...numbered(2_999, 3_000, 'somebody else’s')];
    await bench.expectRestored('staging', selection, { a: expected });
    const report = await bench.revert(selection, 'staging');
    assert.is(
      report.runs[0]?.collections[0]?.counts.remove,
      2_998,
      'what somebody else wrote is not taken back',
    );
  }));

test('T7 a unique index that is built in the middle: its conflicts are named, the rest goes in', () =>
  on(async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: numbered(0, 50, 'the same') }]);
    const db = await bench.db('staging');
    const result = await bench.apply(selection, 'staging', {
      checkpoint: async (name) => {
        if (name === 'batch-intended') await db.collection('a').createIndex({ text: 1 }, { unique: true });
      },
    });
    assert.is(result.collections[0]?.inserted, 1);
    assert.is(result.collections[0]?.conflict, 49);
    assert.is(result.verified, false);
  }));

test('T7 a validator that comes in the middle, and one that wants a field encrypted: what they refuse is named', () =>
  on(async (bench) => {
    const db = await bench.db('staging');
    const encrypt = { bsonType: 'string', keyId: [new UUID()], algorithm: DETERMINISTIC };
    for (const validator of [
      { text: { $ne: 'plain' } },
      { $jsonSchema: { properties: { text: { encrypt } } } },
    ]) {
      await db.collection('a').drop();
      const selection = bench.selection([
        { collection: 'a', documents: [...numbered(0, 5, 'plain'), Buffer.from(serialize({ _id: 5 }))] },
      ]);
      let done = false;
      const result = await bench.apply(selection, 'staging', {
        checkpoint: async (name) => {
          if (name !== 'batch-intended' || done) return;
          done = true;
          await db.command({ collMod: 'a', validator });
        },
      });
      assert.ok(done);
      assert.is(result.collections[0]?.refused, 5);
      assert.is(result.collections[0]?.inserted, 1);
      assert.match(result.notices[0]?.reason ?? '', 'validator');
      assert.is((await bench.runs('staging')).at(-1)?.status, 'incomplete');
    }
  }));

test('T9 a view, a time series, a capped collection: refused with nothing written', () =>
  on(async (bench) => {
    const db = await bench.db('staging');
    await db.createCollection('source');
    await db.createCollection('view', { viewOn: 'source', pipeline: [] });
    await db.createCollection('capped', { capped: true, size: 100_000 });
    await db.createCollection('series', { timeseries: { timeField: 'at' } });
    for (const into of ['view', 'capped', 'series']) {
      const selection = bench.selection([
        { collection: 'first', documents: DOCUMENTS.slice(0, 3) },
        { collection: 'a', into, documents: DOCUMENTS.slice(0, 3) },
      ]);
      const refusal = await failure(bench.apply(selection, 'staging'));
      assert.is(refusal.code, 'TARGET', into);
      assert.equal(await bench.documents('staging', 'first'), []);
    }
  }));

for (const [how, change] of [
  ['dropped', (a: Collection) => a.drop()],
  ['renamed', (a: Collection) => a.rename('elsewhere')],
] as const)
  test(`T9 a collection that is ${how} in the middle is not made anew without its options and indexes`, () =>
    on(async (bench) => {
      const db = await bench.db('staging');
      const a = await db.createCollection('a', { validator: { text: { $exists: true } } });
      const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS.slice(0, 3) }]);
      const checkpoint = async (name: string): Promise<void> =>
        void (name === 'batch-intended' && (await change(a)));
      const refusal = await failure(bench.apply(selection, 'staging', { checkpoint }));
      assert.is(refusal.code, 'INCOMPLETE');
      assert.match(refusal.message, 'a was dropped, renamed or replaced');
      assert.equal(await db.listCollections({ name: 'a' }).toArray(), []);
      await bench.apply(selection, 'staging');
      await bench.expectRestored('staging', selection, { a: DOCUMENTS.slice(0, 3) });
    }));

for (const [how, said, change] of [
  ['dropped', 'b was dropped or renamed after it was prepared', (b: Collection, _: Db) => b.drop()],
  [
    'made anew',
    'b was dropped, renamed or replaced',
    async (b: Collection, db: Db) => {
      await b.drop();
      await db.createCollection('b');
    },
  ],
] as const)
  test(`T9 a collection that is ${how} before it is come to is not written to`, () =>
    on(async (bench) => {
      const db = await bench.db('staging');
      const b = await db.createCollection('b', { validator: { text: { $exists: true } } });
      const documents = DOCUMENTS.slice(0, 3);
      const selection = bench.selection([
        { collection: 'a', documents },
        { collection: 'b', documents },
      ]);
      let recorded = 0;
      const checkpoint = async (name: string): Promise<void> =>
        void (name === 'batch-recorded' && recorded++ === 0 && (await change(b, db)));
      const refusal = await failure(bench.apply(selection, 'staging', { checkpoint }));
      assert.is(refusal.code, 'INCOMPLETE');
      assert.match(refusal.message, said);
      assert.equal(await bench.documents('staging', 'b'), []);
      await bench.apply(selection, 'staging');
      await bench.expectRestored('staging', selection, { a: documents, b: documents });
    }));

for (const [name, code] of [
  ['MaxTimeMSExpired', 50],
  ['WriteConflict', 112],
  ['LockTimeout', 24],
  ['ExceededTimeLimit', 262],
  ['TemporarilyUnavailable', 365],
  ['InterruptedDueToReplStateChange', 11602],
  ['NotWritablePrimary', 10107],
] as const) {
  test(`T12 ${name}: tried again`, () =>
    on(async (bench) => {
      const data = { failCommands: ['insert', 'find'], errorCode: code, ...OURS };
      const selection = bench.selection(SELECTION);
      await bench.connect('staging').then(({ close }) => close());
      const fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times: 4 }, data });
      await bench.apply(selection, 'staging');
      await assertFired(fault, 4, OTHERS);
      await fault.off();
      for (const event of bench.events) if (event.type === 'retry') assert.is(event.reason, name);
      await bench.expectRestored('staging', selection, { a: DOCUMENTS });
    }));
}

test('T12 an overloaded server that says so by a label alone: tried again', () =>
  on(async (bench) => {
    const errorLabels = ['SystemOverloadedError', 'RetryableError'];
    const data = { failCommands: ['insert', 'find'], errorCode: 8, errorLabels, ...OURS };
    const selection = bench.selection(SELECTION);
    await bench.connect('staging').then(({ close }) => close());
    const fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times: 4 }, data });
    await bench.apply(selection, 'staging');
    await assertFired(fault, 4, OTHERS);
    await fault.off();
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  }));

test('T13 the target takes no writes for a while (fsyncLock): waited for, finished', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    let locked = false;
    const admin = servers.set.client.db('admin');
    await bench.apply(selection, 'staging', {
      checkpoint: async (name) => {
        if (name !== 'batch-intended' || locked) return;
        locked = true;
        await admin.command({ fsync: 1, lock: true });
        setTimeout(() => void admin.command({ fsyncUnlock: 1 }), 2_500);
      },
    });
    assert.ok(locked);
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  }));

test('T14 every batch takes longer than the lease: progress goes on, the lock is kept', () =>
  on(async (bench) => {
    const selection = bench.selection(SELECTION);
    const data = { failCommands: ['insert'], blockConnection: true, blockTimeMS: 2_500, ...OURS };
    const fault = await setFailPoint(servers.set.client, { name: 'failCommand', mode: { times: 4 }, data });
    await bench.apply(selection, 'staging', { leaseMs: 1_200 });
    await assertFired(fault, 4, OTHERS);
    await fault.off();
    assert.ok(bench.events.filter(({ type }) => type === 'apply-progress').length >= 3);
    assert.is((await bench.runs('staging'))[0]?.fencing, 1, 'the lock was never taken anew');
    await bench.expectRestored('staging', selection, { a: DOCUMENTS });
  }));

test('a target that connectTarget did not make can be written to by nobody', () =>
  on(async (bench) => {
    const target = await bench.connect('staging');
    assert.throws(() => accessTo({ ...target }));
    await target.close();
  }));

test.run();
