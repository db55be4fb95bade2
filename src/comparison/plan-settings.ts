/** What the plan says about one selected collection, by whichever route documents of it were reached. */
import type { Plan, Reference } from '../plan/plan.ts';
import { entriesOf } from '../plan/restored-collections.ts';
import type { SelectedCollection } from '../selection/selection.ts';

export interface CollectionSettings {
  readonly updatedAt: string | undefined;
  readonly softDelete: Buffer | undefined;
  readonly references: readonly Reference[];
  /** Names of indexes that are not created with the collection. */
  readonly skipIndexes: ReadonlySet<string>;
}

/** A collection reached by several routes has the first `updatedAt` and `softDelete` given, and all references and skipped indexes. */
export function settingsOf(plan: Plan, selected: SelectedCollection): CollectionSettings {
  const entries = entriesOf(plan, selected.collection);
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
