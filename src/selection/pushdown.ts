/**
 * What a backup that can answer queries needs not send: for a collection of the plan, one query that every document the
 * plan may choose matches. The selection still decides about each document that comes.
 */

import { DocumentBuilder, documentOf } from '../bson/document-builder.ts';
import { KeySet } from '../bson/key-set.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { otherFormsOf } from './other-types.ts';
import type { CollectionRoutes, Route } from './routes.ts';

/** A command may be 16 MiB; more keys than fit are looked for by reading everything. */
const MAX_FILTER_BYTES = 12 * 1024 * 1024;
/** Type, index, NUL and a byte: an element of a list is no smaller. */
const LEAST_ELEMENT_BYTES = 4;

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

function branchOf({ query, parent, ids }: Route): Buffer | undefined {
  if (parent === undefined && ids === undefined) return query;
  const refers = refersTo(parent?.foreignKey ?? '_id', (parent ?? ids)?.keys ?? new KeySet());
  if (refers === undefined || query === undefined) return refers;
  return combined('$and', [refers, query]);
}

/**
 * `{ <foreignKey>: { $in: [keys] } }`; undefined where a key would mean something else there, or where they are too many. Where
 * there is room also the keys in other types: children that have these are not chosen, but counted.
 */
function refersTo(foreignKey: string, keys: KeySet): Buffer | undefined {
  return listed(foreignKey, keys, otherFormsOf) ?? listed(foreignKey, keys, () => []);
}

function listed(
  foreignKey: string,
  keys: KeySet,
  formsOf: (key: RawValue) => readonly RawValue[],
): Buffer | undefined {
  if (keys.size * LEAST_ELEMENT_BYTES > MAX_FILTER_BYTES) return undefined;
  const builder = new DocumentBuilder();
  const list = builder.beginDocument();
  let count = 0;
  for (const value of keys.values()) {
    if (value === undefined || builder.size > MAX_FILTER_BYTES) return undefined;
    builder.element(value.type, String(count++));
    builder.raw(value.bytes);
    for (const form of formsOf({ ...value, start: 0, end: value.bytes.length })) {
      builder.element(form.type, String(count++));
      builder.raw(form.bytes);
    }
  }
  builder.endDocument(list);
  return documentOf(foreignKey, BSON.OBJECT, documentOf('$in', BSON.ARRAY, builder.finish()));
}

/** `{ $or: [branches] }` */
function combined(operator: '$and' | '$or', branches: readonly Buffer[]): Buffer {
  return documentOf(operator, BSON.ARRAY, listOf(branches));
}

function listOf(documents: readonly Buffer[]): Buffer {
  const builder = new DocumentBuilder();
  const list = builder.beginDocument();
  for (const [i, document] of documents.entries()) {
    builder.element(BSON.OBJECT, String(i));
    builder.raw(document);
  }
  builder.endDocument(list);
  return builder.finish();
}
