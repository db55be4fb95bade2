/** What a unique index of a collection makes of a document: which keys, written so that equal keys are equal texts. */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import { findElement, innerDocument } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { isCollated } from '../target/describe-collection.ts';
import type { TargetCollection, TargetIndex } from '../target/target.ts';
import { type IndexKey, indexKeys } from './index-keys.ts';

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
