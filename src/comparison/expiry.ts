/** Documents that a TTL index of the target would delete again within minutes of their insertion. */
import { showIsoDate } from '../bson/iso-date.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { TargetIndex } from '../target/target.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';
import { indexKeys } from './index-keys.ts';

/** The server looks for expired documents once a minute; what expires this soon would hardly be seen. */
const SOON_MS = 10 * 60_000;

/** Undefined where there is no TTL index. `serverTime` is UTC milliseconds by the target's clock. */
export function expiryCheck(indexes: readonly TargetIndex[], serverTime: number): CandidateCheck | undefined {
  const expiring = indexes.filter((index) => index.expireAfterSeconds !== undefined);
  if (expiring.length === 0) return undefined;
  return async (candidates) => {
    const objections = new Map<Candidate, Objection>();
    for (const candidate of candidates) {
      for (const index of expiring) {
        const expires = expiresAt(index, candidate.document);
        if (expires === undefined || expires > serverTime + SOON_MS) continue;
        objections.set(candidate, {
          class: 'refused',
          reason: `the TTL index ${index.name} would delete it`,
          reasonValues: `it expires ${showIsoDate(expires) ?? 'long ago'}`,
        });
      }
    }
    return objections;
  };
}

/** The earliest date in the indexed field plus the index's seconds; undefined = never. */
function expiresAt(index: TargetIndex, document: RawValue): number | undefined {
  const field = index.key[0]?.[0];
  if (field === undefined) return undefined;
  const dates = indexKeys(document, [field])
    .map(([value]) =>
      value?.type === BSON.DATE ? Number(value.bytes.readBigInt64LE(value.start)) : undefined,
    )
    .filter((date) => date !== undefined);
  if (dates.length === 0) return undefined;
  // An array may hold more dates than a call takes arguments.
  const earliest = dates.reduce((least, date) => Math.min(least, date));
  return earliest + (index.expireAfterSeconds ?? 0) * 1000;
}
