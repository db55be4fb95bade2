/**
 * The tree between Extended JSON text (or YAML) and BSON.
 *
 * Objects are Maps, because a plain object would reorder keys that look like integers. An object in which a key occurs
 * twice, which BSON allows, comes as RepeatedKeys. An integer is a number or a bigint; a number written with a point or
 * an exponent is a JsonDouble, because 1.0 and 1 are different BSON values.
 */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | JsonDouble
  | readonly JsonValue[]
  | JsonObject;

export type JsonObject = Map<string, JsonValue> | RepeatedKeys;

export class JsonDouble {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Iterates like a Map, but a key may come more than once. */
export class RepeatedKeys {
  readonly entries: readonly (readonly [string, JsonValue])[];
  constructor(entries: readonly (readonly [string, JsonValue])[]) {
    this.entries = entries;
  }
  [Symbol.iterator](): Iterator<readonly [string, JsonValue]> {
    return this.entries[Symbol.iterator]();
  }
}

/** Extended JSON that cannot be turned into BSON. `path` is the dotted path inside the value; `offset` a character offset where text was parsed. */
export class ExtendedJsonFault extends Error {
  override readonly name = 'ExtendedJsonFault';
  readonly path: string;
  readonly offset: number | undefined;
  constructor(message: string, where: { path?: string; offset?: number } = {}) {
    super(message);
    this.path = where.path ?? '';
    this.offset = where.offset;
  }
}

/** The server refuses documents nested deeper than 180 levels; a little more is read so that it can say so itself. */
export const MAX_DEPTH = 200;

/** A lone surrogate has no UTF-8; Buffer would silently write U+FFFD in its place. */
export function isUnicode(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
