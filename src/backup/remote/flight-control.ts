/**
 * How many ranges to keep in flight, and how large: more for as long as that makes reading faster, and each as large as a
 * connection delivers in a quarter of a second.
 *
 * Starts with one: where the server is near that is enough, and its bytes are matched while the caches still hold them.
 * Goes to four times as many while that brings at least 15 % more bytes per second; then steps back to what was enough and
 * tries again now and then, since networks change. What limits the rate (distance, the server, the consumer of the bytes) need
 * not be known. Pure: the clock is handed in.
 */
const MIB = 1024 * 1024;

/** More connections than this bring little, and their ranges would be small. */
const MOST_RANGES = 12;
const START = 1;
const GROWTH = 4;
const WORTHWHILE = 1.15;
/** New ranges need a round trip, and their connections time to get up to speed, before they say anything. Milliseconds. */
const WARM_UP_MS = 100;
/** A rate is taken over at least this long, milliseconds. */
const WINDOW_MS = 200;
/** Before more is tried again, milliseconds. */
const PATIENCE_MS = 2_000;

/** Bytes that were asked for and have not been handed out yet. */
export const MOST_BYTES_IN_FLIGHT = 64 * MIB;
/** A range's fixed cost is lost in more bytes than this. */
const LARGEST_RANGE = 32 * MIB;
/** Room for ranges that are nearly done, beside those that count. */
const SPARE = 1.25;
const SMALLEST_RANGE = 4 * MIB;
/** Longer ones would hold up what comes behind them, shorter ones cost more requests. */
const RANGE_MS = 250;

export class FlightControl {
  readonly #most: number;
  #limit: number;
  /** The limit that was measured before this one. */
  #enough: number;
  /** What arrived under this limit since it warmed up. */
  #measured = { bytes: 0, since: 0 };
  /** The best rate of a smaller limit, bytes per millisecond. */
  #before = 0;
  #isGrowing = true;
  /** Of the last connection that delivered a range, bytes per millisecond. */
  #pace = 0;

  constructor(most = MOST_RANGES) {
    this.#most = most;
    this.#limit = Math.min(START, most);
    this.#enough = this.#limit;
  }

  /** Ranges to keep in flight now. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes of the next range. */
  get rangeBytes(): number {
    const largest = Math.min(LARGEST_RANGE, Math.floor(MOST_BYTES_IN_FLIGHT / (SPARE * this.#limit)));
    return Math.min(largest, Math.max(SMALLEST_RANGE, Math.floor(this.#pace * RANGE_MS)));
  }

  /** A range of `bytes` came whole, within so many milliseconds from its first bytes to its last. */
  landed(bytes: number, milliseconds: number): void {
    this.#pace = bytes / Math.max(1, milliseconds);
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
      this.#limit = this.#enough;
    } else {
      this.#isGrowing = this.#limit < this.#most;
      this.#before = rate;
      this.#enough = this.#limit;
      this.#limit = Math.min(this.#most, this.#limit * GROWTH);
    }
    this.begin(now);
  }
}
