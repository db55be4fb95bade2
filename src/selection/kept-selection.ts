/** A selection kept in the work directory, found by its digest: what was applied, whatever the plan says by now. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RestorePlanError } from '../errors.ts';
import { SELECTIONS_FOLDER } from './directory.ts';
import { holdsItsBytes, openSelection } from './open-selection.ts';
import type { Selection } from './selection.ts';

/** Undefined when none is kept, or none whose files are still what its manifest says. */
export async function keptSelection(workDirectory: string, digest: string): Promise<Selection | undefined> {
  const folder = join(workDirectory, SELECTIONS_FOLDER);
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const selection = await openSelection(join(folder, name)).catch((error: unknown) => {
      if (error instanceof RestorePlanError) return undefined;
      throw error;
    });
    if (selection?.manifest.digest === digest && (await isWhole(selection))) return selection;
  }
  return undefined;
}

async function isWhole(selection: Selection): Promise<boolean> {
  for (const collection of selection.manifest.collections) {
    if (!(await holdsItsBytes(selection, collection))) return false;
  }
  return true;
}
