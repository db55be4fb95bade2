import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { hashBytes, hashObjectId, wordAt } from '../bson/flat-sets.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { IDS_NOTED_TOGETHER, type IdFilter } from './id-filter.ts';

/** For the second hash of an `_id`. */
const SECOND_SEED = 0x5bd1e995;
/** Suspects held per collection. */
const MOST_SUSPECTS = 200_000;

/** Watches the `_id`s of one collection for repetitions. */
export class IdWatch {
  readonly #filter: IdFilter;
  readonly #scope: number;
  readonly #key = new CanonicalBytes();
  readonly #hashes = new Int32Array(2 * IDS_NOTED_TOGETHER);
  readonly #seen = new Uint8Array(IDS_NOTED_TOGETHER);
  #waiting = 0;
  #noted = 0;
  /** Indexes of documents whose `_id` may have come before, in order; undefined when they became too many to be held. */
  #suspects: number[] | undefined = [];

  constructor(filter: IdFilter) {
    this.#filter = filter;
    this.#scope = filter.newScope();
  }

  /** Notes the `_id` of the next document. */
  note(id: RawValue): void {
    const at = 2 * this.#waiting;
    if (id.type === BSON.OBJECT_ID) {
      const a = wordAt(id.bytes, id.start);
      const b = wordAt(id.bytes, id.start + 4);
      const c = wordAt(id.bytes, id.start + 8);
      this.#hashes[at] = hashObjectId(a, b, c, this.#scope);
      this.#hashes[at + 1] = hashObjectId(a, b, c, this.#scope ^ SECOND_SEED);
    } else {
      const { bytes, length } = this.#key.set(id);
      this.#hashes[at] = hashBytes(bytes, { start: 0, end: length }, this.#scope);
      this.#hashes[at + 1] = hashBytes(bytes, { start: 0, end: length }, this.#scope ^ SECOND_SEED);
    }
    if (++this.#waiting === IDS_NOTED_TOGETHER) this.#lookUp();
  }

  /** Indexes, in order, of documents whose `_id` may have come before; empty is certain, undefined means that any may. */
  suspects(): readonly number[] | undefined {
    this.#lookUp();
    return this.#suspects;
  }

  #lookUp(): void {
    this.#filter.noteAll(this.#hashes, this.#waiting, this.#seen);
    for (let i = 0; i < this.#waiting; i++) if (this.#seen[i] === 1) this.#suspects?.push(this.#noted + i);
    this.#noted += this.#waiting;
    this.#waiting = 0;
    if ((this.#suspects?.length ?? 0) > MOST_SUSPECTS) this.#suspects = undefined;
  }
}
