/** A set of places in a list, a bit for each up to the highest. */
export class IndexSet {
  size = 0;
  #bits: Uint8Array;

  /** `bound`: as many places as are expected; more are taken, too. */
  constructor(bound = 512) {
    this.#bits = new Uint8Array(Math.ceil(bound / 8));
  }

  /** Whether it was not in the set before. */
  add(index: number): boolean {
    const byte = index >>> 3;
    if (byte >= this.#bits.length) this.#grow(byte + 1);
    const bits = this.#bits[byte] as number;
    const bit = 1 << (index & 7);
    if ((bits & bit) !== 0) return false;
    this.#bits[byte] = bits | bit;
    this.size++;
    return true;
  }

  has(index: number): boolean {
    return ((this.#bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** Ascending. */
  *values(): Generator<number> {
    for (let byte = 0; byte < this.#bits.length; byte++) {
      const bits = this.#bits[byte] as number;
      for (let bit = 0; bits >> bit !== 0; bit++) if ((bits >> bit) & 1) yield byte * 8 + bit;
    }
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, this.#bits.length * 2));
    grown.set(this.#bits);
    this.#bits = grown;
  }
}
