/**
 * Many whole documents in one Buffer: the one form in which documents travel, from a file to a server and back. Which of them is meant is
 * said by positions. Ranges of numbers, no object per document: for 600,000 of them the garbage collector would otherwise spend more time
 * than the copying of the documents takes.
 */
import { findElement, valueEnd } from './elements.ts';
import { BSON, type RawValue } from './types.ts';

/** Where each document's `_id` lies. */
interface Ids {
  readonly types: Uint8Array;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

export class Documents {
  readonly bytes: Buffer;
  /** Where each document starts in `bytes`; not necessarily one right after the other. */
  readonly offsets: readonly number[];
  /** Index of the first document within its collection, from 0, where they are a part of one. */
  readonly first: number;
  #ids: Ids | undefined;
  #stored: Documents | undefined;

  constructor(bytes: Buffer, offsets: readonly number[], first = 0) {
    this.bytes = bytes;
    this.offsets = offsets;
    this.first = first;
  }

  /** In memory of their own, where it is not a single one. */
  static of(documents: readonly Buffer[], first = 0): Documents {
    const offsets: number[] = [];
    let at = 0;
    for (const document of documents) {
      offsets.push(at);
      at += document.length;
    }
    const [only] = documents;
    const bytes = documents.length === 1 && only !== undefined ? only : Buffer.concat(documents);
    return new Documents(bytes, offsets, first);
  }

  get length(): number {
    return this.offsets.length;
  }

  /** Offset of document `i`. */
  start(i: number): number {
    return this.offsets[i] as number;
  }

  /** Offset after document `i`. */
  end(i: number): number {
    const start = this.offsets[i] as number;
    return start + this.bytes.readInt32LE(start);
  }

  /** Bytes of document `i`. */
  size(i: number): number {
    return this.bytes.readInt32LE(this.offsets[i] as number);
  }

  /** A view of document `i`. */
  document(i: number): Buffer {
    return this.bytes.subarray(this.offsets[i], this.end(i));
  }

  /** Document `i` as a value. */
  value(i: number): RawValue {
    return { bytes: this.bytes, type: BSON.OBJECT, start: this.start(i), end: this.end(i) };
  }

  /** 0 where a document has no `_id`; its start and end are 0 then. Like those it throws BsonFault for bytes that are no document. */
  idType(i: number): number {
    return (this.#ids ?? this.#findIds()).types[i] as number;
  }

  idStart(i: number): number {
    return (this.#ids ?? this.#findIds()).starts[i] as number;
  }

  idEnd(i: number): number {
    return (this.#ids ?? this.#findIds()).ends[i] as number;
  }

  id(i: number): RawValue {
    return { bytes: this.bytes, type: this.idType(i), start: this.idStart(i), end: this.idEnd(i) };
  }

  /** True when document `i` is, byte for byte, document `j` of `other`. */
  equals(i: number, other: Documents, j: number): boolean {
    const start = this.offsets[i] as number;
    const otherStart = other.offsets[j] as number;
    const length = this.bytes.readInt32LE(start);
    return (
      length === other.bytes.readInt32LE(otherStart) &&
      this.bytes.compare(other.bytes, otherStart, otherStart + length, start, start + length) === 0
    );
  }

  /** True when the `_id` of document `i` is, byte for byte, that of document `j` of `other`. False where one has none. */
  hasIdOf(i: number, other: Documents, j: number): boolean {
    const type = this.idType(i);
    if (type === 0 || type !== other.idType(j)) return false;
    const [start, end] = [this.idStart(i), this.idEnd(i)];
    const [otherStart, otherEnd] = [other.idStart(j), other.idEnd(j)];
    return (
      end - start === otherEnd - otherStart &&
      this.bytes.compare(other.bytes, otherStart, otherEnd, start, end) === 0
    );
  }

  /**
   * As a server stores them, each with its `_id` first; the same positions. These very ones where each starts with its `_id`, as in every
   * dump of a server; else copied whole.
   */
  inStoredForm(): Documents {
    this.#stored ??= this.#toStoredForm();
    return this.#stored;
  }

  #toStoredForm(): Documents {
    const { bytes, offsets, first } = this;
    let isStored = true;
    for (let i = 0; isStored && i < offsets.length; i++) isStored = startsWithId(bytes, offsets[i]);
    if (isStored) return this;
    const stored = Documents.of(
      offsets.map((start) => storedForm(bytes, start)),
      first,
    );
    stored.#stored = stored;
    return stored;
  }

  /** Found when they are first asked for: whoever only passes documents on does not need them. */
  #findIds(): Ids {
    const { bytes, offsets } = this;
    const count = offsets.length;
    const types = new Uint8Array(count);
    const starts = new Uint32Array(count);
    const ends = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const start = offsets[i] as number;
      if (startsWithId(bytes, start)) {
        const type = bytes[start + 4] as number;
        types[i] = type;
        starts[i] = start + 9;
        ends[i] = valueEnd(bytes, type, start + 9, start + bytes.readInt32LE(start) - 1);
        continue;
      }
      const id = findId(bytes, start);
      if (id === undefined) continue;
      types[i] = id.type;
      starts[i] = id.start;
      ends[i] = id.end;
    }
    this.#ids = { types, starts, ends };
    return this.#ids;
  }
}

// The form in which a MongoDB server keeps a document: the same bytes, except that `_id` comes first.

const ID_KEY = Buffer.from('_id');

/** The `_id` of the document at `start`; undefined when it has none. */
export function findId(bytes: Buffer, start = 0): RawValue | undefined {
  return findElement(bytes, start, ID_KEY);
}

/** True when `_id` is the first element already, as in every document that comes out of a server. */
export function startsWithId(bytes: Buffer, start = 0): boolean {
  return (
    bytes[start + 5] === 0x5f &&
    bytes[start + 6] === 0x69 &&
    bytes[start + 7] === 0x64 &&
    bytes[start + 8] === 0 &&
    bytes[start + 4] !== 0
  );
}

/** The document at `start` with its `_id` moved to the front; every other byte as it was. A copy only where it was not. */
export function storedForm(bytes: Buffer, start = 0): Buffer {
  const document = bytes.subarray(start, start + bytes.readInt32LE(start));
  const id = startsWithId(document) ? undefined : findId(document);
  if (id === undefined) return document;
  const at = id.start - ID_KEY.length - 2; // type byte, key, NUL
  return Buffer.concat([
    document.subarray(0, 4),
    document.subarray(at, id.end),
    document.subarray(4, at),
    document.subarray(id.end),
  ]);
}

/**
 * Whether two raw documents are the same one once stored: true when the bytes agree, apart from the one thing the server changes: it stores `_id` first, wherever the document
 * had it. Cost: one comparison of memory; a second look only at documents that differ.
 */
export function sameDocument(a: RawValue, b: RawValue): boolean {
  if (a.end - a.start !== b.end - b.start) return false;
  if (a.bytes.compare(b.bytes, b.start, b.end, a.start, a.end) === 0) return true;
  return storedForm(a.bytes, a.start).equals(storedForm(b.bytes, b.start));
}
