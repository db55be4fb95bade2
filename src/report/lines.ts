/** Progress as plain lines, for logs: each stage's start and end, remarks, and a sign of life every ten seconds. */
import type { RunEvent } from '../events.ts';
import { ProgressTeller, type ProgressView } from './progress.ts';

const SIGN_OF_LIFE_MS = 10_000;

export class LineView implements ProgressView {
  readonly #out: { write(text: string): void };
  readonly #now: () => number;
  readonly #teller: ProgressTeller;
  #lastLine: number;

  constructor(out: { write(text: string): void }, now: () => number) {
    this.#out = out;
    this.#now = now;
    this.#teller = new ProgressTeller(now);
    this.#lastLine = now();
  }

  emit(event: RunEvent): void {
    const line = this.#teller.tell(event);
    if (line.state === 'running' && this.#now() - this.#lastLine < SIGN_OF_LIFE_MS) return;
    this.#lastLine = this.#now();
    this.#out.write(`${line.text}\n`);
  }

  async end(): Promise<void> {}
}
