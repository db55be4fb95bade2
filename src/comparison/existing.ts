/** Which of the selected documents the target already holds, and as what. */

import { canonicalKey, idKey } from '../bson/canonical-key.ts';
import { documentValue } from '../bson/diff-documents.ts';
import type { RawValue } from '../bson/types.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import { bytesOf, type Candidate } from './candidate.ts';
import { inQuery, projectionOf } from './query-documents.ts';

const ONLY_ID = projectionOf([]);
const IDS_PER_QUERY = 4_000;

/** The target's document for each candidate that has one. */
export async function existingDocuments(
  reader: TargetReader,
  collection: TargetCollection,
  candidates: readonly Candidate[],
): Promise<Map<Candidate, RawValue>> {
  const found = await reader.findByIds(collection.name, candidates.map(bytesOf));
  const byId = new Map(found.map((document) => [idKey(document), documentValue(document)]));
  const pairs = new Map<Candidate, RawValue>();
  const alone: Candidate[] = [];
  for (const candidate of candidates) {
    const document = byId.get(canonicalKey(candidate.id));
    if (document === undefined) alone.push(candidate);
    else pairs.set(candidate, document);
  }
  // Under a collation the server may have found `abc` for `ABC`: what no key accounts for is asked one by one.
  if (collection.collated && pairs.size < found.length) {
    for (const candidate of alone) {
      const [document] = await reader.findByIds(collection.name, [bytesOf(candidate)]);
      if (document !== undefined) pairs.set(candidate, documentValue(document));
    }
  }
  return pairs;
}

/** The `_id`s among `ids` that a collection of the target holds, as value keys. `ids` may hold no regular expression. */
export async function existingIds(
  reader: TargetReader,
  collection: TargetCollection,
  ids: readonly RawValue[],
): Promise<Set<string>> {
  const existing = new Set<string>();
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
    const asked = ids.slice(at, at + IDS_PER_QUERY);
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
