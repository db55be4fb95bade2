import type { RangeSink } from './range-download.ts';

/** A range under way: keeps what has arrived, in order, until it is asked for. */
export class RangeFlight implements RangeSink {
  readonly length: number;
  received = 0;
  #firstAt: number | undefined;
  #lastAt = 0;
  #waiting: Buffer[] = [];
  #wake: (() => void) | undefined;
  /** How receiving ended. */
  #end: { readonly error?: unknown } | undefined;

  constructor(length: number) {
    this.length = length;
  }

  /** From the first bytes to the last so far. */
  get milliseconds(): number {
    return this.#lastAt - (this.#firstAt ?? this.#lastAt);
  }

  take(chunk: Buffer): void {
    this.#lastAt = performance.now();
    this.#firstAt ??= this.#lastAt;
    this.received += chunk.length;
    this.#waiting.push(chunk);
    this.#wake?.();
  }

  /** Receives with `receive`; never rejects: a fault is thrown by `arrived`, after what came before it. */
  async fill(receive: (sink: RangeSink) => Promise<void>): Promise<void> {
    try {
      await receive(this);
      this.#end = {};
    } catch (error) {
      this.#end = { error };
    }
    this.#wake?.();
  }

  /** What arrived since it was last asked for, as soon as there is something; nothing once the range is complete. */
  async arrived(): Promise<readonly Buffer[]> {
    while (this.#waiting.length === 0 && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#waiting.length === 0 && this.#end !== undefined && 'error' in this.#end) throw this.#end.error;
    const chunks = this.#waiting;
    this.#waiting = [];
    return chunks;
  }
}
