/**
 * A place inside a raw document that moves: one object reused for a whole scan, so that scanning allocates nothing.
 *
 * `type` is MISSING (0) while the cursor stands on no element. Every step is checked against the document's own end:
 * damaged bytes throw BsonFault, they never loop and are never read past.
 */
import { BsonFault, type RawElement, valueEnd } from './elements.ts';
import { BSON } from './types.ts';

/** Type of a cursor that stands nowhere: the field is absent. No BSON element has it. */
export const MISSING = 0;

/** Value length by type byte, or -1 where the bytes must be asked. */
const FIXED_LENGTH = new Int8Array(256).fill(-1);
for (const [type, length] of [
  [BSON.DOUBLE, 8],
  [BSON.DATE, 8],
  [BSON.TIMESTAMP, 8],
  [BSON.INT64, 8],
  [BSON.INT32, 4],
  [BSON.OBJECT_ID, 12],
  [BSON.DECIMAL128, 16],
  [BSON.BOOL, 1],
  [BSON.NULL, 0],
  [BSON.UNDEFINED, 0],
  [BSON.MIN_KEY, 0],
  [BSON.MAX_KEY, 0],
] as const) {
  FIXED_LENGTH[type] = length;
}

const NOTHING = Buffer.alloc(0);

export class ElementCursor implements RawElement {
  bytes: Buffer = NOTHING;
  type: number = MISSING;
  at = 0;
  keyStart = 0;
  start = 0;
  end = 0;
  /** Offset of the terminator of the document being walked. */
  private last = 0;

  /** Stands before the first element of the document or array at `start`, whose frame must lie inside `limit`. */
  open(bytes: Buffer, start: number, limit: number = bytes.length): this {
    if (limit - start < 5) throw new BsonFault('document is cut off', start);
    const length = bytes.readInt32LE(start);
    if (length < 5 || length > limit - start)
      throw new BsonFault(`impossible document length ${length}`, start);
    const last = start + length - 1;
    // The zero at the end is what stops the key loops below.
    if (bytes[last] !== 0) throw new BsonFault('document does not end in a zero byte', last);
    this.bytes = bytes;
    this.type = MISSING;
    this.last = last;
    this.end = start + 4;
    return this;
  }

  /** Stands before the element that follows another cursor's. */
  openBehind(other: ElementCursor): this {
    this.bytes = other.bytes;
    this.type = MISSING;
    this.last = other.last;
    this.end = other.end;
    return this;
  }

  /** Moves to the next element; false at the end, and then the cursor is MISSING. */
  next(): boolean {
    const { bytes, last } = this;
    const at = this.end;
    if (at >= last) {
      this.type = MISSING;
      return false;
    }
    let keyEnd = at + 1;
    while (bytes[keyEnd] !== 0) keyEnd++;
    this.at = at;
    this.keyStart = at + 1;
    this.stepOver(bytes[at] as number, keyEnd + 1);
    return true;
  }

  /** Moves to the first element from here on whose key is `key` (UTF-8, without NUL); false and MISSING when there is none. */
  find(key: Buffer): boolean {
    const { bytes, last } = this;
    const keyLength = key.length;
    let at = this.end;
    while (at < last) {
      const keyStart = at + 1;
      let i = 0;
      while (i < keyLength && bytes[keyStart + i] === key[i]) i++;
      const found = i === keyLength && bytes[keyStart + i] === 0;
      let keyEnd = keyStart + i;
      // A key may end earlier than `key` does: every byte matched so far is then not a NUL, so going on from i is safe.
      while (bytes[keyEnd] !== 0) keyEnd++;
      this.stepOver(bytes[at] as number, keyEnd + 1);
      if (found) {
        this.at = at;
        this.keyStart = keyStart;
        return true;
      }
      at = this.end;
    }
    this.type = MISSING;
    return false;
  }

  /** Stands on another cursor's value. */
  take(value: ElementCursor): void {
    this.bytes = value.bytes;
    this.type = value.type;
    this.at = value.at;
    this.keyStart = value.keyStart;
    this.start = value.start;
    this.end = value.end;
  }

  clear(): void {
    this.type = MISSING;
  }

  isMissing(): boolean {
    return this.type === MISSING;
  }

  keyIs(key: Buffer): boolean {
    const { bytes, keyStart } = this;
    if (this.start - 1 - keyStart !== key.length) return false;
    for (let i = 0; i < key.length; i++) if (bytes[keyStart + i] !== key[i]) return false;
    return true;
  }

  private stepOver(type: number, start: number): void {
    const { last } = this;
    if (start > last) throw new BsonFault('key has no end inside its document', start - 1);
    const fixed = FIXED_LENGTH[type] as number;
    const end = fixed >= 0 ? start + fixed : valueEnd(this.bytes, type, start, last);
    if (end > last) throw new BsonFault('value runs past the end of its document', start);
    this.type = type;
    this.start = start;
    this.end = end;
  }
}
