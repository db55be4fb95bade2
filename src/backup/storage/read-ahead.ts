import type { ByteSource } from './byte-source.ts';

/** One read brings what lies beside it along; at 40 MB/s it costs 3 ms. */
const LEAST_AHEAD_BYTES = 128 * 1024;
/** Where reads lie near each other, one larger read serves several; at 40 MB/s it costs 26 ms, half a long round trip. */
const MOST_AHEAD_BYTES = 1024 * 1024;
/** Doubling the read-ahead twice would have brought this read along. */
const NEAR = 4;

/** Serves small reads from the last block it fetched, its window; passes everything else through. */
export class ReadAhead implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly checked?: () => AsyncIterable<Buffer>;
  readonly #source: ByteSource;
  #window: Buffer = Buffer.alloc(0);
  #from = 0;
  #ahead = LEAST_AHEAD_BYTES;

  constructor(source: ByteSource) {
    this.#source = source;
    this.location = source.location;
    this.size = source.size;
    this.modified = source.modified;
    this.fingerprint = source.fingerprint;
    if (source.checked !== undefined) this.checked = source.checked.bind(source);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const isTooLong = length > LEAST_AHEAD_BYTES || offset + length > this.size;
    if (isTooLong) return this.#source.read(offset, length);
    return this.held(offset, length) ?? (await this.#fetch(offset)).subarray(0, length);
  }

  /** These bytes where the window has them all; they stay valid when it moves on, and keep all of it in memory. */
  held(offset: number, length: number): Buffer | undefined {
    const start = offset - this.#from;
    if (start < 0 || start + length > this.#window.length) return undefined;
    return this.#window.subarray(start, start + length);
  }

  async *stream(from: number, to: number): AsyncGenerator<Buffer> {
    const held = this.held(from, to - from);
    if (held === undefined) yield* this.#source.stream(from, to);
    else if (held.length > 0) yield held;
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  async #fetch(offset: number): Promise<Buffer> {
    const end = this.#from + this.#window.length;
    const isNear = end > 0 && offset >= this.#from && offset - end < NEAR * this.#ahead;
    this.#ahead = isNear ? Math.min(2 * this.#ahead, MOST_AHEAD_BYTES) : LEAST_AHEAD_BYTES;
    this.#window = await this.#source.read(offset, Math.min(this.#ahead, this.size - offset));
    this.#from = offset;
    return this.#window;
  }
}
