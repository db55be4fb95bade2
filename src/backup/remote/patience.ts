/** How long faults of a server are ridden out, and the loop that does it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { advice } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { ObjectServer } from './object-server.ts';

/** All in milliseconds. */
export interface RemotePatience {
  readonly connectMs: number;
  /** From the request to the first byte of its answer. */
  readonly answerMs: number;
  /** Without a byte while one is waited for. */
  readonly stallMs: number;
  /** How long a request may keep failing before anything was read. */
  readonly firstMs: number;
  /** How long reading may go without a new byte, or with next to none. */
  readonly readingMs: number;
  /** A tenth of the time after which it is warned of that. */
  readonly tickMs: number;
}

export const USUAL_PATIENCE: RemotePatience = {
  connectMs: 5_000,
  answerMs: 20_000,
  stallMs: 20_000,
  firstMs: 12_000,
  readingMs: 90_000,
  tickMs: 1_000,
};

/** The usual one, with another time for reading (`--patience`), milliseconds. */
export function patienceOf(readingMs: number): RemotePatience {
  const { answerMs, stallMs, firstMs } = USUAL_PATIENCE;
  return {
    ...USUAL_PATIENCE,
    readingMs,
    answerMs: Math.min(answerMs, readingMs),
    stallMs: Math.min(stallMs, readingMs),
    firstMs: Math.min(firstMs, readingMs),
    tickMs: Math.min(USUAL_PATIENCE.tickMs, readingMs / 20),
  };
}

/** Rejects like a socket that timed out when the work takes longer: an answer may begin, and never come to its end. */
export async function inTime<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = Object.assign(new Error('no whole answer'), { code: 'ETIMEDOUT' });
    timer = setTimeout(() => reject(error), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 8_000;
/** Less than this between two failures is no progress: a connection that breaks after every few bytes leads nowhere. */
const PROGRESS_BYTES = 64 * 1024;

export interface Attempts {
  readonly server: Pick<ObjectServer, 'readFault' | 'explain'>;
  /** `s3://bucket/key`, for messages and events. */
  readonly location: string;
  readonly totalMs: number;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Bytes got so far: when it grew well since the last failure, the patience starts anew. */
  readonly progress?: () => number;
  /** Called before a try that follows expired credentials. */
  readonly renew?: () => void;
  /** An object is stored, not read. */
  readonly isWriting?: boolean;
  /** The proxy that the last try went through. */
  readonly proxy?: () => string | undefined;
}

/** Runs `attempt` until it succeeds; throws RestorePlanError once a fault is lasting or the patience ends. */
export async function persist<T>(attempts: Attempts, attempt: () => Promise<T>): Promise<T> {
  let failures = 0;
  let failingSince = 0;
  let reached = 0;
  let renewed = false;
  for (;;) {
    try {
      attempts.signal.throwIfAborted();
      return await attempt();
    } catch (error) {
      attempts.signal.throwIfAborted();
      if (error instanceof RestorePlanError) throw error;
      const fault = attempts.server.readFault(error);
      const now = performance.now();
      const progress = attempts.progress?.() ?? 0;
      if (failures === 0 || progress - reached >= PROGRESS_BYTES) {
        failures = 0;
        failingSince = now;
        reached = progress;
      }
      failures++;
      // Jitter keeps the ranges in flight from coming back all at once to a server that has just recovered.
      const delayMs =
        Math.min(FIRST_DELAY_MS * 2 ** (failures - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
      const isOver = now + delayMs - failingSince > attempts.totalMs;
      if (!fault.transient || isOver || (fault.expired && renewed))
        throw attempts.server.explain(error, attempts.location, {
          proxy: attempts.proxy?.(),
          isWriting: attempts.isWriting,
        });
      if (fault.expired) {
        renewed = true;
        attempts.renew?.();
      }
      attempts.emit({
        type: 'retry',
        what: attempts.location,
        attempt: failures,
        delayMs: Math.round(delayMs),
        reason: reasonOf(error),
      });
      await sleep(delayMs, undefined, { signal: attempts.signal }).catch(() =>
        attempts.signal.throwIfAborted(),
      );
    }
  }
}

function reasonOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'unknown fault';
}

// Notices that next to nothing comes from a server: a connection that delivers a byte now and then never stalls and never fails, and would
// be read for ever. A bucket has one watch for all its requests, since they share the line.

/** Less than this, while something is waited for, is next to nothing; bytes per second. */
const LEAST_RATE = 10 * 1024;
/** The rate is taken over so many ticks. */
const WINDOW = 10;

export class PaceWatch {
  readonly #emit: Emit;
  readonly #name: string;
  readonly #patience: Pick<RemotePatience, 'tickMs' | 'readingMs'>;
  readonly #over = new AbortController();
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Bytes of each tick of the window, the newest last. */
  #ticks: number[] = [];
  #bytes = 0;
  /** Ticks since the rate was last good. */
  #slow = 0;
  #hasWarned = false;
  /** Of the works under way, whether we have told the server to wait. */
  readonly #pauses = new Set<() => boolean>();

  /**
   * `name`: of the server. Ticks are counted instead of looking at the clock, so that a process that was stopped accuses nobody;
   * a rate below the least is borne for `readingMs`.
   */
  constructor(emit: Emit, name: string, patience: Pick<RemotePatience, 'tickMs' | 'readingMs'>) {
    this.#emit = emit;
    this.#name = name;
    this.#patience = patience;
  }

  /** Aborted, with a RestorePlanError as its reason, when next to nothing has come for too long. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  arrived(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Watches while `work` waits for bytes of `location`, but for pauses of its own. One that ends well is progress, however small it was. */
  async during<T>(
    location: string,
    work: () => Promise<T>,
    isPaused: () => boolean = () => false,
  ): Promise<T> {
    this.#pauses.add(isPaused);
    if (this.#underWay++ === 0) {
      this.#startAnew();
      this.#timer = setInterval(() => this.#tick(location), this.#patience.tickMs);
      this.#timer.unref();
    }
    try {
      const result = await work();
      this.#startAnew();
      return result;
    } finally {
      this.#pauses.delete(isPaused);
      if (--this.#underWay === 0) clearInterval(this.#timer);
    }
  }

  #startAnew(): void {
    this.#ticks = [];
    this.#bytes = 0;
    this.#slow = 0;
  }

  #tick(location: string): void {
    if ([...this.#pauses].some((isPaused) => isPaused())) {
      this.#startAnew();
      return;
    }
    const { tickMs, readingMs } = this.#patience;
    this.#ticks.push(this.#bytes);
    this.#bytes = 0;
    if (this.#ticks.length > WINDOW) this.#ticks.shift();
    const came = this.#ticks.reduce((sum, bytes) => sum + bytes, 0);
    const seconds = (tickMs * WINDOW) / 1000;
    if (this.#ticks.length < WINDOW || came >= LEAST_RATE * seconds) {
      this.#slow = this.#ticks.length < WINDOW ? this.#slow + 1 : 0;
      return;
    }
    this.#slow++;
    if (!this.#hasWarned) {
      this.#hasWarned = true;
      const least = `less than ${Math.ceil((LEAST_RATE * seconds) / 1024)} KiB in ${seconds} s`;
      this.#emit({
        type: 'warning',
        message: `${location}: next to nothing comes from ${this.#name} (${least}); given up after ${readingMs / 1000} s of that`,
      });
    }
    if (this.#slow * tickMs < readingMs) return;
    const error = new RestorePlanError(
      'BACKUP',
      `${location} cannot be read: next to nothing came from ${this.#name} for ${readingMs / 1000} s`,
      {
        hint: advice`Run again when the network or the server is better, from a machine nearer to it, or wait longer with ${{ option: 'patience', value: '10m' }}.`,
      },
    );
    this.#over.abort(error);
  }
}
