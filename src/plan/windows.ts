/**
 * `collections[].deleted` and `changed`: documents that are chosen by what happened to them between two moments, each as it was just before.
 */
import { showIsoDate } from '../bson/extended-json-types.ts';
import type { Instant, TimeWindow } from './instant.ts';
import type { ChangedWindow, CollectionPlan, DependentPlan, Plan } from './plan.ts';

/** A state of a collection's documents that is not that of `source.at`: of each as it was before something happened to it. */
export type Window =
  | ({ readonly kind: 'deleted' } & TimeWindow)
  | ({ readonly kind: 'changed' } & ChangedWindow);

/** Which states of one collection's documents a plan reads. */
export interface CollectionViews {
  /** As of `source.at`. */
  readonly isAt: boolean;
  readonly windows: readonly Window[];
}

/** The same for windows that mean the same documents; for people, too: `deleted from … until …`. */
export function windowKey(window: Window): string {
  const { kind, from, until } = window;
  const fields =
    window.kind === 'deleted' || window.fields.length === 0 ? '' : ` in ${window.fields.join(', ')}`;
  return `${kind}${fields} from ${showIsoDate(from.epochMs)} until ${showIsoDate(until.epochMs)}`;
}

/** The windows of an entry. */
export function windowsOf({ deleted, changed }: Pick<CollectionPlan, 'deleted' | 'changed'>): Window[] {
  return [
    ...(deleted === undefined ? [] : [{ kind: 'deleted', ...deleted } as const]),
    ...(changed === undefined ? [] : [{ kind: 'changed', ...changed } as const]),
  ];
}

/** By collection. Dependents are looked for among the documents that were deleted in the window of their parents. */
export function viewsOf({ collections }: Pick<Plan, 'collections'>): ReadonlyMap<string, CollectionViews> {
  const found = new Map<string, { isAt: boolean; readonly windows: Map<string, Window> }>();
  const add = (collection: string, windows: readonly Window[]): void => {
    const views = found.get(collection) ?? { isAt: false, windows: new Map() };
    found.set(collection, views);
    if (windows.length === 0) views.isAt = true;
    for (const window of windows) views.windows.set(windowKey(window), window);
  };
  const addDependents = (dependents: readonly DependentPlan[], windows: readonly Window[]): void => {
    for (const { collection, dependents: below } of dependents) {
      add(collection, windows);
      addDependents(below, windows);
    }
  };
  for (const root of collections) {
    const windows = windowsOf(root);
    add(root.collection, windows);
    addDependents(
      root.dependents,
      windows.filter(({ kind }) => kind === 'deleted'),
    );
  }
  return new Map(
    [...found].map(([collection, { isAt, windows }]) => [
      collection,
      { isAt, windows: [...windows.values()] },
    ]),
  );
}

/** At which one collection is looked at: `source.at` where its documents are asked for as of it, else when the first of its windows begins. */
export function momentOfViews(
  { isAt, windows }: CollectionViews,
  { at }: Pick<Plan['source'], 'at'>,
): Instant {
  if (isAt) return at as Instant;
  return windows.map(({ from }) => from).reduce((a, b) => (b.epochMs < a.epochMs ? b : a));
}

/** The first moment that an oplog must know of where no backup stands before it; undefined: one does. */
export function neededSince(plan: Pick<Plan, 'source' | 'collections'>): Instant | undefined {
  if (plan.source.location.kind !== 'oplog') return undefined;
  return [...viewsOf(plan).values()]
    .flatMap((views) => (views.isAt && plan.source.at === undefined ? [] : momentOfViews(views, plan.source)))
    .reduce<Instant | undefined>((a, b) => (a === undefined || b.epochMs < a.epochMs ? b : a), undefined);
}

/** The last moment up to which an oplog must be known: `source.at`, or the end of the last window. */
export function neededUntil({
  source,
  collections,
}: Pick<Plan, 'source' | 'collections'>): Instant | undefined {
  return collections
    .flatMap(windowsOf)
    .reduce<Instant | undefined>(
      (last, { until }) => (last === undefined || until.epochMs > last.epochMs ? until : last),
      source.at,
    );
}

/** In no digest where the plan has none. */
export function windowsDigest(entry: CollectionPlan): Record<string, unknown> {
  return Object.fromEntries(
    windowsOf(entry).map((window) => {
      const { kind, from, until } = window;
      const fields =
        window.kind === 'changed' && window.fields.length > 0 ? [...window.fields].sort() : undefined;
      return [kind, { from: from.epochMs, until: until.epochMs, fields }];
    }),
  );
}
