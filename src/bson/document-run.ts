/**
 * Many whole documents in one Buffer, and where each one's `_id` lies.
 *
 * Kept as arrays of numbers: a run of 600,000 documents makes no object per document, which the garbage collector would
 * otherwise spend more time on than the copying of the documents takes.
 */
import { valueEnd } from './elements.ts';
import { findId, startsWithId } from './stored-form.ts';
import type { RawValue } from './types.ts';

export class DocumentRun {
  readonly bytes: Buffer;
  /** Where each document starts; not necessarily one right after the other. */
  readonly offsets: readonly number[];
  readonly #idTypes: Uint8Array;
  readonly #idStarts: Uint32Array;
  readonly #idEnds: Uint32Array;

  /** Throws BsonFault for bytes that are no document. A document without an `_id` has an id of type 0 and no bytes. */
  constructor(bytes: Buffer, offsets: readonly number[]) {
    this.bytes = bytes;
    this.offsets = offsets;
    this.#idTypes = new Uint8Array(offsets.length);
    this.#idStarts = new Uint32Array(offsets.length);
    this.#idEnds = new Uint32Array(offsets.length);
    for (let i = 0; i < offsets.length; i++) {
      const start = offsets[i] as number;
      if (startsWithId(bytes, start)) {
        const type = bytes[start + 4] as number;
        this.#idTypes[i] = type;
        this.#idStarts[i] = start + 9;
        this.#idEnds[i] = valueEnd(bytes, type, start + 9, start + bytes.readInt32LE(start) - 1);
        continue;
      }
      const id = findId(bytes, start);
      if (id === undefined) continue;
      this.#idTypes[i] = id.type;
      this.#idStarts[i] = id.start;
      this.#idEnds[i] = id.end;
    }
  }

  get length(): number {
    return this.offsets.length;
  }

  /** Offset after document `i`. */
  end(i: number): number {
    const start = this.offsets[i] as number;
    return start + this.bytes.readInt32LE(start);
  }

  /** A view of document `i`. */
  document(i: number): Buffer {
    return this.bytes.subarray(this.offsets[i], this.end(i));
  }

  idType(i: number): number {
    return this.#idTypes[i] as number;
  }

  idStart(i: number): number {
    return this.#idStarts[i] as number;
  }

  idEnd(i: number): number {
    return this.#idEnds[i] as number;
  }

  id(i: number): RawValue {
    return { bytes: this.bytes, type: this.idType(i), start: this.idStart(i), end: this.idEnd(i) };
  }

  /** True when document `i` is, byte for byte, document `j` of `other`. */
  equals(i: number, other: DocumentRun, j: number): boolean {
    const start = this.offsets[i] as number;
    const otherStart = other.offsets[j] as number;
    const length = this.bytes.readInt32LE(start);
    return (
      length === other.bytes.readInt32LE(otherStart) &&
      this.bytes.compare(other.bytes, otherStart, otherStart + length, start, start + length) === 0
    );
  }
}

/** Documents as a run of their own memory. */
export function runOf(documents: readonly Buffer[]): DocumentRun {
  const offsets: number[] = [];
  let at = 0;
  for (const document of documents) {
    offsets.push(at);
    at += document.length;
  }
  return new DocumentRun(
    documents.length === 1 ? (documents[0] as Buffer) : Buffer.concat(documents),
    offsets,
  );
}
