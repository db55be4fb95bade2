/**
 * Notices that next to nothing comes from a server: a connection that delivers a byte now and then never stalls and never fails, and would
 * be read for ever. A bucket has one watch for all its requests, since they share the line.
 */
import { advice } from '../../advice.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { RemotePatience } from './patience.ts';

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

  /** Watches while `work` waits for bytes of `location`. One that ends well is progress, however small it was. */
  async during<T>(location: string, work: () => Promise<T>): Promise<T> {
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
      if (--this.#underWay === 0) clearInterval(this.#timer);
    }
  }

  #startAnew(): void {
    this.#ticks = [];
    this.#bytes = 0;
    this.#slow = 0;
  }

  #tick(location: string): void {
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
