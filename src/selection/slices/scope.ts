/**
 * What decides about the documents of a collection, as plain data that a thread can be handed. The keys of parents are in memory that
 * threads share; they must be complete.
 */
import { KeySet, type KeySetMemory } from '../../bson/key-set.ts';
import { IdList } from '../../plan/id-list.ts';
import { Chooser } from '../chooser.ts';
import { type CollectionRoutes, KeyPath, type Route } from '../routes.ts';

export interface Scope {
  readonly collection: string;
  /** Its documents decide about more of them (a tree): kept are all that may be chosen, and they are decided about when slices are joined. */
  readonly isOpen: boolean;
  readonly routes: readonly ScopeRoute[];
}

interface ScopeRoute {
  readonly where: string;
  readonly query: Uint8Array | undefined;
  readonly mayBacktrack: boolean;
  readonly parent:
    | {
        readonly collection: string;
        readonly database: string;
        readonly foreignKey: string;
        readonly keys: KeySetMemory;
      }
    | undefined;
  readonly ids: KeySetMemory | undefined;
}

/** `database`: inside the backup. */
export function scopeOf({ collection, cyclic, routes }: CollectionRoutes, database: string): Scope {
  return {
    collection,
    isOpen: cyclic,
    routes: routes.map(({ where, query, mayBacktrack, parent, ids }) => ({
      where,
      query,
      mayBacktrack,
      parent: parent && {
        collection: parent.collection,
        database,
        foreignKey: parent.foreignKey,
        // Where keys are still found they are not asked for.
        keys: (cyclic ? new KeySet() : parent.keys).share(),
      },
      ids: ids?.keys.share(),
    })),
  };
}

/** Decides in the place of the routes that the scope was made of. Nothing is fed by what it chooses: that is done when slices are joined. */
export class ScopeChooser extends Chooser {
  readonly isOpen: boolean;
  readonly mayBacktrack: boolean;
  readonly routes: readonly Route[];

  constructor({ isOpen, routes: given }: Scope) {
    const routes = given.map(routeOf);
    super({ routes });
    this.routes = routes;
    this.isOpen = isOpen;
    this.mayBacktrack = routes.some((route) => route.mayBacktrack);
  }

  /** For each route with a file of ids, the canonical bytes of those that were found since they were taken last. */
  takeFoundIds(): Uint8Array[][] {
    return this.routes.map(({ ids }) => {
      const found = [...(ids?.found.canonical() ?? [])].map((key) => Buffer.from(key));
      ids?.found.clear();
      ids?.chosen.clear();
      return found;
    });
  }
}

function routeOf({ where, query, mayBacktrack, parent, ids }: ScopeRoute): Route {
  return {
    name: where,
    where,
    view: undefined, // what an oplog has rolled is not read in slices
    query: query && Buffer.from(query.buffer, query.byteOffset, query.byteLength),
    comparesText: false, // asked before anything is read
    mayBacktrack,
    parent: parent && {
      collection: parent.collection,
      foreignKey: parent.foreignKey,
      path: new KeyPath(parent.foreignKey, 'foreign', parent),
      keys: KeySet.of(parent.keys),
    },
    ...(ids && {
      ids: {
        list: new IdList('', where),
        path: new KeyPath('_id', 'local'),
        keys: KeySet.of(ids),
        found: new KeySet(),
        chosen: new KeySet(),
      },
    }),
    feeds: [],
  };
}
