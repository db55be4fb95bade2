/** A set of BSON values; numbers are equal across their types, as in a query. */

import { canonicalKey } from './canonical-key.ts';
import { ObjectIdSet } from './object-id-set.ts';
import { BSON, type RawValue } from './types.ts';

export class KeySet {
  private readonly objectIds = new ObjectIdSet();
  private readonly others = new Set<string>();

  get size(): number {
    return this.objectIds.size + this.others.size;
  }

  /** False when an equal value is already there. */
  add(value: RawValue): boolean {
    if (value.type === BSON.OBJECT_ID) return this.objectIds.add(value.bytes, value.start);
    const before = this.others.size;
    this.others.add(canonicalKey(value));
    return this.others.size > before;
  }

  has(value: RawValue): boolean {
    if (value.type === BSON.OBJECT_ID) return this.objectIds.has(value.bytes, value.start);
    return this.others.size > 0 && this.others.has(canonicalKey(value));
  }
}
