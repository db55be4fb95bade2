/** A set of indexes below a known bound, one bit each. */
export class IndexSet {
  size = 0;
  readonly #bits: Uint8Array;

  constructor(bound: number) {
    this.#bits = new Uint8Array(Math.ceil(bound / 8));
  }

  add(index: number): void {
    this.#bits[index >>> 3] = (this.#bits[index >>> 3] as number) | (1 << (index & 7));
    this.size++;
  }

  has(index: number): boolean {
    return (((this.#bits[index >>> 3] as number) >>> (index & 7)) & 1) === 1;
  }
}
