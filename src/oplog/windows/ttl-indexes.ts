/**
 * Tells expiry from deletion: which TTL indexes a collection had at each time, and whether a document had expired by them.
 *
 * An entry does not say who deleted: a TTL index deletes as a deleteMany does. So a deletion without a session, of a document whose time was
 * over, is taken for expiry.
 */
import { elements, findElement, keyOf } from '../../bson/elements.ts';
import { parseExtendedJson } from '../../bson/extended-json.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { compileQuery, type Matcher } from '../../query/compile-query.ts';
import { parseQuery } from '../../query/parse-query.ts';
import { QueryFault } from '../../query/query-fault.ts';
import type { OplogEntry } from '../entry.ts';
import { touches } from './touches.ts';

/** In place of the name of an index, which holds no NUL. Old servers kept empty names. */
const CLUSTERED = '\0';
const EXPIRE_AFTER = Buffer.from('expireAfterSeconds');

interface TtlIndex {
  /** Names of the way to the date. */
  readonly path: readonly string[];
  /** NaN for an index by which nothing expires: collMod can make one of it that does. */
  readonly seconds: number;
  /** Of a partial index: only these documents expire. */
  readonly matches: Matcher | undefined;
}

export class TtlIndexes {
  /** The indexes by name, as they were from each change of them on. */
  readonly #states: ReadonlyMap<string, TtlIndex>[];

  /** `metadata`: what a dump says of the collection. */
  constructor(metadata: string | undefined) {
    this.#states = [metadata === undefined ? new Map() : ofMetadata(metadata)];
  }

  /** The state that holds now, for `isExpired`. */
  get state(): number {
    return this.#states.length - 1;
  }

  /** Whether anything expires now. */
  get areThere(): boolean {
    for (const { seconds } of this.#states.at(-1)?.values() ?? []) if (!Number.isNaN(seconds)) return true;
    return false;
  }

  /** Follows a command about the collection, or about one that is made in its place; most have nothing to do with its indexes. */
  follow({ bytes, o }: OplogEntry, command: string): void {
    const text = (key: string): string => {
      const value = findElement(bytes, o, Buffer.from(key));
      return value?.type === BSON.STRING ? bytes.toString('utf8', value.start + 4, value.end - 1) : '';
    };
    if (command === 'create') {
      // It begins without the indexes of whatever had the name before.
      this.#change((indexes) => {
        indexes.clear();
        const isClustered = findElement(bytes, o, Buffer.from('clusteredIndex')) !== undefined;
        setClustered(indexes, isClustered ? secondsIn(bytes, o) : Number.NaN);
      });
    } else if (command === 'createIndexes') this.#change((indexes) => addIndex(indexes, bytes, o));
    else if (command === 'commitIndexBuild') {
      const list = findElement(bytes, o, Buffer.from('indexes'));
      if (list?.type !== BSON.ARRAY) return;
      this.#change((indexes) => {
        for (const { type, start } of elements(bytes, list.start))
          if (type === BSON.OBJECT) addIndex(indexes, bytes, start);
      });
    } else if (/^(?:drop|delete)Index(?:es)?$/.test(command)) {
      this.#change(
        (indexes) => void (text('index') === '*' ? dropAll(indexes) : indexes.delete(text('index'))),
      );
    } else if (command === 'collMod') {
      const index = findElement(bytes, o, Buffer.from('index'));
      if (index?.type === BSON.OBJECT) this.#change((indexes) => changeIndex(indexes, bytes, index.start));
      // Of a clustered collection: a number of seconds, or "off".
      if (findElement(bytes, o, EXPIRE_AFTER) !== undefined)
        this.#change((indexes) => setClustered(indexes, secondsIn(bytes, o)));
    }
  }

  /** Whether the document at `start` could be deleted for its age at `wall`, UTC milliseconds, by the indexes of a state. */
  isExpired(state: number, bytes: Buffer, start: number, wall: number): boolean {
    for (const { path, seconds, matches } of this.#states[state]?.values() ?? [])
      if (earliest(bytes, start, path) + seconds * 1000 <= wall && isIn(matches, bytes, start)) return true;
    return false;
  }

  /** When the document at `start` expires by the indexes that there are now, UTC milliseconds; Infinity: never. */
  expiresAt(bytes: Buffer, start: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { path, seconds, matches } of this.#states.at(-1)?.values() ?? []) {
      const at = earliest(bytes, start, path) + seconds * 1000;
      if (at < first && isIn(matches, bytes, start)) first = at;
    }
    return first;
  }

  /** Whether the update at `start`, a diff or modifiers, may have changed when its document expires. */
  mayMove(bytes: Buffer, start: number): boolean {
    const indexes = [...(this.#states.at(-1)?.values() ?? [])].filter(
      ({ seconds }) => !Number.isNaN(seconds),
    );
    return (
      indexes.some(({ matches }) => matches !== undefined) ||
      touches(
        bytes,
        start,
        indexes.map(({ path }) => path),
      )
    );
  }

  /** A new state only where something is another than before. */
  #change(change: (indexes: Map<string, TtlIndex>) => void): void {
    const before = this.#states.at(-1) as ReadonlyMap<string, TtlIndex>;
    const indexes = new Map(before);
    change(indexes);
    const isSame =
      before.size === indexes.size && [...indexes].every(([name, index]) => before.get(name) === index);
    if (!isSame) this.#states.push(indexes);
  }
}

/** Where it cannot be told, it counts as a document of the index. */
function isIn(matches: Matcher | undefined, bytes: Buffer, start: number): boolean {
  try {
    return matches === undefined || matches(bytes, start);
  } catch (fault) {
    if (fault instanceof QueryFault) return true;
    throw fault;
  }
}

interface Described {
  readonly name?: unknown;
  readonly key?: Readonly<Record<string, unknown>>;
  readonly expireAfterSeconds?: unknown;
}

/** The metadata's own text is needed for queries, whose types JSON alone would lose. */
function ofMetadata(metadata: string): Map<string, TtlIndex> {
  const { indexes = [], options } = JSON.parse(metadata) as {
    readonly indexes?: readonly Described[];
    readonly options?: { readonly clusteredIndex?: unknown; readonly expireAfterSeconds?: unknown };
  };
  const found = new Map<string, TtlIndex>();
  const parsed = parseExtendedJson(metadata);
  const list = parsed instanceof Map ? parsed.get('indexes') : undefined;
  for (const [place, { name, key = {}, expireAfterSeconds }] of indexes.entries()) {
    const seconds = numberOf(expireAfterSeconds);
    const [field] = Object.keys(key);
    if (field === undefined) continue;
    const item = Array.isArray(list) ? list[place] : undefined;
    const partial = item instanceof Map ? item.get('partialFilterExpression') : undefined;
    const matches = partial === undefined ? undefined : matcherOf(() => parseQuery(partial));
    found.set(String(name), { path: field.split('.'), seconds, matches });
  }
  const seconds = numberOf(options?.expireAfterSeconds);
  if (options?.clusteredIndex !== undefined) setClustered(found, seconds);
  return found;
}

/** Documents of a clustered collection may expire by their `_id`. NaN: they do not. */
function setClustered(indexes: Map<string, TtlIndex>, seconds: number): void {
  if (Number.isNaN(seconds)) indexes.delete(CLUSTERED);
  else indexes.set(CLUSTERED, { path: ['_id'], seconds, matches: undefined });
}

/** All but that by which a collection is clustered, which is an option of it. */
function dropAll(indexes: Map<string, TtlIndex>): void {
  for (const name of [...indexes.keys()]) if (name !== CLUSTERED) indexes.delete(name);
}

/** A number of Extended JSON, in any of its forms; NaN for anything else. */
function numberOf(value: unknown): number {
  return Number(typeof value === 'object' && value !== null ? Object.values(value)[0] : value);
}

/** Undefined for a query that is not known here. */
function matcherOf(query: () => Buffer): Matcher | undefined {
  try {
    return compileQuery(query());
  } catch (fault) {
    if (fault instanceof QueryFault) return undefined;
    throw fault;
  }
}

function addIndex(indexes: Map<string, TtlIndex>, bytes: Buffer, spec: number): void {
  const key = findElement(bytes, spec, Buffer.from('key'));
  const name = findElement(bytes, spec, Buffer.from('name'));
  if (key?.type !== BSON.OBJECT || name?.type !== BSON.STRING) return;
  const [field] = elements(bytes, key.start);
  if (field === undefined) return;
  const partial = findElement(bytes, spec, Buffer.from('partialFilterExpression'));
  const matches =
    partial?.type === BSON.OBJECT
      ? matcherOf(() => Buffer.from(bytes.subarray(partial.start, partial.end)))
      : undefined;
  const path = keyOf(field).split('.');
  const text = bytes.toString('utf8', name.start + 4, name.end - 1);
  indexes.set(text, { path, seconds: secondsIn(bytes, spec), matches });
}

/** collMod: another time for an index that is there. */
function changeIndex(indexes: Map<string, TtlIndex>, bytes: Buffer, change: number): void {
  const name = findElement(bytes, change, Buffer.from('name'));
  const seconds = secondsIn(bytes, change);
  if (name?.type !== BSON.STRING || Number.isNaN(seconds)) return;
  const text = bytes.toString('utf8', name.start + 4, name.end - 1);
  const index = indexes.get(text);
  if (index !== undefined) indexes.set(text, { ...index, seconds });
}

function secondsIn(bytes: Buffer, start: number): number {
  const value = findElement(bytes, start, EXPIRE_AFTER);
  if (value?.type === BSON.INT32) return bytes.readInt32LE(value.start);
  if (value?.type === BSON.INT64) return Number(bytes.readBigInt64LE(value.start));
  return value?.type === BSON.DOUBLE ? bytes.readDoubleLE(value.start) : Number.NaN;
}

/** The earliest date at a path, UTC milliseconds, as a TTL index goes by it: also within arrays. NaN: none. */
function earliest(bytes: Buffer, start: number, path: readonly string[]): number {
  let first = Number.NaN;
  const look = (value: RawValue, depth: number): void => {
    if (value.type === BSON.ARRAY) for (const each of elements(value.bytes, value.start)) look(each, depth);
    else if (depth < path.length) {
      if (value.type !== BSON.OBJECT) return;
      const inner = findElement(value.bytes, value.start, Buffer.from(path[depth] as string));
      if (inner !== undefined) look(inner, depth + 1);
    } else if (value.type === BSON.DATE) {
      const date = Number(value.bytes.readBigInt64LE(value.start));
      if (!(date >= first)) first = date;
    }
  };
  look({ type: BSON.OBJECT, bytes, start, end: start + bytes.readInt32LE(start) }, 0);
  return first;
}
