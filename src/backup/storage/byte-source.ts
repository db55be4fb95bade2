/**
 * Bytes that lie somewhere and can be read at any offset: a file on disk, an object in S3, a part of either.
 *
 * Every source is pinned to the bytes it was opened on: once they change, each later call throws RestorePlanError
 * BACKUP instead of mixing old and new bytes.
 */
export interface ByteSource {
  /** For messages: a path, `s3://bucket/key`, `db.tar!gravity/artworks.bson`. Holds no credentials. */
  readonly location: string;
  /** Bytes. */
  readonly size: number;
  /** When the bytes were finished, UTC milliseconds; undefined where nobody knows. */
  readonly modified: number | undefined;
  /** Changes whenever the bytes change. */
  readonly fingerprint: string;
  /** Exactly `length` bytes from `offset`; for headers and small files. Throws BACKUP when they are not all there. */
  read(offset: number, length: number): Promise<Buffer>;
  /**
   * The bytes from `from` up to, not including, `to`, in order. A chunk is lent until the next one is asked for.
   * Leaving the loop early releases what was in flight.
   */
  stream(from: number, to: number): AsyncIterable<Buffer>;
  /**
   * All bytes, as `stream` gives them, compared at the end with the checksum that the store keeps of the whole. Throws BACKUP
   * where they differ. Absent where a store keeps none.
   */
  checked?(): AsyncIterable<Buffer>;
  /** That checksum, where it can be put together from those of parts. Undefined where the store keeps another one, or none. */
  checksum?(): Promise<WholeChecksum | undefined>;
  /** Where in stored files these bytes lie, in their order; absent or undefined where they lie in none. */
  spans?(): readonly StoredSpan[] | undefined;
  /** Releases handles and sockets. A source may be read again afterwards; it opens itself again. */
  close(): Promise<void>;
}

/** What a store says that all bytes of an object add up to. */
export interface WholeChecksum {
  /** CRC-64/NVME has its own tables (`containers/crc.ts`). */
  readonly name: 'CRC32' | 'CRC64NVME';
  /** Of the bytes, as an unsigned number. */
  readonly expected: bigint;
  /** For bytes that add up to something else. */
  damaged(): Error;
}

/** What was seen of a stored file: enough to open it again elsewhere, pinned to the same bytes. Plain data without credentials. */
export interface SeenFile {
  /** Full path or key. */
  readonly path: string;
  readonly size: number;
  /** When it was finished (mtime, LastModified), UTC milliseconds. */
  readonly modified: number | undefined;
  /** Changes whenever its bytes change. */
  readonly fingerprint: string;
  /** Of an object. */
  readonly etag?: string;
  readonly versionId?: string | undefined;
}

/** A run of bytes of a stored file. */
export interface StoredSpan {
  readonly file: SeenFile;
  readonly from: number;
  readonly size: number;
}

/** All bytes, checked where the store keeps a checksum of them: for files whose own format has none. */
export function wholeOf(source: ByteSource): AsyncIterable<Buffer> {
  return source.checked?.() ?? source.stream(0, source.size);
}
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
