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

function withDependents(entry: RestoredCollection): RestoredCollection[] {
  return [entry, ...entry.dependents.flatMap(withDependents)];
}
