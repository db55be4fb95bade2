/**
 * Reads, in one pass over a document, the top-level fields that a query asks for.
 *
 * Each wanted field has a slot: a cursor that after `read` stands on the first element of that name, or is MISSING.
 * Elements before the last wanted one are stepped over by their lengths; nothing is decoded and nothing allocated.
 */
import { ElementCursor } from '../bson/element-cursor.ts';
import { BSON } from '../bson/types.ts';

/** A condition about the document that its scope read last. */
export type Condition = () => boolean;

const NO_SLOT = -1;

export class DocumentScope {
  private readonly keys: Buffer[] = [];
  private readonly slots: ElementCursor[] = [];
  /** First byte of a key (0 for the empty key) to the first slot whose key starts so. */
  private readonly firstByByte = new Int32Array(256).fill(NO_SLOT);
  /** Chain of slots whose keys start with the same byte. */
  private readonly nextByByte: number[] = [];
  private readonly walk = new ElementCursor();
  private document: ElementCursor | undefined;

  /** The slot of a top-level field; asked for at compile time. */
  slotOf(key: Buffer): ElementCursor {
    const known = this.keys.findIndex((other) => other.equals(key));
    if (known >= 0) return this.slots[known] as ElementCursor;
    const slot = new ElementCursor();
    const byte = key[0] ?? 0;
    this.keys.push(key);
    this.slots.push(slot);
    this.nextByByte.push(this.firstByByte[byte] as number);
    this.firstByByte[byte] = this.keys.length - 1;
    return slot;
  }

  /** The document itself as a value of type object; asked for at compile time. */
  wholeDocument(): ElementCursor {
    this.document ??= new ElementCursor();
    return this.document;
  }

  /** Fills all slots from the document at `start`. Throws BsonFault where the bytes walked are not BSON. */
  read(bytes: Buffer, start: number): void {
    const { keys, slots, walk } = this;
    if (this.document !== undefined) standOnDocument(this.document, bytes, start);
    const wanted = slots.length;
    if (wanted === 0) return;
    if (wanted === 1) {
      const slot = slots[0] as ElementCursor;
      slot.open(bytes, start);
      slot.find(keys[0] as Buffer);
      return;
    }
    for (let i = 0; i < wanted; i++) (slots[i] as ElementCursor).clear();
    let missing = wanted;
    walk.open(bytes, start);
    while (walk.next()) {
      let candidate = this.firstByByte[bytes[walk.keyStart] as number] as number;
      while (candidate !== NO_SLOT) {
        const slot = slots[candidate] as ElementCursor;
        // Where a key comes twice the server looks at the first one.
        if (slot.isMissing() && walk.keyIs(keys[candidate] as Buffer)) {
          slot.take(walk);
          if (--missing === 0) return;
          break;
        }
        candidate = this.nextByByte[candidate] as number;
      }
    }
  }
}

function standOnDocument(cursor: ElementCursor, bytes: Buffer, start: number): void {
  cursor.bytes = bytes;
  cursor.type = BSON.OBJECT;
  cursor.start = start;
  cursor.end = start + bytes.readInt32LE(start);
}
