import { CanonicalBytes } from '../bson/canonical-bytes.ts';
import { hashBytes, hashObjectId, wordAt } from '../bson/flat-sets.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { IDS_NOTED_TOGETHER, type IdFilter } from './id-filter.ts';

/** For the second hash of an `_id`. */
const SECOND_SEED = 0x5bd1e995;
/** Suspects held per collection. */
const MOST_SUSPECTS = 200_000;

/** `_id`s that are looked up together. */
interface Batch {
  readonly key: CanonicalBytes;
  readonly hashes: Int32Array;
  readonly seen: Uint8Array;
}

function newBatch(): Batch {
  return {
    key: new CanonicalBytes(),
    hashes: new Int32Array(2 * IDS_NOTED_TOGETHER),
    seen: new Uint8Array(IDS_NOTED_TOGETHER),
  };
}

/** Of collections that rest. */
const spare: Batch[] = [];

/** Watches the `_id`s of one collection for repetitions. */
export class IdWatch {
  readonly #filter: IdFilter;
  readonly #scope: number;
  #batch: Batch | undefined;
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
    this.#batch ??= spare.pop() ?? newBatch();
    const { hashes, key } = this.#batch;
    const at = 2 * this.#waiting;
    if (id.type === BSON.OBJECT_ID) {
      const a = wordAt(id.bytes, id.start);
      const b = wordAt(id.bytes, id.start + 4);
      const c = wordAt(id.bytes, id.start + 8);
      hashes[at] = hashObjectId(a, b, c, this.#scope);
      hashes[at + 1] = hashObjectId(a, b, c, this.#scope ^ SECOND_SEED);
    } else {
      const { bytes, length } = key.set(id);
      hashes[at] = hashBytes(bytes, { start: 0, end: length }, this.#scope);
      hashes[at + 1] = hashBytes(bytes, { start: 0, end: length }, this.#scope ^ SECOND_SEED);
    }
    if (++this.#waiting === IDS_NOTED_TOGETHER) this.#lookUp();
  }

  /** Indexes, in order, of documents whose `_id` may have come before; empty is certain, undefined means that any may. */
  suspects(): readonly number[] | undefined {
    this.#lookUp();
    return this.#suspects;
  }

  /** Gives back its memory until the next `_id` comes: there may be thousands of collections. */
  rest(): void {
    this.#lookUp();
    if (this.#batch !== undefined) spare.push(this.#batch);
    this.#batch = undefined;
  }

  #lookUp(): void {
    if (this.#batch === undefined) return;
    const { hashes, seen } = this.#batch;
    this.#filter.noteAll(hashes, this.#waiting, seen);
    for (let i = 0; i < this.#waiting; i++) if (seen[i] === 1) this.#suspects?.push(this.#noted + i);
    this.#noted += this.#waiting;
    this.#waiting = 0;
    if ((this.#suspects?.length ?? 0) > MOST_SUSPECTS) this.#suspects = undefined;
  }
}
