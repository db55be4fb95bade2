/** Which operations are told as one run: those of one kind and origin without a pause between them. */
import * as assert from 'uvu/assert';
import { OplogEntry } from '../../src/oplog/entry.ts';
import { History } from '../../src/oplog/history.ts';
import { test } from '../harness.ts';
import { entry, on } from './by-hand.ts';

const EVERYTHING = { since: 0, until: Number.POSITIVE_INFINITY };

/** Counts of the runs that inserts at these seconds make. */
function runsAt(seconds: readonly number[]): (number | undefined)[] {
  const history = new History({
    database: 'shop',
    collections: undefined,
    ...EVERYTHING,
    facts: () => undefined,
  });
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

test.run();
