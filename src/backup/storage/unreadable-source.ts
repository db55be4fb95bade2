import type { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from './byte-source.ts';

/** Stands for bytes that cannot be read; says why to whoever wants them. */
export class UnreadableSource implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #refusal: () => RestorePlanError;

  constructor(
    {
      location,
      size,
      modified,
      fingerprint,
    }: Pick<ByteSource, 'location' | 'size' | 'modified' | 'fingerprint'>,
    refusal: () => RestorePlanError,
  ) {
    this.location = location;
    this.size = size;
    this.modified = modified;
    this.fingerprint = fingerprint;
    this.#refusal = refusal;
  }

  async read(): Promise<Buffer> {
    throw this.#refusal();
  }

  // biome-ignore lint/correctness/useYield: there is nothing to give
  async *stream(): AsyncGenerator<Buffer> {
    throw this.#refusal();
  }

  async close(): Promise<void> {}
}
