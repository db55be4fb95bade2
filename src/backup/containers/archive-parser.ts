/**
 * Takes a `mongodump --archive` stream apart: a prelude of collection metadata, then segments of documents of one
 * namespace each, interleaved, then for each namespace an end marker with the CRC-64 of all its documents.
 *
 * Pure and synchronous: chunks in, pieces out. Documents are not decoded; only their lengths are walked, so the cost is
 * that of the CRC (1.5 GB/s). The stream may end between segments only, and only after every namespace has ended.
 */

import { BsonFault, documentEnd, findElement } from '../../bson/elements.ts';
import { BSON, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES, type RawValue } from '../../bson/types.ts';
import { Crc64 } from './crc.ts';

const MAGIC = 0x8199e26d;
const TERMINATOR = -1;
/** What the prelude names is kept in memory. 100,000 collections take a tenth of it. */
const MAX_PRELUDE_BYTES = 256 * 1024 * 1024;

export type ArchivePiece =
  /** A run of document bytes, valid until the next push; a document may span pieces. */
  | { readonly kind: 'documents'; readonly namespace: ArchiveNamespace; readonly bytes: Buffer }
  /** All of the namespace's documents were met and their CRC is right. */
  | { readonly kind: 'end'; readonly namespace: ArchiveNamespace };

interface ArchiveNamespace {
  readonly database: string;
  /** As stored: `system.buckets.x` for a time series x. */
  readonly collection: string;
}

interface OpenNamespace extends ArchiveNamespace {
  readonly crc: Crc64;
  ended: boolean;
}

export class ArchiveParser {
  /** Complete once `hasPrelude`. */
  readonly collections: ArchivedCollection[] = [];
  readonly #namespaces = new Map<string, OpenNamespace>();
  #state: 'magic' | 'header' | 'prelude' | 'between' | 'segment' = 'magic';
  #current: OpenNamespace | undefined;
  /** Bytes before the chunk in hand. */
  #position = 0;
  /** Bytes of a document or number that was cut by the end of a chunk, outside of segments or before its length. */
  #held: Buffer = Buffer.alloc(0);
  /** Bytes still to come of a document in a segment. */
  #left = 0;

  get hasPrelude(): boolean {
    return this.#state === 'between' || this.#state === 'segment';
  }

  push(chunk: Buffer): ArchivePiece[] {
    const pieces: ArchivePiece[] = [];
    let at = 0;
    while (at < chunk.length) {
      at = this.#state === 'segment' ? this.#segment(chunk, at, pieces) : this.#outside(chunk, at, pieces);
    }
    this.#position += chunk.length;
    return pieces;
  }

  /** The stream ended. Throws ArchiveFault unless this is a place where an archive may end. */
  finish(): void {
    const isWhole = this.#state === 'between' && this.#held.length === 0;
    const missing = this.collections
      .filter(({ type }) => type !== 'view')
      .find(({ database, stored }) => !this.#namespaces.get(nameOf(database, stored))?.ended);
    const open = [...this.#namespaces.values()].find(({ ended }) => !ended);
    if (isWhole && missing === undefined && open === undefined) return;
    throw new ArchiveFault('is cut off: its end is missing', this.#position);
  }

  /** Anything but the documents of a segment: small, so it is put together before it is read. */
  #outside(chunk: Buffer, at: number, pieces: ArchivePiece[]): number {
    const needed =
      this.#state === 'magic' || this.#held.length < 4
        ? 4
        : this.#lengthOf(this.#held, at - this.#held.length);
    const taken = chunk.subarray(at, at + needed - this.#held.length);
    this.#held = Buffer.concat([this.#held, taken]);
    const next = at + taken.length;
    if (this.#held.length < needed) return next;
    const isNumber = needed === 4;
    if (isNumber && this.#state !== 'magic' && this.#held.readInt32LE(0) !== TERMINATOR) return next; // a length
    const whole = this.#held;
    this.#held = Buffer.alloc(0);
    this.#read(whole, pieces, this.#position + next - whole.length);
    return next;
  }

  #read(whole: Buffer, pieces: ArchivePiece[], position: number): void {
    const isTerminator = whole.length === 4;
    switch (this.#state) {
      case 'magic':
        if (whole.readUInt32LE(0) !== MAGIC) throw new ArchiveFault('is no mongodump archive', position);
        this.#state = 'header';
        return;
      case 'header':
        if (isTerminator) throw new ArchiveFault('has no header', position);
        readArchiveHeader(whole, position);
        this.#state = 'prelude';
        return;
      case 'prelude':
        if (position > MAX_PRELUDE_BYTES)
          throw new ArchiveFault(`has a prelude of more than ${MAX_PRELUDE_BYTES} bytes`, position);
        if (isTerminator) this.#state = 'between';
        else this.collections.push(readCollection(whole, position));
        return;
      default:
        if (isTerminator) throw new ArchiveFault('has a segment without a header', position);
        this.#enter(whole, pieces, position);
    }
  }

  /** A segment begins, or a namespace ends. */
  #enter(header: Buffer, pieces: ArchivePiece[], position: number): void {
    const { database, collection, ends, crc } = readSegmentHeader(header, position);
    const name = nameOf(database, collection);
    const namespace = this.#namespaces.get(name) ?? { database, collection, crc: new Crc64(), ended: false };
    this.#namespaces.set(name, namespace);
    if (namespace.ended) throw new ArchiveFault(`goes on with ${name} after its end`, position);
    if (ends && namespace.crc.digest() !== crc) {
      throw new ArchiveFault(`has damaged documents in ${name}: their checksum is wrong`, position);
    }
    namespace.ended = ends;
    if (ends) pieces.push({ kind: 'end', namespace });
    this.#current = namespace;
    this.#state = 'segment';
  }

  /** Walks from document to document by their lengths, as far as the chunk goes; costs a few ns per document. */
  #segment(chunk: Buffer, start: number, pieces: ArchivePiece[]): number {
    let at = start;
    if (this.#held.length > 0) {
      const taken = chunk.subarray(at, at + 4 - this.#held.length);
      this.#held = Buffer.concat([this.#held, taken]);
      at += taken.length;
      if (this.#held.length < 4) return at;
      const held = this.#held;
      this.#held = Buffer.alloc(0);
      if (held.readInt32LE(0) === TERMINATOR) return this.#leave(at);
      this.#left = this.#lengthOf(held, at - 4) - 4;
      this.#documents(held, pieces);
      return at;
    }
    if (this.#left > 0) {
      at += Math.min(this.#left, chunk.length - at);
      this.#left -= at - start;
      if (this.#left === 0) this.#assertZero(chunk, at - 1);
    }
    while (this.#left === 0 && at + 4 <= chunk.length) {
      const length = chunk.readInt32LE(at);
      if (length === TERMINATOR) {
        this.#documents(chunk.subarray(start, at), pieces);
        return this.#leave(at + 4);
      }
      if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) throw this.#badLength(length, at);
      const end = at + length;
      if (end > chunk.length) {
        this.#left = end - chunk.length;
        at = chunk.length;
      } else {
        this.#assertZero(chunk, end - 1);
        at = end;
      }
    }
    this.#documents(chunk.subarray(start, at), pieces);
    if (this.#left === 0) this.#held = Buffer.from(chunk.subarray(at));
    return chunk.length;
  }

  #leave(at: number): number {
    this.#state = 'between';
    this.#current = undefined;
    return at;
  }

  #documents(bytes: Buffer, pieces: ArchivePiece[]): void {
    const namespace = this.#current;
    if (bytes.length === 0 || namespace === undefined) return;
    if (namespace.ended) {
      throw new ArchiveFault(`has documents behind the end of ${namespace.collection}`, this.#position);
    }
    namespace.crc.update(bytes);
    pieces.push({ kind: 'documents', namespace, bytes });
  }

  /** `at`: where it begins, from the beginning of the chunk; negative where that was in an earlier one. */
  #lengthOf(start: Buffer, at: number): number {
    const length = start.readInt32LE(0);
    if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) throw this.#badLength(length, at);
    return length;
  }

  #assertZero(chunk: Buffer, at: number): void {
    if (chunk[at] === 0) return;
    throw new ArchiveFault('holds a document that does not end in a zero byte', this.#position + at);
  }

  #badLength(length: number, at: number): ArchiveFault {
    return new ArchiveFault(`holds a document of the impossible length ${length}`, this.#position + at);
  }
}

function nameOf(database: string, collection: string): string {
  return `${database}.${collection}`;
}

// The small documents that give a mongodump archive its structure.

/** Bytes that are no archive; `offset` counts from the beginning of the (inflated) stream. */
export class ArchiveFault extends Error {
  override readonly name = 'ArchiveFault';
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** What the prelude tells of a collection. */
export interface ArchivedCollection {
  readonly database: string;
  readonly collection: string;
  /** The collection its documents are stored under: `system.buckets.x` for a time series. */
  readonly stored: string;
  /** Exactly the text of its metadata file; empty when there is none. */
  readonly metadata: string;
  readonly type: string;
}

interface SegmentHeader {
  readonly database: string;
  readonly collection: string;
  /** Not a segment, but the end of the namespace. */
  readonly ends: boolean;
  readonly crc: bigint;
}

/** One version of the format exists; a newer one would not be understood. */
export function readArchiveHeader(document: Buffer, offset: number): void {
  const fields = new Fields(document, offset);
  const version = fields.text('version');
  if (version !== '0.1')
    throw new ArchiveFault(`has the unknown format version ${JSON.stringify(version)}`, offset);
}

export function readCollection(document: Buffer, offset: number): ArchivedCollection {
  const fields = new Fields(document, offset);
  const collection = fields.text('collection');
  const type = fields.text('type', '');
  return {
    database: fields.text('db'),
    collection,
    stored: type === 'timeseries' ? `system.buckets.${collection}` : collection,
    metadata: fields.text('metadata', ''),
    type,
  };
}

export function readSegmentHeader(document: Buffer, offset: number): SegmentHeader {
  const fields = new Fields(document, offset);
  return {
    database: fields.text('db'),
    collection: fields.text('collection'),
    ends: fields.flag('EOF'),
    crc: fields.integer('CRC'),
  };
}

class Fields {
  readonly #document: Buffer;
  readonly #offset: number;

  constructor(document: Buffer, offset: number) {
    this.#document = document;
    this.#offset = offset;
    try {
      documentEnd(document, 0);
    } catch (error) {
      throw this.#damaged(error);
    }
  }

  /** Throws when the field is absent and there is no default. */
  text(key: string, absent?: string): string {
    const found = this.#find(key, BSON.STRING);
    if (found !== undefined) return found.bytes.toString('utf8', found.start + 4, found.end - 1);
    if (absent !== undefined) return absent;
    throw this.#damaged(key);
  }

  integer(key: string): bigint {
    const found = this.#find(key, BSON.INT64);
    if (found === undefined) throw this.#damaged(key);
    return found.bytes.readBigInt64LE(found.start);
  }

  flag(key: string): boolean {
    const found = this.#find(key, BSON.BOOL);
    if (found === undefined) throw this.#damaged(key);
    return found.bytes[found.start] === 1;
  }

  #find(key: string, type: number): RawValue | undefined {
    try {
      const found = findElement(this.#document, 0, Buffer.from(key));
      return found?.type === type ? found : undefined;
    } catch (error) {
      throw this.#damaged(error);
    }
  }

  #damaged(why: unknown): ArchiveFault {
    const detail = why instanceof BsonFault ? why.message : `${why} is missing`;
    return new ArchiveFault(`has a damaged header (${detail})`, this.#offset);
  }
}
