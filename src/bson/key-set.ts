/**
 * A compact set of BSON values, for lists of a million keys; numbers are equal across their types, as in a query.
 *
 * ObjectIds, the usual keys, lie packed in a table of their own; everything else goes by its canonical bytes.
 */
import { ByteSet } from './byte-set.ts';
import { CanonicalBytes } from './canonical-bytes.ts';
import { typePlace } from './compare-values.ts';
import { ObjectIdSet } from './object-id-set.ts';
import { BSON, type RawValue } from './types.ts';

export class KeySet {
  private readonly objectIds = new ObjectIdSet();
  private readonly others = new ByteSet();
  private readonly key = new CanonicalBytes();
  /** Whether there is any key of a place in the type order (from -1), so that values of other types cost nothing. */
  private readonly hasPlace = new Uint8Array(256);

  get size(): number {
    return this.objectIds.size + this.others.size;
  }

  /** All keys, 12 bytes each, when every one of them is an ObjectId; else undefined. */
  packedObjectIds(): Buffer | undefined {
    return this.others.size === 0 ? this.objectIds.packed() : undefined;
  }

  /** Copies the value's key. False when an equal value is already there. */
  add(value: RawValue): boolean {
    if (value.type === BSON.OBJECT_ID) return this.objectIds.add(value.bytes, value.start);
    this.hasPlace[typePlace(value.type) + 1] = 1;
    const { bytes, length } = this.key.set(value);
    return this.others.add(bytes, length);
  }

  has(value: RawValue): boolean {
    if (value.type === BSON.OBJECT_ID) return this.objectIds.has(value.bytes, value.start);
    if (this.hasPlace[typePlace(value.type) + 1] === 0) return false;
    const { bytes, length } = this.key.set(value);
    return this.others.has(bytes, length);
  }
}
