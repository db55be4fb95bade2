/** Documents that a sharded collection has no place for. */
import { BSON } from '../bson/types.ts';
import type { TargetCollection } from '../target/target.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';
import { indexKeys } from './index-keys.ts';

/** Undefined where the collection is not sharded. */
export function shardKeyCheck({ shardKey }: TargetCollection): CandidateCheck | undefined {
  if (shardKey === undefined) return undefined;
  return async (candidates) => {
    const objections = new Map<Candidate, Objection>();
    for (const candidate of candidates) {
      const keys = indexKeys(candidate.document, shardKey);
      const missing = shardKey.filter((_, field) => keys.some((key) => key[field] === undefined));
      const split = keys.length > 1 || keys.some((key) => key.some((value) => value?.type === BSON.ARRAY));
      if (missing.length > 0)
        objections.set(candidate, refused(`it lacks the shard key ${missing.join(', ')}`));
      else if (split) objections.set(candidate, refused('its shard key is an array'));
    }
    return objections;
  };
}

function refused(reason: string): Objection {
  return { class: 'refused', reason };
}
