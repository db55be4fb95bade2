import type { KeySet } from '../bson/key-set.ts';
import type { RawValue } from '../bson/types.ts';
import { compileQuery, type Matcher } from '../query/compile-query.ts';
import { QueryFault } from '../query/query-fault.ts';
import type { OtherTypes } from './other-types.ts';
import { ParentLookup } from './parent-lookup.ts';
import type { CollectionRoutes, Route } from './routes.ts';
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
    return this.#working;
  }

  /**
   * Holds no bytes of documents any longer, nor compiled queries, until the next document comes. Whatever walks over documents points to the
   * chunk it saw last: a megabyte for each of hundreds of collections.
   */
  rest(): void {
    this.#noteUsed();
    this.#working = undefined;
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
