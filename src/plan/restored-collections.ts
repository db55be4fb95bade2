/** The collections of a plan, with all that depends on them. */
import type { Plan, Reference, RestoredCollection } from './plan.ts';

/** Each entry of the plan, its dependents after it. A collection reached by several routes comes several times. */
export function restoredCollections({ collections }: Pick<Plan, 'collections'>): RestoredCollection[] {
  return collections.flatMap(withDependents);
}

/** Their names in the backup. */
export function collectionNames(plan: Pick<Plan, 'collections'>): Set<string> {
  return new Set(restoredCollections(plan).map(({ collection }) => collection));
}

const byName = new WeakMap<Plan['collections'], Map<string, RestoredCollection[]>>();

/** The entries for one collection, by its name in the backup. Gone through once for each plan: it is asked for every collection of it. */
export function entriesOf(
  plan: Pick<Plan, 'collections'>,
  collection: string,
): readonly RestoredCollection[] {
  let entries = byName.get(plan.collections);
  if (entries === undefined) {
    entries = new Map();
    for (const entry of restoredCollections(plan)) {
      const found = entries.get(entry.collection);
      if (found === undefined) entries.set(entry.collection, [entry]);
      else found.push(entry);
    }
    byName.set(plan.collections, entries);
  }
  return entries.get(collection) ?? [];
}

/** What the plan says about one collection, by whichever route documents of it are reached. */
export interface CollectionSettings {
  readonly updatedAt: string | undefined;
  readonly softDelete: Buffer | undefined;
  readonly references: readonly Reference[];
  /** Names of indexes that are not created with the collection. */
  readonly skipIndexes: ReadonlySet<string>;
}

/** A collection reached by several routes has the first `updatedAt` and `softDelete` given, and all references and skipped indexes. */
export function settingsOf(plan: Pick<Plan, 'collections'>, collection: string): CollectionSettings {
  const entries = entriesOf(plan, collection);
  const references = new Map(
    entries.flatMap((entry) => entry.references).map((each) => [`${each.field}\0${each.collection}`, each]),
  );
  return {
    updatedAt: entries.find((entry) => entry.updatedAt !== undefined)?.updatedAt,
    softDelete: entries.find((entry) => entry.softDelete !== undefined)?.softDelete,
    references: [...references.values()],
    skipIndexes: new Set(entries.flatMap((entry) => entry.skipIndexes)),
  };
}

function withDependents(entry: RestoredCollection): RestoredCollection[] {
  return [entry, ...entry.dependents.flatMap(withDependents)];
}
