/** How many ranges are kept in flight, on networks that are made of numbers. */
import * as assert from 'uvu/assert';
import { FlightControl } from '../../../src/backup/s3/flight-control.ts';
import { test } from '../../harness.ts';

const RANGE = 8 * 1024 * 1024;

/** Delivers ranges over a network that carries `rate(n)` bytes per millisecond with n in flight; returns the last limit. */
function settleOn(rate: (inFlight: number) => number, ranges: number, most = 7): number {
  const control = new FlightControl(most);
  let now = 0;
  control.begin(now);
  for (let i = 0; i < ranges; i++) {
    now += RANGE / rate(control.limit);
    control.delivered(RANGE, now);
  }
  return control.limit;
}

test('where each connection is slow, as many as memory allows', () => {
  assert.is(
    settleOn((inFlight) => 32_000 * inFlight, 60),
    7,
  );
});

test('where the server or the consumer sets the pace, no more than at the start', () => {
  assert.is(
    settleOn(() => 500_000, 60),
    4,
  );
});

test('where a few are enough, a few', () => {
  assert.is(
    settleOn((inFlight) => 10_000 * Math.min(inFlight, 8), 90, 64),
    8,
  );
});

test('a network that becomes slower is found out later', () => {
  const control = new FlightControl(7);
  let now = 0;
  control.begin(now);
  const deliver = (rate: (inFlight: number) => number, ranges: number): void => {
    for (let i = 0; i < ranges; i++) {
      now += RANGE / rate(control.limit);
      control.delivered(RANGE, now);
    }
  };
  deliver(() => 500_000, 60);
  assert.is(control.limit, 4);
  deliver((inFlight) => 20_000 * inFlight, 200);
  assert.is(control.limit, 7);
});

test('never more than allowed, never none', () => {
  assert.is(
    settleOn((inFlight) => 1000 * inFlight, 60, 1),
    1,
  );
});

test.run();
