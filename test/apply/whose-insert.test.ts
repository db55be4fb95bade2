/** A run died between its intent and the record of it. What is in the target then: ours, somebody else's, or nobody can tell. */
import { type Document, MongoClient } from 'mongodb';
import * as assert from 'uvu/assert';
import { JOURNAL } from '../../src/ledger/layout.ts';
import { breakLock } from '../../src/ledger/lock.ts';
import type { RunCollection } from '../../src/ledger/run-record.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { accessTo } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startStandalone } from '../lab/mongod.ts';
import { failure, numbered } from './documents.ts';
import { type Workbench, withWorkbench } from './workbench.ts';

let lab: Lab;

test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

const DOCUMENTS = numbered(0, 10);

/** As a crash would end it, at the first moment of this name. */
async function dieAt(bench: Workbench, selection: Selection, moment: string): Promise<void> {
  const checkpoint = (name: string): void => {
    if (name === moment) throw new Error('killed');
  };
  await bench.apply(selection, 'staging', { checkpoint }).then(
    () => assert.unreachable('it went on'),
    (error: Error) => assert.is(error.message, 'killed'),
  );
}

/** Somebody else writes these documents, with the backup's bytes. */
async function writtenByOthers(bench: Workbench, from: number, to: number): Promise<void> {
  const documents = Array.from({ length: to - from }, (_, i) => ({
    ...{ _id: (from + i) as never, text: 'as in the backup' },
  }));
  await (await bench.db('staging'))
    .collection('a')
    .insertMany(documents, { writeConcern: { w: 'majority' } });
}

async function countsOf(bench: Workbench): Promise<Partial<RunCollection>> {
  const [run] = await bench.runs('staging');
  const { inserted, identical, doubtful } = run?.collections[0] ?? {};
  assert.is(run?.status, 'verified');
  return { inserted, identical, doubtful } as Partial<RunCollection>;
}

async function entries(bench: Workbench): Promise<Document[]> {
  return (await bench.db('staging'))
    .collection(JOURNAL)
    .find({}, { sort: { _id: 1 } })
    .toArray();
}

const leftByRevert = async (bench: Workbench, selection: Selection, more = {}): Promise<number> => {
  await bench.revert(selection, 'staging', more);
  return (await bench.documents('staging', 'a')).length;
};

test('what the server has carried out is ours, though its run died before it was recorded', () =>
  withWorkbench(lab, async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    await dieAt(bench, selection, 'batch-written');
    const result = await bench.apply(selection, 'staging');
    assert.is(result.collections[0]?.identical, 10);
    assert.equal(await countsOf(bench), { inserted: 10, identical: 0, doubtful: 0 });
    assert.equal(
      (await entries(bench)).map(({ state }) => state),
      ['done'],
    );
    assert.is(await leftByRevert(bench, selection), 0);
  }));

test('what somebody else wrote after a run had died is not ours, and stays at a revert', () =>
  withWorkbench(lab, async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    await dieAt(bench, selection, 'batch-intended');
    await writtenByOthers(bench, 0, 4);
    await bench.apply(selection, 'staging');
    assert.equal(await countsOf(bench), { inserted: 6, identical: 4, doubtful: 0 });
    assert.is(await leftByRevert(bench, selection), 4);
  }));

test('of one batch, what came from a run that died and what was somebody else’s are told apart', () =>
  withWorkbench(lab, async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    // The batch is compared, then somebody is quicker with three of its documents.
    let isWritten = false;
    await bench
      .apply(selection, 'staging', {
        checkpoint: async (name) => {
          if (name === 'batch-intended' && !isWritten) {
            isWritten = true;
            await writtenByOthers(bench, 2, 5);
          }
          if (name === 'batch-written') throw new Error('killed');
        },
      })
      .then(
        () => assert.unreachable('it went on'),
        () => undefined,
      );
    await bench.apply(selection, 'staging');
    assert.equal(await countsOf(bench), { inserted: 7, identical: 3, doubtful: 0 });
    assert.is(await leftByRevert(bench, selection), 3);
  }));

const UNKNOWN: Readonly<Record<string, Document>> = {
  'after more time than a server remembers': { $set: { at: Date.now() - 2 * 3_600_000 } },
  'to another database user': { $set: { user: 'somebody@admin' } },
  'of an entry that notes no identity': { $unset: { lsid: '' } },
};

for (const [when, change] of Object.entries(UNKNOWN)) {
  test(`${when}, nobody can tell: listed, counted apart, left alone by a revert and by further runs`, () =>
    withWorkbench(lab, async (bench) => {
      const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
      await dieAt(bench, selection, 'batch-written');
      await (await bench.db('staging')).collection(JOURNAL).updateOne({}, change);
      const result = await bench.apply(selection, 'staging');
      assert.is(result.notices.length, 10);
      assert.match(result.notices[0]?.reason ?? '', 'nobody can tell');
      assert.equal(await countsOf(bench), { inserted: 0, identical: 0, doubtful: 10 });
      assert.equal((await entries(bench))[0]?.['doubtful'], [...DOCUMENTS.keys()]);
      await bench.apply(selection, 'staging');
      assert.equal(await countsOf(bench), { inserted: 0, identical: 0, doubtful: 10 });
      assert.is(await leftByRevert(bench, selection), 10);
    }));
}

test('a document that is not there any more is inserted again, and then is ours without a doubt', () =>
  withWorkbench(lab, async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    await dieAt(bench, selection, 'batch-written');
    const db = await bench.db('staging');
    await db.collection(JOURNAL).updateOne({}, { $unset: { lsid: '' } });
    await db.collection('a').deleteOne({ _id: 3 as never });
    await bench.apply(selection, 'staging');
    assert.equal(await countsOf(bench), { inserted: 1, identical: 0, doubtful: 9 });
    assert.is(await leftByRevert(bench, selection), 9);
  }));

test('what a run that died had replaced is ours, and is put back by a revert', () =>
  withWorkbench(lab, async (bench) => {
    const more = { collection: 'a', whenMatched: 'replace' } as const;
    const before = bench.selection([{ collection: 'a', documents: numbered(0, 5, 'as it was') }]);
    await bench.apply(before, 'staging');
    const selection = bench.selection([{ ...more, documents: numbered(0, 5) }]);
    await dieAt(bench, selection, 'batch-written');
    await bench.apply(selection, 'staging');
    const run = (await bench.runs('staging')).find(({ key }) => key.selection === selection.manifest.digest);
    assert.is(run?.collections[0]?.replaced, 5);
    assert.is(run?.collections[0]?.doubtful, 0);
    await bench.revert(selection, 'staging');
    assert.equal(await bench.documents('staging', 'a'), numbered(0, 5, 'as it was'));
  }));

test('a run that trusts in a lock it has lost is refused by the server, and says that it lost the lock', () =>
  withWorkbench(lab, async (bench) => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    let other: Promise<unknown> | undefined;
    const refused = await failure(
      bench.apply(selection, 'staging', {
        leaseMs: 60_000,
        checkpoint: async (name) => {
          if (name !== 'batch-intended' || other !== undefined) return;
          await breakLock(accessTo(await bench.target('staging')).commands, 'anna@ops-1:4242');
          other = bench.apply(selection, 'staging');
          await other;
        },
      }),
    );
    assert.is(refused.code, 'LOCKED', refused.message);
    assert.equal(await countsOf(bench), { inserted: 10, identical: 0, doubtful: 0 });
  }));

test('a standalone remembers nothing: what a run that died had begun is doubtful', async () => {
  const alone = await startStandalone();
  const client = await new MongoClient(alone.uri).connect();
  try {
    const servers = { ...lab, staging: { uri: alone.uri, client } };
    await withWorkbench(servers, async (bench) => {
      const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
      await dieAt(bench, selection, 'batch-written');
      await bench.apply(selection, 'staging');
      assert.equal(await countsOf(bench), { inserted: 0, identical: 0, doubtful: 10 });
      assert.is(await leftByRevert(bench, selection, { exclusive: true }), 10);
    });
  } finally {
    await client.close();
    await alone.stop();
  }
});

test.run();
