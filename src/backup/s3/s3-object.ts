import { setMaxListeners } from 'node:events';
import { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { checkedStream } from './checked-stream.ts';
import { RANGE_BYTES, type S3Bucket } from './s3-bucket.ts';
import type { ObjectFacts } from './s3-client.ts';

/** A range that is being received. */
interface Flight {
  readonly bytes: Buffer;
  readonly landed: Promise<void>;
}

/**
 * An object in S3, pinned to its ETag (and version): once it is replaced, S3 refuses every further range.
 *
 * A stream keeps several ranges in flight and hands them out in order. Ranges are received whole before they are handed
 * out, so a consumer may take as long as it likes without a connection standing still meanwhile.
 */
export class S3Object implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #bucket: S3Bucket;
  readonly #facts: ObjectFacts;
  /** Buffers of whole ranges to be used again: fresh ones would pile up until the garbage collector comes by. Shared with a hashing thread. */
  readonly #spare: Buffer[];

  constructor(bucket: S3Bucket, facts: ObjectFacts, spare: Buffer[] = []) {
    this.#bucket = bucket;
    this.#facts = facts;
    this.#spare = spare;
    this.location = bucket.describe(facts.key);
    this.size = facts.size;
    this.modified = facts.modified;
    this.fingerprint = fingerprintOf(facts);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    if (length > 0) await this.#receive(bytes, offset, this.#bucket.signal);
    return bytes;
  }

  async *stream(from: number, to: number): AsyncGenerator<Buffer> {
    const { flights: control, signal } = this.#bucket;
    const left = new AbortController();
    const either = AbortSignal.any([signal, left.signal]);
    setMaxListeners(0, either); // one for each range in flight, which is no leak
    const flights: Flight[] = [];
    let next = from;
    const fillUp = (): void => {
      while (next < to && flights.length < control.limit) {
        const bytes = this.#buffer(Math.min(RANGE_BYTES, to - next));
        const landed = this.#receive(bytes, next, either);
        landed.catch(() => undefined); // thrown where it is awaited
        flights.push({ bytes, landed });
        next += bytes.length;
      }
    };
    control.begin(performance.now());
    try {
      fillUp();
      for (let first = flights.shift(); first !== undefined; first = flights.shift()) {
        await first.landed;
        control.delivered(first.bytes.length, performance.now());
        fillUp();
        yield first.bytes;
        this.#giveBack(first.bytes);
      }
    } finally {
      left.abort();
      await Promise.allSettled(flights.map(({ landed }) => landed));
      for (const { bytes } of flights) this.#giveBack(bytes);
    }
  }

  checked(): AsyncIterable<Buffer> {
    const { emit } = this.#bucket;
    return checkedStream(this, { emit, ask: () => this.#bucket.checksum(this.#facts) });
  }

  async close(): Promise<void> {}

  async #receive(bytes: Buffer, start: number, signal: AbortSignal): Promise<void> {
    if (start + bytes.length > this.size) {
      throw new RestorePlanError('BACKUP', `${this.location} ends at byte ${this.size}, too early.`, {
        hint: 'Its upload did not finish. Take another backup.',
      });
    }
    await this.#bucket.receive(this.#facts, { bytes, filled: 0 }, start, signal);
  }

  #buffer(length: number): Buffer {
    if (length < RANGE_BYTES) return Buffer.allocUnsafeSlow(length);
    return this.#spare.pop() ?? Buffer.from(new SharedArrayBuffer(RANGE_BYTES));
  }

  #giveBack(bytes: Buffer): void {
    if (bytes.length === RANGE_BYTES) this.#spare.push(bytes);
  }
}

export function fingerprintOf({ etag, size, versionId }: ObjectFacts): string {
  const version = versionId === undefined ? '' : `:${versionId}`;
  return `s3:${etag.replaceAll('"', '')}:${size}${version}`;
}
