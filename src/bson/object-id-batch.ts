/** As many as a table lookup can be spread over while their cache lines stay in the first-level cache. */
export const IDS_TOGETHER = 512;

/**
 * Some ObjectIds that are put into an `ObjectIdSet`, or looked up in it, together: first all places are worked out, then all are
 * touched, then compared. A large table misses the cache for nearly every id; asked for together, the misses overlap.
 * Measured with 1,000,000 ids, Node 20: 172 → 58 ns for a lookup, 150 → 75 ns for an addition.
 */
export class ObjectIdBatch {
  count = 0;
  /** Three words of each id. */
  readonly words = new Int32Array(3 * IDS_TOGETHER);
  /** For the set: where it begins to look for each. */
  readonly slots = new Int32Array(IDS_TOGETHER);
  /** For the set: what it found there first. Nobody looks at it; to have read it brings the place into the cache. */
  readonly touched = new Int32Array(IDS_TOGETHER);

  get isFull(): boolean {
    return this.count === IDS_TOGETHER;
  }

  /** Copies the id at `start`; there must be room. */
  push(bytes: Buffer, start: number): void {
    const at = 3 * this.count++;
    this.words[at] = bytes.readInt32LE(start);
    this.words[at + 1] = bytes.readInt32LE(start + 4);
    this.words[at + 2] = bytes.readInt32LE(start + 8);
  }
}
