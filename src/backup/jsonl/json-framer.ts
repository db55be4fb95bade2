/**
 * Cuts a stream of Extended JSON into its documents: one per line, one after the other, or in an array as
 * `mongoexport --jsonArray` writes them, pretty or not.
 *
 * It follows strings and brackets only; whether what lies between them is JSON is seen when a document is parsed. An
 * array must be closed and a document complete. Lines that were cut off exactly between two documents cannot be told
 * from a shorter file: the format has no end.
 */
import { ExtendedJsonFault } from '../../bson/extended-json.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const [OPEN_ARRAY, CLOSE_ARRAY] = [0x5b, 0x5d];
const [OPEN_OBJECT, CLOSE_OBJECT] = [0x7b, 0x7d];
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Text of a document: a BSON document of 16 MiB, at its most wordy. */
const MAX_TEXT_BYTES = 192 * 1024 * 1024;

export class JsonFramer {
  #parts: Buffer[] = [];
  #size = 0;
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** start: nothing yet · lines: documents one after the other · array: inside · after: the array is closed */
  #form: 'start' | 'lines' | 'array' | 'after' = 'start';
  /** In an array: whether a comma must come before the next document. */
  #needsComma = false;
  #isAfterComma = false;
  #position = 0;

  /** Whole documents as text, in order. */
  push(chunk: Buffer): Buffer[] {
    const documents: Buffer[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (this.#depth === 0) {
        if (byte === OPEN_OBJECT) from = this.#begin(at);
        else this.#between(byte, at);
      } else if (this.#inString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        this.#depth--;
        if (this.#depth === 0) documents.push(this.#end(chunk.subarray(from, at + 1)));
      }
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(from));
    this.#position += chunk.length;
    return documents;
  }

  /** The stream ended. Throws ExtendedJsonFault when a document or the array is not complete. */
  finish(): void {
    if (this.#depth > 0) throw this.#fault('is cut off in the middle of a document', 0);
    if (this.#form === 'array') throw this.#fault('is cut off: its array is not closed', 0);
  }

  #begin(at: number): number {
    if (this.#form === 'after' || this.#needsComma) throw this.#fault('has a document where none may be', at);
    if (this.#form === 'start') this.#form = 'lines';
    this.#isAfterComma = false;
    this.#depth = 1;
    return at;
  }

  #end(last: Buffer): Buffer {
    this.#needsComma = this.#form === 'array';
    if (this.#parts.length === 0) return last;
    const whole = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#size = 0;
    return whole;
  }

  #between(byte: number, at: number): void {
    if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) return;
    if (byte === BYTE_ORDER_MARK[this.#position + at]) return;
    if (byte === OPEN_ARRAY && this.#form === 'start') this.#form = 'array';
    else if (byte === COMMA && this.#form === 'array' && this.#needsComma) {
      this.#needsComma = false;
      this.#isAfterComma = true;
    } else if (byte === CLOSE_ARRAY && this.#form === 'array' && !this.#isAfterComma) this.#form = 'after';
    else throw this.#fault('there is something that is no document', at);
  }

  #keep(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > MAX_TEXT_BYTES) throw this.#fault('holds a document that is too large', 0);
    this.#parts.push(Buffer.from(part));
  }

  #fault(message: string, at: number): ExtendedJsonFault {
    return new ExtendedJsonFault(message, { offset: this.#position + at });
  }
}
