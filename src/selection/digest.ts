/**
 * The selection digest: what would be written, wherever it was read from. It keys ledger and gate.
 */
import { createHash } from 'node:crypto';
import type { SelectedCollection } from './selection.ts';

type DigestedFields = Pick<SelectedCollection, 'collection' | 'into' | 'whenMatched' | 'count' | 'sha256'>;

/**
 * sha256, hex, of the canonical list of (collection, into, whenMatched, count, sha256 of the documents in backup order).
 * Canonical: sorted by collection, one JSON array per line. Collections of which nothing was selected are left out, and the
 * plan's order does not count, because neither changes what is written.
 */
export function selectionDigest(collections: readonly DigestedFields[]): string {
  const lines = collections
    .filter(({ count }) => count > 0)
    .map(({ collection, into, whenMatched, count, sha256 }) =>
      JSON.stringify([collection, into, whenMatched, count, sha256]),
    )
    .sort();
  return createHash('sha256')
    .update(`restore-plan selection 1\n${lines.join('\n')}`)
    .digest('hex');
}
