/** Ledgers that version 172c98d wrote (test/ledger/fixtures): read, continued, copied whatever happens meanwhile, reverted. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize } from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { approveRun } from '../../src/apply/accept.ts';
import { JOURNAL, journalKeyOf, LOCK, RUNS } from '../../src/ledger/layout.ts';
import { migrateRuns, openLedger } from '../../src/ledger/ledger.ts';
import type { Commands } from '../../src/target/commands.ts';
import { accessTo } from '../../src/target/target.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';

const FIXTURE = join(import.meta.dirname, 'fixtures', 'format-1');

let lab: Lab;
let bench: Workbench;

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  bench = openWorkbench(lab);
  const db = await bench.db('staging');
  for (const file of readdirSync(join(FIXTURE, 'database'))) {
    const documents = documentsOf('database', file).map((raw) => deserialize(raw, { promoteValues: false }));
    await db.collection(file.replace('.bson', '')).insertMany(documents, { writeConcern: { w: 'majority' } });
  }
});
test.after.each(() => bench.close());
test.after(() => lab.close());

function documentsOf(folder: string, file: string): Buffer[] {
  const bytes = readFileSync(join(FIXTURE, folder, file));
  const documents: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
    documents.push(bytes.subarray(at, at + bytes.readInt32LE(at)));
  }
  return documents;
}

const plan = (name: string) => ({ plan: { ...bench.plan, name } });
const selection = (name: string, more: { whenMatched?: 'replace' } = {}) =>
  bench.selection([{ collection: name, documents: documentsOf('selected', `${name}.bson`), ...more }]);

const shortly = async (): Promise<string[]> =>
  (await bench.runs('staging')).map(
    ({ key, format, status, collections: [counts] }) =>
      `${format} ${key.plan} ${counts?.into} ${status} ${counts?.inserted}+${counts?.replaced}?${counts?.doubtful}`,
  );

/** Everything in the ledger's collections except the lock. */
async function wholeLedger(): Promise<Document[]> {
  const db = await bench.db('staging');
  const sorted = { sort: { _id: 1 }, promoteValues: false } as const;
  return [
    ...(await db.collection(RUNS).find({}, sorted).toArray()),
    ...(await db.collection(JOURNAL).find({}, sorted).toArray()),
  ];
}

test('it is read as it is', async () => {
  assert.equal(await shortly(), [
    '1 sessions sessions reverted 4+0?0',
    '1 reviews reviews applying 0+0?0',
    '1 orders orders verified 3+5?0',
    '1 customers accounts incomplete 2+0?0',
    '1 customers customers verified 40+0?0',
  ]);
});

test('a run that was cut off is continued in a copy: whose the begun documents are, its entry does not tell', async () => {
  await bench.apply(selection('reviews'), 'staging', plan('reviews'));
  assert.equal(await shortly(), [
    '2 reviews reviews verified 0+0?6',
    '1 sessions sessions reverted 4+0?0',
    '1 orders orders verified 3+5?0',
    '1 customers accounts incomplete 2+0?0',
    '1 customers customers verified 40+0?0',
  ]);
  const lock = await (await bench.db('staging')).collection(LOCK).findOne();
  assert.is(lock?.['format'], 2, 'an older program does not take it any more');
  await bench.revert(selection('reviews'), 'staging', { plan: plan('reviews').plan.name });
  assert.is((await bench.documents('staging', 'reviews')).length, 6, 'nor does a revert take them out');
});

test('all runs of the plan are copied, records, entries and images, and the old ones stay as they were', async () => {
  const before = await wholeLedger();
  await bench.apply(selection('customers'), 'staging', plan('customers'));
  assert.equal(
    (await shortly()).filter((run) => run.startsWith('2')),
    ['2 customers customers verified 40+0?0', '2 customers accounts incomplete 2+0?0'],
  );
  const after = await wholeLedger();
  const ids = after.map(({ _id }) => JSON.stringify(_id));
  assert.equal(
    before,
    after.filter((_, i) => before.some(({ _id }) => JSON.stringify(_id) === ids[i])),
  );
});

test('an approval is written to the copy', async () => {
  const staging = await bench.target('staging');
  await approveRun({ ...plan('orders'), target: staging, actor: { user: 'bert', host: 'ops-2' } });
  const runs = await bench.runs('staging');
  const approved = runs.find(({ approvals }) => approvals.length > 0);
  assert.equal([approved?.key.plan, approved?.format], ['orders', 2]);
});

test('what it inserted and replaced is reverted', async () => {
  await bench.revert(selection('customers'), 'staging', { plan: plan('customers').plan.name });
  await bench.revert(selection('orders', { whenMatched: 'replace' }), 'staging', {
    plan: plan('orders').plan.name,
  });
  assert.equal(await bench.documents('staging', 'customers'), []);
  const orders = await (await bench.db('staging'))
    .collection('orders')
    .find({}, { sort: { _id: 1 } })
    .toArray();
  assert.equal(
    orders,
    Array.from({ length: 5 }, (_, i) => ({ _id: i as never, text: `as it was ${i}` })),
  );
});

test('copying that is cut off before any of its writes is finished by the next run', async () => {
  const { commands } = accessTo(await bench.target('staging'));
  const lease = await openLedger(await bench.target('staging')).lock({
    name: 'a',
    token: 'a',
    command: 'apply',
  });
  const original = await wholeLedger();
  await migrateRuns(commands, 'orders', lease);
  const expected = await wholeLedger();
  assert.is(expected.length, original.length + 4, 'a record, two entries, the images of one');
  let cutOff = 0;
  for (let writes = 0; ; writes++) {
    await forget('orders');
    const isWhole = await migrateRuns(dyingAfter(commands, writes), 'orders', lease).then(
      () => true,
      (error: Error) => {
        assert.is(error.message, 'killed');
        return false;
      },
    );
    if (isWhole) break;
    cutOff++;
    // Whoever reads meanwhile finds the journal where it is whole.
    const run = (await bench.runs('staging')).find(({ key }) => key.plan === 'orders');
    assert.is(run?.journalKey, run?.key.selection);
    await migrateRuns(commands, 'orders', lease);
    assert.equal(await wholeLedger(), expected);
  }
  assert.is(cutOff, 3, 'the record, the journal, the word that it is whole');
  await lease.release();
});

/** As if it had never been copied. */
async function forget(name: string): Promise<void> {
  const db = await bench.db('staging');
  const selected = (await bench.runs('staging')).find(({ key }) => key.plan === name)?.key.selection ?? '';
  await db.collection(RUNS).deleteMany({ '_id.plan': name });
  const key = journalKeyOf({ plan: name, selection: selected });
  await db.collection(JOURNAL).deleteMany({ _id: { $gt: `${key}:`, $lt: `${key};` } as never });
}

/** Commands of a process that is killed before it sends another write. */
function dyingAfter(commands: Commands, writes: number): Commands {
  let left = writes;
  return new Proxy(commands, {
    get(of, name) {
      if (name !== 'runPatiently') return Reflect.get(of, name, of);
      return async (...[what, command]: Parameters<Commands['runPatiently']>) => {
        if (!('find' in command) && left-- === 0) throw new Error('killed');
        return of.runPatiently(what, command);
      };
    },
  });
}

test.run();
