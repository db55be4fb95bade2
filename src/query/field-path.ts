/**
 * Walks a dotted path as the server does: through documents, through the elements of arrays, and by position.
 *
 * A path stands for any number of values. `{a: [{b: 1}, {c: 2}, 3]}` has for `a.b` the values 1 and missing (the second
 * element has no b); the 3, which can hold no field, gives none. A path that ends at an array stands for each of its
 * elements and then for the array itself. A numeric part names both a field `0` of the documents in an array and
 * the element at position 0.
 */
import { ElementCursor } from '../bson/element-cursor.ts';
import { BSON } from '../bson/types.ts';
import type { Condition, DocumentScope } from './document-scope.ts';

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
