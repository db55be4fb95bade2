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
  /** Releases handles and sockets. A source may be read again afterwards; it opens itself again. */
  close(): Promise<void>;
}

/** All bytes, checked where the store keeps a checksum of them: for files whose own format has none. */
export function wholeOf(source: ByteSource): AsyncIterable<Buffer> {
  return source.checked?.() ?? source.stream(0, source.size);
}
