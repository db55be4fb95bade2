import { type DocumentConsumer, DocumentFramer } from './document-framer.ts';
import type { TimeLimit } from './time-limit.ts';

/** Watching has a price by the piece; chunks from S3 are a small part of this. */
const PIECE_BYTES = 1024 * 1024;

/** A framer whose consumer is watched while it decides. Chunks are copied together, so that it is worth its price. */
export class WatchedFramer {
  readonly #framer: DocumentFramer;
  readonly #limit: TimeLimit;
  #piece = Buffer.alloc(0);
  #filled = 0;

  constructor(consumer: DocumentConsumer, limit: TimeLimit) {
    this.#framer = new DocumentFramer(consumer);
    this.#limit = limit;
  }

  /** Documents begun so far, without those of the chunks that wait. */
  get documents(): number {
    return this.#framer.documents;
  }

  push(chunk: Buffer): void {
    const isLarge = chunk.length > PIECE_BYTES / 2;
    if (isLarge || this.#filled + chunk.length > PIECE_BYTES) this.#flush();
    if (isLarge) {
      this.#frame(chunk);
      return;
    }
    if (this.#piece.length === 0) this.#piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
    chunk.copy(this.#piece, this.#filled);
    this.#filled += chunk.length;
  }

  end(): void {
    this.#flush();
    this.#framer.end();
  }

  #flush(): void {
    if (this.#filled === 0) return;
    this.#frame(this.#piece.subarray(0, this.#filled));
    this.#filled = 0;
  }

  #frame(bytes: Buffer): void {
    this.#limit.run(() => this.#framer.push(bytes));
  }
}
