/** Writes BSON documents into one growing buffer. Knows lengths and terminators; types and values are the caller's. */

import type { RawValue } from './types.ts';

const LARGE_BYTES = 1024 * 1024;
const MOST_ASCII = 0x7f;
/** Of a UTF-16 unit. */
const MOST_UTF8_BYTES = 3;

export class DocumentBuilder {
  private bytes = Buffer.allocUnsafe(256);
  private length = 0;

  /** Bytes written so far. */
  get size(): number {
    return this.length;
  }

  /** Starts a document (or array) here and returns where, for `endDocument`. */
  beginDocument(): number {
    const start = this.length;
    this.int32(0);
    return start;
  }

  endDocument(start: number): void {
    this.byte(0);
    this.bytes.writeInt32LE(this.length - start, start);
  }

  /** A whole document (or array) here, of the elements that `fill` writes; its own element must have been begun. */
  embed(fill: (builder: DocumentBuilder) => void): void {
    const start = this.beginDocument();
    fill(this);
    this.endDocument(start);
  }

  /** Type byte and key of the next element. The key must hold no NUL. */
  element(type: number, key: string): void {
    this.byte(type);
    this.cstring(key);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  int32(value: number): void {
    this.reserve(4);
    this.length = this.bytes.writeInt32LE(value, this.length);
  }

  uint32(value: number): void {
    this.int32(value | 0);
  }

  int64(value: bigint): void {
    this.reserve(8);
    this.length = this.bytes.writeBigInt64LE(value, this.length);
  }

  double(value: number): void {
    this.reserve(8);
    this.length = this.bytes.writeDoubleLE(value, this.length);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  /** Bytes of a value, from elsewhere. */
  value({ bytes, start, end }: Pick<RawValue, 'bytes' | 'start' | 'end'>): void {
    this.reserve(end - start);
    this.length += bytes.copy(this.bytes, this.length, start, end);
  }

  /** Names of fields are short and mostly ASCII: written one by one they take a tenth of the time that Node.js needs for a call. */
  cstring(value: string): void {
    this.reserve(MOST_UTF8_BYTES * value.length + 1);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i);
      if (unit > MOST_ASCII) {
        at = this.length + bytes.write(value, this.length);
        break;
      }
      bytes[at++] = unit;
    }
    bytes[at] = 0;
    this.length = at + 1;
  }

  /** Length, UTF-8 bytes and NUL of a BSON string. */
  string(value: string): void {
    const text = Buffer.from(value);
    this.int32(text.length + 1);
    this.raw(text);
    this.byte(0);
  }

  /** What was written, as a buffer of its own; nothing may be written after it. What is large is not copied for the little room behind it. */
  finish(): Buffer {
    const written = this.bytes.subarray(0, this.length);
    return this.length > LARGE_BYTES ? written : Buffer.from(written);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    // Twice the size, as long as that is little: around a document of 16 MB a few bytes more are not worth 16 MB.
    const room = this.bytes.length > LARGE_BYTES ? this.bytes.length / 4 : this.bytes.length;
    const grown = Buffer.allocUnsafe(this.length + more + Math.floor(room));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

/** An empty document: the query that matches everything. */
export const EMPTY_DOCUMENT: Buffer = Buffer.from([5, 0, 0, 0, 0]);

/** A document of the elements that `fill` writes. */
export function buildDocument(fill: (builder: DocumentBuilder) => void): Buffer {
  const builder = new DocumentBuilder();
  builder.embed(fill);
  return builder.finish();
}

/** A document of one element, for wrapping a value as a query. */
export function documentOf(key: string, type: number, value: Uint8Array): Buffer {
  return buildDocument((builder) => {
    builder.element(type, key);
    builder.raw(value);
  });
}
