import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { forgottenDependents, type SuggestionSource } from './forgotten-dependents.ts';
import { oldDocuments } from './old-documents.ts';
import type { Suggestion } from './suggestion.ts';

/** Beside the manifest: a selection that is used again needs no second search. */
const FILE = 'suggestions.json';
/** Of format 1 nobody knows whether a stream was looked at. */
const FORMAT = 2;

/** What the plan may have forgotten. Reads other collections of the backup, so it is for a dry-run, not for an apply. */
export async function suggestFollowUps(source: SuggestionSource): Promise<readonly Suggestion[]> {
  const path = join(source.selection.directory, FILE);
  const kept = await readKept(path);
  if (kept !== undefined) return kept;
  const suggestions = [
    ...(await forgottenDependents(source)),
    ...(await oldDocuments(source.plan, source.selection)),
  ];
  await keep(path, suggestions);
  return suggestions;
}

async function readKept(path: string): Promise<readonly Suggestion[] | undefined> {
  try {
    const kept = JSON.parse(await readFile(path, 'utf8')) as {
      format?: unknown;
      suggestions?: readonly Suggestion[];
    };
    return kept.format === FORMAT ? kept.suggestions : undefined;
  } catch {
    return undefined; // not there, or cut off while it was written: looked for anew
  }
}

async function keep(path: string, suggestions: readonly Suggestion[]): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await writeFile(partial, JSON.stringify({ format: FORMAT, suggestions }), { mode: 0o600 });
    await rename(partial, path);
  } catch {
    // A full disk: the next dry-run looks again.
  }
}
