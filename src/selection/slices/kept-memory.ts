/**
 * Memory for what slices keep: chunks of one size, lent while a slice is scanned, and given back when its part was joined. Whoever owns
 * them decides how many there are, and with that how far scanning may be ahead of joining.
 */

export const CHUNK_BYTES = 1024 * 1024;
/** Lent beyond what is needed at the moment, while there are some: to ask takes a while where another thread is asked. */
const AHEAD = 3;

/** Where the scan of a slice takes memory from. */
export interface KeptRoom {
  /** At least so many chunks, as soon as they are to be had. */
  more(chunks: number): Promise<readonly Uint8Array[]>;
  /** Those that are not needed. */
  giveBack(chunks: readonly Uint8Array[]): void;
}

/** What a chunk is handed to another thread by. */
export const memoryOf = ({ buffer }: Uint8Array): ArrayBuffer => buffer as ArrayBuffer;

export class KeptMemory implements KeptRoom {
  #most = 0;
  #lent = 0;
  readonly #spare: Uint8Array[] = [];

  /** Bytes that `lend` may have lent at a time. */
  set mostBytes(bytes: number) {
    this.#most = Math.ceil(bytes / CHUNK_BYTES);
  }

  /** At least so many chunks; undefined where these would be more than there may be. */
  lend(chunks: number): readonly Uint8Array[] | undefined {
    const free = this.#most - this.#lent;
    return free < chunks ? undefined : this.#take(Math.min(free, chunks + AHEAD));
  }

  /** The same, however many are lent. */
  lendAtOnce(chunks: number): readonly Uint8Array[] {
    return this.lend(chunks) ?? this.#take(chunks);
  }

  async more(chunks: number): Promise<readonly Uint8Array[]> {
    return this.lendAtOnce(chunks);
  }

  /** They may have lost their ends. */
  giveBack(chunks: readonly Uint8Array[]): void {
    this.#lent -= chunks.length;
    for (const chunk of chunks) this.#spare.push(new Uint8Array(memoryOf(chunk)));
  }

  #take(count: number): Uint8Array[] {
    this.#lent += count;
    return Array.from({ length: count }, () => this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES));
  }
}
