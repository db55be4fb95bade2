import { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from './byte-source.ts';

/** Bytes that were read before and stand for a file of their own. */
export class MemorySource implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #bytes: Buffer;

  /** `origin` is where the bytes were taken from; they change only when it does. */
  constructor(bytes: Buffer, location: string, origin: Pick<ByteSource, 'fingerprint' | 'modified'>) {
    this.#bytes = bytes;
    this.location = location;
    this.size = bytes.length;
    this.modified = origin.modified;
    this.fingerprint = origin.fingerprint;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    if (offset + length > this.size) throw new RestorePlanError('BACKUP', `${this.location} ends too early.`);
    return this.#bytes.subarray(offset, offset + length);
  }

  async *stream(from: number, to: number): AsyncGenerator<Buffer> {
    if (from < to) yield this.read(from, to - from);
  }

  async close(): Promise<void> {}
}
