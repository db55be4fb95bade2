/** Which operations are told as one run: those of one kind and origin without a pause between them. */
import * as assert from 'uvu/assert';
import { OplogEntry } from '../../src/oplog/entry.ts';
import { History } from '../../src/oplog/history.ts';
import { type HistoryRun, MOST_RUNS } from '../../src/oplog/history-runs.ts';
import { test } from '../harness.ts';
import { entry, on, WALL } from './by-hand.ts';

const EVERYTHING = { since: 0, until: Number.POSITIVE_INFINITY };

/** Of every collection, at any time. */
const ofAll = (): History =>
  new History({ database: 'shop', collections: undefined, ...EVERYTHING, facts: () => undefined });

/** Counts of the runs that inserts at these seconds make. */
function runsAt(seconds: readonly number[]): (number | undefined)[] {
  const history = ofAll();
  const index = history.named('shop.a');
  for (const [_id, second] of seconds.entries()) {
    const operation = new OplogEntry().read(entry(second, on('i', { _id })), 0);
    history.operation(index, operation, operation);
  }
  return history.runs.map(({ count }) => count);
}

test('a pause of more than five seconds ends a run, however long what is without one goes on', () => {
  assert.equal(runsAt([0, 5, 10, 15, 20]), [5]);
  assert.equal(runsAt([0, 1, 7, 8, 28]), [2, 2, 1]);
});

test('where there are very many runs, a longer pause ends one, and none of what they count is lost', () => {
  const history = ofAll();
  const index = history.named('shop.a');
  const documents = MOST_RUNS + 1_000;
  let second = 0;
  const each = (op: 'd' | 'i'): void => {
    for (let _id = 0; _id < documents; _id++) {
      second += 6;
      const operation = new OplogEntry().read(entry(second, on(op, { _id })), 0);
      history.operation(index, operation, operation);
    }
  };
  each('d');
  second += 1_000_000;
  each('i');

  const { runs } = history;
  const sum = (of: (run: HistoryRun) => number): number => runs.reduce((total, run) => total + of(run), 0);
  const deletes = runs.filter(({ kind }) => kind === 'deletes');
  assert.ok(runs.length <= MOST_RUNS, `${runs.length} runs`);
  assert.is(
    sum(({ count }) => count ?? 0),
    2 * documents,
  );
  assert.is(
    sum(({ cameBack }) => cameBack),
    documents,
  );
  assert.ok(runs.every(({ ids, first, last }) => ids.length === 5 && first < last));
  assert.is(deletes.at(0)?.first, WALL + 6_000);
  assert.is(deletes.at(-1)?.last, WALL + documents * 6_000);
  assert.match(
    [...history.notes()].join('\n'),
    /very many deletes: those of a collection that are less than .* apart are told as one/,
  );
});

test.run();
