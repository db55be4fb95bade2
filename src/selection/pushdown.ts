/**
 * What a backup that can answer queries needs not send: for a collection of the plan, one query that every document the
 * plan may choose matches. The selection still decides about each document that comes.
 */

import { DocumentBuilder, documentOf } from '../bson/document-builder.ts';
import type { KeySet } from '../bson/key-set.ts';
import { BSON } from '../bson/types.ts';
import type { CollectionRoutes, Route } from './routes.ts';

/** A command may be 16 MiB; more keys than fit are looked for by reading everything. */
const MAX_FILTER_BYTES = 12 * 1024 * 1024;

/** Undefined: read everything. For a child, its parents must have been read before. */
export function filterOf({ routes, cyclic }: CollectionRoutes): Buffer | undefined {
  // In a tree the keys are found while reading.
  if (cyclic) return undefined;
  const branches: Buffer[] = [];
  for (const route of routes) {
    const branch = branchOf(route);
    if (branch === undefined) return undefined;
    branches.push(branch);
  }
  const filter = branches.length === 1 ? (branches[0] as Buffer) : combined('$or', branches);
  return filter.length > MAX_FILTER_BYTES ? undefined : filter;
}

function branchOf({ query, parent }: Route): Buffer | undefined {
  if (parent === undefined) return query;
  const refers = refersTo(parent.foreignKey, parent.keys);
  if (refers === undefined || query === undefined) return refers;
  return combined('$and', [refers, query]);
}

/** `{ <foreignKey>: { $in: [keys] } }`, where all keys are ObjectIds; keys of other types are not kept as they were. */
function refersTo(foreignKey: string, keys: KeySet): Buffer | undefined {
  const ids = keys.packedObjectIds();
  if (ids === undefined || ids.length * 2 > MAX_FILTER_BYTES) return undefined;
  const keysOf = Array.from({ length: ids.length / 12 }, (_, i) => ids.subarray(i * 12, i * 12 + 12));
  return documentOf(foreignKey, BSON.OBJECT, documentOf('$in', BSON.ARRAY, listOf(BSON.OBJECT_ID, keysOf)));
}

/** `{ $or: [branches] }` */
function combined(operator: '$and' | '$or', branches: readonly Buffer[]): Buffer {
  return documentOf(operator, BSON.ARRAY, listOf(BSON.OBJECT, branches));
}

function listOf(type: number, values: readonly Uint8Array[]): Buffer {
  const builder = new DocumentBuilder();
  const list = builder.beginDocument();
  for (const [i, value] of values.entries()) {
    builder.element(type, String(i));
    builder.raw(value);
  }
  builder.endDocument(list);
  return builder.finish();
}
