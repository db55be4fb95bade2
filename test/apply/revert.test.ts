import * as assert from 'uvu/assert';
import type { RevertReport } from '../../src/apply/revert-entry.ts';
import { ProgressTeller } from '../../src/cli/progress.ts';
import { revertLines, runLines } from '../../src/cli/views/revert.ts';
import { runLines as statusLines } from '../../src/cli/views/status.ts';
import type { RunEvent } from '../../src/events.ts';
import { journalKeyOf } from '../../src/ledger/layout.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import type { RunRecord } from '../../src/ledger/run-record.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { paintWith } from '../../src/text/terminal.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { everyIdDocuments, everyTypeDocuments } from '../target/every-type.ts';
import { failure, numbered } from './documents.ts';
import { digests, openWorkbench, type Workbench } from './workbench.ts';

let lab: Lab;
let bench: Workbench;

test.before(async () => {
  lab = await openLab();
});
test.before.each(() => {
  bench = openWorkbench(lab);
});
test.after.each(() => bench.close());
test.after(() => lab.close());

const NONE = { remove: 0, putBack: 0, gone: 0, back: 0, changed: 0, deleted: 0, doubtful: 0 };

const counts = (report: RevertReport, i = 0) => report.runs[0]?.collections[i]?.counts;

test('documents of every type that a restore brought are gone after a revert', async () => {
  const selection = bench.selection([
    { collection: 'types', documents: everyTypeDocuments() },
    { collection: 'ids', documents: everyIdDocuments() },
  ]);
  await bench.apply(selection, 'staging');
  await bench.revert(selection, 'staging');
  assert.equal(await bench.documents('staging', 'types'), []);
  assert.equal(await bench.documents('staging', 'ids'), []);
  const [run] = await bench.runs('staging');
  assert.is(run?.status, 'reverted');
});

test('what was there before the restore stays, also where it is identical to the backup', async () => {
  const db = await bench.db('staging');
  await db.collection('a').insertMany([
    { _id: 3 as never, text: 'as in the backup' },
    { _id: 4 as never, text: 'written by the application' },
    { _id: 99 as never, text: 'not in the selection' },
  ]);
  const before = await bench.documents('staging', 'a');
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 10) }]);
  await bench.apply(selection, 'staging');
  const report = await bench.revert(selection, 'staging');
  assert.is(counts(report)?.remove, 8);
  assert.equal(digests(await bench.documents('staging', 'a')), digests(before));
});

test('L13 a document that somebody changed since is left, named with the reason, and everything else goes', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 10) }]);
  await bench.apply(selection, 'staging');
  const db = await bench.db('staging');
  await db.collection('a').updateOne({ _id: 4 as never }, { $set: { text: 'changed since' } });
  await db.collection('a').deleteOne({ _id: 5 as never });
  const preview = await bench.preview('staging');
  const report = await bench.revert(selection, 'staging');
  assert.equal(preview, report, 'the preview says what is then done');
  assert.equal(counts(report), { ...NONE, remove: 8, gone: 1, changed: 1 });
  assert.equal(report.untouched, [
    {
      digest: selection.manifest.digest,
      into: 'a',
      id: '{"$numberInt":"4"}',
      reason: 'it was changed since it was restored',
    },
  ]);
  assert.is((await bench.runs('staging'))[0]?.left, 1);
  const second = await bench.revert(selection, 'staging');
  assert.equal([second.runs, second.leftBefore], [[], 1]);
  assert.is((await bench.preview('staging')).leftBefore, 1);
  const page = [...revertLines(second, { isPreview: false }, { paint: paintWith(false), columns: 80 })];
  assert.equal(page, [
    'What this plan restored in staging was reverted before: nothing to revert.',
    '1 document that an earlier revert left alone is not looked at again',
  ]);
  assert.equal(digests(await bench.documents('staging', 'a')), digests(numbered(4, 5, 'changed since')));
});

test('what a run wrote that was cut off is not said to be nothing', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 10) }]);
  await bench.apply(selection, 'staging');
  const db = await bench.db('staging');
  // As its record is until an apply ends.
  await db
    .collection('restore_plan.runs')
    .updateMany({}, [{ $set: { status: 'applying', 'collections.inserted': 0 } }]);
  const [run] = await bench.runs('staging');
  const style = { paint: paintWith(false), columns: 200 };
  assert.match(
    [...runLines([run as RunRecord], style)].at(-1) ?? '',
    'cut off, before what it wrote was counted',
  );
  assert.is([...statusLines(run as RunRecord)].at(-1), 'a: not counted yet');
  bench.events.length = 0;
  assert.is(counts(await bench.revert(selection, 'staging'))?.remove, 10);
  const started = bench.events.find(({ type }) => type === 'revert-started');
  assert.equal(started, { type: 'revert-started', target: 'staging', isPreview: false });
  assert.is(
    new ProgressTeller(Date.now).tell(started as RunEvent).text,
    'Take back what was restored in staging',
  );
});

test('a change of type alone is a change', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 2) }]);
  await bench.apply(selection, 'staging');
  const db = await bench.db('staging');
  await db.collection('a').updateOne({ _id: 1 as never }, { $set: { text: 'as in the backup', n: 1 } });
  await db.collection('a').updateOne({ _id: 1 as never }, { $unset: { n: '' } });
  await db.collection('a').updateOne({ _id: 0 as never }, { $set: { n: 1 } });
  const report = await bench.revert(selection, 'staging');
  assert.is(counts(report)?.remove, 1, 'changed and changed back is as it was');
  assert.is(counts(report)?.changed, 1);
});

test('replaced documents get their before-images back, byte for byte', async () => {
  const db = await bench.db('staging');
  await db.collection('a').insertMany([
    { _id: 3 as never, text: 'before', at: new Date(0), n: 1.5 },
    { _id: 4 as never, text: 'before too' },
    { _id: 5 as never, text: 'before, changed since' },
    { _id: 6 as never, text: 'before, deleted since' },
  ]);
  const before = await bench.documents('staging', 'a');
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, 10), whenMatched: 'replace' },
  ]);
  await bench.apply(selection, 'staging');
  await db.collection('a').updateOne({ _id: 5 as never }, { $set: { text: 'changed since' } });
  await db.collection('a').deleteOne({ _id: 6 as never });
  const report = await bench.revert(selection, 'staging');
  assert.equal(counts(report), { ...NONE, remove: 6, putBack: 2, changed: 1, deleted: 1 });
  const expected = [...before.slice(0, 2), ...numbered(5, 6, 'changed since')];
  assert.equal(digests(await bench.documents('staging', 'a')), digests(expected));
});

test('documents far larger than what replaced them are put back, though one command could not hold them all', async () => {
  const db = await bench.db('staging');
  const large = 'x'.repeat(1024 * 1024);
  for (let _id = 0; _id < 56; _id++) await db.collection('a').insertOne({ _id: _id as never, large });
  const before = await bench.documents('staging', 'a');
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, 56), whenMatched: 'replace' },
  ]);
  await bench.apply(selection, 'staging');
  const report = await bench.revert(selection, 'staging');
  assert.is(counts(report)?.putBack, 56);
  assert.equal(digests(await bench.documents('staging', 'a')), digests(before));
});

test('a before-image that a later validator refuses ends the revert at once, with the reason', async () => {
  const db = await bench.db('staging');
  await db.collection('a').insertOne({ _id: 0 as never, text: 'before' });
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 1), whenMatched: 'replace' }]);
  await bench.apply(selection, 'staging');
  await db.command({ collMod: 'a', validator: { text: 'as in the backup' } });
  const started = performance.now();
  const refusal = await failure(bench.revert(selection, 'staging'));
  assert.match(refusal.message, 'code 121');
  assert.ok(performance.now() - started < 30_000, 'waiting for it would not help');
});

test('L13 a second revert finds nothing to do; a restore after a revert brings everything back', async () => {
  const documents = numbered(0, 10);
  const selection = bench.selection([{ collection: 'a', documents }]);
  await bench.apply(selection, 'staging');
  await bench.revert(selection, 'staging');
  const again = await bench.revert(selection, 'staging', {
    confirm: async () => assert.unreachable('there is nothing to confirm'),
  });
  assert.equal(again.runs, []);
  await bench.apply(selection, 'staging');
  await bench.expectRestored('staging', selection, { a: documents });
  await bench.revert(selection, 'staging');
  assert.equal(await bench.documents('staging', 'a'), []);
});

test('what one machine records late does not undo what another has reverted since', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 3) }]);
  await bench.apply(selection, 'staging');
  await bench.revert(selection, 'staging');
  const key = { plan: bench.plan.name, selection: selection.manifest.digest };
  const journal = openLedger(await bench.target('staging')).journal(journalKeyOf(key));
  await journal.record({ batch: 1, skipped: [] });
  for await (const { batch, state } of journal.entries()) if (batch === 1) assert.is(state, 'reverted');
});

/** A revert that is stopped when it has recorded its first batch. */
async function revertOneBatch(selection: Selection): Promise<void> {
  let recorded = 0;
  const stopped = new AbortController();
  const refusal = await failure(
    bench.revert(selection, 'staging', {
      signal: stopped.signal,
      checkpoint: (name) => {
        if (name === 'batch-recorded' && ++recorded === 1) stopped.abort();
      },
    }),
  );
  assert.is(refusal.code, 'INCOMPLETE');
}

test('L13 an interrupted revert goes on where it stopped', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 40_000) }]);
  await bench.apply(selection, 'staging');
  await revertOneBatch(selection);
  const left = (await bench.documents('staging', 'a')).length;
  assert.ok(left > 0 && left < 40_000);
  assert.is((await bench.runs('staging'))[0]?.status, 'reverting');
  await bench.revert(selection, 'staging');
  assert.equal(await bench.documents('staging', 'a'), []);
});

test('an interrupted revert that goes on with a whole journal calls nothing lost; with a journal that was dropped, it does', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 40_000) }]);
  for (const isDropped of [false, true]) {
    await bench.apply(selection, 'staging');
    await revertOneBatch(selection);
    const there = (await bench.documents('staging', 'a')).length;
    assert.ok(there > 0 && there < 40_000);
    if (isDropped) await (await bench.db('staging')).collection('restore_plan.journal').drop();
    const unnamed = isDropped ? 40_000 : 0;
    assert.is((await bench.preview('staging')).unnamed, unnamed);
    assert.is((await bench.revert(selection, 'staging')).unnamed, unnamed);
    assert.is((await bench.documents('staging', 'a')).length, isDropped ? there : 0);
    const [run] = await bench.runs('staging');
    assert.is(run?.status, 'reverted');
    assert.is(run?.left, unnamed);
  }
});

test('what an interrupted revert has taken back of an earlier apply names nothing of a later one', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 40_000) }]);
  await bench.apply(selection, 'staging');
  await bench.revert(selection, 'staging');
  await bench.apply(selection, 'staging');
  await revertOneBatch(selection);
  const left = (await bench.documents('staging', 'a')).length;
  const journal = (await bench.db('staging')).collection('restore_plan.journal');
  await journal.deleteMany({ action: 'insert', state: { $ne: 'reverted' } });
  assert.is((await bench.revert(selection, 'staging')).unnamed, left);
});

test('what an interrupted revert left alone is named by the one that goes on, and only until the next restore', async () => {
  const db = await bench.db('staging');
  // Replaced documents are put back one batch after another, the last collection first.
  for (const name of ['a', 'b']) {
    await db.collection(name).insertMany([{ _id: 1 as never, text: 'before' }]);
  }
  const whenMatched = 'replace' as const;
  const selection = bench.selection([
    { collection: 'a', documents: numbered(0, 3), whenMatched },
    { collection: 'b', documents: numbered(0, 3), whenMatched },
  ]);
  await bench.apply(selection, 'staging');
  for (const name of ['a', 'b']) {
    await db.collection(name).updateOne({ _id: 1 as never }, { $set: { text: 'changed since' } });
    await db.collection(name).updateOne({ _id: 2 as never }, { $set: { text: 'changed since' } });
  }
  await revertOneBatch(selection);
  const preview = await bench.preview('staging');
  const report = await bench.revert(selection, 'staging');
  const named = (untouched: typeof report.untouched) =>
    untouched.map(({ into, id }) => `${into} ${id}`).sort();
  const left = [
    'a {"$numberInt":"1"}',
    'a {"$numberInt":"2"}',
    'b {"$numberInt":"1"}',
    'b {"$numberInt":"2"}',
  ];
  assert.equal(named(preview.untouched), left);
  assert.equal(named(report.untouched), left);
  assert.is((await bench.runs('staging'))[0]?.left, 4);

  for (const name of ['a', 'b']) await db.collection(name).deleteMany({});
  await bench.apply(selection, 'staging');
  const again = await bench.revert(selection, 'staging');
  assert.equal(again.untouched, []);
});

test('a selection that was never applied has nothing to revert', async () => {
  const db = await bench.db('staging');
  await db.collection('a').insertOne({ _id: 1 as never, text: 'as in the backup' });
  const refusal = await failure(
    bench.revert(bench.selection([{ collection: 'a', documents: numbered(0, 3) }]), 'staging'),
  );
  assert.is(refusal.code, 'USAGE');
  assert.equal((await bench.revert(undefined, 'staging')).runs, []);
  assert.is((await bench.documents('staging', 'a')).length, 1);
});

test('every run of the plan is taken back, whatever it selected, and nothing else', async () => {
  const db = await bench.db('staging');
  await db.collection('a').insertMany([
    { _id: 2 as never, text: 'as in the backup' },
    { _id: 7 as never, text: 'before' },
  ]);
  const before = await bench.documents('staging', 'a');
  const wide = bench.selection([{ collection: 'a', documents: numbered(0, 6) }]);
  const narrow = bench.selection([{ collection: 'a', documents: numbered(3, 6) }]);
  const other = bench.selection([{ collection: 'a', documents: numbered(5, 9), whenMatched: 'replace' }]);
  for (const selection of [wide, narrow, other, wide]) await bench.apply(selection, 'staging');
  const report = await bench.revert(undefined, 'staging');
  assert.equal(
    report.runs.map(({ digest }) => digest),
    [wide, other].map(({ manifest }) => manifest.digest),
    'the narrow one found its documents there',
  );
  assert.equal(digests(await bench.documents('staging', 'a')), digests(before));
  for (const { status } of await bench.runs('staging')) assert.is(status, 'reverted');
});

test('what a later run replaced of an earlier one is put back, then removed', async () => {
  const first = bench.selection([{ collection: 'a', documents: numbered(0, 4) }]);
  const second = bench.selection([
    { collection: 'a', documents: numbered(0, 4, 'of another night'), whenMatched: 'replace' },
  ]);
  await bench.apply(first, 'staging');
  await bench.apply(second, 'staging');
  const alone = await bench.revert(second, 'staging');
  assert.is(counts(alone)?.putBack, 4);
  assert.equal(digests(await bench.documents('staging', 'a')), digests(numbered(0, 4)));
  await bench.apply(second, 'staging');
  const preview = await bench.preview('staging');
  assert.equal(preview.runs.length, 2);
  await bench.revert(undefined, 'staging');
  assert.equal(await bench.documents('staging', 'a'), []);
});

test('a document of an older run that a newer run changed is left alone, and named, when the older is reverted by itself', async () => {
  const first = bench.selection([{ collection: 'a', documents: numbered(0, 2) }]);
  const second = bench.selection([
    { collection: 'a', documents: numbered(0, 1, 'of another night'), whenMatched: 'replace' },
  ]);
  await bench.apply(first, 'staging');
  await bench.apply(second, 'staging');
  const report = await bench.revert(first, 'staging');
  assert.equal(counts(report), { ...NONE, remove: 1, changed: 1 });
  assert.is((await bench.documents('staging', 'a')).length, 1);
  const statuses = (await bench.runs('staging')).map(({ key, status }) => [key.selection, status]);
  assert.equal(
    statuses.sort(),
    [
      [first, 'reverted'],
      [second, 'applied'],
    ]
      .map(([of, status]) => [(of as typeof first).manifest.digest, status])
      .sort(),
    'the newer one has to be verified again',
  );
});

test('a second plan of the same documents owns none of them', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 4) }]);
  await bench.apply(selection, 'staging');
  const second = { ...bench.plan, name: 'a second plan' };
  await bench.apply(selection, 'staging', { plan: second });
  const report = await bench.revert(undefined, 'staging', { plan: second.name });
  assert.equal(report.runs, []);
  assert.is((await bench.documents('staging', 'a')).length, 4);
  await bench.revert(undefined, 'staging');
  assert.equal(await bench.documents('staging', 'a'), []);
});

test('a collection that was dropped since has nothing left to take back', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 4) }]);
  await bench.apply(selection, 'staging');
  await (await bench.db('staging')).collection('a').drop();
  assert.equal(counts(await bench.revert(undefined, 'staging')), { ...NONE, gone: 4 });
});

test.run();
