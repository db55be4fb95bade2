/**
 * How many ranges to keep in flight: more for as long as that makes reading faster.
 *
 * Starts with one: where the server is near that is enough, and its bytes are matched while the caches still hold them.
 * Doubles while each doubling brings at least 15 % more bytes per second; then steps back to what was enough and tries
 * again now and then, since networks change. What limits the rate (distance, the server, the consumer of the bytes) need
 * not be known. Pure: the clock is handed in.
 */
const START = 1;
const WORTHWHILE = 1.15;
/** New ranges need a round trip, and their connections time to get up to speed, before they say anything. Milliseconds. */
const WARM_UP_MS = 100;
/** A rate is taken over at least this long, milliseconds. */
const WINDOW_MS = 200;
/** Before more is tried again, milliseconds. */
const PATIENCE_MS = 5_000;

export class FlightControl {
  readonly #most: number;
  #limit: number;
  /** What arrived under this limit since it warmed up. */
  #measured = { bytes: 0, since: 0 };
  /** The best rate of a smaller limit, bytes per millisecond. */
  #before = 0;
  #isGrowing = true;

  constructor(most: number) {
    this.#most = most;
    this.#limit = Math.min(START, most);
  }

  /** Ranges to keep in flight now. */
  get limit(): number {
    return this.#limit;
  }

  /** Nothing was in flight before `now` (milliseconds, monotonic): the time since the last byte is no measure of anything. */
  begin(now: number): void {
    this.#measured = { bytes: 0, since: now + WARM_UP_MS };
  }

  /** `bytes` arrived at `now`, on any of the connections. */
  arrived(bytes: number, now: number): void {
    const elapsed = now - this.#measured.since;
    if (elapsed < 0) return;
    this.#measured.bytes += bytes;
    if (elapsed < (this.#isGrowing ? WINDOW_MS : PATIENCE_MS)) return;
    const rate = this.#measured.bytes / elapsed;
    if (this.#isGrowing && rate < this.#before * WORTHWHILE) {
      this.#isGrowing = false;
      this.#limit = Math.ceil(this.#limit / 2);
    } else {
      this.#isGrowing = this.#limit < this.#most;
      this.#before = rate;
      this.#limit = Math.min(this.#most, this.#limit * 2);
    }
    this.begin(now);
  }
}
