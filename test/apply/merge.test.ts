/** `whenMatched: merge`: single fields of documents that are there, byte for byte, and back again. */
import { Binary, type Document, Double, Int32, serialize } from 'bson';
import type { Collection } from 'mongodb';
import * as assert from 'uvu/assert';
import { checkGate, decideGateOf } from '../../src/apply/admission.ts';
import type { ApplyRequest } from '../../src/apply/apply-run.ts';
import { verifyRestore } from '../../src/apply/verify-selection.ts';
import { EMPTY_DOCUMENT } from '../../src/bson/document-builder.ts';
import { compareWithTarget } from '../../src/comparison/compare-with-target.ts';
import { TargetMemory } from '../../src/comparison/target-memory.ts';
import type { CollectionPlan, MergeRules } from '../../src/plan/plan.ts';
import type { Run } from '../../src/run.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { accessTo } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { insertRaw } from '../target/insert-raw.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

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

const raw = (document: Document): Buffer => Buffer.from(serialize(document, { ignoreUndefined: false }));
const theirs = async (): Promise<Collection<Document>> => (await bench.db('staging')).collection('a');
const fill = async (documents: readonly Document[]): Promise<void> => {
  await insertRaw(accessTo(await bench.target('staging')).writer, 'a', documents.map(raw));
};
const standing = async (): Promise<string[]> =>
  (await bench.documents('staging', 'a')).map((each) => each.toString('hex'));
const hex = (documents: readonly Document[]): string[] => documents.map((each) => raw(each).toString('hex'));

function merging(documents: readonly Document[], merge: Partial<MergeRules> = {}): Selection {
  return bench.selection([
    {
      collection: 'a',
      documents: documents.map(raw),
      whenMatched: 'merge',
      merge: { fields: ['address.zip', 'price'], whenNotMatched: 'insert', ...merge },
    },
  ]);
}

const BACKUP: readonly Document[] = [
  { _id: 0, title: 'then', price: new Double(10), address: { zip: 'A', street: 'then' }, tags: ['x'] },
  { _id: 1, price: new Int32(11), title: 'then' },
  { _id: 2, title: 'then', address: { zip: 'C' } },
  { _id: 3, title: 'then', price: new Int32(13) },
];
const NOW: readonly Document[] = [
  {
    _id: 0,
    title: 'now',
    address: { street: 'now', zip: 'wrong', no: 1 },
    price: new Int32(10),
    later: true,
  },
  { _id: 1, title: 'now', price: 'wrong', address: { zip: 'wrong', no: 1 } },
  { _id: 2, title: 'now', price: 'wrong' },
];
const MERGED: readonly Document[] = [
  { _id: 0, title: 'now', address: { street: 'now', zip: 'A', no: 1 }, price: new Double(10), later: true },
  { _id: 1, title: 'now', price: new Int32(11), address: { no: 1 } },
  { _id: 2, title: 'now', address: { zip: 'C' } },
  { _id: 3, title: 'then', price: new Int32(13) },
];

test('fields are set in their places, taken out, made with their parents; all others stay, and a revert puts them back', async () => {
  await fill(NOW);
  const selection = merging(BACKUP);
  const result = await bench.apply(selection, 'staging');
  assert.ok(result.verified);
  assert.is(result.collections[0]?.replaced, 3);
  assert.is(result.collections[0]?.inserted, 1);
  assert.equal(await standing(), hex(MERGED));
  const again = await bench.apply(selection, 'staging');
  assert.is(again.collections[0]?.identical, 4);
  assert.equal(await standing(), hex(MERGED));
  const preview = await bench.preview('staging');
  assert.equal(await bench.revert(selection, 'staging'), preview);
  assert.equal(await standing(), hex(NOW));
});

test('a document that the target lacks is left out where the plan says discard, and counts as kept', async () => {
  await fill(NOW);
  const selection = merging(BACKUP, { whenNotMatched: 'discard' });
  const { target, reader } = {
    target: await bench.target('staging'),
    reader: (await bench.target('staging')).reader,
  };
  const compared = await compareWithTarget(QUIET, { plan: bench.plan, selection, reader, show: 10 });
  assert.is(compared.collections[0]?.counts.absent, 1);
  assert.is(compared.collections[0]?.counts.insert, 0);
  const result = await bench.apply(selection, 'staging');
  assert.ok(result.verified);
  assert.is(result.collections[0]?.kept, 1);
  assert.equal(await standing(), hex(MERGED.slice(0, 3)));
  const { failures } = await verifyRestore(QUIET, { plan: bench.plan, selection, target, every: 1 });
  assert.is(failures, 0);
});

test('what was left out on staging does not shut the gate; a run that left out everything has verified nothing', async () => {
  const discarding = (documents: readonly Document[]) => merging(documents, { whenNotMatched: 'discard' });
  await fill(NOW);
  const selection = discarding(BACKUP);
  await bench.apply(selection, 'staging');
  const readers = {
    staging: (await bench.target('staging')).reader,
    production: (await bench.target('production')).reader,
  };
  const { digest } = selection.manifest;
  assert.ok((await decideGateOf({ plan: bench.plan, digest, ...readers })).open, 'by the record alone');
  const gate = await checkGate(QUIET, { plan: bench.plan, selection, ...readers });
  assert.ok(gate.open);
  assert.match(gate.open ? gate.reason : '', 'and lacks 1, which were left out');
  const nothing = discarding([{ _id: 99, price: 1 }]);
  await bench.apply(nothing, 'staging');
  const shut = await checkGate(QUIET, { plan: bench.plan, selection: nothing, ...readers });
  assert.not(shut.open);
  assert.match(JSON.stringify(shut), 'has verified nothing');
});

test('the dry-run shows the fields alone, and what differs elsewhere is no difference', async () => {
  await fill([...NOW.slice(0, 1), { ...BACKUP[1], title: 'another' }]);
  const { reader } = await bench.target('staging');
  const compared = await compareWithTarget(QUIET, {
    plan: bench.plan,
    selection: merging(BACKUP),
    reader,
    show: 10,
  });
  const [collection] = compared.collections;
  assert.is(collection?.counts.different, 1);
  assert.is(collection?.counts.identical, 1);
  const different = collection?.documents.find(({ class: documentClass }) => documentClass === 'different');
  assert.equal(
    different?.differences.map(({ path }) => path),
    ['address.zip', 'price'],
  );
});

/** Applies what a dry-run has seen; the application writes in between. */
async function applyAfter(
  selection: Selection,
  write: () => Promise<unknown>,
  more: Partial<ApplyRequest & Run> = {},
) {
  const { reader } = await bench.target('staging');
  const memory = TargetMemory.empty(selection.manifest, Date.now());
  await compareWithTarget(QUIET, { plan: bench.plan, selection, reader, show: 0, memory });
  await write();
  return bench.apply(selection, 'staging', { memory, ...more });
}

test('other fields that the application changed since the dry-run are no conflict; the fields themselves are', async () => {
  await fill(NOW);
  const a = await theirs();
  const result = await applyAfter(merging(BACKUP), async () => {
    await a.updateOne({ _id: 0 as never }, { $set: { title: 'later still' } });
    await a.updateOne({ _id: 1 as never }, { $set: { price: 'later still' } });
  });
  assert.is(result.verified, false);
  assert.is(result.collections[0]?.conflict, 1);
  assert.is(result.collections[0]?.replaced, 2);
  const [first, second] = await a.find().sort({ _id: 1 }).toArray();
  assert.is(first?.['title'], 'later still');
  assert.equal(first?.['price'], 10);
  assert.is(second?.['price'], 'later still');
});

test('what is written in the last moment: other fields are taken along, the same ones keep the document out', async () => {
  await fill(NOW);
  const a = await theirs();
  let isFirst = true;
  const result = await bench.apply(merging(BACKUP), 'staging', {
    checkpoint: async (name) => {
      if (name !== 'batch-intended' || !isFirst) return;
      isFirst = false;
      await a.updateOne({ _id: 0 as never }, { $set: { title: 'in the last moment' } });
      await a.updateOne({ _id: 1 as never }, { $set: { price: 'in the last moment' } });
    },
  });
  // The insert comes first.
  assert.is(result.collections[0]?.inserted, 1);
  const [first, second] = await a.find().sort({ _id: 1 }).toArray();
  assert.is(first?.['title'], 'in the last moment');
  assert.is(first?.['price'], 10);
  assert.is(second?.['price'], 'in the last moment');
});

test('a revert puts back the fields alone where something else has changed since, and leaves a field that has', async () => {
  await fill(NOW);
  const selection = merging(BACKUP);
  await bench.apply(selection, 'staging');
  const a = await theirs();
  await a.updateOne({ _id: 0 as never }, { $set: { title: 'since' } });
  await a.updateOne({ _id: 1 as never }, { $set: { price: 'since' } });
  const report = await bench.revert(selection, 'staging');
  assert.is(report.runs[0]?.collections[0]?.counts.putBack, 2);
  assert.is(report.runs[0]?.collections[0]?.counts.changed, 1);
  const [first, second, third] = await standing();
  assert.is(first, hex([{ ...NOW[0], title: 'since' }])[0]);
  assert.is(second, hex([{ ...MERGED[1], price: 'since' }])[0]);
  assert.is(third, hex(NOW)[2]);
});

test('a run that died between intention and write is gone on with: the same bytes', async () => {
  await fill(NOW);
  const selection = merging(BACKUP);
  let intentions = 0;
  const dying = bench.apply(selection, 'staging', {
    checkpoint: (name) => {
      if (name === 'batch-intended' && ++intentions === 2) throw new Error('as if killed');
    },
  });
  await dying.then(
    () => assert.unreachable(),
    () => undefined,
  );
  const result = await bench.apply(selection, 'staging');
  assert.ok(result.verified);
  assert.equal(await standing(), hex(MERGED));
  await bench.revert(selection, 'staging');
  assert.equal(await standing(), hex(NOW));
});

test('a way to a field that leads over something else than documents is foretold and refused by name', async () => {
  await fill([{ _id: 0, address: ['none'], price: 'wrong' }, NOW[1] as Document]);
  const selection = merging(BACKUP.slice(0, 2));
  const { reader } = await bench.target('staging');
  const compared = await compareWithTarget(QUIET, { plan: bench.plan, selection, reader, show: 10 });
  assert.is(compared.collections[0]?.counts.refused, 1);
  const result = await bench.apply(selection, 'staging');
  assert.is(result.collections[0]?.refused, 1);
  assert.is(result.collections[0]?.replaced, 1);
  assert.match(result.notices[0]?.reason ?? '', 'its address is not a document in the target');
});

test('what the fields make of a document is what the validator is asked about', async () => {
  const db = await bench.db('staging');
  await db.createCollection('a', { validator: { price: { $type: 'number' }, title: 'now' } });
  await fill([{ _id: 0, title: 'now', price: 1 }]);
  const selection = merging([{ _id: 0, title: 'then', price: 2 }], { fields: ['price'] });
  const { reader } = await bench.target('staging');
  const compared = await compareWithTarget(QUIET, { plan: bench.plan, selection, reader, show: 10 });
  assert.is(compared.collections[0]?.counts.different, 1, 'whole, the backup’s document would be refused');
  assert.ok((await bench.apply(selection, 'staging')).verified);
});

test('many and large documents are merged in several transactions', async () => {
  const pad = new Binary(Buffer.alloc(3 * 1024 * 1024, 7));
  const count = 5_000;
  const small = Array.from({ length: count }, (_, n) => n);
  await fill(small.map((_id) => ({ _id, price: 'wrong', title: 'now' })));
  for (let _id = count; _id < count + 4; _id++) await fill([{ _id, pad, price: 'wrong' }]);
  const all = Array.from({ length: count + 4 }, (_, _id) => ({ _id, price: new Int32(_id) }));
  const selection = merging(all, { fields: ['price'] });
  const result = await bench.apply(selection, 'staging');
  assert.ok(result.verified);
  assert.is(result.collections[0]?.replaced, count + 4);
  const a = await theirs();
  assert.is(await a.countDocuments({ $expr: { $eq: ['$price', '$_id'] } }), count + 4);
  assert.is(await a.countDocuments({ title: 'now' }), count);
  await bench.revert(selection, 'staging');
  assert.is(await a.countDocuments({ price: 'wrong' }), count + 4);
});

const ENTRY: CollectionPlan = {
  ...{ collection: 'a', into: 'a', whenMatched: 'merge', query: EMPTY_DOCUMENT, where: 'plan.yaml:1:1' },
  ...{
    updatedAt: undefined,
    softDelete: undefined,
    references: [],
    skipIndexes: [],
    exceptions: [],
    dependents: [],
  },
};

test('the gate compares the fields alone, and says where staging has shown no merge', async () => {
  await fill(NOW);
  const production = (await bench.db('production')).collection('a');
  await production.insertMany(
    NOW.map(({ ...document }) => ({ ...document, title: 'in production' })) as never,
  );
  const selection = merging(BACKUP);
  await bench.apply(selection, 'staging');
  await (await theirs()).updateMany({}, { $set: { title: 'others work on' } });
  const result = await bench.apply(selection, 'production');
  assert.ok(result.verified);
  const opened = bench.events.find((event) => event.type === 'gate-opened');
  assert.not.match(JSON.stringify(opened), 'no merge was exercised');

  const other = merging(BACKUP.slice(3).map((each) => ({ ...each, _id: 7 })));
  await bench.apply(other, 'staging');
  await production.insertOne({ _id: 7 as never, price: 'wrong' });
  bench.events.length = 0;
  const merge = { fields: ['address.zip', 'price'], whenNotMatched: 'insert' } as const;
  const plan = { ...bench.plan, collections: [{ ...ENTRY, merge }] };
  await bench.apply(other, 'production', { plan });
  assert.match(JSON.stringify(bench.events), 'no merge was exercised there in a');
});

test.run();
