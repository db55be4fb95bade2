/** A selection kept in the work directory, found by its digest: what was applied, whatever the plan says by now. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import { SELECTIONS_FOLDER } from './directory.ts';
import { isWhole, openSelection } from './open-selection.ts';
import type { Selection } from './selection.ts';
import { trusted } from './trust.ts';

/**
 * Undefined when none is kept, or none whose files are still what its manifest says. Throws RestorePlanError WORK_DIRECTORY where it is one that
 * is not trusted.
 */
export async function keptSelection(workDirectory: string, digest: string): Promise<Selection | undefined> {
  const folder = join(workDirectory, SELECTIONS_FOLDER);
  await trusted(workDirectory, SELECTIONS_FOLDER);
  const names = await readdir(folder).catch(() => []);
  let distrust: RestorePlanError | undefined;
  for (const name of names) {
    const selection = await openSelection(join(folder, name)).catch((error: unknown) => {
      if (!(error instanceof RestorePlanError)) throw error;
      // It may be of another plan, which is then none of ours.
      if (error.code === 'WORK_DIRECTORY') distrust ??= error;
      return undefined;
    });
    if (selection?.manifest.digest === digest && (await isWhole(selection))) return selection;
  }
  if (distrust !== undefined) throw distrust;
  return undefined;
}
