/** How many ranges are kept in flight, on networks that are made of numbers. */
import * as assert from 'uvu/assert';
import { FlightControl } from '../../../src/backup/remote/flight-control.ts';
import { test } from '../../harness.ts';

const PIECE = 64 * 1024;

const MIB = 1024 * 1024;
const received = (bytes: number, milliseconds: number, pausedMs = 0, firstMs = 0) => ({
  ...{ received: bytes, milliseconds, firstMs, pausedMs },
});

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
    for (const end = this.#now + milliseconds; this.#now < end; ) this.#carry(rate);
    return this.control.limit;
  }

  /** The part of so much time for which the limit is this one. */
  shareOf(limit: number, milliseconds: number, rate: (inFlight: number) => number): number {
    let at = 0;
    for (const end = this.#now + milliseconds; this.#now < end; ) {
      const before = this.#now;
      const isIt = this.control.limit === limit;
      this.#carry(rate);
      if (isIt) at += this.#now - before;
    }
    return at / milliseconds;
  }

  #carry(rate: (inFlight: number) => number): void {
    this.#now += PIECE / rate(this.control.limit);
    this.control.arrived(PIECE, this.#now);
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

test('where a few are enough, a few, and more are tried ever more rarely', () => {
  const network = new Network(64);
  const rate = (inFlight: number): number => 10_000 * Math.min(inFlight, 7);
  network.after(1_000, rate);
  const soon = network.shareOf(16, 2_000, rate);
  network.after(10_000, rate);
  const later = network.shareOf(16, 20_000, rate);
  assert.ok(soon > 0.5 && soon < 0.88, `${soon}`);
  assert.ok(later > 0.9 && later < 0.95, `${later}`);
});

test('more that were for nothing, because the line was slow for a moment, are tried again soon', () => {
  const network = new Network(16);
  const line = (inFlight: number): number => 40_000 * inFlight;
  network.after(420, line);
  assert.is(network.control.limit, 16);
  network.after(310, () => 100_000);
  assert.is(network.control.limit, 4);
  assert.is(network.after(1_000, line), 16);
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
  /** `control` has four ranges, the next of which warm up for so long, since 100 ms. */
  const triesMoreAfter = (control: FlightControl, warmUpMs: number): void => {
    const warm = 100 + warmUpMs;
    assert.is(control.limit, 4);
    control.arrived(100 * PIECE, warm - 1);
    control.arrived(100 * PIECE, warm + 199);
    assert.is(control.limit, 4);
    control.arrived(PIECE, warm + 200);
    assert.is(control.limit, 16);
  };
  const near = new FlightControl(64);
  near.begin(0);
  near.arrived(PIECE, 99);
  assert.is(near.limit, 1);
  near.arrived(PIECE, 100); // the first range needs no company to warm up
  triesMoreAfter(near, 100);
  // As long as ranges wait for their first bytes there, twice.
  const far = new FlightControl(64);
  far.delivers(received(PIECE, 1, 0, 150));
  far.begin(0);
  far.arrived(PIECE, 100);
  triesMoreAfter(far, 300);
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
  // As long as more may follow, there is room for them.
  const growing = new FlightControl(16);
  growing.begin(0);
  growing.delivers(received(4 * MIB, 40));
  growing.arrived(4 * MIB, 100);
  assert.is(growing.limit, 4);
  assert.is(growing.rangeBytes, 4 * MIB);
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
