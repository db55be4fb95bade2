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
  const control = new FlightControl(64);
  control.begin(0);
  control.arrived(PIECE, 99);
  assert.is(control.limit, 1);
  control.arrived(PIECE, 100); // the first range needs no company to warm up
  assert.is(control.limit, 4);
  control.arrived(100 * PIECE, 199);
  control.arrived(100 * PIECE, 399);
  assert.is(control.limit, 4);
  control.arrived(PIECE, 400);
  assert.is(control.limit, 16);
});

const MIB = 1024 * 1024;
const received = (bytes: number, milliseconds: number, pausedMs = 0) => ({
  ...{ received: bytes, milliseconds, pausedMs },
});

test('a range is what a connection delivers in a quarter of a second, within what memory allows', () => {
  const control = new FlightControl(8);
  assert.is(control.rangeBytes, 4 * MIB); // nothing is known yet
  control.delivers(received(1000, 1)); // which says nothing
  assert.is(control.rangeBytes, 4 * MIB);
  control.delivers(received(4 * MIB, 100));
  assert.is(control.rangeBytes, 10 * MIB);
  control.delivers(received(4 * MIB, 400, 300)); // while it was told to wait, more came into the system's buffers
  assert.is(control.rangeBytes, 4 * MIB);
  control.delivers(received(4 * MIB, 5));
  assert.is(control.rangeBytes, 32 * MIB);
  const network = new Network(8);
  network.after(2_000, (inFlight) => 32_000 * inFlight);
  network.control.delivers(received(4 * MIB, 5));
  assert.is(network.control.rangeBytes, Math.floor((80 * MIB) / 10));
});

test('a range is nearly done when little is missing, or what a fast server sends at once', () => {
  const control = new FlightControl(8);
  assert.is(control.nearlyDoneBytes, 2 * MIB);
  control.delivers(received(4 * MIB, 100));
  assert.is(control.nearlyDoneBytes, 2 * MIB);
  control.delivers(received(10 * MIB, 10));
  assert.is(control.nearlyDoneBytes, 12 * MIB);
});

test('where a server was told to wait, no further range is tried; where it waited a moment, one is', () => {
  const outpaced = new FlightControl(8);
  outpaced.begin(0);
  outpaced.delivers(received(PIECE, 60, 8));
  outpaced.delivers(received(MIB, 99, 20));
  outpaced.arrived(MIB, 101);
  assert.is(outpaced.limit, 1);
  // The consumer had stopped for a moment, and goes on: that is seen soon.
  outpaced.arrived(MIB, 402);
  assert.is(outpaced.limit, 4);
  const network = new FlightControl(8);
  network.begin(0);
  network.delivers(received(PIECE, 20, 4));
  network.landed();
  network.delivers(received(PIECE, 60, 4));
  network.delivers(received(PIECE, 99, 4));
  network.arrived(PIECE, 101);
  assert.is(network.limit, 4);
});

test.run();
