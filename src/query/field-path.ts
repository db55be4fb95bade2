/**
 * How a condition reaches the values it asks about: walks a dotted path as the server does, through documents, through the elements of arrays, and by position.
 *
 * A path stands for any number of values. `{a: [{b: 1}, {c: 2}, 3]}` has for `a.b` the values 1 and missing (the second
 * element has no b); the 3, which can hold no field, gives none. A path that ends at an array stands for each of its
 * elements and then for the array itself. A numeric part names both a field `0` of the documents in an array and
 * the element at position 0.
 */
import { ElementCursor } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';

/** A condition about the document that its scope read last. */
export type Condition = () => boolean;

const NO_SLOT = -1;

/**
 * Reads, in one pass over a document, the top-level fields that a query asks for.
 *
 * Each wanted field has a slot: a cursor that after `read` stands on the first element of that name, or is MISSING.
 * Elements before the last wanted one are stepped over by their lengths; nothing is decoded and nothing allocated.
 */
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

/** Decides about one value; `value` may be MISSING. */
export type ValueTest = (value: ElementCursor) => boolean;

/** each: elements of an array at the end of the path, then the array. whole: only the array (`$size`, `$elemMatch`). */
export type LeafArrays = 'each' | 'whole';

interface PathTest {
  readonly path: string;
  readonly test: ValueTest;
  readonly arrays?: LeafArrays;
}

/** True when any value that the path stands for passes the test. */
export function anyValue(scope: DocumentScope, { path, test, arrays = 'each' }: PathTest): Condition {
  const [first, ...rest] = path.split('.').map((part) => Buffer.from(part)) as [Buffer, ...Buffer[]];
  const slot = scope.slotOf(first);
  const leaf = arrays === 'each' ? throughArray(test) : test;
  const matches = rest.reduceRight<Step>((next, part) => stepInto(part, next), { whole: leaf, single: test });
  return () => matches.whole(slot);
}

/** How the rest of a path is tested on the value reached so far. */
interface Step {
  /** The value of a field: an array at the end of the path is gone through. */
  readonly whole: ValueTest;
  /** An array element reached by its position: taken as it is. */
  readonly single: ValueTest;
}

function throughArray(test: ValueTest): ValueTest {
  const item = new ElementCursor();
  return (value) => {
    if (value.type !== BSON.ARRAY) return test(value);
    item.open(value.bytes, value.start, value.end);
    while (item.next()) if (test(item)) return true;
    return test(value);
  };
}

function stepInto(part: Buffer, next: Step): Step {
  const field = new ElementCursor();
  const item = new ElementCursor();
  const nothing = new ElementCursor();
  const isPosition = /^\d+$/.test(part.toString('latin1'));

  const inDocument: ValueTest = (value) => {
    field.open(value.bytes, value.start, value.end);
    field.find(part);
    return next.whole(field);
  };

  const inArray: ValueTest = (value) => {
    item.open(value.bytes, value.start, value.end);
    while (item.next()) {
      const isDocument = item.type === BSON.OBJECT;
      if (isDocument && inDocument(item)) return true;
      if (isPosition && item.keyIs(part) && next.single(item)) return true;
    }
    return false;
  };

  return {
    whole: (value) => {
      if (value.type === BSON.OBJECT) return inDocument(value);
      if (value.type === BSON.ARRAY) return inArray(value);
      return next.whole(nothing);
    },
    // Reached by position with more path to come: a document or an array is entered, anything else gives no value at all.
    single: (value) => {
      if (value.type === BSON.OBJECT) return inDocument(value);
      return value.type === BSON.ARRAY && inArray(value);
    },
  };
}
