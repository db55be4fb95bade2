/** Which runs `plan history` prints as one. */
import * as assert from 'uvu/assert';
import { historyView } from '../../src/cli/views/history.ts';
import type { HistoryRun } from '../../src/oplog/history-runs.ts';
import { test } from '../harness.ts';

const NOON = Date.UTC(2026, 10, 22, 12);

function deletesOf(number: number, how: HistoryRun['how'], about: Partial<HistoryRun>): HistoryRun {
  return {
    ...{ number, namespace: 'shop.accounts', kind: 'deletes', origin: 'user', how, isLoss: true },
    ...{ first: NOON, last: NOON, count: 1, fields: new Map(), hasOddFields: false, ids: [`${number}`] },
    ...{ cameBack: 0, user: undefined, detail: undefined },
    ...about,
  };
}

function printed(runs: readonly HistoryRun[]): unknown[] {
  const read = { origin: 'an oplog', from: NOON, till: NOON, minutes: new Map(), notes: [], passedOver: [] };
  const [told] = historyView({ ...read, runs }, new Map()).objects() as unknown as [
    { readonly runs: readonly { readonly [key: string]: unknown }[] },
  ];
  return told.runs.map(({ count, how, ids, cameBack }) => [count, how, ids, cameBack]);
}

test('a deleteMany whose last document went by an operation of its own is one run, with one entry', () => {
  const many = deletesOf(0, 'many', { count: 300, cameBack: 2 });
  const rest = deletesOf(1, 'one', { cameBack: 1 });
  assert.equal(printed([many, rest]), [[301, 'many', ['0', '1'], 3]]);
  assert.equal(printed([rest, many]), [[301, 'many', ['0', '1'], 3]]);
  const longer = { ...many, first: NOON - 20 };
  assert.equal(printed([longer, rest]), [[301, 'many', ['0', '1'], 3]]);
});

test('what another entry undoes stays a run of its own', () => {
  const many = deletesOf(0, 'many', { count: 300 });
  const others = [
    deletesOf(1, 'one', { first: NOON + 1, last: NOON + 1 }),
    deletesOf(1, 'one', { first: NOON - 1 }),
    deletesOf(1, 'one', { namespace: 'shop.notes' }),
    deletesOf(1, 'one', { origin: 'maybeExpired' }),
    deletesOf(1, 'one', { user: 'a' }),
  ];
  for (const other of others) assert.is(printed([many, other]).length, 2);
});

test.run();
