/**
 * What an index of a target makes of a document: whether it covers it, and which keys.
 *
 * Keys of an ordered index are made as the server makes them (its BtreeKeyGenerator): one key per element where the path meets an
 * array, a missing field as null, an empty array as undefined.
 *
 * Exact for indexes without a collation: test/comparison/unique-indexes.test.ts asks a real server.
 */

import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import { elements, findElement, innerDocument, keyOf } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { isCollated } from '../target/describe-collection.ts';
import { SIMPLE_COLLATION } from '../target/statements.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import { localMatcher, matchOnServer } from './ask-server.ts';

/** One value per field of the index; undefined = the document has no such field, which the index stores as null. */
export type IndexKey = readonly (RawValue | undefined)[];

const NOTHING = Buffer.alloc(0);
const EMPTY_ARRAY_KEY: RawValue = { bytes: NOTHING, type: BSON.UNDEFINED, start: 0, end: 0 };

export function indexKeys(document: RawValue, paths: readonly string[]): IndexKey[] {
  const keys: IndexKey[] = [];
  collect(
    paths.map((path) => ({ at: document, rest: path.split('.') })),
    keys,
  );
  return keys;
}

/** A field on its way down: `rest` is what is left of its path below `at`. */
interface Descent {
  readonly at: RawValue | undefined;
  readonly rest: readonly string[];
  /** The key is found: an array inside an array is not expanded again. */
  readonly settled?: boolean;
}

function collect(fields: readonly Descent[], keys: IndexKey[]): void {
  const lowest = fields.map(descend);
  const array = lowest.find((field) => !field.settled && field.at?.type === BSON.ARRAY)?.at;
  if (array === undefined) {
    keys.push(lowest.map(({ at }) => at));
    return;
  }
  const items: (RawValue | undefined)[] = [...elements(array.bytes, array.start)];
  if (items.length === 0) items.push(undefined);
  // The server refuses documents with two arrays in one index, so every field that met an array met this one.
  for (const item of items) {
    const below = lowest.map((field): Descent => {
      if (field.settled || field.at?.type !== BSON.ARRAY) return field;
      const [part, ...rest] = field.rest;
      if (part === undefined) return { at: item ?? EMPTY_ARRAY_KEY, rest: [], settled: true };
      // A number means the element at that position, where there is one.
      const atPosition = /^\d+$/.test(part) ? items[Number(part)] : undefined;
      if (atPosition !== undefined) return { at: atPosition, rest, settled: rest.length === 0 };
      return { at: item?.type === BSON.OBJECT ? item : undefined, rest: field.rest };
    });
    collect(below, keys);
  }
}

/** Goes down through documents until the path ends, an array is met, or there is nothing. */
function descend(field: Descent): Descent {
  if (field.settled) return field;
  const { at, rest } = field;
  let value = at;
  let depth = 0;
  while (depth < rest.length && value?.type === BSON.OBJECT) {
    value = fieldOf(value, rest[depth] as string);
    depth++;
  }
  if (value?.type === BSON.ARRAY || depth === rest.length) return { at: value, rest: rest.slice(depth) };
  return { at: undefined, rest: [] };
}

function fieldOf(value: RawValue, key: string): RawValue | undefined {
  for (const element of elements(value.bytes, value.start)) if (keyOf(element) === key) return element;
  return undefined;
}

/** The unique indexes but that of `_id`. */
export function uniqueIndexesOf({ indexes }: TargetCollection): TargetIndex[] {
  return indexes.filter((index) => index.unique && !isIdIndex(index));
}

export function isIdIndex(index: TargetIndex): boolean {
  return index.key.length === 1 && index.key[0]?.[0] === '_id';
}

/** Its keys are made of values in ascending or descending order; other kinds (2d, 2dsphere, text) make keys of their own. */
export function isOrdered({ key }: TargetIndex): boolean {
  return key.every(([path, direction]) => typeof direction !== 'string' && path !== '_fts');
}

/** No query may name it; it refuses documents all the same. */
export function isHidden({ raw }: TargetIndex): boolean {
  const hidden = findElement(raw, 0, Buffer.from('hidden'));
  return hidden?.type === BSON.BOOL && hidden.bytes[hidden.start] === 1;
}

export function pathsOf(index: TargetIndex): string[] {
  return index.key.map(([path]) => path);
}

/** `unique index slug_1 { slug: 1 }`, `index at_2dsphere { at: "2dsphere" }` */
export function indexText({ name, key, unique }: TargetIndex): string {
  const fields = key.map(([path, direction]) => `${path}: ${JSON.stringify(direction)}`).join(', ');
  return `${unique ? 'unique ' : ''}index ${name} { ${fields} }`;
}

/** A sparse index leaves out a document that has none of its fields. */
export function keysUnder(index: TargetIndex, document: RawValue): readonly IndexKey[] {
  const keys = indexKeys(document, pathsOf(index));
  return !index.sparse || keys.some((key) => key.some((value) => value !== undefined)) ? keys : [];
}

/** Equal texts = the same key, without a collation. A missing field and null are one. */
export function keyText(key: IndexKey): string {
  return key
    .map((value) => (value === undefined || value.type === BSON.NULL ? '' : canonicalKey(value)))
    .map((text) => `${text.length}:${text}`)
    .join('');
}

export function partialFilterOf(index: TargetIndex): Buffer | undefined {
  return innerDocument(index.raw, 'partialFilterExpression');
}

/** Undefined: equal bytes are equal keys. */
export function indexCollation({ raw }: TargetIndex): Buffer | undefined {
  return isCollated(raw) ? innerDocument(raw, 'collation') : undefined;
}

export interface IndexOfTarget {
  readonly reader: TargetReader;
  readonly collection: TargetCollection;
  readonly index: TargetIndex;
}

/**
 * All of them, or those that its partial filter matches; one that neither the server nor we can decide about counts as covered.
 */
export async function coveredBy(
  { reader, collection, index }: IndexOfTarget,
  documents: Documents,
  positions: readonly number[],
): Promise<readonly number[]> {
  const query = partialFilterOf(index);
  if (query === undefined || positions.length === 0) return positions;
  const matches = indexCollation(index) === undefined ? localMatcher(query) : undefined;
  if (matches !== undefined)
    return positions.filter((position) => matches(documents.bytes, documents.start(position)));
  const question = { reader, query, collation: queryCollation(collection, index) };
  const { matching, unanswered } = await matchOnServer(question, documents, positions);
  return [...matching, ...unanswered];
}

/** To be said in a query that the index shall serve; undefined where the collection's own is the index's. */
export function queryCollation({ collated }: TargetCollection, index: TargetIndex): Buffer | undefined {
  // An index without a collation in a collated collection is a simple one.
  return indexCollation(index) ?? (collated ? SIMPLE_COLLATION : undefined);
}
