/**
 * Bounds the bytes that are on their way to the server at once. The driver copies a command's bytes twice before they are on
 * the wire, so batches of large documents take turns while small ones go side by side.
 */
export class ByteBudget {
  readonly #limit: number;
  #used = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `work` when `bytes` fit beside what is running; alone, when they exceed the whole budget. */
  async spend<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    while (this.#used > 0 && this.#used + bytes > this.#limit) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#used += bytes;
    try {
      return await work();
    } finally {
      this.#used -= bytes;
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }
}
