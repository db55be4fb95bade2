/**
 * What an oplog without a backup does not hold whole, of what a plan wants: documents that were inserted before it begins. They are counted, and
 * refused together: a document that is missing without a word would look like one that nothing happened to.
 */
import { readCanonical } from '../../bson/canonical-bytes.ts';
import { buildDocument, documentOf } from '../../bson/document-builder.ts';
import { elements, keyOf } from '../../bson/elements.ts';
import { showIsoDate } from '../../bson/extended-json-types.ts';
import type { KeySet } from '../../bson/key-set.ts';
import { showValue } from '../../bson/show.ts';
import { BSON } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import type { DependentPlan, Plan } from '../../plan/plan.ts';
import { windowKey, windowsOf } from '../../plan/windows.ts';
import { compileQuery, type Matcher } from '../../query/compile-query.ts';
import { type Moment, showMoment } from '../entry.ts';
import type { CollectionWindows } from '../windows/collection-windows.ts';

const SHOWN = 5;

/** What of an entry of the plan is decided by the `_id` of a document alone. */
interface Chooser {
  readonly collection: string;
  /** By `windowKey`; undefined: as of `source.at`. */
  readonly view: string | undefined;
  readonly ids: KeySet | undefined;
  readonly matches: Matcher | undefined;
}

export interface HoleParts {
  readonly plan: Pick<Plan, 'collections'>;
  /** The oplog, for messages, and its first entry. */
  readonly origin: string;
  readonly begin: Moment;
  /** Collections that are not held from their creation on. */
  readonly partly: readonly {
    readonly collection: string;
    readonly windows: CollectionWindows | undefined;
  }[];
}

interface Found {
  readonly collection: string;
  readonly view: string | undefined;
  count: number;
  readonly shown: string[];
}

export class Holes {
  readonly #parts: HoleParts;
  readonly #choosers: readonly Chooser[];
  #found = new Map<string, Found>();

  constructor(parts: HoleParts) {
    this.#parts = parts;
    this.#choosers = parts.plan.collections.flatMap(choosersOf);
  }

  /** The backup is read (again) from its beginning. */
  beginReading(): void {
    this.#found = new Map();
  }

  /** `id`: its canonical bytes. One that the plan leaves out by its `_id` is none. */
  add(collection: string, view: string | undefined, id: Buffer): void {
    if (this.#isLeftOut(collection, view, id)) return;
    const key = `${collection}\0${view}`;
    const found = this.#found.get(key) ?? { collection, view, count: 0, shown: [] };
    this.#found.set(key, found);
    found.count++;
    if (found.shown.length < SHOWN) found.shown.push(shownId(id));
  }

  /** Throws RestorePlanError BACKUP where there are any. */
  refuse(): void {
    const { begin, origin } = this.#parts;
    const told = [...this.#found.values()].map(
      ({ collection, view, count, shown }) =>
        `${count} ${count === 1 ? 'document' : 'documents'} of ${collection}${view === undefined ? '' : ` ${view}`} (_id ${shown.join(', ')}${count > shown.length ? ` and ${count - shown.length} more` : ''})`,
    );
    const dropped = this.#droppedPartly();
    if (told.length === 0 && dropped.length === 0) return;
    const what = [...told.map((each) => `${each} would be incomplete`), ...dropped].join('; ');
    const count = [...this.#found.values()].reduce((sum, each) => sum + each.count, 0);
    throw new RestorePlanError(
      'BACKUP',
      `${origin} begins at ${showMoment(begin)} and does not hold what was inserted before: ${what}.`,
      {
        hint:
          'Nothing was used. Name a backup from before that, in source.path or source.s3: this oplog rolls it forward. ' +
          'Or leave these documents out by name: `query: { _id: { $nin: [ … ] } }`, or `ids` with those that are to come back.',
        facts: { holes: count },
      },
    );
  }

  /** What rests on the server's own count, a sentence each without its end. */
  notes(): string[] {
    return this.#drops().flatMap(({ collection, held, touched, wall }) =>
      held === touched
        ? `${collection} was dropped at ${showIsoDate(wall)}, and its creation is not in the oplog: that none of its documents is missing rests on the server's own count, ${held}; after a crash that may be wrong`
        : [],
    );
  }

  #droppedPartly(): string[] {
    return this.#drops().flatMap(({ collection, view, held, touched, wall }) => {
      if (held === touched || this.#of(collection, view).every(({ ids }) => ids !== undefined)) return [];
      const had = held === undefined ? 'as many documents as nobody says' : `${held} documents`;
      return `${collection} was dropped at ${showIsoDate(wall)} with ${had}, and ${touched} of them are named in it`;
    });
  }

  #drops(): { collection: string; view: string; held: number | undefined; touched: number; wall: number }[] {
    return this.#parts.partly.flatMap(({ collection, windows }) =>
      (windows?.views ?? []).flatMap(({ key, firstDrop }) =>
        firstDrop === undefined ? [] : [{ collection, view: key, ...firstDrop }],
      ),
    );
  }

  #of(collection: string, view: string | undefined): Chooser[] {
    return this.#choosers.filter((each) => each.collection === collection && each.view === view);
  }

  #isLeftOut(collection: string, view: string | undefined, id: Buffer): boolean {
    const value = readCanonical(Buffer.from(id));
    if (value === undefined) return false;
    const document = documentOf('_id', value.type, value.bytes);
    const raw = { ...value, start: 0, end: value.bytes.length };
    return this.#of(collection, view).every(
      ({ ids, matches }) => ids?.has(raw) === false || matches?.(document, 0) === false,
    );
  }
}

function choosersOf(root: Plan['collections'][number]): Chooser[] {
  const windows = windowsOf(root);
  const views = windows.length === 0 ? [undefined] : windows.map(windowKey);
  const below =
    windows.length === 0 ? [undefined] : windows.filter(({ kind }) => kind === 'deleted').map(windowKey);
  const ofDependents = (dependents: readonly DependentPlan[]): Chooser[] =>
    dependents.flatMap(({ collection, query, dependents: further }) => [
      ...below.map((view) => ({ collection, view, ids: undefined, matches: byIdAlone(query) })),
      ...ofDependents(further),
    ]);
  const { collection, query, ids } = root;
  return [
    ...views.map((view) => ({ collection, view, ids: ids?.keys, matches: byIdAlone(query) })),
    ...ofDependents(root.dependents),
  ];
}

/** The conditions of a query that must all hold and are about the `_id`; undefined: there are none. */
function byIdAlone(query: Buffer | undefined): Matcher | undefined {
  if (query === undefined) return undefined;
  let isAny = false;
  const conditions = buildDocument((list) => {
    list.element(BSON.ARRAY, '$and');
    list.embed((all) => {
      let number = 0;
      const add = (start: number): void => {
        for (const each of elements(query, start)) {
          if (keyOf(each) === '_id') {
            isAny = true;
            all.element(BSON.OBJECT, String(number++));
            all.raw(documentOf('_id', each.type, each.bytes.subarray(each.start, each.end)));
          } else if (keyOf(each) === '$and' && each.type === BSON.ARRAY)
            for (const inner of elements(query, each.start)) if (inner.type === BSON.OBJECT) add(inner.start);
        }
      };
      add(0);
    });
  });
  return isAny ? compileQuery(conditions) : undefined;
}

function shownId(id: Buffer): string {
  const value = readCanonical(Buffer.from(id));
  return value === undefined
    ? 'a document or array'
    : showValue({ ...value, start: 0, end: value.bytes.length });
}
