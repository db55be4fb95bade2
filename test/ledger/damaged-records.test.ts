import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { Documents } from '../../src/bson/documents.ts';
import { JOURNAL, LOCK, RUNS } from '../../src/ledger/layout.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { failure, numbered } from '../apply/documents.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { suite } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';

const test = suite('records that were edited by hand');
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

const DEED = { user: 'anna', host: 'ops-1', at: new Date(0) };
const FOLLOW_UP = { name: 'mail', state: 'done', attempt: 'x', by: DEED, startedAt: new Date(0) };

const CHANGES: readonly Readonly<Record<string, unknown>>[] = [
  { approvals: [{ ...DEED, of: null }] },
  { approvals: [{ ...DEED, of: 'all' }] },
  { followUps: [5] },
  { followUps: [{}] },
  { followUps: [{ ...FOLLOW_UP, state: 'perhaps' }] },
  { followUps: [{ ...FOLLOW_UP, by: { user: 'anna' } }] },
  { followUps: [{ ...FOLLOW_UP, aliveUntil: 'tomorrow' }] },
  { followUps: [{ ...FOLLOW_UP, note: 7 }] },
  { fencing: 1.5 },
  { fencing: Number.MAX_SAFE_INTEGER },
];

test('an apply refuses a record with a field that cannot be, before it writes anything', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 5) }]);
  await bench.apply(selection, 'staging');
  const db = await bench.db('staging');
  await db.collection('a').deleteMany({});
  const record = (await db.collection(RUNS).findOne()) as Document;
  for (const change of CHANGES) {
    await db.collection(RUNS).updateOne({}, { $set: change });
    const refusal = await failure(bench.apply(selection, 'staging'));
    const [field] = Object.keys(change);
    assert.is(refusal.code, 'TARGET', refusal.message);
    assert.match(refusal.message, new RegExp(`^${RUNS} is damaged: document .* has no valid ${field}$`));
    assert.is(await db.collection('a').countDocuments(), 0);
    await db.collection(RUNS).replaceOne({}, record);
  }
  await bench.apply(selection, 'staging');
  assert.is(await db.collection('a').countDocuments(), 5);
});

test('a run that was numbered beyond all counting is mended as its refusal says', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 5) }]);
  await bench.apply(selection, 'staging');
  const db = await bench.db('staging');
  await db.collection(RUNS).updateOne({}, { $set: { fencing: Number.MAX_SAFE_INTEGER } });
  const refusal = await failure(bench.revert(selection, 'staging'));
  assert.match(refusal.hint ?? '', 'or to 1 where it is the only one');
  await db.collection(RUNS).updateOne({}, { $set: { fencing: 1 } });
  await db.collection<{ _id: string }>(LOCK).updateOne({ _id: 'lock' }, { $set: { fencing: 8.5 } });
  assert.match((await failure(bench.revert(selection, 'staging'))).message, 'has no valid fencing');
  await db.collection<{ _id: string }>(LOCK).deleteOne({ _id: 'lock' });
  await bench.revert(selection, 'staging');
  assert.is(await db.collection('a').countDocuments(), 0);
});

test('what was accepted by nobody is damaged', async () => {
  const selection = bench.selection([{ collection: 'a', documents: numbered(0, 5) }]);
  await bench.apply(selection, 'staging');
  const key = { plan: bench.plan.name, selection: selection.manifest.digest };
  const run = Documents.of(numbered(0, 1));
  const part = { collection: 'a', as: 'refused', reason: 'seen', ids: [run.id(0)], ordinals: [0] } as const;
  const place = { kind: 'accepted', key, fencing: 1, actor: DEED } as const;
  await openLedger(await bench.target('staging')).accepted.write(place, 0, part);
  const journal = (await bench.db('staging')).collection(JOURNAL);
  for (const change of [{ $unset: { by: 1 } }, { $set: { by: { user: 'anna' } } }]) {
    await journal.updateOne({ reason: 'seen' }, change);
    const refusal = await failure(bench.apply(selection, 'staging'));
    assert.is(refusal.code, 'TARGET', refusal.message);
    assert.match(
      refusal.message,
      /^restore_plan.journal is damaged: document .*\.accepted:.* has no valid by$/,
    );
  }
});

test.run();
