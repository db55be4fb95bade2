/** The stores: a backup lies in one of them. A new one is a line here and one in backup/backup-store.ts. */
import { dirname, resolve } from 'node:path';
import { givenText, nodeAt } from '../nodes.ts';
import { S3 } from './s3.ts';
import type { StoreKind } from './source-kind.ts';

/** `source.path`: a file or a folder on this machine's disk. */
export interface PathLocation {
  readonly kind: 'path';
  /** Absolute path (resolved against the plan file's folder), same template rules as an S3 key. */
  readonly path: string;
  /** The same as the plan file writes it; undefined where no file does. */
  readonly written?: string;
  readonly timezone: string | undefined;
}

type PathDraft = Pick<PathLocation, 'kind' | 'path' | 'timezone'>;

const PATH: StoreKind<PathLocation, PathDraft> = {
  template: ['path'],
  build: (parent, timezone) => {
    // Relative to the file that names it: a base may lie in another folder than the plan.
    const folder = dirname(nodeAt(parent, 'path')!.place.text.absolutePath);
    const written = givenText(parent, 'path') as string;
    return { kind: 'path', path: absolute(folder, written), written, timezone };
  },
  // As the plan writes it: resolved, it would differ from machine to machine.
  digest: ({ kind, written, timezone }) => ({ kind, path: written, timezone }),
  recorded: ({ written, path }) => written ?? path,
  pattern: ({ path }) => path,
  describe: ({ path }) => path,

  typedTemplate: (text) => text,
  ask: async (path, timezone) => ({ kind: 'path', path, timezone }),
  draft: ({ path, timezone }, { scalar, zone }) =>
    `  # {time:…} stands for the time of the backup, * for any text without /.
  path: ${scalar(path)}${zone(timezone, '  ')}`,
  locate: ({ path, timezone }, folder) => ({ kind: 'path', path: absolute(folder, path), timezone }),
};

/** A `/` at the end says that it is a folder. */
function absolute(folder: string, path: string): string {
  return `${resolve(folder, path)}${path.endsWith('/') ? '/' : ''}`;
}

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
