import { Binary } from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { BSON } from '../../src/bson/types.ts';
import { inOrder, type Meeting, type Met, mapConcurrently, meet } from '../../src/comparison/meet.ts';
import { numbered } from '../apply/documents.ts';
import { openWorkbench, type Workbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { build } from '../target/every-type.ts';

const MIB = 1024 * 1024;

let lab: Lab;
let bench: Workbench;

test.before(async () => {
  lab = await openLab();
  bench = openWorkbench(lab);
});
test.after(async () => {
  await bench.close();
  await lab.close();
});

const WITHOUT_ID = build((b) => {
  b.element(BSON.STRING, 'text');
  b.string('no _id');
});

/** `{text, _id}`, as no server stores it. */
const withLateId = (id: number): Buffer =>
  build((b) => {
    b.element(BSON.STRING, 'text');
    b.string('as in the backup');
    b.element(BSON.INT32, '_id');
    b.int32(id);
  });

async function meetingOf(documents: readonly Buffer[], more: Partial<Meeting> = {}): Promise<Meeting> {
  const { reader } = await bench.target('staging');
  const selection = bench.selection([{ collection: 'a', documents }]);
  const collection = await reader.collection('a');
  return { selection, name: 'a', reader, collection, needs: 'documents', ...more };
}

test('whatever the target holds, every document comes once and in order, with what is there of it', async () => {
  const a = (await bench.db('staging')).collection<Document>('a');
  const large = new Binary(Buffer.alloc(MIB));
  for (let _id = 0; _id < 40; _id++) await a.insertOne({ _id: _id as never, large });
  await a.insertOne({ _id: 50 as never, text: 'as in the backup' });
  const documents = [...numbered(0, 30), WITHOUT_ID, ...numbered(30, 52), WITHOUT_ID, withLateId(50)];
  const size = { maxBytes: MIB, maxDocuments: 45, inFlight: 2 };
  const indexes: number[] = [];
  const refused: number[] = [];
  const presences: string[] = [];
  let parts = 0;
  const meeting = await meetingOf(documents, { size });
  for await (const met of meet(QUIET, meeting, async (each: Met) => each)) {
    parts++;
    for (const position of inOrder(met)) {
      const index = met.documents.first + position;
      indexes.push(index);
      const isRefused = met.refusals.some((refusal) => refusal.position === position);
      if (isRefused) refused.push(index);
      else presences.push(met.there.presence(position));
      assert.ok(met.documents.document(position).equals(documents[index] as Buffer));
      if (met.there.presence(position) === 'other') assert.ok(met.there.other(position));
    }
  }
  assert.ok(parts > 2, 'documents of 1 MiB do not come in one part');
  assert.equal(indexes, [...documents.keys()]);
  assert.equal(refused, [30, 53]);
  const expected = [...Array(40).fill('other'), ...Array(10).fill('absent'), 'same', 'absent', 'same'];
  assert.equal(presences, expected);
});

test('where nothing is looked up, everything is absent', async () => {
  const documents = [...numbered(0, 3), WITHOUT_ID];
  const meeting = await meetingOf(documents, { collection: undefined });
  for await (const { positions, refusals, there } of meet(QUIET, meeting, async (met) => met)) {
    assert.equal(positions, [0, 1, 2]);
    assert.equal(refusals, [{ position: 3, reason: 'it has no _id' }]);
    assert.equal(
      positions.map((position) => there.presence(position)),
      ['absent', 'absent', 'absent'],
    );
  }
});

test('a stopped run ends the meeting with the reason of its signal', async () => {
  const stop = new AbortController();
  const size = { maxBytes: MIB, maxDocuments: 10, inFlight: 2 };
  const meeting = await meetingOf(numbered(0, 100), { size });
  let seen = 0;
  try {
    for await (const length of meet({ signal: stop.signal }, meeting, async (met) => met.positions.length)) {
      seen += length;
      stop.abort(new Error('enough'));
    }
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'enough');
  }
  assert.ok(seen < 100);
});

test('where it is to end, a stopped run ends the meeting after the batches in hand', async () => {
  const stop = new AbortController();
  const size = { maxBytes: MIB, maxDocuments: 10, inFlight: 2 };
  const meeting = await meetingOf(numbered(0, 100), { size, whenStopped: 'end' });
  let seen = 0;
  for await (const length of meet({ signal: stop.signal }, meeting, async (met) => met.positions.length)) {
    seen += length;
    stop.abort(new Error('enough'));
  }
  assert.ok(seen >= 20 && seen < 100, `${seen}`);
});

/** Works on items of these weights; returns how many were worked on side by side, by item. */
async function sideBySide(weights: readonly number[], inFlight: number) {
  const running = new Set<number>();
  const company: number[] = weights.map(() => 0);
  async function* items() {
    yield* weights.keys();
  }
  const weigh = (item: number): number => weights[item] as number;
  const order: number[] = [];
  const worked = mapConcurrently(items(), { inFlight, weigh }, async (item) => {
    running.add(item);
    for (const each of running) company[each] = Math.max(company[each] as number, running.size);
    await new Promise((resolve) => setTimeout(resolve, 5 * ((item * 7) % 4)));
    running.delete(item);
    return item;
  });
  for await (const item of worked) order.push(item);
  assert.equal(order, [...weights.keys()], 'results come in order');
  return company;
}

test('a few items are worked on at once, and a heavy one alone', async () => {
  const company = await sideBySide([1, 1, 1, 8 * MIB, 1, 8 * MIB, 8 * MIB, 1, 1], 3);
  assert.ok(company.every((many) => many <= 3));
  assert.is(company[0], 3);
  for (const heavy of [3, 5, 6]) assert.is(company[heavy], 1);
});

test('after a failure nothing is begun, and it is thrown when those in flight have settled', async () => {
  const begun: number[] = [];
  let settled = 0;
  async function* items() {
    for (let item = 0; item < 10; item++) yield item;
  }
  const working = mapConcurrently(items(), { inFlight: 3, weigh: () => 1 }, async (item) => {
    begun.push(item);
    await new Promise((resolve) => setTimeout(resolve, item === 0 ? 0 : 20));
    settled++;
    if (item === 0) throw new Error('the first');
    return item;
  });
  try {
    for await (const _ of working) assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'the first');
  }
  assert.equal(begun, [0, 1, 2]);
  assert.is(settled, 3);
});

test.run();
