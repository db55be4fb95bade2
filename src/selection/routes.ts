/**
 * The plan's tree of collections as what a scan needs: per collection of the backup, the routes by which its documents are
 * chosen, and which collections must be read before it.
 */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { ElementCursor } from '../bson/elements.ts';
import { KeySet } from '../bson/key-set.ts';
import { showValue } from '../bson/show.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { IdList } from '../plan/id-list.ts';
import type {
  CollectionPlan,
  DependentPlan,
  MergeRules,
  Plan,
  RestoredCollection,
  WhenMatched,
} from '../plan/plan.ts';
import { windowKey, windowsOf } from '../plan/windows.ts';
import { comparesText } from '../query/compile-query.ts';
import { mayBacktrack } from '../query/regex/regex-test.ts';

/** Keys of the documents that one route chose, for the routes below it. */
interface KeySource {
  /** The parent's `localKey`. */
  readonly path: KeyPath;
  readonly keys: KeySet;
}

/** One way in which documents of a collection are chosen: by a query, or by referring to a chosen parent. */
export interface Route {
  /** For messages: `artworks`, `artworks > sale_artworks`. */
  readonly name: string;
  /** `file:line:col` of the entry. */
  readonly where: string;
  /** The route's own query, raw; undefined = every document. */
  readonly query: Buffer | undefined;
  /** The query compares text, which a collection with a collation would do by other rules. */
  readonly comparesText: boolean;
  /** A regular expression of the query could take for ever. */
  readonly mayBacktrack: boolean;
  /** The state of the documents that it looks at, by `windowKey`; undefined: as of one moment for all of them. */
  readonly view: string | undefined;
  /** Undefined for a collection at the top of the plan. */
  readonly parent: ParentKeys | undefined;
  /** Only documents with these `_id`s. */
  readonly ids?: IdRoute;
  /** What a document chosen by this route adds its keys to. Complete once `collectionRoutes` has returned. */
  readonly feeds: KeySource[];
}

export interface ParentKeys {
  /** Collection of the parent. */
  readonly collection: string;
  /** The dependent's `foreignKey`, as the plan spells it. */
  readonly foreignKey: string;
  readonly path: KeyPath;
  /** Keys of the parents chosen so far. */
  readonly keys: KeySet;
}

/** A file of `_id`s, and what was seen of them. */
export interface IdRoute {
  readonly list: IdList;
  readonly path: KeyPath;
  /** Those of the list. */
  readonly keys: KeySet;
  /** Those that the backup holds. */
  readonly found: KeySet;
  /** Those of whose documents the query was true. */
  readonly chosen: KeySet;
}

/** Everything the plan says of one collection of the backup. */
export interface CollectionRoutes {
  readonly collection: string;
  readonly into: string;
  readonly whenMatched: WhenMatched;
  readonly merge?: MergeRules;
  readonly routes: readonly Route[];
  /** Collections whose documents decide about this one's. */
  readonly parents: ReadonlySet<string>;
  /** 0 for a collection that depends on no other, else one more than the highest of those it depends on. */
  readonly level: number;
  /** Its own documents decide, directly or through others, about more of them: a tree, or a loop over two collections. */
  readonly cyclic: boolean;
}

/** The collections of the plan, parents first. Throws RestorePlanError PLAN_INVALID where two entries contradict each other. */
export function collectionRoutes(plan: Pick<Plan, 'collections' | 'source'>): CollectionRoutes[] {
  const entries = new Map<string, { plan: RestoredCollection; routes: Route[] }>();
  const trees: [child: Route, parent: Route][] = [];

  const add = (entry: RestoredCollection, route: Route): void => {
    const known = entries.get(entry.collection);
    if (known === undefined) entries.set(entry.collection, { plan: entry, routes: [route] });
    else {
      refuseContradiction(known.plan, entry);
      known.routes.push(route);
    }
    for (const dependent of entry.dependents) addDependent(entry, route, dependent);
  };

  const addDependent = (parent: RestoredCollection, above: Route, dependent: DependentPlan): void => {
    const source: KeySource = { path: new KeyPath(dependent.localKey, 'local'), keys: new KeySet() };
    above.feeds.push(source);
    const route: Route = {
      name: `${above.name} > ${dependent.collection}`,
      where: dependent.where,
      view: above.view,
      ...queryOf(dependent.query),
      parent: {
        collection: parent.collection,
        foreignKey: dependent.foreignKey,
        path: new KeyPath(dependent.foreignKey, 'foreign', {
          collection: parent.collection,
          database: plan.source.database,
        }),
        keys: source.keys,
      },
      feeds: [],
    };
    if (dependent.collection === parent.collection) trees.push([route, above]);
    add(dependent, route);
  };

  for (const root of plan.collections) {
    const windows = windowsOf(root);
    if (windows.length === 0) add(root, rootRoute(root, undefined));
    // What was changed is still there, and so are its dependents.
    for (const window of windows) {
      const dependents = window.kind === 'deleted' ? root.dependents : [];
      add({ ...root, dependents }, rootRoute(root, windowKey(window)));
    }
  }
  // In a tree of one collection a child is a parent too: it brings along whatever its parent brings along. Outer trees
  // come first in the list, so an inner one inherits from both.
  for (const [child, parent] of trees) child.feeds.push(...parent.feeds);
  return order([...entries.values()]);
}

function rootRoute(root: CollectionPlan, view: string | undefined): Route {
  return {
    name: root.collection,
    where: root.where,
    view,
    ...queryOf(root.query),
    parent: undefined,
    ...(root.ids !== undefined && { ids: idRoute(root.ids) }),
    feeds: [],
  };
}

function idRoute(list: IdList): IdRoute {
  const path = new KeyPath('_id', 'local');
  return { list, path, keys: list.keys, found: new KeySet(), chosen: new KeySet() };
}

function queryOf(query: Buffer | undefined): Pick<Route, 'query' | 'comparesText' | 'mayBacktrack'> {
  // An empty document matches everything.
  if (query === undefined || query.length === EMPTY_DOCUMENT.length)
    return { query: undefined, comparesText: false, mayBacktrack: false };
  return {
    query,
    comparesText: comparesText(query),
    mayBacktrack: mayBacktrack(query),
  };
}

function refuseContradiction(first: RestoredCollection, second: RestoredCollection): void {
  const merges = [first, second].map(({ merge }) => JSON.stringify(merge));
  const isOneWay = first.whenMatched === second.whenMatched && merges[0] === merges[1];
  if (first.into === second.into && isOneWay) return;
  throw new RestorePlanError(
    'PLAN_INVALID',
    `${second.where}: ${second.collection} is restored into ${second.into} (${second.whenMatched}) here ` +
      `and into ${first.into} (${first.whenMatched}) at ${first.where}`,
    { hint: 'A document is restored once: give both entries the same `into`, `whenMatched` and `fields`.' },
  );
}

function order(entries: readonly { plan: RestoredCollection; routes: Route[] }[]): CollectionRoutes[] {
  const parents = new Map(
    entries.map(({ plan, routes }) => [
      plan.collection,
      new Set(routes.flatMap(({ parent }) => (parent === undefined ? [] : [parent.collection]))),
    ]),
  );
  const above = new Map(
    [...parents.keys()].map((collection) => [collection, ancestors(collection, parents)]),
  );
  const level = (collection: string): number => {
    const higher = [...(above.get(collection) ?? [])].filter((each) => !above.get(each)?.has(collection));
    return higher.length === 0 ? 0 : 1 + Math.max(...higher.map(level));
  };
  return entries
    .map(({ plan, routes }) => ({
      collection: plan.collection,
      into: plan.into,
      whenMatched: plan.whenMatched,
      ...(plan.merge && { merge: plan.merge }),
      routes,
      parents: parents.get(plan.collection) as ReadonlySet<string>,
      level: level(plan.collection),
      cyclic: above.get(plan.collection)?.has(plan.collection) ?? false,
    }))
    .sort((a, b) => a.level - b.level);
}

/** Every collection that decides about this one, however indirectly; holds the collection itself when it is part of a cycle. */
function ancestors(collection: string, parents: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const found = new Set<string>();
  const waiting = [...(parents.get(collection) ?? [])];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    waiting.push(...(parents.get(next) ?? []));
  }
  return found;
}

const NOTHING = Buffer.alloc(0);

/** Told of one value at a path, lent for the call; returns true to stop the walk. */
type ValueVisitor = (value: RawValue) => boolean;

/**
 * local: the keys a parent has. foreign: the keys a child refers by; there an array also stands for itself, as in a query,
 * and is found by a parent whose array holds it as an element.
 */
type KeySide = 'local' | 'foreign';

/** What the parts of a reference (`{ $ref, $id, $db }`) must say where they are there. */
interface ReferenceNames {
  /** `$ref` */
  readonly collection: string;
  /** `$db` */
  readonly database: string;
}

/**
 * A dotted path whose values are keys: `_id`, `artwork_id`, `lots.artwork.id`, `lots.0.artwork`.
 *
 * As in a query or a $lookup, the path goes through documents and through the documents inside arrays, a numeric part also names a
 * position, and an array at its end stands for each of its elements. Null, undefined and missing values are no keys: a
 * document without a key refers to nothing. A path that ends in `$id` leads into references (DBRef); one that names another collection or
 * database refers to nothing here.
 */
export class KeyPath {
  readonly #parts: readonly Buffer[];
  readonly #isPosition: readonly boolean[];
  /** One cursor for each depth at which a field, and an array's elements, are walked at the same time. */
  readonly #fields: readonly ElementCursor[];
  readonly #items: readonly ElementCursor[];

  readonly #side: KeySide;
  /** Parts of a reference beside `$id`, with what they must be. */
  readonly #named: readonly (readonly [part: Buffer, name: Buffer])[];
  readonly #beside = new ElementCursor();
  /** It is `_id`. */
  readonly isId: boolean;

  constructor(path: string, side: KeySide, names?: ReferenceNames) {
    this.#side = side;
    this.isId = path === '_id';
    const parts = path.split('.');
    this.#named =
      names === undefined || parts.at(-1) !== '$id'
        ? []
        : [
            [Buffer.from('$ref'), Buffer.from(names.collection)],
            [Buffer.from('$db'), Buffer.from(names.database)],
          ];
    this.#parts = parts.map((part) => Buffer.from(part, 'utf8'));
    this.#isPosition = parts.map((part) => /^\d+$/.test(part));
    this.#fields = parts.map(() => new ElementCursor());
    this.#items = [...parts, 'elements of the last'].map(() => new ElementCursor());
  }

  /** Lets go of the bytes it was shown last. */
  rest(): void {
    for (const cursor of [...this.#fields, ...this.#items, this.#beside]) cursor.bytes = NOTHING;
  }

  /** Shows every key at the path in the document at `start` to `visit`, until it returns true; returns whether it did. Allocates nothing. */
  some(bytes: Buffer, start: number, visit: ValueVisitor): boolean {
    const field = this.#fields[0] as ElementCursor;
    return field.open(bytes, start).find(this.#parts[0] as Buffer) && this.#arrive(field, 1, visit);
  }

  /** A field of the document itself, such as `_id`. */
  get isTopLevel(): boolean {
    return this.#parts.length === 1;
  }

  /** Offset of the only key of a top-level path, when that is an ObjectId; else undefined. */
  objectIdAt(bytes: Buffer, start: number): number | undefined {
    const field = this.#fields[0] as ElementCursor;
    const isId = field.open(bytes, start).find(this.#parts[0] as Buffer) && field.type === BSON.OBJECT_ID;
    return isId ? field.start : undefined;
  }

  /** `depth` parts led to `value`. */
  #arrive(value: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    if (depth === this.#parts.length) return this.#atEnd(value, visit);
    if (value.type === BSON.OBJECT) return this.#intoField(value, depth, visit);
    return value.type === BSON.ARRAY && this.#intoArray(value, depth, visit);
  }

  /** An array reached by its position in another one is a value, not a list of them. */
  #arriveByPosition(value: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    if (depth === this.#parts.length) return isKey(value) && visit(value);
    return this.#arrive(value, depth, visit);
  }

  #intoField(value: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    const isReference = this.#named.length > 0 && depth === this.#parts.length - 1;
    if (isReference && !this.#namesThem(value)) return false;
    const field = this.#fields[depth] as ElementCursor;
    field.open(value.bytes, value.start, value.end);
    return field.find(this.#parts[depth] as Buffer) && this.#arrive(field, depth + 1, visit);
  }

  #namesThem({ bytes, start, end }: ElementCursor): boolean {
    for (const [part, name] of this.#named) {
      const beside = this.#beside.open(bytes, start, end);
      if (!beside.find(part) || beside.type !== BSON.STRING) continue;
      if (name.compare(bytes, beside.start + 4, beside.end - 1) !== 0) return false;
    }
    return true;
  }

  #intoArray(array: ElementCursor, depth: number, visit: ValueVisitor): boolean {
    const part = this.#parts[depth] as Buffer;
    const isPosition = this.#isPosition[depth];
    const item = (this.#items[depth] as ElementCursor).open(array.bytes, array.start, array.end);
    while (item.next()) {
      // As in a query: by the name in the array, which a server takes also where it is not the element's place.
      if (isPosition && item.keyIs(part) && this.#arriveByPosition(item, depth + 1, visit)) return true;
      // An array directly inside an array is not entered without a position, in MongoDB neither.
      if (item.type === BSON.OBJECT && this.#intoField(item, depth, visit)) return true;
    }
    return false;
  }

  #atEnd(value: ElementCursor, visit: ValueVisitor): boolean {
    if (value.type !== BSON.ARRAY) return isKey(value) && visit(value);
    const item = this.#items[this.#parts.length] as ElementCursor;
    item.open(value.bytes, value.start, value.end);
    while (item.next()) if (isKey(item) && visit(item)) return true;
    return this.#side === 'foreign' && visit(value);
  }
}

function isKey({ type }: RawValue): boolean {
  return type !== BSON.NULL && type !== BSON.UNDEFINED;
}

/** Ids named one by one. */
const IDS_SHOWN = 5;

/** What was not restored of a file of ids, and what it says twice. */
export function* missingIds(collection: string, { list, found, chosen }: IdRoute): Generator<string> {
  const { file, where, count, repeated, firstRepeated } = list;
  const total = `${count} _id${count === 1 ? '' : 's'} of ${file}`;
  const named = (missing: (value: RawValue) => boolean): string => {
    const shown: string[] = [];
    let number = 0;
    for (const { value, line } of list.values()) {
      if (!missing(value)) continue;
      number++;
      if (shown.length < IDS_SHOWN) shown.push(`${showValue(value)} (line ${line})`);
    }
    return `${shown.join(', ')}${number > IDS_SHOWN ? ` and ${number - IDS_SHOWN} more` : ''}`;
  };
  if (found.size < count)
    yield `${collection}: ${count - found.size} of ${total} are not in the backup (${where}): ${named((value) => !found.has(value))}`;
  if (chosen.size < found.size)
    yield `${collection}: of ${found.size - chosen.size} of ${total} the query is not true (${where}): ` +
      named((value) => found.has(value) && !chosen.has(value));
  if (repeated > 0)
    yield `${collection}: ${file} repeats ids in ${repeated} line${repeated === 1 ? '' : 's'}, first in line ${firstRepeated}; each counts once`;
}
