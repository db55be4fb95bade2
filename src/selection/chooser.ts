import type { MemberInfo } from '../backup/backup.ts';
import { BsonFault } from '../bson/elements.ts';
import { IDS_TOGETHER, ObjectIdBatch } from '../bson/flat-sets.ts';
import type { KeySet } from '../bson/key-set.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { WatchesDeleted } from '../oplog/rolled-collection.ts';
import type { TakeDeleted } from '../oplog/touched.ts';
import { compileQuery, type Matcher } from '../query/compile-query.ts';
import { QueryFault } from '../query/query-fault.ts';
import { type OtherTypes, otherFormIn } from './other-types.ts';
import type { CollectionRoutes, ParentKeys, Route } from './routes.ts';
import type { DeletedBefore } from './selection.ts';
import type { WaitingReferences } from './waiting-references.ts';

/**
 * Decides about the documents of one collection: a document is chosen when any of its routes chooses it. What it is the parent of
 * is noted in the key sets below. Synchronous, and allocates nothing per document.
 */
export class Chooser {
  readonly #given: readonly Route[];
  /** Made when a document comes, and dropped in a `rest`. */
  #working: readonly RouteChooser[] | undefined;
  readonly #used = new Set<Route>();
  /** Which state of the documents comes; other routes do not look at it. */
  #view: string | undefined;
  #viewed: readonly RouteChooser[] | undefined;
  /** Keys that are the `_id`s of all chosen documents, where dependents refer to these; undefined where there is no such set. */
  readonly ids: KeySet | undefined;

  constructor({ routes }: Pick<CollectionRoutes, 'routes'>) {
    this.#given = routes;
    // Of several routes, each notes only what it chose itself.
    const [only, ...others] = routes;
    this.ids = others.length > 0 ? undefined : only?.feeds.find(({ path }) => path.isId)?.keys;
  }

  get #routes(): readonly RouteChooser[] {
    this.#working ??= this.#given.map((route) => new RouteChooser(route));
    this.#viewed ??= this.#working.filter(({ route }) => route.view === this.#view);
    return this.#viewed;
  }

  /** The documents that follow are in this state. */
  turnTo({ view }: Pick<MemberInfo, 'view'>): void {
    if (view === this.#view) return;
    this.#view = view;
    this.#viewed = undefined;
  }

  /**
   * Holds no bytes of documents any longer, nor compiled queries, until the next document comes. Whatever walks over documents points to the
   * chunk it saw last: a megabyte for each of hundreds of collections.
   */
  rest(): void {
    this.#noteUsed();
    this.#working = undefined;
    this.#viewed = undefined;
    for (const { parent, ids, feeds } of this.#given) {
      parent?.path.rest();
      ids?.path.rest();
      for (const { path } of feeds) path.rest();
    }
  }

  #noteUsed(): void {
    for (const { used, route } of this.#working ?? []) if (used) this.#used.add(route);
  }

  /** Prepares for the `count` documents that will be asked about next; `starts` are their offsets, ascending. */
  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void {
    for (const { parents, ids } of this.#routes) {
      parents?.lookAhead(bytes, starts, count);
      ids?.lookAhead(bytes, starts, count);
    }
  }

  /** Whether the document at `start` is chosen by the keys known so far. */
  chooses(bytes: Buffer, start: number): boolean {
    let chosen = false;
    // All routes are asked, even after one said yes: each has dependents of its own.
    for (const route of this.#routes) if (route.chooses(bytes, start)) chosen = true;
    return chosen;
  }

  /** Whether it is chosen by the keys known so far; where not, it waits for those that would choose it. */
  choosesOrWaits(bytes: Buffer, start: number, waiting: WaitingReferences): void {
    for (const route of this.#routes) {
      if (route.chooses(bytes, start)) waiting.chosen(route.route, bytes, start);
      else waiting.wait(route, bytes, start);
    }
  }

  /** Notes for what a document that is not chosen would have been chosen, did types not count. */
  noteOtherTypes(bytes: Buffer, start: number, found: OtherTypes): void {
    for (const route of this.#routes) route.noteOtherType(bytes, start, found);
  }

  /** Whether it could be chosen once more keys are known: it refers to some parent and a route's own query does not reject it. */
  mayChoose(bytes: Buffer, start: number): boolean {
    for (const route of this.#routes) if (route.mayChoose(bytes, start)) return true;
    return false;
  }

  /** Routes by which no document was chosen. */
  unused(): Route[] {
    this.#noteUsed();
    return this.#given.filter((route) => !this.#used.has(route));
  }

  /** Parent keys known so far, over all routes; it only ever grows. */
  get keysKnown(): number {
    return this.#given.reduce((sum, { parent }) => sum + (parent?.keys.size ?? 0), 0);
  }
}

/**
 * Counts the documents that an oplog's entries deleted before the cut and that a query or `ids` at the top of the plan match as they were just
 * before. It is told, and decides nothing.
 */
export class DeletedMatches implements WatchesDeleted {
  readonly #given: readonly Route[];
  #working: readonly RouteChooser[] | undefined;
  #count = 0;
  #last = Number.NEGATIVE_INFINITY;

  /** Undefined where none can be counted: no entry at the top of the plan looks at one moment, or a pattern of one might find no end. */
  static of({ routes }: Pick<CollectionRoutes, 'routes'>): DeletedMatches | undefined {
    const given = routes.filter(({ parent, view }) => parent === undefined && view === undefined);
    if (given.length === 0 || given.some(({ mayBacktrack }) => mayBacktrack)) return undefined;
    return new DeletedMatches(given);
  }

  private constructor(given: readonly Route[]) {
    this.#given = given;
  }

  /** Undefined: none so far. */
  get found(): DeletedBefore | undefined {
    return this.#count === 0 ? undefined : { count: this.#count, last: this.#last };
  }

  /** Those of one route alone; undefined also where several are counted together. */
  foundBy(route: Route): DeletedBefore | undefined {
    return this.#given.length === 1 && this.#given[0] === route ? this.found : undefined;
  }

  beginReading(): void {
    this.#count = 0;
    this.#last = Number.NEGATIVE_INFINITY;
  }

  readonly take: TakeDeleted = (bytes, start, wall) => {
    this.#working ??= this.#given.map((route) => new RouteChooser(route));
    if (!this.#working.some((route) => route.wouldChoose(bytes, start))) return;
    this.#count++;
    this.#last = Math.max(this.#last, wall);
  };

  /** As that of a Chooser. */
  rest(): void {
    this.#working = undefined;
  }
}

class RouteChooser {
  readonly route: Route;
  used = false;
  readonly matches: Matcher | undefined;
  readonly parents: ParentLookup | undefined;
  readonly ids: ParentLookup | undefined;
  readonly #noteFound: (value: RawValue) => boolean;
  readonly #noteChosen: (value: RawValue) => boolean;
  readonly #noteKey: readonly ((value: RawValue) => boolean)[];

  constructor(route: Route) {
    this.route = route;
    this.matches = route.query && compileQuery(route.query);
    this.parents = route.parent && new ParentLookup(route.parent);
    this.ids = route.ids && new ParentLookup(route.ids);
    this.#noteFound = noteIn(route.ids?.found);
    this.#noteChosen = noteIn(route.ids?.chosen);
    this.#noteKey = route.feeds.map(({ keys }) => (value) => {
      keys.collect(value);
      return false;
    });
  }

  chooses(bytes: Buffer, start: number): boolean {
    const { matches } = this;
    const { feeds, ids } = this.route;
    // The key is looked at before the query: it is the cheaper question, and mostly the answer is no.
    if (this.parents !== undefined && !this.parents.refers(bytes, start)) return false;
    if (this.ids !== undefined && !this.ids.refers(bytes, start)) return false;
    ids?.path.some(bytes, start, this.#noteFound);
    if (matches !== undefined && !matches(bytes, start)) return false;
    ids?.path.some(bytes, start, this.#noteChosen);
    this.used = true;
    for (let i = 0; i < feeds.length; i++) {
      feeds[i]?.path.some(bytes, start, this.#noteKey[i] as (value: RawValue) => boolean);
    }
    return true;
  }

  /** Whether it matches, of a route at the top. Notes nothing; a query without an answer does not match. */
  wouldChoose(bytes: Buffer, start: number): boolean {
    if (this.ids !== undefined && !this.ids.refers(bytes, start)) return false;
    try {
      return this.matches === undefined || this.matches(bytes, start);
    } catch (error) {
      if (error instanceof QueryFault) return false;
      throw error;
    }
  }

  noteOtherType(bytes: Buffer, start: number, found: OtherTypes): void {
    const other = (this.parents ?? this.ids)?.otherType(bytes, start);
    if (other !== undefined && this.#mayMatch(bytes, start))
      found.note(this.route, other.child, other.parent);
  }

  mayChoose(bytes: Buffer, start: number): boolean {
    const { parent } = this.route;
    if (parent !== undefined && !parent.path.some(bytes, start, anyKey)) return false;
    if (
      this.ids !== undefined &&
      !this.ids.refers(bytes, start) &&
      this.ids.otherType(bytes, start) === undefined
    )
      return false;
    return this.#mayMatch(bytes, start);
  }

  #mayMatch(bytes: Buffer, start: number): boolean {
    const { matches } = this;
    try {
      return matches === undefined || matches(bytes, start);
    } catch (error) {
      // A query without an answer is a fault only for a document that refers to a chosen parent.
      if (error instanceof QueryFault) return true;
      throw error;
    }
  }
}

function noteIn(keys: KeySet | undefined): (value: RawValue) => boolean {
  return (value) => {
    keys?.collect(value);
    return false;
  };
}

const anyKey = (): boolean => true;

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
