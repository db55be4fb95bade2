/** Sources made of other bytes: a part of a source, several read as one, bytes in memory, bytes that cannot be read. */
import { RestorePlanError } from '../../errors.ts';
import type { ByteSource, StoredSpan } from './byte-source.ts';

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

  spans(): StoredSpan[] | undefined {
    const whole = this.#whole.spans?.();
    return whole && cutSpans(whole, this.#from, this.#from + this.size);
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

/** Several sources read as one, in order: an archive that was split into chunks. */
export class JoinedSource implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #parts: readonly ByteSource[];
  readonly #closed: readonly ByteSource[];

  /** `location` is the name of the whole; `closed`: what is closed with it. */
  constructor(location: string, parts: readonly ByteSource[], closed = parts) {
    this.#parts = parts;
    this.#closed = closed;
    this.location = location;
    this.size = parts.reduce((sum, { size }) => sum + size, 0);
    const times = parts.flatMap(({ modified }) => (modified === undefined ? [] : [modified]));
    this.modified = times.length === 0 ? undefined : Math.max(...times);
    this.fingerprint = parts.map(({ fingerprint }) => fingerprint).join('+');
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (const { part, from, to } of this.#spans(offset, offset + length))
      pieces.push(await part.read(from, to - from));
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  async *stream(from: number, to: number): AsyncGenerator<Buffer> {
    for (const span of this.#spans(from, to)) yield* span.part.stream(span.from, span.to);
  }

  spans(): StoredSpan[] | undefined {
    const all: StoredSpan[] = [];
    for (const part of this.#parts) {
      const spans = part.spans?.();
      if (spans === undefined) return undefined;
      all.push(...spans);
    }
    return all;
  }

  async close(): Promise<void> {
    for (const source of this.#closed) await source.close();
  }

  /** Which bytes of which parts a run of the whole is. Past the end, the last part is asked and refuses. */
  *#spans(from: number, to: number): Generator<{ part: ByteSource; from: number; to: number }> {
    let start = 0;
    for (const [i, part] of this.#parts.entries()) {
      const isLast = i === this.#parts.length - 1;
      const end = start + part.size;
      const spanFrom = Math.max(from, start);
      const spanTo = isLast ? to : Math.min(to, end);
      if (spanFrom < spanTo && (spanFrom < end || isLast))
        yield { part, from: spanFrom - start, to: spanTo - start };
      start = end;
    }
  }
}

/** Those bytes `[from, to)` of these that lie one behind the other. */
function cutSpans(spans: readonly StoredSpan[], from: number, to: number): StoredSpan[] {
  const cut: StoredSpan[] = [];
  let start = 0;
  for (const { file, from: first, size } of spans) {
    const [begin, end] = [Math.max(from, start), Math.min(to, start + size)];
    if (begin < end) cut.push({ file, from: first + begin - start, size: end - begin });
    start += size;
  }
  return cut;
}

/** The bytes of these spans, opened from the store they lie in, or another of the same place. `location` is the name of the whole. */
export function sourceOf(
  spans: readonly StoredSpan[],
  location: string,
  reopen: (file: StoredSpan['file']) => ByteSource,
): ByteSource {
  const [only] = spans;
  if (only !== undefined && spans.length === 1 && only.from === 0 && only.size === only.file.size)
    return reopen(only.file); // with its checksum
  const files = spans.map(({ file }) => reopen(file));
  const parts = spans.map(({ file, from, size }, i) => {
    const whole = files[i] as ByteSource;
    return new PartSource(whole, { path: '', from, size, modified: file.modified });
  });
  return new JoinedSource(location, parts, files);
}

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
  readonly checksum?: NonNullable<ByteSource['checksum']>;
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
    if (source.checksum !== undefined) this.checksum = source.checksum.bind(source);
  }

  spans(): readonly StoredSpan[] | undefined {
    return this.#source.spans?.();
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
