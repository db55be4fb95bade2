import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { comparePairs, isReached, median } from './measure.ts';

test('the median of an even number of values lies between the middle two', () => {
  assert.is(median([5, 1, 3]), 3);
  assert.is(median([4, 1, 3, 2]), 2.5);
});

test('pairs are compared one by one, so a slow moment of the machine that hits a whole pair does not count', () => {
  const pairs = [
    { ours: 100, reference: 1000 },
    { ours: 900, reference: 9000 },
    { ours: 110, reference: 1100 },
  ];
  const result = comparePairs('restore', pairs, 10);
  assert.is(result.figure, 10);
  assert.is(result.ours, '0.11 s');
  assert.ok(isReached(result));
  assert.not(isReached({ ...result, mustReach: { atLeast: 10.1 } }));
  assert.not(isReached({ ...result, mustReach: { atMost: 9.9 } }));
});

test.run();
