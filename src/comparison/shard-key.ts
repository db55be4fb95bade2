/** Documents that a sharded collection has no place for. */
import { valueAt } from '../bson/elements.ts';
import type { TargetCollection } from '../target/target.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';

export interface ShardKeyQuestion {
  readonly collection: TargetCollection;
  /** Of the server: `8.2.0`. */
  readonly version: string;
  readonly warn: (message: string) => void;
}

/** From this version on, a document without the shard key is stored as if the key were null; before, it was refused. */
const TAKES_MISSING_KEYS = [4, 4] as const;

/** Undefined where the collection is not sharded. */
export function shardKeyCheck({ collection, version, warn }: ShardKeyQuestion): CandidateCheck | undefined {
  const { shardKey } = collection;
  if (shardKey === undefined) return undefined;
  const takesMissing = isAtLeast(version, TAKES_MISSING_KEYS);
  return async (candidates) => {
    const objections = new Map<Candidate, Objection>();
    for (const candidate of candidates) {
      const found = shardKey.map((path) => valueAt(candidate.document, path));
      if (found.includes('array'))
        objections.set(candidate, refused('its shard key is, or lies in, an array'));
      const missing = shardKey.filter((_, field) => found[field] === undefined);
      if (missing.length === 0) continue;
      const lacks = `lacks the shard key ${missing.join(', ')}`;
      if (!takesMissing) objections.set(candidate, refused(`it ${lacks}`));
      else warn(`a document ${lacks}; the server stores it as if that were null`);
    }
    return objections;
  };
}

function refused(reason: string): Objection {
  return { class: 'refused', reason };
}

function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [haveMajor = 0, haveMinor = 0] = version.split('.').map(Number);
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}
