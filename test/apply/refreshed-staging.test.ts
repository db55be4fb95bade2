/** A staging that is made anew from a copy of production, with production's ledger in it. */
import * as assert from 'uvu/assert';
import { JOURNAL, RUNS } from '../../src/ledger/layout.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { failure } from './documents.ts';
import { COLLECTION, DOCUMENTS } from './gate-attempts.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

let lab: Lab;

test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

/** Both targets have been applied to; then staging becomes what production is. */
async function refreshed(bench: Workbench): Promise<Selection> {
  const selection = bench.selection([COLLECTION]);
  await bench.apply(selection, 'staging');
  await bench.apply(selection, 'production');
  const [staging, production] = [await bench.db('staging'), await bench.db('production')];
  await staging.dropDatabase();
  for (const { name } of await production.listCollections().toArray()) {
    const found = await production.collection(name).find({}, { promoteValues: false }).toArray();
    if (found.length > 0) await staging.collection(name).insertMany(found as never);
  }
  assert.is(await staging.collection(JOURNAL).countDocuments(), 1);
  return selection;
}

test('production’s own record vouches for nothing in a copy of it, and applying afresh is the way out', async () => {
  const bench = openWorkbench(lab);
  const selection = await refreshed(bench);
  const refusal = await failure(bench.apply(selection, 'production'));
  assert.match(
    refusal.message,
    /never applied to staging: the record of it there came with a copy of \S+ on the replica set/,
  );
  assert.not.match(refusal.message, 'recorded in its own ledger');

  const { collections } = await bench.apply(selection, 'staging');
  assert.is(collections[0]?.identical, DOCUMENTS.length);
  const [run, ...others] = await bench.runs('staging');
  assert.equal(others, []);
  assert.is(run?.target, 'staging');
  assert.is(run?.appliedBy.length, 1);
  assert.is(run?.collections[0]?.inserted, 0, 'what came with the copy is not ours');
  assert.match(
    JSON.stringify(bench.events),
    /the record of this selection came with a copy of .* stays in the ledger there/,
  );

  await bench.apply(selection, 'production');
  await bench.revert(selection, 'staging');
  assert.is(
    (await bench.documents('staging', 'a')).length,
    DOCUMENTS.length,
    'nothing of the copy was removed',
  );
  await bench.revert(selection, 'production');
  assert.equal(await bench.documents('production', 'a'), []);
  await bench.close();
});

test('the soak of production does not count for a copy of it', async () => {
  const bench = openWorkbench(lab, { gate: { soakMs: 1 } });
  const selection = await refreshed(bench);
  const patient = openWorkbench(lab, {
    database: bench.plan.targets.staging.database,
    gate: { soakMs: 60_000 },
  });
  const production = await bench.db('production');
  const before = new Date(Date.now() - 3_600_000);
  await (await bench.db('staging')).collection(RUNS).updateMany({}, { $set: { verifiedAt: before } });
  await patient.apply(selection, 'staging');
  assert.match(
    (await failure(patient.apply(selection, 'production'))).message,
    /has soaked on staging for \d+ s of 1 min/,
  );
  assert.is(await production.collection(RUNS).countDocuments(), 1);
  await patient.close();
  await bench.close();
});

test('a copied record that does not say where it is from is taken for a swap, until its ledger is dropped as the refusal says', async () => {
  const bench = openWorkbench(lab);
  const selection = await refreshed(bench);
  const staging = await bench.db('staging');
  await staging.collection(RUNS).updateMany({}, { $unset: { server: 1 } });
  for (const name of ['staging', 'production'] as const) {
    const refusal = await failure(bench.apply(selection, name));
    assert.is(refusal.code, 'GATE');
    assert.match(refusal.message, 'recorded in its own ledger as production');
    assert.match(
      refusal.hint ?? '',
      /drop restore_plan\.runs and restore_plan\.journal in that copy, never in production itself/,
    );
  }
  await staging.collection(RUNS).drop();
  await staging.collection(JOURNAL).drop();
  await bench.apply(selection, 'staging');
  await bench.apply(selection, 'production');
  await bench.close();
});

test.run();
