/**
 * Documents whose key in a unique index of the target is held by another document of the target. For those of the selection see
 * shared-keys.ts.
 *
 * Keys are made here, as the server makes them, and looked up in batches; that is exact for every index without a
 * collation. Under a collation only the server knows which keys are equal: there one query for the whole batch tells
 * whether anything comes near, and only then each document is asked about by itself.
 */
import { canonicalKey, idKey } from '../bson/canonical-bytes.ts';
import { documentValue } from '../bson/diff-documents.ts';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { type Documents, findId } from '../bson/documents.ts';
import type { RawValue } from '../bson/types.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import { both, equalQuery, keyDocument, listOf, projectionOf } from './ask-server.ts';
import type { DocumentCheck, Objection } from './comparison.ts';
import {
  coveredBy,
  type IndexKey,
  type IndexOfTarget,
  indexCollation,
  indexKeys,
  indexText,
  isHidden,
  keysUnder,
  keyText,
  partialFilterOf,
  pathsOf,
  queryCollation,
} from './index-keys.ts';

/** A `$or` of this many keys is planned and answered in a few milliseconds. */
const KEYS_PER_QUERY = 500;

/** For a unique index other than that of `_id`. `showId` turns an `_id` into text. */
export function uniqueIndexCheck(
  { reader, collection, index }: IndexOfTarget,
  showId: (id: RawValue) => string,
): DocumentCheck {
  const unique = new UniqueIndex(reader, collection, index);
  return async (documents, positions) => {
    const objections = new Map<number, Objection>();
    for (const [position, holder] of await unique.holders(documents, positions)) {
      const shown = holder === undefined ? '(none)' : showId(holder);
      const reason = `${indexText(index)}: its key is held by _id ${shown}`;
      objections.set(position, { class: 'conflict', reason });
    }
    return objections;
  };
}

type Holders = Map<number, RawValue | undefined>;

interface Keyed {
  readonly position: number;
  readonly keys: readonly IndexKey[];
}

class UniqueIndex {
  readonly #reader: TargetReader;
  readonly #collection: TargetCollection;
  readonly #index: TargetIndex;
  readonly #paths: readonly string[];
  readonly #partial: Buffer | undefined;
  readonly #collation: Buffer | undefined;
  readonly #isCollated: boolean;
  readonly #projection: Buffer;

  constructor(reader: TargetReader, collection: TargetCollection, index: TargetIndex) {
    this.#reader = reader;
    this.#collection = collection;
    this.#index = index;
    this.#paths = pathsOf(index);
    this.#partial = partialFilterOf(index);
    // Whole top-level fields: a projection of a dotted path would drop array elements that have keys too.
    this.#projection = projectionOf(this.#paths.map((path) => path.split('.', 1)[0] as string));
    this.#isCollated = indexCollation(index) !== undefined;
    this.#collation = queryCollation(collection, index);
  }

  /** `_id` of the document that holds a key of the one at a position, for each that has such a one. */
  async holders(documents: Documents, positions: readonly number[]): Promise<Holders> {
    const place = { reader: this.#reader, collection: this.#collection, index: this.#index };
    const indexed = (await coveredBy(place, documents, positions))
      .map((position): Keyed => ({ position, keys: keysUnder(this.#index, documents.value(position)) }))
      .filter(({ keys }) => keys.length > 0);
    const holders = new Map<number, RawValue | undefined>();
    for (const group of groupsOf(indexed)) {
      const near = await this.#near(group.flatMap(({ keys }) => keys));
      if (near.length === 0) continue;
      const found = this.#isCollated
        ? await this.#askEach(documents, group)
        : this.#matchKeys(documents, group, near);
      for (const [position, holder] of found) holders.set(position, holder);
    }
    return holders;
  }

  /** The documents that may hold one of the keys; of their `_id` and key fields only. */
  async #near(keys: readonly IndexKey[]): Promise<Buffer[]> {
    const walked = new Map(
      keys.filter((key) => this.#isBeyondQueries(key)).map((key) => [keyText(key), key]),
    );
    const asked = keys.filter((key) => !walked.has(keyText(key)));
    const near = asked.length === 0 ? [] : await this.#find(asked, asked.length * 4);
    for (const key of walked.values()) near.push(...(await this.#firstFrom(key)));
    return near;
  }

  /** `{a: [7]}` has the key null for `a.b`, yet no query for null finds it. */
  #isBeyondQueries(key: IndexKey): boolean {
    return (
      !this.#isCollated &&
      !isHidden(this.#index) &&
      key.some((value, field) => value === undefined && this.#paths[field]?.includes('.'))
    );
  }

  /** The index is unique, so the first document from a key on is its holder, or the key is free. */
  #firstFrom(key: IndexKey): Promise<Buffer[]> {
    return this.#reader.find(this.#collection.name, this.#partial ?? EMPTY_DOCUMENT, {
      limit: 1,
      projection: this.#projection,
      from: { index: this.#index.name, key: keyDocument(this.#paths, key) },
      ...(this.#collation === undefined ? {} : { collation: this.#collation }),
    });
  }

  #find(keys: readonly IndexKey[], limit: number): Promise<Buffer[]> {
    const clauses = keys.map((key) =>
      equalQuery(
        this.#paths.map((path, field) => [path, key[field]] as const),
        this.#index.sparse,
      ),
    );
    const wanted = listOf('$or', clauses);
    return this.#reader.find(
      this.#collection.name,
      this.#partial === undefined ? wanted : both(this.#partial, wanted),
      {
        limit,
        projection: this.#projection,
        ...(this.#collation === undefined ? {} : { collation: this.#collation }),
      },
    );
  }

  #matchKeys(documents: Documents, group: readonly Keyed[], near: readonly Buffer[]): Holders {
    const holderOf = new Map<string, Buffer>();
    for (const document of near) {
      for (const key of indexKeys(documentValue(document), this.#paths)) holderOf.set(keyText(key), document);
    }
    const holders = new Map<number, RawValue | undefined>();
    for (const { position, keys } of group) {
      const own = canonicalKey(documents.id(position));
      for (const key of keys) {
        const holder = holderOf.get(keyText(key));
        // A document that is to be replaced holds its own key.
        if (holder !== undefined && idKey(holder) !== own) holders.set(position, findId(holder));
      }
    }
    return holders;
  }

  async #askEach(documents: Documents, group: readonly Keyed[]): Promise<Holders> {
    const holders = new Map<number, RawValue | undefined>();
    for (const { position, keys } of group) {
      const own = canonicalKey(documents.id(position));
      const holder = (await this.#find(keys, 2)).find((document) => idKey(document) !== own);
      if (holder !== undefined) holders.set(position, findId(holder));
    }
    return holders;
  }
}

function groupsOf(indexed: readonly Keyed[]): Keyed[][] {
  const groups: Keyed[][] = [];
  let room = 0;
  for (const keyed of indexed) {
    if (room < keyed.keys.length) {
      groups.push([]);
      room = KEYS_PER_QUERY;
    }
    groups.at(-1)?.push(keyed);
    room -= keyed.keys.length;
  }
  return groups;
}
