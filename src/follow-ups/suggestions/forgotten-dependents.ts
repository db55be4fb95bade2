/**
 * Finds collections of the backup that refer to the selection and that the plan does not name.
 *
 * A sample of each such collection shows which fields may refer; then the documents are counted that really do. Only for backups
 * that can be read in any order: in a stream the other collections have gone by before anybody knows what to look for.
 */
import type { Backup, MemberInfo } from '../../backup/backup.ts';
import { BsonFault, documentEnd } from '../../bson/elements.ts';
import { MIN_DOCUMENT_BYTES } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import type { Plan } from '../../plan/plan.ts';
import { collectionNames } from '../../plan/restored-collections.ts';
import { DocumentFramer } from '../../selection/document-framer.ts';
import { KeyPath } from '../../selection/key-path.ts';
import { selectedIds } from '../../selection/selected-ids.ts';
import type { Selection } from '../../selection/selection.ts';
import { type Parent, ReferenceSearch } from './reference-search.ts';
import type { Suggestion } from './suggestion.ts';

const SAMPLE_BYTES = 256 * 1024;
/** Read in all to count; a suggestion is not worth more. */
const MOST_BYTES = 512 * 1024 * 1024;
/** `_id`s of larger selections would not fit the memory bound beside everything else. */
const MOST_IDS = 2_000_000;

export interface SuggestionSource {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly backup: Backup;
  readonly signal: AbortSignal;
}

type Forgotten = Extract<Suggestion, { kind: 'forgottenDependent' }>;

/** The most referring documents first. A collection that cannot be read gives nothing: the plan does not need it. */
export async function forgottenDependents(source: SuggestionSource): Promise<Forgotten[]> {
  const { plan, selection, backup, signal } = source;
  const held = await backup.collections();
  if (backup.sample === undefined || held === undefined) return [];
  const named = collectionNames(plan);
  const others = held.filter(
    ({ collection, type }) =>
      type === 'collection' && !named.has(collection) && !collection.startsWith('system.'),
  );
  const parents = others.length === 0 ? [] : await parentsOf(selection);
  const found: Forgotten[] = [];
  let bytesLeft = MOST_BYTES;
  for (const { collection } of others) {
    signal.throwIfAborted();
    const counts = await readable(async () => {
      const candidates = await candidatesIn(backup, collection, parents);
      if (candidates.length === 0) return undefined;
      const count = new ReferenceCount(candidates, bytesLeft, signal);
      await count.read(backup, collection);
      return count;
    });
    if (counts === undefined) continue;
    bytesLeft = counts.bytesLeft;
    for (const { field, parent, documents } of counts.candidates) {
      if (documents === 0) continue;
      const { complete } = counts;
      found.push({
        kind: 'forgottenDependent',
        collection,
        field,
        parent: parent.collection,
        documents,
        complete,
      });
    }
  }
  return found.sort((a, b) => b.documents - a.documents || (a.collection < b.collection ? -1 : 1));
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

interface Candidate {
  readonly field: string;
  readonly parent: Parent;
  readonly path: KeyPath;
  documents: number;
}

async function candidatesIn(
  backup: Backup,
  collection: string,
  parents: readonly Parent[],
): Promise<Candidate[]> {
  const sample = (await backup.sample?.(collection, SAMPLE_BYTES)) ?? Buffer.alloc(0);
  const search = new ReferenceSearch(parents);
  for (
    let at = 0;
    sample.length - at >= MIN_DOCUMENT_BYTES && sample.readInt32LE(at) <= sample.length - at;
  ) {
    const end = documentEnd(sample, at);
    search.look(sample, at);
    at = end;
  }
  return search.found.map(({ field, parent }) => ({
    field,
    parent,
    path: new KeyPath(field, 'foreign'),
    documents: 0,
  }));
}

/** Thrown out of a scan that has read enough. */
class ReadEnough extends Error {}

/** Counts the documents of one collection that refer to the selection, by each field that may. */
class ReferenceCount {
  readonly candidates: readonly Candidate[];
  complete = true;
  bytesLeft: number;
  readonly #signal: AbortSignal;

  constructor(candidates: readonly Candidate[], bytesLeft: number, signal: AbortSignal) {
    this.candidates = candidates;
    this.bytesLeft = bytesLeft;
    this.#signal = signal;
  }

  async read(backup: Backup, collection: string): Promise<void> {
    const framers = new Map<number, DocumentFramer>();
    const framerOf = ({ id }: MemberInfo): DocumentFramer => {
      const framer = framers.get(id) ?? new DocumentFramer({ wants: this.#count, append: () => {} });
      framers.set(id, framer);
      return framer;
    };
    try {
      await backup.scan(new Set([collection]), {
        metadata: () => {},
        chunk: (member, bytes) => {
          this.#signal.throwIfAborted();
          framerOf(member).push(bytes);
          this.bytesLeft -= bytes.length;
          if (this.bytesLeft <= 0) throw new ReadEnough();
        },
        end: () => {},
      });
    } catch (error) {
      if (!(error instanceof ReadEnough)) throw error;
      this.complete = false;
    }
  }

  #count = (bytes: Buffer, start: number): boolean => {
    for (const candidate of this.candidates) {
      const { ids } = candidate.parent;
      if (candidate.path.some(bytes, start, (value) => ids.has(value))) candidate.documents++;
    }
    return false;
  };
}
