import type { ByteSource } from './byte-source.ts';

/** Several sources read as one, in order: an archive that was split into chunks. */
export class JoinedSource implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #parts: readonly ByteSource[];

  /** `location` is the name of the whole. */
  constructor(location: string, parts: readonly ByteSource[]) {
    this.#parts = parts;
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

  async close(): Promise<void> {
    for (const part of this.#parts) await part.close();
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
