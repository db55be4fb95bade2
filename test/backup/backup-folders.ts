/** Folders of backups on disk, for the tests that choose among them. */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Source } from '../../src/plan/plan.ts';
import type { TemporaryFolder } from '../lab/guard.ts';
import { tarFolder } from '../lab/tar.ts';
import { sourceAt } from './reading.ts';

export const NEW_YORK = 'America/New_York';

/** The smallest document there is: `{}`. */
export const EMPTY_DOCUMENT = Buffer.from([5, 0, 0, 0, 0]);

/** Four hours of a morning, each with one collection. */
export const HOURLY = {
  '2016.09.13.07.00.00': ['artworks'],
  '2016.09.13.08.00.00': ['artworks'],
  '2016.09.13.09.00.00': ['artworks'],
  '2016.09.13.10.00.00': ['artworks'],
};

/** Names of times that there are in no zone. */
export const IMPOSSIBLE = [
  '2026.02.29.23.00.00',
  '2026.11.30.23.59.60',
  '2026.11.30.24.00.00',
  '2026.13.01.00.00.00',
] as const;

let counter = 0;

/** Lays out `name/db.tar` for each name, a dump of database gravity with those collections; returns the folder above. */
export async function layOutBackups(
  folder: TemporaryFolder,
  held: Readonly<Record<string, readonly string[]>>,
): Promise<string> {
  const root = join(folder.path, String(++counter));
  const dump = join(folder.path, 'dump');
  for (const [name, collections] of Object.entries(held)) {
    rmSync(dump, { recursive: true, force: true });
    mkdirSync(join(dump, 'gravity'), { recursive: true });
    for (const collection of collections) {
      writeFileSync(join(dump, 'gravity', `${collection}.bson`), EMPTY_DOCUMENT);
    }
    const file = join(root, name, 'db.tar');
    mkdirSync(dirname(file), { recursive: true });
    await tarFolder(dump, file);
    utimesSync(file, 0, 0);
  }
  return root;
}

export interface HourlySource {
  /** Instant with its offset. */
  readonly at: string;
  readonly timezone?: string;
  readonly template?: string;
  readonly more?: Partial<Source>;
}

/** A source whose backups lie below `root`, by default as `layOutBackups` names them. */
export function backupsBelow(
  root: string,
  { at, timezone = NEW_YORK, template = '{time:yyyy.MM.dd.HH.mm.ss}/db.tar', more = {} }: HourlySource,
): Source & {
  readonly location: { readonly kind: 'path'; readonly path: string; readonly timezone: string };
} {
  const location = { kind: 'path', path: `${root}/${template}`, timezone } as const;
  return { ...sourceAt(location, { at: { epochMs: Date.parse(at), text: at }, ...more }), location };
}
