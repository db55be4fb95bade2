/** Production before staging, by people who mean it: through the library entry, the ledger and the work directory. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'bson';
import { type Document, MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareServers } from '../../src/apply/gate.ts';
import { RUNS } from '../../src/ledger/layout.ts';
import { type Selection, selectionDigest } from '../../src/selection/selection.ts';
import type { ServerIdentity, Target, TargetReader } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startStandalone } from '../lab/mongod.ts';
import { failure, numbered } from './documents.ts';
import {
  type Attempt,
  applied,
  approve,
  approvedBy,
  COLLECTION,
  DOCUMENTS,
  stopAt,
  tryAll,
} from './gate-attempts.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

let lab: Lab;

test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

/** Writes to an object as JavaScript lets anybody do; whether it was allowed does not matter here. */
function tamper(object: object, properties: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(properties)) {
    try {
      Object.defineProperty(object, name, { value, configurable: true });
    } catch {
      // It is frozen.
    }
  }
}

async function stagingRuns(bench: Workbench): Promise<import('mongodb').Collection> {
  return (await bench.db('staging')).collection(RUNS);
}

/** What another database has recorded of the same selection. */
async function runOfAnotherStaging(selection: Selection): Promise<Document> {
  const elsewhere = openWorkbench(lab);
  await elsewhere.apply(elsewhere.selection([COLLECTION]), 'staging');
  const run = await (await stagingRuns(elsewhere)).findOne();
  await elsewhere.close();
  assert.is(run?.['_id']['selection' as never], selection.manifest.digest);
  return run ?? {};
}

/** The ledger's answer as it would be had staging verified the selection. */
async function forgedFind(bench: Workbench, selection: Selection): Promise<TargetReader['find']> {
  const run = await runOfAnotherStaging(selection);
  const { reader } = await bench.target('staging');
  run['server'].database = reader.database;
  const find = reader.find.bind(reader);
  return async (collection, query, options) =>
    collection === RUNS ? [Buffer.from(serialize(run))] : find(collection, query, options);
}

const ATTEMPTS: Readonly<Record<string, Attempt>> = {
  ...Object.fromEntries(
    ['Anna', ' anna\t', 'ANNA', 'ａｎｎａ', 'an\u200bna', ''].map((user): [string, Attempt] => [
      `the one who applied approved as ${JSON.stringify(user)}`,
      {
        plan: () => approvedBy(1),
        prepare: async (bench, selection) => {
          await bench.apply(selection, 'staging');
          await approve(bench, selection, user);
          return undefined;
        },
        says: '0 of 1 approvals',
      },
    ]),
  ),
  'one person approved under two spellings': {
    plan: () => approvedBy(2),
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await approve(bench, selection, 'Bert');
      await approve(bench, selection, 'bert ');
      return undefined;
    },
    says: '1 of 2 approvals',
  },
  'this machine’s clock says that the soak is over': {
    plan: () => ({ gate: { soakMs: 60_000 } }),
    prepare: async (bench, selection) => {
      await applied(bench, selection);
      const { now } = Date;
      Date.now = () => now() + 86_400_000;
      return {
        end: async () => {
          Date.now = now;
        },
      };
    },
    says: 'soaked',
  },
  'a run that was cut off is marked as verified by hand': {
    prepare: async (bench, selection) => {
      await stopAt(bench, selection, 'batch-written');
      const change = { status: 'verified', verifiedAt: new Date() };
      await (await stagingRuns(bench)).updateOne({}, { $set: change });
      return undefined;
    },
    says: 'does not account for',
  },
  'a run with a conflict is marked as verified by hand': {
    prepare: async (bench, selection) => {
      const db = await bench.db('staging');
      await db.createCollection('a', { validator: { _id: { $ne: 7 } } });
      await bench.apply(selection, 'staging');
      await db.command({ collMod: 'a', validator: {} });
      await db.collection('a').insertOne({ _id: 7 as never });
      const change = { status: 'verified', verifiedAt: new Date() };
      await (await stagingRuns(bench)).updateOne({}, { $set: change });
      return undefined;
    },
    says: 'does not account for',
  },
  'the record of another selection is given this one’s digest': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const larger = bench.selection([{ ...COLLECTION, documents: numbered(0, 21) }]);
      const runs = await stagingRuns(bench);
      const [run] = await runs.find().toArray();
      const _id = { plan: bench.plan.name, selection: larger.manifest.digest };
      await runs.insertOne({ ...run, _id: _id as never });
      await (await bench.db('staging')).collection('a').insertOne({ _id: 20 as never });
      return { selection: larger };
    },
    says: 'does not account for',
  },
  'the record comes from a copy of another staging': {
    prepare: async (bench, selection) => {
      await (await stagingRuns(bench)).insertOne(await runOfAnotherStaging(selection));
      return undefined;
    },
    says: 'never applied to staging',
  },
  'the record comes from a copy of another staging, and says that it is from here': {
    prepare: async (bench, selection) => {
      const run = await runOfAnotherStaging(selection);
      run['server'].database = (await bench.target('staging')).reader.database;
      await (await stagingRuns(bench)).insertOne(run);
      return undefined;
    },
    says: '20 documents of the selection are missing on staging',
  },
  'the connection to production is renamed to staging': {
    prepare: async (bench) => {
      const target = await bench.connect('production');
      tamper(target, { name: 'staging', plan: bench.plan.targets.staging });
      return { target, other: undefined, end: () => target.close() };
    },
    says: 'staging was not given',
  },
  'the connection to production is given the reader of staging': {
    prepare: async (bench) => {
      const target = await bench.connect('production');
      const { reader } = await bench.target('staging');
      tamper(target, { name: 'staging', plan: bench.plan.targets.staging, reader });
      return { target, other: undefined, end: () => target.close() };
    },
    says: 'staging was not given',
  },
  'an heir of the reader of staging answers with a forged ledger': {
    prepare: async (bench, selection) => {
      const { reader } = await bench.target('staging');
      await (await bench.db('staging'))
        .collection('a')
        .insertMany(DOCUMENTS.map((_, _id) => ({ _id }) as never));
      return { other: Object.create(reader, { find: { value: await forgedFind(bench, selection) } }) };
    },
    says: "not a connection to the plan's staging",
  },
  'the reader of staging is taught to forge': {
    prepare: async (bench, selection) => {
      const { reader } = await bench.target('staging');
      await (await bench.db('staging'))
        .collection('a')
        .insertMany(DOCUMENTS.map((_, _id) => ({ _id }) as never));
      tamper(reader, { find: await forgedFind(bench, selection) });
      return undefined;
    },
    says: 'never applied to staging',
  },
  'every reader is taught to forge': {
    prepare: async (bench, selection) => {
      const { reader } = await bench.target('staging');
      await (await bench.db('staging'))
        .collection('a')
        .insertMany(DOCUMENTS.map((_, _id) => ({ _id }) as never));
      tamper(Object.getPrototypeOf(reader), { find: await forgedFind(bench, selection) });
      return undefined;
    },
    says: 'never applied to staging',
  },
  'the selected documents are changed on the disk while the operator thinks': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return {
        confirm: async () => {
          const path = join(selection.directory, 'gravity', 'a.bson');
          const bytes = readFileSync(path);
          bytes[bytes.indexOf('backup')] = 'B'.charCodeAt(0);
          writeFileSync(path, bytes);
        },
      };
    },
    says: 'the selection changed while staging was compared with it',
    code: 'VERIFICATION',
  },
  'further documents hide behind a count of none': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const [a] = selection.manifest.collections;
      const other = bench.selection([{ collection: 'b', into: 'a', documents: numbered(50, 60) }]);
      const [b] = other.manifest.collections;
      assert.ok(a && b);
      writeFileSync(
        join(selection.directory, 'gravity', 'b.bson'),
        readFileSync(join(other.directory, 'gravity', 'b.bson')),
      );
      const collections = [a, { ...b, count: 0 }];
      assert.is(selectionDigest(collections), selection.manifest.digest);
      return { selection: { ...selection, manifest: { ...selection.manifest, collections } } };
    },
    says: 'does not agree with its own digest',
  },
  'a collection is listed twice, once as it was verified': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const [a] = selection.manifest.collections;
      assert.ok(a);
      const collections = [{ ...a, bytes: 0 }, a];
      const manifest = { ...selection.manifest, collections, digest: selectionDigest(collections) };
      return { selection: { ...selection, manifest } };
    },
    says: 'does not agree with its own digest',
  },
  'the selection shows the gate another face than the writer': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const other = bench.selection([{ ...COLLECTION, documents: numbered(50, 60) }]);
      let looks = 0;
      const twoFaced = {
        get manifest() {
          return ++looks < 8 ? selection.manifest : other.manifest;
        },
        get directory() {
          return looks < 8 ? selection.directory : other.directory;
        },
      };
      for (; looks < 7; ) void twoFaced.manifest;
      return { selection: twoFaced };
    },
    says: 'another selection of this plan',
  },
};

tryAll(() => lab, ATTEMPTS);

test('L8 staging is not written to where its own ledger would be forged', async () => {
  const bench = openWorkbench(lab);
  for (const into of ['restore_plan.runs', 'restore_plan.journal', 'restore_plan', 'system.js']) {
    const refusal = await failure(bench.apply(bench.selection([{ ...COLLECTION, into }]), 'staging'));
    assert.is(refusal.code, 'GATE', into);
  }
  assert.equal(await bench.runs('staging'), []);
  await bench.close();
});

test('L8 production under another name passes as staging to nobody, also where production was not handed in', async () => {
  for (const alias of ['localhost', 'LOCALHOST', '127.0.0.1']) {
    const bench = openWorkbench(lab, { stagingUri: lab.production.uri.replace('127.0.0.1', alias) });
    const refusal = await failure(bench.apply(bench.selection([COLLECTION]), 'staging'));
    assert.is(refusal.code, 'GATE', alias);
    assert.match(refusal.message, 'the same server');
    assert.equal(await bench.documents('staging', 'a'), []);
    await bench.close();
  }
});

test(
  'L8 production stays shut: a standalone is started again between two connections to it',
  async () => {
    const server = await startStandalone();
    const client = await new MongoClient(server.uri).connect();
    const servers = { ...lab, staging: { uri: server.uri, client }, production: { uri: server.uri, client } };
    const elsewhere = { productionDatabase: 'other', database: 'one' };
    const bench = openWorkbench(servers, elsewhere);
    const selection = bench.selection([COLLECTION]);
    const target = async (name: Target['name']): Promise<Target> => bench.target(name);
    await target('staging');
    await server.restart();
    const staging = openWorkbench({ ...servers, production: lab.production }, { database: 'one' });
    await staging.apply(staging.selection([COLLECTION]), 'staging');
    const refusal = await failure(bench.apply(selection, 'production'));
    assert.is(refusal.code, 'GATE');
    assert.match(refusal.message, 'the same server');
    assert.equal(await bench.documents('production', 'a'), []);
    await staging.close();
    await bench.close();
    await client.close();
    await server.stop();
  },
  { deadlineMs: 60_000 },
);

test('L8 servers are different only where that is proven', () => {
  const set = (id: string, exact: boolean, members: string[], processId: string): ServerIdentity => ({
    ...{ kind: 'replica set', id, exact, members, processId, version: '8.2.0' },
  });
  const cluster = (id: string, members: string[]): ServerIdentity => ({
    ...{ kind: 'sharded cluster', id, exact: true, members, processId: 's', version: '8.2.0' },
  });
  for (const [a, b, relation] of [
    [set('rs/1', true, ['a:1'], 'p'), set('rs/2', true, ['b:1'], 'q'), 'different'],
    [set('rs/1', true, ['a:1'], 'p'), set('rs/1', true, ['b:1'], 'q'), 'same'],
    [set('rs/1', true, ['a:1'], 'p'), set('rs/2', true, ['a:1'], 'q'), 'same'],
    [set('rs/1', true, ['a:1'], 'p'), set('rs/2', true, ['b:1'], 'p'), 'same'],
    [set('rs', false, ['a:1'], 'p'), set('rs', false, ['b:1'], 'q'), 'unproven'],
    [set('rs/1', true, ['a:1'], 'p'), set('rs', false, ['b:1'], 'q'), 'unproven'],
    [set('one', false, ['a:1'], 'p'), set('two', false, ['b:1'], 'q'), 'different'],
    [cluster('c', ['a:1', 'b:1']), set('rs/1', true, ['a:1'], 'q'), 'same'],
    [cluster('c', ['a:1', 'b:1']), set('rs/1', true, ['c:1'], 'q'), 'different'],
    // The user may not see the shards: the replica set may be one of them.
    [cluster('c', []), set('rs/1', true, ['a:1'], 'q'), 'unproven'],
  ] as const) {
    assert.is(compareServers(a, b), relation);
    assert.is(compareServers(b, a), relation);
  }
});

test.run();
