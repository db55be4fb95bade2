/**
 * The keys that a document puts into an ordered index, as the server makes them (its BtreeKeyGenerator): one key per
 * element where the path meets an array, a missing field as null, an empty array as undefined.
 *
 * Exact for indexes without a collation: test/comparison/unique-indexes.test.ts asks a real server.
 */
import { elements, keyOf } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';

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
