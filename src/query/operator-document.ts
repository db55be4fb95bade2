/** Tells an object that holds operators from one that is a value. */
import { elements, keyOf } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';

/**
 * An object whose first key starts with `$` holds operators, unless it is a reference (`$ref` and `$id`), which is a value.
 * `partial`: any one of `$ref`, `$id` and `$db` makes it a reference, as under `$elemMatch`.
 */
export function isOperatorDocument(value: RawValue, { partial = false } = {}): boolean {
  if (value.type !== BSON.OBJECT) return false;
  const keys = [...elements(value.bytes, value.start)].map(keyOf);
  if (keys[0]?.startsWith('$') !== true) return false;
  if (partial) return !['$ref', '$id', '$db'].some((part) => keys.includes(part));
  return !(keys.includes('$ref') && keys.includes('$id'));
}
