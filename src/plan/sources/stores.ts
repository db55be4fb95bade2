/** The stores: a backup lies in one of them. A new one is a line here and one in backup/backup-store.ts. */
import { PATH } from './path.ts';
import { S3 } from './s3.ts';
import type { StoreKind } from './source-kind.ts';

export const STORES = {
  s3: S3,
  path: PATH,
} as const;

export type StoreLocation = ReturnType<(typeof STORES)[keyof typeof STORES]['build']>;

/** The place of a backup as `plan init` has heard of it. */
export type DraftLocation = Awaited<ReturnType<(typeof STORES)[keyof typeof STORES]['ask']>>;

/** The keys of a plan that name a place in a store, as hints list them: `source.path or source.s3`. */
export const STORE_KEYS = Object.keys(STORES)
  .map((key) => `source.${key}`)
  .sort()
  .join(' or ');

/** The keys of their templates: `source.path or source.s3.key`. */
export const TEMPLATE_KEYS = Object.values(STORES)
  .map(({ template }) => ['source', ...template].join('.'))
  .sort()
  .join(' or ');

/** The kind of a location, or of the draft of one. */
export function storeOf({ kind }: Pick<StoreLocation, 'kind'>): StoreKind<StoreLocation, DraftLocation> {
  return STORES[kind];
}

/** The kind of what was typed as a place: a path is what no other store takes. */
export function storeTyped(text: string): StoreKind<StoreLocation, DraftLocation> {
  const others = Object.values(STORES).filter((store) => store !== PATH);
  return others.find((store) => store.typedTemplate(text) !== undefined) ?? PATH;
}
