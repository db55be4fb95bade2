/** How many ranges are kept in flight, on networks that are made of numbers. */
import * as assert from 'uvu/assert';
import { FlightControl } from '../../../src/backup/remote/flight-control.ts';
import { test } from '../../harness.ts';

const PIECE = 64 * 1024;

/** A network that carries `rate(n)` bytes per millisecond with n ranges in flight. */
class Network {
  readonly control: FlightControl;
  #now = 0;

  constructor(most: number) {
    this.control = new FlightControl(most);
    this.control.begin(this.#now);
  }

  /** The limit after so much time. */
  after(milliseconds: number, rate: (inFlight: number) => number): number {
    for (const end = this.#now + milliseconds; this.#now < end; ) {
      this.#now += PIECE / rate(this.control.limit);
      this.control.arrived(PIECE, this.#now);
    }
    return this.control.limit;
  }
}

test('where each connection is slow, as many as memory allows', () => {
  assert.is(
    new Network(8).after(2_000, (inFlight) => 32_000 * inFlight),
    8,
  );
});

test('where the server or the consumer sets the pace, one', () => {
  assert.is(
    new Network(8).after(2_000, () => 500_000),
    1,
  );
});

test('where a few are enough, a few', () => {
  assert.is(
    new Network(64).after(4_000, (inFlight) => 10_000 * Math.min(inFlight, 7)),
    16,
  );
});

test('a network that becomes slower is found out later', () => {
  const network = new Network(8);
  assert.is(
    network.after(2_000, () => 500_000),
    1,
  );
  assert.is(
    network.after(20_000, (inFlight) => 20_000 * inFlight),
    8,
  );
});

test('never more than allowed, never none', () => {
  assert.is(
    new Network(1).after(20_000, (inFlight) => 1000 * inFlight),
    1,
  );
});

test('bytes that arrive while new ranges warm up are no measure', () => {
  const control = new FlightControl(8);
  control.begin(0);
  control.arrived(PIECE, 99);
  control.arrived(PIECE, 299);
  assert.is(control.limit, 1);
  control.arrived(PIECE, 300);
  assert.is(control.limit, 4);
});

test('a range is what a connection delivers in a quarter of a second, within what memory allows', () => {
  const MIB = 1024 * 1024;
  const control = new FlightControl(8);
  assert.is(control.rangeBytes, 4 * MIB); // nothing is known yet
  control.landed(4 * MIB, 100);
  assert.is(control.rangeBytes, 10 * MIB);
  control.landed(4 * MIB, 5);
  assert.is(control.rangeBytes, 32 * MIB);
  const network = new Network(8);
  network.after(2_000, (inFlight) => 32_000 * inFlight);
  network.control.landed(4 * MIB, 5);
  assert.is(network.control.rangeBytes, Math.floor((64 * MIB) / 10));
});

test.run();
