/** Keywords about arrays. */

import { CanonicalBytes } from '../../bson/canonical-bytes.ts';
import { ElementCursor } from '../../bson/element-cursor.ts';
import { elements } from '../../bson/elements.ts';
import { ByteSet } from '../../bson/flat-sets.ts';
import { BSON } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { countOf, ifType, type Keyword, type KeywordUse, schemaOf } from './keyword.ts';

export const ARRAY_KEYWORDS: Readonly<Record<string, Keyword>> = {
  minItems: (use) => {
    const count = countOf(use);
    return ifType(BSON.ARRAY, (value) => fieldCount(value) >= count);
  },
  maxItems: (use) => {
    const count = countOf(use);
    return ifType(BSON.ARRAY, (value) => fieldCount(value) <= count);
  },
  uniqueItems: ({ operand, path }) => {
    if (operand.type !== BSON.BOOL) throw new QueryFault('"uniqueItems" expects true or false', path);
    return operand.bytes[operand.start] === 1 ? ifType(BSON.ARRAY, hasUniqueItems) : undefined;
  },
  items: (use) => {
    if (use.operand.type !== BSON.ARRAY) return ifType(BSON.ARRAY, eachItem(schemaOf(use.operand, use), 0));
    return ifType(BSON.ARRAY, itemByItem(itemSchemas(use)));
  },
  additionalItems: (use) => {
    const { operand, path, siblings } = use;
    const isBoolean = operand.type === BSON.BOOL;
    if (!isBoolean && operand.type !== BSON.OBJECT) {
      throw new QueryFault('"additionalItems" expects a schema, true or false', path);
    }
    const test = isBoolean ? () => operand.bytes[operand.start] === 1 : schemaOf(operand, use);
    const items = siblings.get('items');
    // Only a list of schemas leaves items over.
    if (items?.type !== BSON.ARRAY) return undefined;
    return ifType(BSON.ARRAY, eachItem(test, [...elements(items.bytes, items.start)].length));
  },
};

/** Number of elements of a document or array. */
export function fieldCount(value: ElementCursor): number {
  const item = new ElementCursor().open(value.bytes, value.start, value.end);
  let count = 0;
  while (item.next()) count++;
  return count;
}

function hasUniqueItems(value: ElementCursor): boolean {
  const seen = new ByteSet();
  const key = new CanonicalBytes('sorted');
  const item = new ElementCursor().open(value.bytes, value.start, value.end);
  while (item.next()) {
    const { bytes, length } = key.set(item);
    if (!seen.add(bytes, length)) return false;
  }
  return true;
}

function itemSchemas(use: KeywordUse): ValueTest[] {
  return [...elements(use.operand.bytes, use.operand.start)].map((schema, index) =>
    schemaOf(schema, { ...use, path: `${use.path}.${index}` }),
  );
}

/** The test of each schema on the item at its place; items beyond the last schema pass. */
function itemByItem(tests: readonly ValueTest[]): ValueTest {
  return (value) => {
    const item = new ElementCursor().open(value.bytes, value.start, value.end);
    for (const test of tests) if (item.next() && !test(item)) return false;
    return true;
  };
}

function eachItem(test: ValueTest, from: number): ValueTest {
  return (value) => {
    const item = new ElementCursor().open(value.bytes, value.start, value.end);
    for (let index = 0; item.next(); index++) if (index >= from && !test(item)) return false;
    return true;
  };
}
