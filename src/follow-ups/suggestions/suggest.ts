/** Searches a selection and its backup for dependents that the plan forgets, and remembers what it found. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backup } from '../../backup/backup.ts';
import { BsonFault } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import { PRIVATE_FILE } from '../../files.ts';
import { collectionNames, type Plan, settingsOf } from '../../plan/plan.ts';
import { readFileOfAtMost } from '../../plan/read-file.ts';
import type { Run } from '../../run.ts';
import { readInTurn, selectedIds } from '../../selection/file-batches.ts';
import { KeyPath } from '../../selection/routes.ts';
import type { Selection } from '../../selection/selection.ts';
import {
  MOST_BYTES,
  MOST_IDS,
  type Parent,
  type PassingCollections,
  ReferenceCount,
  SAMPLE_BYTES,
} from './passing-collections.ts';
import { areSuggestions, type Forgotten, mostFirst, type Suggestion } from './suggestion.ts';

/** Beside the manifest: a selection that is used again needs no second search. */
const FILE = 'suggestions.json';
/** Of format 1 nobody knows whether a stream was looked at. */
const FORMAT = 2;
const MOST_KEPT_BYTES = 16 * 1024 * 1024;

interface SuggestionSource {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly backup: Backup;
  /** Looked on while the selection was made from a stream; undefined where it was made before. */
  readonly passed?: PassingCollections;
}

/** What the plan may have forgotten. Reads other collections of the backup, so it is for a dry-run, not for an apply. */
export async function suggestFollowUps(run: Run, source: SuggestionSource): Promise<readonly Suggestion[]> {
  return kept(join(source.selection.directory, FILE), undefined, async () => [
    ...(await forgottenDependents(run, source)),
    ...(await oldDocuments(source.plan, source.selection)),
  ]);
}

/**
 * What `find` finds, kept at `path` beside the manifest of a selection for as long as `key` is the same; not where it holds something that
 * could not be looked at this time.
 */
export async function kept(
  path: string,
  key: string | undefined,
  find: () => Promise<readonly Suggestion[]>,
): Promise<readonly Suggestion[]> {
  const known = await readKept(path, key);
  if (known !== undefined) return known;
  const suggestions = await find();
  if (!suggestions.some(({ kind }) => kind === 'notProposed')) await keep(path, key, suggestions);
  return suggestions;
}

async function readKept(path: string, key: string | undefined): Promise<readonly Suggestion[] | undefined> {
  const reading = await readFileOfAtMost(path, MOST_KEPT_BYTES);
  if (!('bytes' in reading)) return undefined;
  try {
    const held = JSON.parse(reading.bytes.toString('utf8')) as Record<string, unknown>;
    const { format, suggestions } = held;
    return format === FORMAT && held['key'] === key && areSuggestions(suggestions) ? suggestions : undefined;
  } catch {
    return undefined; // cut off while it was written, or not by this program: looked for anew
  }
}

async function keep(
  path: string,
  key: string | undefined,
  suggestions: readonly Suggestion[],
): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await writeFile(partial, JSON.stringify({ format: FORMAT, key, suggestions }), { mode: PRIVATE_FILE });
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

// Collections of the backup that refer to the selection and that the plan does not name. A sample of each shows which fields may refer; then the
// documents are counted that really do. A backup that can be read in any order is read for it once the selection is there. In a stream the other
// collections come by while the documents are selected: they are looked at then (passing-collections.ts), as far as the selection is known by
// that time.

/** The most referring documents first. A collection that cannot be read gives nothing: the plan does not need it. */
async function forgottenDependents(run: Run, source: SuggestionSource): Promise<Forgotten[]> {
  const { backup, passed, selection } = source;
  if (backup.access !== 'random') {
    if (passed !== undefined) return passed.found(selection.manifest);
    const reason =
      'the backup can only be read from one end to the other, and was not read this time; a dry-run with another --work-dir reads it';
    return [{ kind: 'notLookedAt', collections: [], reason }];
  }
  const held = (await backup.collections()) ?? [];
  const named = collectionNames(source.plan);
  const others = held
    .filter(({ collection, type }) => type === 'collection' && !named.has(collection))
    .map(({ collection }) => collection)
    .filter((collection) => !collection.startsWith('system.'))
    .sort();
  if (others.length === 0) return [];
  if (backup.sample === undefined) {
    const reason = `of a backup of this kind (${backup.identity.kind}) they would have to be read whole`;
    return [{ kind: 'notLookedAt', collections: others, reason }];
  }
  return lookAt(run, source, others);
}

async function lookAt(
  { signal }: Run,
  { backup, selection }: SuggestionSource,
  others: readonly string[],
): Promise<Forgotten[]> {
  const parents = await parentsOf(selection);
  const found: Forgotten[] = [];
  let bytesLeft = MOST_BYTES;
  for (const collection of others) {
    signal.throwIfAborted();
    const count = await readable(async () => {
      const sample = (await backup.sample?.(collection, SAMPLE_BYTES)) ?? Buffer.alloc(0);
      const count = ReferenceCount.ofSample(sample, parents, bytesLeft);
      if (count.hasCandidates) await read(backup, collection, count, signal);
      return count;
    });
    if (count === undefined) continue;
    bytesLeft = count.bytesLeft;
    found.push(...count.suggestions(collection));
  }
  return found.sort(mostFirst);
}

async function readable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const isDamage =
      error instanceof BsonFault || (error instanceof RestorePlanError && error.code === 'BACKUP');
    if (isDamage) return undefined;
    throw error;
  }
}

async function parentsOf(selection: Selection): Promise<Parent[]> {
  const parents: Parent[] = [];
  let held = 0;
  for (const { collection, count } of selection.manifest.collections) {
    if (count === 0 || held + count > MOST_IDS) continue;
    held += count;
    parents.push({ collection, ids: await selectedIds(selection, collection) });
  }
  return parents;
}

async function read(
  backup: Backup,
  collection: string,
  count: ReferenceCount,
  signal: AbortSignal,
): Promise<void> {
  for await (const piece of backup.read(new Set([collection]))) {
    signal.throwIfAborted();
    if (piece.type !== 'documents') continue;
    count.take(piece);
    if (count.bytesLeft <= 0) break;
  }
}
