import { BsonFault } from '../bson/elements.ts';
import { IDS_TOGETHER, ObjectIdBatch } from '../bson/flat-sets.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { otherFormIn } from './other-types.ts';
import type { ParentKeys } from './routes.ts';

/** Fewer keys than these stay in the cache by themselves. */
const FEW_KEYS = 20_000;

/** Answers about a document; 0 and 1 are the set's own. */
const ABSENT = 0;
const PRESENT = 1;
const UNKNOWN = 2;

/** The keys of parents, or of a file of ids. */
type Lookup = Pick<ParentKeys, 'path' | 'keys'> & Partial<ParentKeys>;

/** What was looked up ahead. */
interface Ahead {
  readonly batch: ObjectIdBatch;
  /** Which document each id of the batch is of. */
  readonly documents: Int32Array;
  readonly found: Uint8Array;
  readonly starts: Int32Array;
  readonly answers: Uint8Array;
}

function newAhead(): Ahead {
  return {
    batch: new ObjectIdBatch(),
    documents: new Int32Array(IDS_TOGETHER),
    found: new Uint8Array(IDS_TOGETHER),
    starts: new Int32Array(IDS_TOGETHER),
    answers: new Uint8Array(IDS_TOGETHER),
  };
}

/** A child's key and the parent's, which say the same in two types. */
interface OtherType {
  readonly child: RawValue;
  readonly parent: RawValue;
}

/**
 * Tells whether documents refer to a chosen parent, by one route.
 *
 * Among many parents the answers for the next documents are looked up together (`lookAhead`). That is only ever a faster way to the
 * same answer: whoever asks about other documents, or in another order, gets it too.
 */
export class ParentLookup {
  readonly #parent: Lookup;
  readonly #isKey: (value: RawValue) => boolean;
  /** Made where there are many parents. */
  #ahead: Ahead | undefined;
  #bytes: Buffer | undefined;
  #count = 0;
  #next = 0;
  /** Keys known when the answers were looked up. */
  #keysThen = 0;
  readonly #inOtherType: (value: RawValue) => boolean;
  #otherType: OtherType | undefined;
  /** The document asked about last has keys that are no ObjectIds. */
  #sawOtherTypes = false;

  constructor(parent: Lookup) {
    this.#parent = parent;
    this.#isKey = (value) => {
      if (value.type !== BSON.OBJECT_ID) this.#sawOtherTypes = true;
      return parent.keys.has(value);
    };
    this.#inOtherType = ({ type, bytes, start, end }) => {
      const child = { type, bytes, start, end };
      const form = otherFormIn(parent.keys, child);
      this.#otherType = form && { child, parent: form };
      return form !== undefined;
    };
  }

  /** Looks up the keys of the `count` documents that `refers` will be asked about next; `starts` are their offsets, ascending. */
  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void {
    const { keys, path } = this.#parent;
    this.#next = 0;
    this.#count = 0;
    this.#keysThen = keys.size;
    if (this.#keysThen < FEW_KEYS || !path.isTopLevel) return;
    this.#bytes = bytes;
    this.#ahead ??= newAhead();
    const ahead = this.#ahead;
    const { batch } = ahead;
    try {
      for (const end = Math.min(count, IDS_TOGETHER); this.#count < end; this.#count++) {
        const start = starts[this.#count] as number;
        const id = path.objectIdAt(bytes, start);
        ahead.starts[this.#count] = start;
        ahead.answers[this.#count] = UNKNOWN;
        if (id === undefined) continue;
        ahead.documents[batch.count] = this.#count;
        batch.push(bytes, id);
      }
    } catch (error) {
      // The damaged document is asked about in its turn, and then its fault is thrown.
      if (!(error instanceof BsonFault)) throw error;
    }
    const looked = batch.count;
    keys.findAll(batch, ahead.found);
    for (let i = 0; i < looked; i++) ahead.answers[ahead.documents[i] as number] = ahead.found[i] as number;
  }

  /** Whether the document at `start` refers to a parent known by now. */
  refers(bytes: Buffer, start: number): boolean {
    const answer = this.#answerFor(bytes, start);
    this.#sawOtherTypes = false;
    if (answer === PRESENT) return true;
    // Keys may have come since; they never go.
    if (answer === ABSENT && this.#parent.keys.size === this.#keysThen) return false;
    return this.#parent.path.some(bytes, start, this.#isKey);
  }

  /** A key of the document at `start` that is a known parent's in another type; for the document that `refers` has just denied. */
  otherType(bytes: Buffer, start: number): OtherType | undefined {
    const { path, keys } = this.#parent;
    // The usual case, and the cheap one: ObjectIds on both sides.
    if (!this.#sawOtherTypes && !keys.holdsText) return undefined;
    return path.some(bytes, start, this.#inOtherType) ? this.#otherType : undefined;
  }

  #answerFor(bytes: Buffer, start: number): number {
    const ahead = this.#ahead;
    if (ahead === undefined || bytes !== this.#bytes) return UNKNOWN;
    const { starts, answers } = ahead;
    while (this.#next < this.#count && (starts[this.#next] as number) < start) this.#next++;
    if (this.#next === this.#count || starts[this.#next] !== start) return UNKNOWN;
    return answers[this.#next++] as number;
  }
}
