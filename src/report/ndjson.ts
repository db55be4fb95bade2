/**
 * The `--json` stream: one object per line on stdout. First `{"type":"version",…}`, then events and the result, last
 * `{"type":"exit",…}`, so that a reader can tell a finished stream from a cut one.
 */
import { EXIT_CODES, type RestorePlanError } from '../errors.ts';
import type { RunEvent } from '../events.ts';
import { VERSION } from '../version.ts';
import { jsonText } from './json-text.ts';

/** Progress within a stage is reported at most once in this many milliseconds; everything else always. */
const PROGRESS_MS = 1000;

/** Version of the shape of these objects. In 1 the documents of a dry-run were texts. */
const FORMAT = 2;

export class NdjsonView {
  readonly #out: { write(text: string): void };
  readonly #now: () => number;
  #lastProgress = Number.NEGATIVE_INFINITY;
  #begun = false;

  constructor(out: { write(text: string): void }, now: () => number) {
    this.#out = out;
    this.#now = now;
  }

  emit(event: RunEvent): void {
    if (event.type.endsWith('-progress')) {
      if (this.#now() - this.#lastProgress < PROGRESS_MS) return;
      this.#lastProgress = this.#now();
    }
    this.write(event);
  }

  write(value: { readonly type: string }): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#line({ type: 'version', version: VERSION, format: FORMAT });
    }
    this.#line(value);
  }

  error(error: RestorePlanError): void {
    const { code, message, hint, facts } = error;
    this.write({ type: 'error', code, message, hint, facts } as { readonly type: string });
  }

  exit(name: keyof typeof EXIT_CODES): void {
    this.write({ type: 'exit', code: EXIT_CODES[name], name } as { readonly type: string });
  }

  #line(value: object): void {
    this.#out.write(`${jsonText(value)}\n`);
  }
}
