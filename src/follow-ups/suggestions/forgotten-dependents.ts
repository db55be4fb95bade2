/**
 * Finds collections of the backup that refer to the selection and that the plan does not name.
 *
 * A sample of each such collection shows which fields may refer; then the documents are counted that really do. A backup that can be read
 * in any order is read for it once the selection is there. In a stream the other collections come by while the documents are selected:
 * they are looked at then (passing-collections.ts), as far as the selection is known by that time.
 */
import type { Backup } from '../../backup/backup.ts';
import { BsonFault } from '../../bson/elements.ts';
import { RestorePlanError } from '../../errors.ts';
import { collectionNames, type Plan } from '../../plan/plan.ts';
import type { Run } from '../../run.ts';
import { selectedIds } from '../../selection/file-batches.ts';
import type { Selection } from '../../selection/selection.ts';
import {
  MOST_BYTES,
  MOST_IDS,
  type Parent,
  type PassingCollections,
  ReferenceCount,
  SAMPLE_BYTES,
} from './passing-collections.ts';
import { type Forgotten, mostFirst } from './suggestion.ts';

export interface SuggestionSource {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly backup: Backup;
  /** Looked on while the selection was made from a stream; undefined where it was made before. */
  readonly passed?: PassingCollections;
}

/** The most referring documents first. A collection that cannot be read gives nothing: the plan does not need it. */
export async function forgottenDependents(run: Run, source: SuggestionSource): Promise<Forgotten[]> {
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
