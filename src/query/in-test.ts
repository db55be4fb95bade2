/** `$in`: the value equals one of a list. */
import { elements } from '../bson/elements.ts';
import { KeySet } from '../bson/key-set.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { ValueTest } from './field-path.ts';
import { QueryFault } from './query-fault.ts';

export function inTest(list: RawValue, path: string): ValueTest {
  const keys = new KeySet();
  let hasNull = false;
  for (const item of elements(list.bytes, list.start)) {
    if (item.type === BSON.UNDEFINED) throw new QueryFault('undefined cannot be compared', path);
    if (item.type === BSON.REGEX) throw new QueryFault('regular expressions are not supported yet', path);
    if (item.type === BSON.NULL) hasNull = true;
    keys.add(item);
  }
  return (value) => (value.isMissing() ? hasNull : keys.has(value));
}
