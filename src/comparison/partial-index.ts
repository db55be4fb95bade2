/** Which documents an index covers. */
import { BSON } from '../bson/types.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import type { Candidate } from './candidate.ts';
import { localMatcher } from './local-matcher.ts';
import { matchOnServer } from './match-on-server.ts';
import { documentOf } from './query-documents.ts';
import { indexCollation, partialFilterOf } from './unique-keys.ts';

const SIMPLE = documentOf((builder) => {
  builder.element(BSON.STRING, 'locale');
  builder.string('simple');
});

export interface IndexOfTarget {
  readonly reader: TargetReader;
  readonly collection: TargetCollection;
  readonly index: TargetIndex;
}

/** All of them, or those that its partial filter matches; a document that nobody can tell it of counts as covered. */
export async function coveredBy(
  { reader, collection, index }: IndexOfTarget,
  candidates: readonly Candidate[],
): Promise<readonly Candidate[]> {
  const query = partialFilterOf(index);
  if (query === undefined || candidates.length === 0) return candidates;
  const matches = indexCollation(index) === undefined ? localMatcher(query) : undefined;
  if (matches !== undefined)
    return candidates.filter(({ document }) => matches(document.bytes, document.start));
  const question = { reader, query, collation: queryCollation(collection, index) };
  const { matching, unanswered } = await matchOnServer(question, candidates);
  return [...matching, ...unanswered];
}

/** To be said in a query that the index shall serve; undefined where the collection's own is the index's. */
export function queryCollation({ collated }: TargetCollection, index: TargetIndex): Buffer | undefined {
  // An index without a collation in a collated collection is a simple one.
  return indexCollation(index) ?? (collated ? SIMPLE : undefined);
}
