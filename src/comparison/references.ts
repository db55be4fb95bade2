/**
 * References of selected documents to parents that would be missing after the restore: neither in the selection nor in
 * the target.
 */

import { canonicalKey, idKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import type { KeySet } from '../bson/key-set.ts';
import { holdsSymbol, idRefusal } from '../bson/storable.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Reference } from '../plan/plan.ts';
import { selectedIds } from '../selection/file-batches.ts';
import { type Selection, selectedOf } from '../selection/selection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import { inQuery, projectionOf } from './ask-server.ts';
import type { DanglingReference } from './comparison.ts';
import type { MaskedText } from './describe-document.ts';
import { indexKeys } from './index-keys.ts';

interface Use {
  readonly position: number;
  readonly field: string;
  readonly value: RawValue;
}

export class ReferenceCheck {
  readonly #text: MaskedText;
  readonly #reader: TargetReader;
  readonly #selection: Selection;
  /** `_id`s of selected parents, by collection; read once. */
  readonly #selectedIds = new Map<string, Promise<KeySet>>();
  readonly #parents = new Map<string, Promise<TargetCollection | undefined>>();

  constructor(reader: TargetReader, selection: Selection, text: MaskedText) {
    this.#text = text;
    this.#reader = reader;
    this.#selection = selection;
  }

  /** The dangling references of one batch. */
  async dangling(
    documents: Documents,
    positions: readonly number[],
    references: readonly Reference[],
  ): Promise<DanglingReference[]> {
    const dangling: DanglingReference[] = [];
    for (const reference of references) {
      const { field, collection } = reference;
      const uses = positions.flatMap((position) => usesOf(documents, position, reference));
      const missing = await this.#missing(
        uses.map(({ value }) => value),
        collection,
      );
      for (const { position, value } of uses) {
        if (!missing.has(canonicalKey(value))) continue;
        dangling.push({
          id: this.#text.showId(documents.id(position)),
          field,
          collection,
          missing: this.#text.showKey(value, field),
        });
      }
    }
    return dangling;
  }

  /** Those of `values`, as canonical keys, that are no `_id` of the collection, here or there. */
  async #missing(values: readonly RawValue[], collection: string): Promise<Set<string>> {
    const selected = selectedOf(this.#selection.manifest, collection);
    const ids = selected === undefined ? undefined : await this.#idsOf(collection);
    const open = new Map<string, RawValue>();
    for (const value of values) if (!ids?.has(value)) open.set(canonicalKey(value), value);
    if (open.size === 0) return new Set();
    const parents = await this.#parentsIn(selected?.into ?? collection);
    if (parents === undefined) return new Set(open.keys());
    const existing = await existingIds(this.#reader, parents, [...open.values()]);
    return new Set([...open.keys()].filter((key) => !existing.has(key)));
  }

  #parentsIn(name: string): Promise<TargetCollection | undefined> {
    const known = this.#parents.get(name) ?? this.#reader.collection(name);
    this.#parents.set(name, known);
    return known;
  }

  #idsOf(collection: string): Promise<KeySet> {
    const known = this.#selectedIds.get(collection) ?? selectedIds(this.#selection, collection);
    this.#selectedIds.set(collection, known);
    return known;
  }
}

/**
 * A field that is missing, null or an empty array refers to nothing; a regular expression can be no `_id`. The `$id` of a
 * reference (DBRef) whose `$ref` names another collection refers to nothing in this one.
 */
function usesOf(documents: Documents, position: number, { field, collection }: Reference): Use[] {
  const fields = field.endsWith('.$id') ? [field, field.replace(/id$/, 'ref')] : [field];
  return indexKeys(documents.value(position), fields).flatMap(([value, named]) => {
    if (value === undefined || NO_REFERENCE.has(value.type)) return [];
    const isOther = named?.type === BSON.STRING && textOf(named) !== collection;
    return isOther ? [] : [{ position, field, value }];
  });
}

function textOf({ bytes, start, end }: RawValue): string {
  return bytes.toString('utf8', start + 4, end - 1);
}

const NO_REFERENCE: ReadonlySet<number> = new Set([BSON.NULL, BSON.UNDEFINED, BSON.REGEX, BSON.ARRAY]);

const ONLY_ID = projectionOf([]);
const IDS_PER_QUERY = 4_000;

/** The `_id`s among `ids` that a collection of the target holds, as value keys. */
export async function existingIds(
  reader: TargetReader,
  collection: TargetCollection,
  ids: readonly RawValue[],
): Promise<Set<string>> {
  const existing = new Set<string>();
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
    // No document has an `_id` that cannot be stored; among others it would be an operator of the query.
    const asked = ids
      .slice(at, at + IDS_PER_QUERY)
      .filter((id) => idRefusal(id) === undefined && !(collection.collated && holdsSymbol(id)));
    if (asked.length === 0) continue;
    const found = await reader.find(collection.name, inQuery('_id', asked), {
      limit: asked.length,
      projection: ONLY_ID,
    });
    const keys = new Set(found.map(idKey));
    for (const key of keys) existing.add(key);
    if (!collection.collated) continue;
    for (const id of asked) {
      if (keys.has(canonicalKey(id))) continue;
      const match = await reader.find(collection.name, inQuery('_id', [id]), {
        limit: 1,
        projection: ONLY_ID,
      });
      if (match.length > 0) existing.add(canonicalKey(id));
    }
  }
  return existing;
}
