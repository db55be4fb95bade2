/**
 * References of selected documents to parents that would be missing after the restore: neither in the selection nor in
 * the target.
 */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { KeySet } from '../bson/key-set.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Reference } from '../plan/plan.ts';
import { selectedIds } from '../selection/selected-ids.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import type { Candidate } from './candidate.ts';
import type { DanglingReference } from './comparison.ts';
import { existingIds } from './existing.ts';
import { indexKeys } from './index-keys.ts';
import type { MaskedText } from './masked-text.ts';

interface Use {
  readonly candidate: Candidate;
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
    candidates: readonly Candidate[],
    references: readonly Reference[],
  ): Promise<DanglingReference[]> {
    const dangling: DanglingReference[] = [];
    for (const reference of references) {
      const { field, collection } = reference;
      const uses = candidates.flatMap((candidate) => usesOf(candidate, reference));
      const missing = await this.#missing(
        uses.map(({ value }) => value),
        collection,
      );
      for (const { candidate, value } of uses) {
        if (!missing.has(canonicalKey(value))) continue;
        dangling.push({
          id: this.#text.showId(candidate.id),
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
    const selected = this.#selection.manifest.collections.find((each) => each.collection === collection);
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
 * A field that is missing, null or an empty array refers to nothing; a regular expression can be no `_id`. The `$id` of a reference (DBRef)
 * whose `$ref` names another collection refers to nothing in this one.
 */
function usesOf(candidate: Candidate, { field, collection }: Reference): Use[] {
  const fields = field.endsWith('.$id') ? [field, field.replace(/id$/, 'ref')] : [field];
  return indexKeys(candidate.document, fields).flatMap(([value, named]) => {
    if (value === undefined || NO_REFERENCE.has(value.type)) return [];
    const isOther = named?.type === BSON.STRING && textOf(named) !== collection;
    return isOther ? [] : [{ candidate, field, value }];
  });
}

function textOf({ bytes, start, end }: RawValue): string {
  return bytes.toString('utf8', start + 4, end - 1);
}

const NO_REFERENCE: ReadonlySet<number> = new Set([BSON.NULL, BSON.UNDEFINED, BSON.REGEX, BSON.ARRAY]);
