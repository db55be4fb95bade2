/** Documents that are left out of an apply by decision, and dependents that are held back with a parent that cannot be written. */

import { type Document, deserialize, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { type AcceptRequest, acceptAtHand, withdrawAccepted } from '../../src/apply/accept.ts';
import type { ApplyRequest } from '../../src/apply/apply-run.ts';
import type { ApplyResult } from '../../src/apply/apply-selection.ts';
import { verifyRestore } from '../../src/apply/verify-selection.ts';
import { elements } from '../../src/bson/elements.ts';
import { readAccepted } from '../../src/ledger/accepted.ts';
import type { RunCounts } from '../../src/ledger/run-record.ts';
import { IdList } from '../../src/plan/id-list.ts';
import type { ExceptedClass, Plan, PlanException } from '../../src/plan/plan.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { suite } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { type DependentSketch, planOf, type RootSketch } from '../selection/plans.ts';
import { ACTOR, openWorkbench, type Workbench } from './workbench.ts';

const test = suite('what an apply leaves out');
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

type Shop = Readonly<Record<string, readonly Document[]>>;

/** Customers 1 to 3, an order of each with an item, and two reviews: one of customer 2 alone, one that customer 3 wrote with them. */
const SHOP: Shop = {
  customers: [1, 2, 3].map((n) => ({ _id: n, email: `c${n}@shop.test` })),
  orders: [1, 2, 3].map((n) => ({ _id: 10 + n, customerId: n })),
  items: [1, 2, 3].map((n) => ({ _id: 100 + n, order: { id: 10 + n } })),
  reviews: [
    { _id: 'alone', authors: [2] },
    { _id: 'together', authors: [2, 3] },
  ],
};

function shopPlan(more: Partial<RootSketch> = {}, ofOrders: Partial<DependentSketch> = {}): RootSketch {
  return {
    collection: 'customers',
    query: {},
    dependents: [
      {
        collection: 'orders',
        foreignKey: 'customerId',
        dependents: [{ collection: 'items', foreignKey: 'order.id' }],
        ...ofOrders,
      },
      { collection: 'reviews', foreignKey: 'authors' },
    ],
    ...more,
  };
}

function selectionOf(documents: Shop, whenMatched?: 'replace' | 'fail'): Selection {
  return bench.selection(
    Object.entries(documents).map(([collection, each]) => ({
      collection,
      documents: each.map((document) => Buffer.from(serialize(document))),
      ...(whenMatched && { whenMatched }),
    })),
  );
}

function planFor(...roots: readonly RootSketch[]): Plan {
  return { ...bench.plan, collections: planOf(...roots).collections };
}

const about = { reason: 'looked at', on: undefined, where: 'plan.yaml:1:1' };

function exceptIds(...ids: readonly unknown[]): PlanException {
  const list = new IdList('', '');
  for (const [i, id] of ids.entries()) {
    const [value] = elements(Buffer.from(serialize({ _id: id })), 0);
    if (value !== undefined) list.add(value, i);
  }
  return { ...about, ids: list };
}

const exceptClass = (name: ExceptedClass): PlanException => ({ ...about, class: name });

async function takeEmail(
  email = 'c2@shop.test',
  target: 'staging' | 'production' = 'staging',
): Promise<void> {
  const customers = (await bench.db(target)).collection('customers');
  await customers.createIndex({ email: 1 }, { unique: true });
  await customers.insertOne({ _id: 'somebody else' as never, email });
}

function counts({
  collections,
}: {
  readonly collections: readonly (RunCounts & { readonly collection: string })[];
}) {
  return Object.fromEntries(
    collections.map(({ collection, inserted, conflict, heldBack, excepted, kept, identical }) => [
      collection,
      Object.fromEntries(
        Object.entries({ inserted, identical, kept, conflict, heldBack, excepted }).filter(([, n]) => n > 0),
      ),
    ]),
  );
}

async function idsIn(collection: string, target: 'staging' | 'production' = 'staging'): Promise<unknown[]> {
  return (await bench.documents(target, collection)).map((raw) => deserialize(raw)['_id']);
}

const apply = (plan: Plan, selection: Selection, more: Partial<ApplyRequest> = {}): Promise<ApplyResult> =>
  bench.apply(selection, 'staging', { plan, ...more });

test('what depends on a document in conflict is held back with it, to any depth, and a rerun releases it', async () => {
  await takeEmail();
  const plan = planFor(shopPlan());
  const selection = selectionOf(SHOP);
  const result = await apply(plan, selection);
  assert.not.ok(result.verified);
  const held = {
    customers: { inserted: 2, conflict: 1 },
    orders: { inserted: 2, heldBack: 1 },
    items: { inserted: 2, heldBack: 1 },
    reviews: { inserted: 1, heldBack: 1 },
  };
  assert.equal(counts(result), held);
  assert.equal(await idsIn('items'), [101, 103]);
  assert.equal(await idsIn('reviews'), ['together']);
  const [run] = await bench.runs('staging');
  assert.is(run?.status, 'incomplete');
  assert.equal(counts(run as never), held);
  const notice = result.notices.find(({ into }) => into === 'items');
  assert.match(`${notice?.outcome}: ${notice?.reason}`, /^heldBack: .*in conflict/);
  // Nothing of it is journalled, so the next apply looks anew.
  assert.not.ok((await apply(plan, selection)).verified);
  await (await bench.db('staging')).collection('customers').deleteOne({ _id: 'somebody else' as never });
  const again = await apply(plan, selection);
  assert.ok(again.verified);
  assert.equal(await idsIn('items'), [101, 102, 103]);
  const reverted = await bench.revert(undefined, 'staging');
  assert.is(reverted.runs.length, 1);
  for (const collection of Object.keys(SHOP)) assert.equal(await idsIn(collection), [], collection);
});

test('documents excepted by class are left out with their dependents: verified, and the gate is open', async () => {
  await takeEmail();
  const plan = planFor(shopPlan({ exceptions: [exceptClass('conflict')] }));
  const selection = selectionOf(SHOP);
  const result = await apply(plan, selection);
  assert.ok(result.verified);
  assert.equal(counts(result), {
    customers: { inserted: 2, excepted: 1 },
    orders: { inserted: 2, excepted: 1 },
    items: { inserted: 2, excepted: 1 },
    reviews: { inserted: 1, excepted: 1 },
  });
  const staging = await bench.target('staging');
  const key = { plan: plan.name, selection: selection.manifest.digest };
  const accepted = await readAccepted(staging.reader, key);
  assert.equal(
    Object.keys(SHOP).map((collection) => [0, 1, 2].filter((ordinal) => accepted.has(collection, ordinal))),
    [[1], [1], [1], [0]],
  );
  assert.equal(
    accepted.sums
      .map(({ collection, as, reason, count }) => `${count} of ${collection} ${as}: ${reason}`)
      .slice(0, 2),
    [
      '1 of customers conflict: looked at',
      '1 of orders dependent: left out with what it depends on, by the plan made-by-test',
    ],
  );
  const verification = await verifyRestore(QUIET, { plan, selection, target: staging, every: 1 });
  assert.is(verification.failures, 0, 'plan verify does not miss them');
  // Production has no such conflict: there nothing is excepted.
  const inProduction = await bench.apply(selection, 'production', { plan });
  assert.ok(inProduction.verified);
  assert.equal(counts(inProduction)['orders'], { inserted: 3 });
  assert.ok((await readAccepted((await bench.target('production')).reader, key)).isEmpty);
  // Without the exception, the conflict is one again.
  const without = await apply(planFor(shopPlan()), selection);
  assert.not.ok(without.verified);
  assert.ok((await readAccepted(staging.reader, key)).isEmpty);
});

test('documents excepted by _id are not looked at further, in the target that is meant', async () => {
  const named = { ...exceptIds(3, 'nobody'), on: 'staging' as const };
  const plan = planFor(shopPlan({ exceptions: [named] }));
  const selection = selectionOf(SHOP);
  const result = await apply(plan, selection);
  assert.ok(result.verified);
  assert.equal(counts(result)['customers'], { inserted: 2, excepted: 1 });
  assert.equal(counts(result)['items'], { inserted: 2, excepted: 1 });
  assert.equal(await idsIn('reviews'), ['alone', 'together']);
  const inProduction = await bench.apply(selection, 'production', { plan });
  assert.equal(counts(inProduction)['items'], { inserted: 3 });
});

test('what is in the target holds nothing back, whatever it is like there', async () => {
  await takeEmail('c1@shop.test');
  const db = await bench.db('staging');
  await db.collection('customers').insertOne({ _id: 2 as never, email: 'new@shop.test' });
  const plan = planFor(shopPlan());
  const selection = selectionOf(SHOP);
  const result = await apply(plan, selection);
  assert.equal(counts(result)['customers'], { inserted: 1, kept: 1, conflict: 1 });
  assert.equal(counts(result)['orders'], { inserted: 2, heldBack: 1 });
  assert.equal(counts(result)['reviews'], { inserted: 2 });
});

test('an accepted difference is no kept document, and its dependents are inserted', async () => {
  const db = await bench.db('staging');
  await db.collection('customers').insertOne({ _id: 2 as never, email: 'new@shop.test' });
  const plan = planFor(shopPlan({ exceptions: [exceptClass('different')] }));
  for (const whenMatched of ['replace', 'fail'] as const) {
    const result = await apply(plan, selectionOf(SHOP, whenMatched));
    assert.ok(result.verified, whenMatched);
    assert.equal(counts(result)['customers']?.['excepted'], 1, whenMatched);
    assert.is(counts(result)['orders']?.['heldBack'], undefined, whenMatched);
  }
  const there = await db.collection('customers').findOne({ _id: 2 as never });
  assert.is(there?.['email'], 'new@shop.test');
  assert.equal(await idsIn('orders'), [11, 12, 13]);
});

test('orphans: insert restores dependents all the same, and what depends on them', async () => {
  await takeEmail();
  const plan = planFor(shopPlan({}, { orphans: 'insert' }));
  const result = await apply(plan, selectionOf(SHOP));
  assert.equal(counts(result)['orders'], { inserted: 3 });
  assert.equal(counts(result)['items'], { inserted: 3 });
  assert.equal(counts(result)['reviews'], { inserted: 1, heldBack: 1 });
});

test('a tree holds back what hangs below a document in conflict, also where children come before their parents', async () => {
  // 1 — 2 — 3 — 4 … 40; 100 hangs on 3 and on 99, which is written.
  const chain = Array.from({ length: 40 }, (_, i) => ({ _id: 40 - i, slug: `s${40 - i}`, above: [39 - i] }));
  const others = [
    { _id: 100, slug: 's100', above: [3, 99] },
    { _id: 99, slug: 's99', above: [] },
  ];
  const nodes = (await bench.db('staging')).collection('nodes');
  await nodes.createIndex({ slug: 1 }, { unique: true });
  await nodes.insertOne({ _id: 'taken' as never, slug: 's2' });
  for (const order of [chain, [...chain].reverse()]) {
    const plan = planFor({
      collection: 'nodes',
      query: {},
      dependents: [{ collection: 'nodes', foreignKey: 'above' }],
    });
    const result = await apply(plan, selectionOf({ nodes: [...order, ...others] }));
    assert.equal(counts(result)['nodes']?.['heldBack'], 38);
    assert.equal(await idsIn('nodes'), [1, 99, 100, 'taken']);
  }
});

test('keys other than _id lead to parents, in the selection and in the target', async () => {
  const documents: Shop = {
    customers: [
      { _id: 1, email: 'a@shop.test', code: 'x' },
      { _id: 2, email: 'taken@shop.test', code: 'x' },
      { _id: 3, email: 'taken@shop.test', code: 'y' },
      { _id: 4, email: 'taken@shop.test', code: 'z' },
    ],
    orders: ['x', 'y', 'z'].map((code) => ({ _id: code, code })),
  };
  await takeEmail('taken@shop.test');
  const db = await bench.db('staging');
  await db.collection('customers').insertOne({ _id: 'there' as never, email: 'b@shop.test', code: 'y' });
  const plan = planFor({
    collection: 'customers',
    query: {},
    dependents: [{ collection: 'orders', foreignKey: 'code', localKey: 'code' }],
  });
  const result = await apply(plan, selectionOf(documents));
  assert.equal(counts(result)['orders'], { inserted: 2, heldBack: 1 });
  assert.equal(await idsIn('orders'), ['x', 'y']);
});

async function acceptRequest(plan: Plan, selection: Selection): Promise<AcceptRequest> {
  return {
    ...{ plan, selection, target: await bench.target('staging'), actor: ACTOR },
    ...{ reason: 'recreated by hand', show: 5 },
    confirm: async () => undefined,
  };
}

test('documents are accepted before any run, with their dependents; then a run ends verified, until that is taken back', async () => {
  await takeEmail();
  const plan = planFor(shopPlan());
  const selection = selectionOf(SHOP);
  const request = await acceptRequest(plan, selection);
  const refused = acceptAtHand(QUIET, {
    ...request,
    confirm: async () => {
      throw new Error('no');
    },
  });
  assert.is(await refused.catch(({ message }: Error) => message), 'no');
  assert.equal(await bench.runs('staging'), [], 'nothing is written before somebody agreed');
  const { collections, accepted, digest } = await acceptAtHand(QUIET, request);
  assert.equal(
    collections.map(({ collection, counts: { conflict }, dependents }) => [collection, conflict, dependents]),
    [
      ['customers', 1, 0],
      ['orders', 0, 1],
      ['items', 0, 1],
      ['reviews', 0, 1],
    ],
  );
  assert.match(collections[0]?.documents[0]?.reason ?? '', /left out by decision; .*email/);
  const [planned] = await bench.runs('staging');
  assert.equal(
    [planned?.status, planned?.accepted, planned?.acceptedDigest === digest, accepted],
    ['planned', 4, true, 4],
  );
  assert.equal((await bench.revert(undefined, 'staging')).runs, [], 'there is nothing to revert');
  assert.equal((await acceptAtHand(QUIET, request)).collections, [], 'nothing is left to accept');
  assert.ok((await apply(plan, selection)).verified);
  const [run] = await bench.runs('staging');
  assert.equal(
    [run?.status, run?.accepted, counts(run as never)['items']],
    ['verified', 4, { inserted: 2, excepted: 1 }],
  );
  // In production there is no conflict, and staging's word does not hold there.
  assert.equal(counts(await bench.apply(selection, 'production', { plan }))['items'], { inserted: 3 });
  assert.is(await withdrawAccepted(QUIET, { ...request, confirm: async () => undefined }), 4);
  const [back] = await bench.runs('staging');
  assert.equal([back?.status, back?.accepted, back?.acceptedDigest], ['applied', 0, undefined]);
  assert.not.ok((await apply(plan, selection)).verified);
  assert.is(await withdrawAccepted(QUIET, { ...request, confirm: async () => undefined }), 0);
});

test('what differs is accepted where the plan keeps it, and by class', async () => {
  await takeEmail('c1@shop.test');
  await (await bench.db('staging')).collection('customers').insertOne({ _id: 2 as never, email: 'new' });
  const plan = planFor(shopPlan());
  const selection = selectionOf(SHOP);
  await apply(plan, selection);
  const shut = await bench.apply(selection, 'production', { plan }).catch(({ message }: Error) => message);
  assert.match(String(shut), /not verified/);
  const request = await acceptRequest(plan, selection);
  const some = await acceptAtHand(QUIET, { ...request, classes: ['different'] });
  assert.equal(
    some.collections.map(({ counts: one, dependents }) => [one, dependents]),
    [[{ conflict: 0, refused: 0, different: 1 }, 0]],
  );
  await acceptAtHand(QUIET, request);
  const result = await apply(plan, selection);
  assert.ok(result.verified);
  assert.equal(counts(result)['customers'], { identical: 1, excepted: 2 });
  // The gate looks at staging by content: what differs there was accepted by name.
  assert.ok((await bench.apply(selection, 'production', { plan })).verified);
});

test.run();
