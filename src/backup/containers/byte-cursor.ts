/**
 * Takes exact amounts from a stream of chunks that are cut anywhere. Copies only what `take` joins; `chunks` hands out
 * views of what arrived.
 */
export class ByteCursor {
  readonly #chunks: AsyncIterator<Buffer>;
  #current: Buffer = Buffer.alloc(0);
  #position = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Bytes handed out or passed over so far. */
  get position(): number {
    return this.#position;
  }

  /** The next `length` bytes without passing them, or fewer when the stream ends before. */
  async peek(length: number): Promise<Buffer> {
    while (this.#current.length < length) {
      const kept = Buffer.from(this.#current);
      const next = await this.#chunks.next();
      if (next.done) break;
      this.#current = kept.length === 0 ? next.value : Buffer.concat([kept, next.value]);
    }
    return this.#current.subarray(0, length);
  }

  /** The next `length` bytes, or fewer when the stream ends before. For headers: the result is a copy. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.chunks(length)) parts.push(Buffer.from(part));
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** The next `length` bytes in pieces, fewer when the stream ends before; each is valid until the next one is asked for. */
  async *chunks(length: number): AsyncGenerator<Buffer> {
    let missing = length;
    while (missing > 0) {
      if (this.#current.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) return;
        this.#current = next.value;
      }
      const part = this.#current.length <= missing ? this.#current : this.#current.subarray(0, missing);
      this.#current = this.#current.subarray(part.length);
      this.#position += part.length;
      missing -= part.length;
      if (part.length > 0) yield part;
    }
  }

  /** Passes over `length` bytes, or to the end of the stream. */
  async skip(length: number): Promise<void> {
    for await (const _ of this.chunks(length));
  }

  /** Tells the stream that nothing more will be asked of it. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
