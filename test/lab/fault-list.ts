/** The faults that a proxy has been given, and how often each has hit. */

export interface SetFault {
  /** How often it has hit. A fault test asserts this: a fault that never fired proves nothing. */
  readonly hits: number;
  remove(): void;
}

export interface LiveFault<F> {
  readonly fault: F;
  hits: number;
}

export class FaultList<F extends { readonly times?: number }> {
  #faults: LiveFault<F>[] = [];

  set(fault: F): SetFault {
    const live: LiveFault<F> = { fault, hits: 0 };
    this.#faults.push(live);
    return {
      get hits() {
        return live.hits;
      },
      remove: () => {
        this.#faults = this.#faults.filter((one) => one !== live);
      },
    };
  }

  /** Those that have hits left; once each unless they say otherwise. */
  live(): readonly LiveFault<F>[] {
    return this.#faults.filter(({ fault, hits }) => hits < (fault.times ?? 1));
  }
}
