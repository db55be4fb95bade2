/**
 * How many ranges to keep in flight: more for as long as that makes reading faster.
 *
 * Starts with a few and doubles while each doubling brings at least 15 % more bytes per second; then steps back to what
 * was enough and tries again now and then, since networks change. What limits the rate (distance, the server, the
 * consumer of the bytes) need not be known. Pure: the clock is handed in.
 */
const START = 4;
const WORTHWHILE = 1.15;
/** Ranges delivered at one setting before more is tried again. */
const PATIENCE = 96;

export class FlightControl {
  readonly #most: number;
  #limit: number;
  /** Ranges still to come that were asked for under the setting before; they say nothing about this one. */
  #old = 0;
  #measured = { ranges: 0, bytes: 0, since: 0 };
  /** The best rate of a smaller setting, bytes per millisecond. */
  #before = 0;
  #settledFor = 0;
  #isGrowing = true;

  constructor(most: number) {
    this.#most = most;
    this.#limit = Math.min(START, most);
  }

  /** Ranges to keep in flight now. */
  get limit(): number {
    return this.#limit;
  }

  /** Nothing was in flight before the next range: the time since the last one is no measure of anything. */
  begin(now: number): void {
    this.#measured = { ranges: 0, bytes: 0, since: now };
    this.#old = 0;
  }

  /** A range of `bytes` arrived in order at `now` (milliseconds, monotonic). */
  delivered(bytes: number, now: number): void {
    if (this.#old > 0) {
      this.#old--;
      if (this.#old === 0) this.#measured = { ranges: 0, bytes: 0, since: now };
      return;
    }
    this.#measured.ranges++;
    this.#measured.bytes += bytes;
    if (!this.#isGrowing) {
      this.#settledFor++;
      if (this.#settledFor >= PATIENCE && this.#limit < this.#most) this.#tryMore(this.#rate(now), now);
    } else if (this.#measured.ranges >= this.#limit) {
      const rate = this.#rate(now);
      if (rate < this.#before * WORTHWHILE) this.#settle(Math.max(1, Math.ceil(this.#limit / 2)), now);
      else if (this.#limit >= this.#most) this.#settle(this.#limit, now);
      else this.#tryMore(rate, now);
    }
  }

  #rate(now: number): number {
    return this.#measured.bytes / Math.max(1, now - this.#measured.since);
  }

  #tryMore(rate: number, now: number): void {
    this.#isGrowing = true;
    this.#before = rate;
    this.#change(Math.min(this.#most, this.#limit * 2), now);
  }

  #settle(limit: number, now: number): void {
    this.#isGrowing = false;
    this.#settledFor = 0;
    this.#change(limit, now);
  }

  #change(limit: number, now: number): void {
    this.#old = this.#limit;
    this.#limit = limit;
    this.#measured = { ranges: 0, bytes: 0, since: now };
  }
}
