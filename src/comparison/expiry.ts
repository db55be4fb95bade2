/** Documents that a TTL index of the target, or a clustered collection that expires, would delete within minutes of their insertion. */
import { findElement } from '../bson/elements.ts';
import { showIsoDate } from '../bson/iso-date.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { numberIn } from '../target/describe-collection.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';
import { indexKeys } from './index-keys.ts';
import { coveredBy } from './partial-index.ts';

/** The server looks for expired documents once a minute; what expires this soon would hardly be seen. */
const SOON_MS = 10 * 60_000;

export interface ExpiryQuestion {
  readonly reader: TargetReader;
  /** As the target has it, or as apply would create it. */
  readonly collection: TargetCollection;
  /** UTC milliseconds by the target's clock. */
  readonly serverTime: number;
}

/** Undefined where nothing expires. */
export function expiryCheck({ reader, collection, serverTime }: ExpiryQuestion): CandidateCheck | undefined {
  const expiries = expiriesOf(collection);
  if (expiries.length === 0) return undefined;
  return async (candidates) => {
    const objections = new Map<Candidate, Objection>();
    for (const { index, seconds, path, text } of expiries) {
      const due = new Map<Candidate, number>();
      for (const candidate of candidates) {
        const expires = expiresAt(path, seconds, candidate.document);
        if (expires !== undefined && expires <= serverTime + SOON_MS) due.set(candidate, expires);
      }
      const expiring =
        index === undefined ? due.keys() : await coveredBy({ reader, collection, index }, [...due.keys()]);
      for (const candidate of expiring) {
        const when = showIsoDate(due.get(candidate) ?? 0) ?? 'long ago';
        objections.set(candidate, {
          class: 'refused',
          reason: `${text} would delete it`,
          reasonValues: `it expires ${when}`,
        });
      }
    }
    return objections;
  };
}

interface Expiry {
  /** Undefined: the whole collection, which is clustered. */
  readonly index: TargetIndex | undefined;
  readonly text: string;
  readonly path: string;
  readonly seconds: number;
}

function expiriesOf({ indexes, options }: TargetCollection): Expiry[] {
  const expiries = indexes.flatMap((index): Expiry[] => {
    const path = index.key[0]?.[0];
    const seconds = index.expireAfterSeconds;
    if (path === undefined || seconds === undefined) return [];
    return [{ index, text: `the TTL index ${index.name}`, path, seconds }];
  });
  const option = findElement(options, 0, Buffer.from('expireAfterSeconds'));
  const seconds = option && numberIn(option);
  if (seconds === undefined) return expiries;
  return [...expiries, { index: undefined, text: 'the clustered collection', path: '_id', seconds }];
}

/** UTC milliseconds of the earliest date in the field plus the seconds; undefined = never. */
function expiresAt(path: string, seconds: number, document: RawValue): number | undefined {
  const dates = indexKeys(document, [path])
    .map(([value]) =>
      value?.type === BSON.DATE ? Number(value.bytes.readBigInt64LE(value.start)) : undefined,
    )
    .filter((date) => date !== undefined);
  if (dates.length === 0) return undefined;
  // An array may hold more dates than a call takes arguments.
  return dates.reduce((least, date) => Math.min(least, date)) + seconds * 1000;
}
