/** `$elemMatch` and `$size`: what looks at an array as a whole. */
import { ElementCursor } from '../bson/element-cursor.ts';
import { BSON } from '../bson/types.ts';
import { type Condition, DocumentScope } from './document-scope.ts';
import type { ValueTest } from './field-path.ts';

/** Any element that is a document (or an array, its positions taken as fields) and matches the filter. */
export function anyDocumentElement(compileFilter: (scope: DocumentScope) => Condition): ValueTest {
  const scope = new DocumentScope();
  const condition = compileFilter(scope);
  return anyElement((item) => {
    if (item.type !== BSON.OBJECT && item.type !== BSON.ARRAY) return false;
    scope.read(item.bytes, item.start);
    return condition();
  });
}

/** Any element that passes the test, taken as it is: arrays in the array are not gone through. */
export function anyElement(test: ValueTest): ValueTest {
  const item = new ElementCursor();
  return (value) => {
    if (value.type !== BSON.ARRAY) return false;
    item.open(value.bytes, value.start, value.end);
    while (item.next()) if (test(item)) return true;
    return false;
  };
}

export function hasSize(size: number): ValueTest {
  const item = new ElementCursor();
  return (value) => {
    if (value.type !== BSON.ARRAY) return false;
    item.open(value.bytes, value.start, value.end);
    let count = 0;
    while (count <= size && item.next()) count++;
    return count === size;
  };
}
