import { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from './byte-source.ts';

interface Part {
  /** Its name inside the whole. */
  readonly path: string;
  /** Where it begins and how long it is, in bytes of the whole. */
  readonly from: number;
  readonly size: number;
  /** When it was finished, UTC milliseconds. */
  readonly modified: number | undefined;
}

/** A run of another source's bytes that stands for itself: a member of a tar. Closing it leaves the whole open. */
export class PartSource implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #whole: ByteSource;
  readonly #from: number;

  constructor(whole: ByteSource, part: Part) {
    this.#whole = whole;
    this.#from = part.from;
    this.size = part.size;
    this.location = `${whole.location}!${part.path}`;
    this.modified = part.modified;
    this.fingerprint = `${whole.fingerprint}[${part.from}+${part.size}]`;
  }

  read(offset: number, length: number): Promise<Buffer> {
    this.#assertInside(offset + length);
    return this.#whole.read(this.#from + offset, length);
  }

  stream(from: number, to: number): AsyncIterable<Buffer> {
    this.#assertInside(to);
    return this.#whole.stream(this.#from + from, this.#from + to);
  }

  async close(): Promise<void> {}

  #assertInside(end: number): void {
    if (end <= this.size) return;
    throw new RestorePlanError(
      'BACKUP',
      `${this.location} ends at byte ${this.size}, earlier than expected.`,
      {
        hint: 'The file was cut off before it was packed. Use another backup.',
      },
    );
  }
}
