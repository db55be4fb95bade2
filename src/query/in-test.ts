/** `$in`: the value equals one of a list, or matches one of the regular expressions in it. */
import { elements } from '../bson/elements.ts';
import { KeySet } from '../bson/key-set.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { ValueTest } from './field-path.ts';
import { isOperatorDocument } from './operator-document.ts';
import { QueryFault } from './query-fault.ts';
import { regexValueTest } from './regex-test.ts';

export function inTest(list: RawValue, path: string): ValueTest {
  const keys = new KeySet();
  const patterns: ValueTest[] = [];
  let hasNull = false;
  for (const [index, item] of [...elements(list.bytes, list.start)].entries()) {
    const itemPath = `${path}.${index}`;
    if (item.type === BSON.UNDEFINED)
      throw new QueryFault('nothing can be compared with undefined', itemPath);
    if (isOperatorDocument(item))
      throw new QueryFault('operators cannot stand in a list of values', itemPath);
    if (item.type === BSON.REGEX) {
      patterns.push(regexValueTest(item, itemPath));
    } else {
      keys.add(item);
      if (item.type === BSON.NULL) hasNull = true;
    }
  }
  if (patterns.length === 0) return (value) => (value.isMissing() ? hasNull : keys.has(value));
  return (value) =>
    value.isMissing() ? hasNull : keys.has(value) || patterns.some((matches) => matches(value));
}
