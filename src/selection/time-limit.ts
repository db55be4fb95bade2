import { type Context, createContext, Script } from 'node:vm';
import { RestorePlanError } from '../errors.ts';
import { QueryFault } from '../query/query-fault.ts';

/** How long one piece of work may take, milliseconds: thousands of times what matching a megabyte takes. */
const LIMIT_MS = 30_000;

/** A regular expression that found no end. */
export class EndlessPattern extends QueryFault {}

/**
 * Runs synchronous work that might never end: throws EndlessPattern when the time is up, and RestorePlanError SIGINT when the operator
 * does not want to wait that long. No handler of a signal runs during synchronous work, so nothing else could end it.
 *
 * Watching costs 0.15 ms each time (two threads of V8's are started), so it is for work on many documents, and only where there is need.
 */
export class TimeLimit {
  readonly #limitMs: number;
  readonly #names = { work: (): void => undefined };
  /** Made when it is needed: a context takes a third of a megabyte. */
  #watch: { readonly script: Script; readonly context: Context } | undefined;

  constructor(limitMs = LIMIT_MS) {
    this.#limitMs = limitMs;
  }

  run(work: () => void): void {
    this.#names.work = work;
    this.#watch ??= { script: new Script('work()'), context: createContext(this.#names) };
    const { script, context } = this.#watch;
    try {
      script.runInContext(context, {
        timeout: this.#limitMs,
        breakOnSigint: true,
        displayErrors: false,
      });
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      return new EndlessPattern(`its regular expression was still at work after ${this.#limitMs / 1000} s`);
    if (code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED')
      return new RestorePlanError('SIGINT', 'stopped by SIGINT', {
        hint: 'Nothing was selected, and nothing was written. Run the same command again to start anew.',
      });
    return error;
  }
}
