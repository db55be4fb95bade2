/** Riding out transient faults: waits between attempts grow, and end when the patience given for one step is used up. */
import { setTimeout as delay } from 'node:timers/promises';
import { RestorePlanError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { CommandFailure } from './command-failure.ts';

export interface Patience {
  /** How long one step may keep failing before it is given up, milliseconds from its first failure. */
  readonly totalMs: number;
  readonly emit: Emit;
  /** Aborted: no further attempt is made. */
  readonly signal?: AbortSignal;
}

/** Thrown by an attempt that got an answer, but one that only time can change: a document locked, a write not yet visible. */
export class TryAgain extends RestorePlanError {
  readonly transient = true;
  readonly reason: string;

  constructor(what: string, reason: string) {
    super('TARGET', `${what}: ${reason}`, {
      hint: 'Look at the state of the target server, then run the same command again.',
    });
    this.reason = reason;
  }
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 3_000;

/** Runs `attempt` until it succeeds, fails for good, or the patience ends; then throws the last failure. */
export async function rideOut<T>(patience: Patience, what: string, attempt: () => Promise<T>): Promise<T> {
  let firstFailureAt: number | undefined;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CommandFailure || error instanceof TryAgain)) throw error;
      if (!error.transient || patience.signal?.aborted) throw error;
      const now = performance.now();
      firstFailureAt ??= now;
      // Jitter keeps the batches in flight from coming back all at once to a server that has just recovered.
      const delayMs =
        Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
      if (now + delayMs - firstFailureAt > patience.totalMs) throw error;
      patience.emit({
        type: 'retry',
        what,
        attempt: tries,
        delayMs: Math.round(delayMs),
        reason: error.reason,
      });
      await delay(delayMs, undefined, patience.signal ? { signal: patience.signal } : {}).catch(() => {
        throw error;
      });
    }
  }
}
