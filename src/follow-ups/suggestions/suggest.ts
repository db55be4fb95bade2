/** Searches a selection and its backup for dependents that the plan forgets, and remembers what it found. */

import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BSON } from '../../bson/types.ts';
import { type Plan, settingsOf } from '../../plan/plan.ts';
import type { Run } from '../../run.ts';
import { readInTurn } from '../../selection/file-batches.ts';
import { KeyPath } from '../../selection/routes.ts';
import type { Selection } from '../../selection/selection.ts';
import { forgottenDependents, type SuggestionSource } from './forgotten-dependents.ts';
import type { Suggestion } from './suggestion.ts';

/** Beside the manifest: a selection that is used again needs no second search. */
const FILE = 'suggestions.json';
/** Of format 1 nobody knows whether a stream was looked at. */
const FORMAT = 2;

/** What the plan may have forgotten. Reads other collections of the backup, so it is for a dry-run, not for an apply. */
export async function suggestFollowUps(run: Run, source: SuggestionSource): Promise<readonly Suggestion[]> {
  const path = join(source.selection.directory, FILE);
  const kept = await readKept(path);
  if (kept !== undefined) return kept;
  const suggestions = [
    ...(await forgottenDependents(run, source)),
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

const OLD_DAYS = 90;
const DAY_MS = 24 * 60 * 60 * 1000;

type AboutTimes = Extract<Suggestion, { kind: 'oldDocuments' | 'noUpdateTimes' }>;

/**
 * For collections whose plan names an `updatedAt`: how many selected documents have one long before `at`. Where none has one,
 * the field is probably misspelt, and nothing would ever be called stale.
 */
export async function oldDocuments(plan: Plan, selection: Selection): Promise<AboutTimes[]> {
  const { at } = plan.source;
  const limit = at === undefined ? Number.NEGATIVE_INFINITY : at.epochMs - OLD_DAYS * DAY_MS;
  const found: AboutTimes[] = [];
  for (const selected of selection.manifest.collections) {
    const { collection, count } = selected;
    const field = settingsOf(plan, collection).updatedAt;
    if (field === undefined) continue;
    const path = new KeyPath(field, 'local');
    let documents = 0;
    let hasDates = false;
    let oldest = limit;
    for await (const { bytes, offsets } of readInTurn(selection, collection)) {
      for (const start of offsets) {
        const isOld = path.some(bytes, start, (value) => {
          if (value.type !== BSON.DATE) return false;
          hasDates = true;
          const time = Number(value.bytes.readBigInt64LE(value.start));
          oldest = Math.min(oldest, time);
          return time < limit;
        });
        if (isOld) documents++;
      }
    }
    if (count > 0 && !hasDates) found.push({ kind: 'noUpdateTimes', collection, field, selected: count });
    if (documents > 0) {
      found.push({
        kind: 'oldDocuments',
        collection,
        field,
        documents,
        selected: count,
        oldest,
        days: OLD_DAYS,
      });
    }
  }
  return found;
}
