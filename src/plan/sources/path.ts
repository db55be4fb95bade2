/**
 * `source.path`: a file or a folder on this machine's disk.
 *
 * Alone because: each kind of source is a file of its own.
 */
import { dirname, resolve } from 'node:path';
import { givenText, nodeAt } from '../nodes.ts';
import type { StoreKind } from './source-kind.ts';

export interface PathLocation {
  readonly kind: 'path';
  /** Absolute path (resolved against the plan file's folder), same template rules as an S3 key. */
  readonly path: string;
  /** The same as the plan file writes it; undefined where no file does. */
  readonly written?: string;
  readonly timezone: string | undefined;
}

type PathDraft = Pick<PathLocation, 'kind' | 'path' | 'timezone'>;

export const PATH: StoreKind<PathLocation, PathDraft> = {
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
