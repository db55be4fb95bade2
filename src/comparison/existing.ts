/** Which of the selected documents the target already holds, and as what. */

import { canonicalKey, idKey } from '../bson/canonical-bytes.ts';
import { documentValue } from '../bson/diff-documents.ts';
import { Documents } from '../bson/documents.ts';
import { holdsSymbol, idRefusal } from '../bson/storable.ts';
import type { RawValue } from '../bson/types.ts';
import { existingInParts } from '../target/existing.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import { bytesOf, type Candidate } from './candidate.ts';
import { inQuery, projectionOf } from './query-documents.ts';

const ONLY_ID = projectionOf([]);
const IDS_PER_QUERY = 4_000;

export interface ExistingPart {
  readonly candidates: readonly Candidate[];
  /** The target's document for each of them that has one. */
  readonly existing: ReadonlyMap<Candidate, RawValue>;
}

/** All candidates in their order, in parts where the target's documents are too large to be held together. */
export async function* existingDocuments(
  reader: TargetReader,
  collection: TargetCollection,
  candidates: readonly Candidate[],
): AsyncGenerator<ExistingPart, void, undefined> {
  const run = Documents.of(candidates.map(bytesOf));
  const question = { reader, collection, documents: run, positions: [...candidates.keys()] };
  for await (const { positions, there } of existingInParts(question)) {
    const part = positions.map((position) => candidates[position] as Candidate);
    const existing = new Map<Candidate, RawValue>();
    for (const [i, candidate] of part.entries()) {
      const position = positions[i] as number;
      const other = there.other(position);
      if (other !== undefined) existing.set(candidate, documentValue(other));
      else if (there.presence(position) === 'same') existing.set(candidate, candidate.document);
    }
    yield { candidates: part, existing };
  }
}

/** The `_id`s among `ids` that a collection of the target holds, as value keys. */
export async function existingIds(
  reader: TargetReader,
  collection: TargetCollection,
  ids: readonly RawValue[],
): Promise<Set<string>> {
  const existing = new Set<string>();
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
    // No document has an `_id` that cannot be stored; among others it would be an operator of the query.
    const asked = ids
      .slice(at, at + IDS_PER_QUERY)
      .filter((id) => idRefusal(id) === undefined && !(collection.collated && holdsSymbol(id)));
    if (asked.length === 0) continue;
    const found = await reader.find(collection.name, inQuery('_id', asked), {
      limit: asked.length,
      projection: ONLY_ID,
    });
    const keys = new Set(found.map(idKey));
    for (const key of keys) existing.add(key);
    if (!collection.collated) continue;
    for (const id of asked) {
      if (keys.has(canonicalKey(id))) continue;
      const match = await reader.find(collection.name, inQuery('_id', [id]), {
        limit: 1,
        projection: ONLY_ID,
      });
      if (match.length > 0) existing.add(canonicalKey(id));
    }
  }
  return existing;
}
