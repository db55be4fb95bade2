/**
 * A compact set of BSON values, for lists of a million keys; numbers are equal across their types, as in a query.
 *
 * ObjectIds, the usual keys, lie packed in a table of their own; everything else goes by its canonical bytes.
 */

import { type BareValue, CanonicalBytes, readCanonical } from './canonical-bytes.ts';
import { typePlace } from './compare-values.ts';
import { ByteSet, ObjectIdBatch, ObjectIdSet, type SharedBytes, type SharedObjectIds } from './flat-sets.ts';
import { BSON, type RawValue } from './types.ts';

/** First byte of an ObjectId's canonical bytes. */
const OBJECT_ID_PLACE = typePlace(BSON.OBJECT_ID) + 1;

/** What another thread needs to look keys up in the same memory. */
export interface KeySetMemory {
  readonly objectIds: SharedObjectIds;
  readonly others: SharedBytes;
  readonly hasPlace: Uint8Array;
}

export class KeySet {
  private objectIds = new ObjectIdSet();
  /** ObjectIds on their way into the set. */
  private waiting: ObjectIdBatch | undefined;
  private others = new ByteSet();
  private readonly key = new CanonicalBytes();
  /** Whether there is any key of a place in the type order (from -1), so that values of other types cost nothing. */
  private readonly hasPlace = new Uint8Array(256);

  /** A set that `share` of another one described, perhaps in another thread. */
  static of({ objectIds, others, hasPlace }: KeySetMemory): KeySet {
    const set = new KeySet();
    set.objectIds = ObjectIdSet.of(objectIds);
    set.others = ByteSet.of(others);
    set.hasPlace.set(hasPlace);
    return set;
  }

  /** The same keys for other threads, in memory that is shared. Nothing may be added afterwards, here or there. */
  share(): KeySetMemory {
    this.settle();
    return {
      objectIds: this.objectIds.share(),
      others: this.others.share(),
      hasPlace: this.hasPlace.slice(),
    };
  }

  /** Each key as its canonical bytes, lent until the next one, as `addCanonical` takes it. In no particular order. */
  *canonical(): Generator<Buffer> {
    this.settle();
    const ids = this.objectIds.packed();
    const key = Buffer.alloc(13, OBJECT_ID_PLACE);
    for (let at = 0; at < ids.length; at += 12) {
      ids.copy(key, 1, at, at + 12);
      yield key;
    }
    yield* this.others.keys();
  }

  get size(): number {
    this.settle();
    return this.objectIds.size + this.others.size;
  }

  /** Whether any key is a text. */
  get holdsText(): boolean {
    return this.hasPlace[typePlace(BSON.STRING) + 1] === 1;
  }

  /**
   * A value for each key, lent until the next one: of numbers that are equal, one. Undefined in place of a key that is a
   * document, a regular expression or of another kind that `$in` does not take as itself.
   */
  *values(): Generator<BareValue | undefined> {
    this.settle();
    const ids = this.objectIds.packed();
    for (let at = 0; at < ids.length; at += 12)
      yield { type: BSON.OBJECT_ID, bytes: ids.subarray(at, at + 12) };
    for (const key of this.others.keys()) yield readCanonical(key);
  }

  /** Copies the value's key. False when an equal value is already there. */
  add(value: RawValue): boolean {
    if (value.type === BSON.OBJECT_ID) {
      this.settle();
      return this.objectIds.add(value.bytes, value.start);
    }
    this.hasPlace[typePlace(value.type) + 1] = 1;
    const { bytes, length } = this.key.set(value);
    return this.others.add(bytes, length);
  }

  /** Copies a key that is given as its canonical bytes. False when it is already there. */
  addCanonical(key: Buffer): boolean {
    const place = key[0] as number;
    if (place === OBJECT_ID_PLACE) {
      this.settle();
      return this.objectIds.add(key, 1);
    }
    this.hasPlace[place] = 1;
    return this.others.add(key, key.length);
  }

  /** Copies the value's key without saying whether it is new: so many ObjectIds can be put in together. */
  collect(value: RawValue): void {
    if (value.type !== BSON.OBJECT_ID) {
      this.add(value);
      return;
    }
    this.waiting ??= new ObjectIdBatch();
    this.waiting.push(value.bytes, value.start);
    if (this.waiting.isFull) this.settle();
  }

  /** Lets go of all keys. */
  clear(): void {
    this.objectIds = new ObjectIdSet();
    this.others = new ByteSet();
    this.hasPlace.fill(0);
    if (this.waiting !== undefined) this.waiting.count = 0;
  }

  has(value: RawValue): boolean {
    this.settle();
    if (value.type === BSON.OBJECT_ID) return this.objectIds.has(value.bytes, value.start);
    if (this.hasPlace[typePlace(value.type) + 1] === 0) return false;
    const { bytes, length } = this.key.set(value);
    return this.others.has(bytes, length);
  }

  /** Sets `found[i]` to 1 or 0 for every ObjectId of a batch, and empties it. */
  findAll(batch: ObjectIdBatch, found: Uint8Array): void {
    this.settle();
    this.objectIds.findAll(batch, found);
  }

  private settle(): void {
    if (this.waiting !== undefined && this.waiting.count > 0) this.objectIds.addAll(this.waiting);
  }
}
