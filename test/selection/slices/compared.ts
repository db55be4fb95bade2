/** The same selection in one reading and by slices: what must be equal, and what a difference is. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openBackup } from '../../../src/backup/open-backup.ts';
import { RestorePlanError } from '../../../src/errors.ts';
import type { RunEvent } from '../../../src/events.ts';
import { collectionNames, type Plan, type Source } from '../../../src/plan/plan.ts';
import type { SliceRunner } from '../../../src/selection/slices/slice-runner.ts';
import type { ThreadSettings } from '../../../src/selection/slices/slice-threads.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { scriptArguments } from '../../lab/script.ts';
import { QUIET } from '../../quiet-run.ts';
import { planOf } from '../plans.ts';
import { select } from '../selecting.ts';
import type { Members } from './hostile-members.ts';

/** Every kind of route: by query, by a parent's key in one type of two, a tree, and everything. */
export const HOSTILE_PLAN: Plan = planOf(
  {
    collection: 'partners',
    query: { slug: { $ne: 'c' } },
    dependents: [
      { collection: 'artworks', foreignKey: 'partner_id', query: { lots: { $ne: [] } } },
      { collection: 'imitations', foreignKey: 'partner_id' },
    ],
  },
  {
    collection: 'folders',
    query: { top: true },
    dependents: [{ collection: 'folders', foreignKey: 'parent' }],
  },
  { collection: 'numbers', query: {} },
);

/** Writes a dump folder as mongodump does, and says where it lies. */
export function writeDump(members: Members, root: string): string {
  const folder = join(root, 'dump', 'gravity');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [collection, documents] of members) {
    writeFileSync(join(folder, `${collection}.bson`), Buffer.concat(documents));
    writeFileSync(join(folder, `${collection}.metadata.json`), '{"options":{},"indexes":[]}');
  }
  return join(root, 'dump');
}

export interface Comparing {
  readonly plan: Plan;
  readonly source: Source;
  /** Where `.restore-plan` is made. */
  readonly folder: string;
}

const THREAD = join(import.meta.dirname, '../../../src/selection/slices/slice-thread.ts');

let program: Promise<URL> | undefined;

/** Threads as a test can start them, however little there is to read. */
export async function threadsOf(threads: number, sliceBytes: number): Promise<ThreadSettings> {
  program ??= threadProgram();
  return { threads, sliceBytes, leastBytes: 1, program: await program };
}

/** What a thread runs: what the runner has built, or packed here, because each thread would translate 100 modules anew. */
async function threadProgram(): Promise<URL> {
  const file = scriptArguments(THREAD).at(-1) as string;
  if (!file.endsWith('.ts')) return pathToFileURL(file);
  const { build } = await import('esbuild');
  const outfile = join(temporaryFolder('thread').path, 'slice-thread.mjs');
  const js = `import{createRequire as from}from'node:module';var require=from(import.meta.url)`;
  await build({
    entryPoints: [file],
    outfile,
    banner: { js },
    bundle: true,
    format: 'esm',
    platform: 'node',
  });
  return pathToFileURL(outfile);
}

/** How the backup is read; in its order where nothing is said. */
export interface Sliced {
  readonly runner?: SliceRunner;
  readonly threads?: ThreadSettings;
  readonly emit?: (event: RunEvent) => void;
}

/** All that a selection says of itself, digest and members among it; or the fault it ended with. As a text, to be compared. */
export async function outcomeOf(
  { plan, source, folder }: Comparing,
  sliced: Sliced = { threads: { threads: 1 } },
): Promise<string> {
  const wanted = collectionNames(plan);
  const backup = await openBackup(QUIET, source, { wanted });
  try {
    const { manifest, directory } = await select({ ...plan, source }, { backup, folder, ...sliced });
    rmSync(directory, { recursive: true });
    return JSON.stringify(manifest, undefined, 1);
  } catch (error) {
    if (!(error instanceof RestorePlanError)) throw error;
    const { code, message, hint, facts } = error;
    return JSON.stringify({ code, message, hint, facts }, undefined, 1);
  } finally {
    await backup.close();
  }
}
