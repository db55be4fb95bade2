/**
 * How many ranges to keep in flight, and how large: more for as long as that makes reading faster, and each as large as a
 * connection delivers in a quarter of a second.
 *
 * Starts with one: where the server is near that is enough, and its bytes are matched while the caches still hold them.
 * Goes to four times as many while that brings at least 15 % more bytes per second; then steps back to what was enough and
 * tries again now and then, since networks change. Not where a server was told to wait: there the consumer of the bytes sets the pace.
 * What else limits the rate (distance, the server) need not be known. Pure: the clock is handed in.
 */
const MIB = 1024 * 1024;

/** More connections than this bring little, and their ranges would be small. */
const MOST_RANGES = 16;
const START = 1;
const GROWTH = 4;
const WORTHWHILE = 1.15;
/** Told to wait for this part of the time, servers are faster than the consumer. */
const WAITED = 0.1;
/**
 * New ranges need a connection and an answer, and time to get up to speed, before they say anything: so many times as long as a range before
 * them waited for its first bytes, within milliseconds.
 */
const WARM_UP_ROUNDS = 2;
const WARM_UP_MS = { least: 100, most: 1_000 } as const;
/** A rate is taken over at least this long, milliseconds. */
const WINDOW_MS = 200;
/** The first one, of the first range: it only tells whether the server waits for the consumer. */
const FIRST_WINDOW_MS = 100;
/** Before more is tried again, milliseconds: twice as long each time that it was for nothing. */
const PATIENCE_MS = { least: 400, most: 4_000 } as const;

/** Bytes that were asked for and have not been handed out yet. With 64 MiB, 16 connections of 40 MB/s over 50 ms deliver a tenth less. */
export const MOST_BYTES_IN_FLIGHT = 80 * MIB;
/** A range's fixed cost is lost in more bytes than this; where the line becomes slow, all that lies behind it waits. */
const LARGEST_RANGE = 32 * MIB;
/** Room for ranges that are nearly done, beside those that count. */
const SPARE = 1.25;
const SMALLEST_RANGE = 4 * MIB;
/** Longer ones would hold up what comes behind them, shorter ones cost more requests. */
const RANGE_MS = 250;
/** What is left of a range is worth no more than the round trip of the next request: so many bytes, or milliseconds to a near server. */
const NEARLY_DONE_BYTES = 2 * MIB;
const NEARLY_DONE_MS = 12;
/** Of less, the time says nothing. */
const MEASURED_BYTES = MIB;

/** What has come of a range. */
export interface Delivery {
  /** Bytes. */
  readonly received: number;
  /** From the first bytes to the last so far. */
  readonly milliseconds: number;
  /** From being asked for to the first bytes. */
  readonly firstMs: number;
  /** How long the server was told to wait meanwhile. */
  readonly pausedMs: number;
}

export class FlightControl {
  readonly #most: number;
  #limit: number;
  /** The limit that was measured before this one. */
  #enough: number;
  /** What arrived under this limit since it warmed up. */
  #measured = { bytes: 0, pausedMs: 0, since: 0 };
  /** The best rate of a smaller limit, bytes per millisecond. */
  #before = 0;
  #isFirstWindow = true;
  #isGrowing = true;
  #patienceMs: number = PATIENCE_MS.least;
  /** Of the connection that delivered last, bytes per millisecond. */
  #pace = 0;
  /** How long the range that delivered last waited for its first bytes. */
  #firstMs = 0;
  /** Of the range that is being consumed, what was counted. */
  #pausedBefore = 0;

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
    // Large ones that are under way would leave no room for more of them.
    const ranges = this.#limit > 1 && this.#isGrowing ? this.#grown : this.#limit;
    const largest = Math.min(LARGEST_RANGE, Math.floor(MOST_BYTES_IN_FLIGHT / (SPARE * ranges)));
    return Math.min(largest, Math.max(SMALLEST_RANGE, Math.floor(this.#pace * RANGE_MS)));
  }

  /** A range of which so much is missing needs no place any longer. */
  get nearlyDoneBytes(): number {
    return Math.max(NEARLY_DONE_BYTES, Math.floor(this.#pace * NEARLY_DONE_MS));
  }

  /** So much has come of the range that is being consumed. */
  delivers({ received, milliseconds, firstMs, pausedMs }: Delivery): void {
    this.#firstMs = firstMs;
    // Pauses count: what came into the system's buffers meanwhile comes at once after them.
    if (received >= MEASURED_BYTES) this.#pace = received / Math.max(1, milliseconds);
    this.#measured.pausedMs += pausedMs - this.#pausedBefore;
    this.#pausedBefore = pausedMs;
  }

  /** All of it has come, and another one is consumed. */
  landed(): void {
    this.#pausedBefore = 0;
  }

  /** Nothing was in flight before `now` (milliseconds, monotonic): the time since the last byte is no measure of anything. */
  begin(now: number): void {
    this.#measured = { bytes: 0, pausedMs: 0, since: now + (this.#isFirstWindow ? 0 : this.#warmUpMs) };
  }

  /** `bytes` arrived at `now`, on any of the connections. */
  arrived(bytes: number, now: number): void {
    const elapsed = now - this.#measured.since;
    if (elapsed < 0) return;
    this.#measured.bytes += bytes;
    if (elapsed < this.#windowMs) return;
    this.#isFirstWindow = false;
    const rate = this.#measured.bytes / elapsed;
    if (this.#measured.pausedMs >= elapsed * WAITED) {
      this.#limit = this.#enough;
    } else if (this.#isGrowing && rate < this.#before * WORTHWHILE) {
      this.#isGrowing = false;
      this.#limit = this.#enough;
      this.#patienceMs = Math.min(PATIENCE_MS.most, 2 * this.#patienceMs);
    } else {
      if (this.#isGrowing) this.#patienceMs = PATIENCE_MS.least;
      this.#isGrowing = this.#limit < this.#most;
      this.#before = rate;
      this.#enough = this.#limit;
      this.#limit = this.#grown;
    }
    this.begin(now);
  }

  /** The limit to try next. */
  get #grown(): number {
    return Math.min(this.#most, this.#limit * GROWTH);
  }

  get #windowMs(): number {
    if (this.#isFirstWindow) return FIRST_WINDOW_MS;
    return this.#isGrowing ? WINDOW_MS : this.#patienceMs;
  }

  get #warmUpMs(): number {
    return Math.min(WARM_UP_MS.most, Math.max(WARM_UP_MS.least, WARM_UP_ROUNDS * this.#firstMs));
  }
}
