import { MAX_DOCUMENT_BYTES } from '../../bson/types.ts';
import { CannotRoll } from '../faults.ts';

/** Writes one document after the other into the same growing buffer, mostly by copying parts of others. */
export class DocumentWriter {
  #bytes = Buffer.allocUnsafeSlow(4096);
  #length = 0;

  /** Forgets what was written. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  /** Starts a document or array here; returns where, for `end`. */
  begin(): number {
    this.#reserve(4);
    const start = this.#length;
    this.#length += 4;
    return start;
  }

  end(start: number): void {
    this.byte(0);
    this.#bytes.writeInt32LE(this.#length - start, start);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  copy(source: Buffer, start: number, end: number): void {
    if (end <= start) return;
    this.#reserve(end - start);
    source.copy(this.#bytes, this.#length, start, end);
    this.#length += end - start;
  }

  /** Type byte and key of the element at position `index` of an array. */
  position(type: number, index: number): void {
    const name = String(index);
    this.#reserve(name.length + 2);
    this.#bytes[this.#length++] = type;
    this.#length += this.#bytes.write(name, this.#length, 'latin1');
    this.#bytes[this.#length++] = 0;
  }

  /** What was written is at the beginning; lent until more is written. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    if (needed > MAX_DOCUMENT_BYTES) throw new CannotRoll('it would become larger than a document may be');
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, needed));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
