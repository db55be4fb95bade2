/** Looks through documents for values that refer to selected parents, and through names of fields for what they may refer to. */
import { documentEnd, elements, keyOf } from '../../bson/elements.ts';
import type { KeySet } from '../../bson/key-set.ts';
import { BSON, MIN_DOCUMENT_BYTES, type RawValue } from '../../bson/types.ts';

export interface Parent {
  readonly collection: string;
  /** `_id`s of its selected documents. */
  readonly ids: KeySet;
}

/** Deeper fields are not looked at. */
const MAX_DEPTH = 12;
/** Bytes of a string value (length, text, NUL) below which equality may be chance. */
const SHORTEST_STRING = 4 + 8 + 1;

/** Collects, from a sample of a collection's documents, the fields that may refer to a parent: by their name, or by a value that is a parent's `_id`. */
export class ReferenceSearch {
  readonly #parents: readonly { readonly parent: Parent; readonly names: ReadonlySet<string> }[];
  readonly #found = new Map<string, Set<Parent>>();

  constructor(parents: readonly Parent[]) {
    this.#parents = parents.map((parent) => ({ parent, names: referenceNames(parent.collection) }));
  }

  look(bytes: Buffer, start: number): void {
    this.#walk({ bytes, type: BSON.OBJECT, start, end: bytes.length }, '', 0);
  }

  /** Dotted paths and what they may refer to. */
  get found(): { readonly field: string; readonly parent: Parent }[] {
    return [...this.#found].flatMap(([field, parents]) => [...parents].map((parent) => ({ field, parent })));
  }

  #walk({ bytes, start, type: container }: RawValue, path: string, depth: number): void {
    for (const element of elements(bytes, start)) {
      const key = container === BSON.ARRAY ? '' : keyOf(element);
      if (key.includes('.')) continue;
      // The elements of an array are reached by the path of the array.
      const field = container === BSON.ARRAY ? path : path === '' ? key : `${path}.${key}`;
      if (element.type === BSON.OBJECT || element.type === BSON.ARRAY) {
        if (depth < MAX_DEPTH) this.#walk(element, field, depth + 1);
        if (element.type === BSON.OBJECT) continue;
      }
      for (const { parent, names } of this.#parents) {
        if (names.has(key) || (isTelling(element) && parent.ids.has(element))) this.#add(field, parent);
      }
    }
  }

  #add(field: string, parent: Parent): void {
    const parents = this.#found.get(field) ?? new Set();
    parents.add(parent);
    this.#found.set(field, parents);
  }
}

/** Looks at the first documents of a collection, the last of which may be cut off. Throws BsonFault. */
export function fieldsThatRefer(sample: Buffer, parents: readonly Parent[]): ReferenceSearch['found'] {
  const search = new ReferenceSearch(parents);
  for (
    let at = 0;
    sample.length - at >= MIN_DOCUMENT_BYTES && sample.readInt32LE(at) <= sample.length - at;
  ) {
    const end = documentEnd(sample, at);
    search.look(sample, at);
    at = end;
  }
  return search.found;
}

/** Small numbers and short words are equal by chance. */
function isTelling({ type, start, end }: RawValue): boolean {
  if (type === BSON.STRING) return end - start >= SHORTEST_STRING;
  return type === BSON.OBJECT_ID || type === BSON.BINARY;
}
/** Names under which fields refer to a collection: `artwork_id`, `artworkId`, `artwork_ids`, `artworkIds` for `artworks`. */

const IRREGULAR: Readonly<Record<string, string>> = {
  people: 'person',
  children: 'child',
  men: 'man',
  women: 'woman',
  indices: 'index',
  media: 'medium',
  data: 'datum',
};

export function referenceNames(collection: string): Set<string> {
  // GridFS and others group collections by a prefix with a dot: `fs.files` is referred to as `files_id`.
  const base = collection.slice(collection.lastIndexOf('.') + 1);
  const names = new Set<string>();
  for (const singular of [base, ...singulars(base)]) {
    const snake = singular.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
    const camel = snake.replace(/[_-]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    for (const name of [`${snake}_id`, `${snake}_ids`, `${camel}Id`, `${camel}Ids`]) names.add(name);
  }
  return names;
}

/** Singular forms that the word may have; only its last part is inflected. */
function singulars(word: string): string[] {
  const [, head = '', last = ''] = /^(.*?)([A-Za-z][a-z]*)$/.exec(word) ?? [];
  const irregular = IRREGULAR[last.toLowerCase()];
  if (irregular !== undefined) return [head + (/^[A-Z]/.test(last) ? capital(irregular) : irregular)];
  if (/[^aeiou]ies$/.test(word)) return [`${word.slice(0, -3)}y`];
  if (/(?:s|x|z|ch|sh)es$/.test(word)) return [word.slice(0, -2), word.slice(0, -1)];
  return /[^s]s$/.test(word) ? [word.slice(0, -1)] : [];
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
