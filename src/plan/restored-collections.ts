/** The collections of a plan, with all that depends on them. */
import type { Plan, RestoredCollection } from './plan.ts';

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

function withDependents(entry: RestoredCollection): RestoredCollection[] {
  return [entry, ...entry.dependents.flatMap(withDependents)];
}
