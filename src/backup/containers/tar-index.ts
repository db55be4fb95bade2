/**
 * The files of an uncompressed tar, found by seeking from header to header: what the plan does not need is never read.
 *
 * Costs one small read per file that is larger than the read-ahead; smaller files share one. Where the next header lies
 * is known only from the one before, so over a network each read is a round trip. The walk goes to the end of the
 * archive, so a tar that was cut off, or has anything after its end, is refused before a byte of it is used.
 */
import type { ByteSource } from '../storage/byte-source.ts';
import { PartSource } from '../storage/part-source.ts';
import { TarEntries } from './tar-entries.ts';
import { BLOCK_BYTES, isZero } from './tar-header.ts';

/** One read-ahead brings the metadata that lies beside a header along; at 40 MB/s it costs 3 ms. */
const LEAST_AHEAD_BYTES = 128 * 1024;
/** Where headers lie near each other, one larger read brings several; at 40 MB/s it costs 26 ms, half a long round trip. */
const MOST_AHEAD_BYTES = 1024 * 1024;
/** Doubling the read-ahead twice would have brought this header along. */
const NEAR = 4;

export interface TarMember {
  /** Path inside the tar, cleaned. */
  readonly path: string;
  readonly bytes: ByteSource;
}

export async function indexTar(source: ByteSource): Promise<TarMember[]> {
  const window = new ReadAhead(source);
  const entries = new TarEntries(source.location);
  const members: TarMember[] = [];
  let at = 0;
  const take = async (length: number): Promise<Buffer> => {
    if (at + length > source.size) throw entries.cutOff(source.size);
    const bytes = await window.read(at, length);
    at += length;
    return bytes;
  };
  for (;;) {
    const step = entries.header(await take(BLOCK_BYTES), at - BLOCK_BYTES);
    if (step.kind === 'end') break;
    if (step.kind === 'extension') {
      entries.extension(await take(step.size), at);
      at += TarEntries.padding(step.size);
    } else if (step.kind === 'file') {
      const end = at + step.size + TarEntries.padding(step.size);
      if (end > source.size) throw entries.cutOff(source.size);
      members.push({
        path: step.path,
        bytes: new PartSource(window, { path: step.path, from: at, size: step.size }),
      });
      at = end;
    }
  }
  for await (const chunk of source.stream(at, source.size)) {
    if (!isZero(chunk)) throw entries.fault(at, 'has something after its end');
  }
  return members;
}

/** Serves small reads from the last block it fetched; passes everything else through. */
class ReadAhead implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #source: ByteSource;
  #bytes: Buffer = Buffer.alloc(0);
  #from = 0;
  #ahead = LEAST_AHEAD_BYTES;

  constructor(source: ByteSource) {
    this.#source = source;
    this.location = source.location;
    this.size = source.size;
    this.modified = source.modified;
    this.fingerprint = source.fingerprint;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    if (length > LEAST_AHEAD_BYTES) return this.#source.read(offset, length);
    const end = this.#from + this.#bytes.length;
    if (offset < this.#from || offset + length > end) {
      const isNear = offset >= this.#from && offset - end < NEAR * this.#ahead;
      this.#ahead = isNear ? Math.min(2 * this.#ahead, MOST_AHEAD_BYTES) : LEAST_AHEAD_BYTES;
      this.#bytes = await this.#source.read(offset, Math.min(this.#ahead, this.size - offset));
      this.#from = offset;
    }
    return this.#bytes.subarray(offset - this.#from, offset - this.#from + length);
  }

  stream(from: number, to: number): AsyncIterable<Buffer> {
    return this.#source.stream(from, to);
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
