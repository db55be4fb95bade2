/**
 * What an index of a target makes of a document: whether it covers it, which keys, and whether it can hold it.
 *
 * Keys of an ordered index are made as the server makes them (its BtreeKeyGenerator): one key per element where the path meets an
 * array, a missing field as null, an empty array as undefined.
 *
 * Exact for indexes without a collation: test/comparison/unique-indexes.test.ts asks a real server.
 */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import type { Documents } from '../bson/documents.ts';
import { elements, findElement, innerDocument, keyOf } from '../bson/elements.ts';
import { holdsSymbol } from '../bson/storable.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { CommandFailure } from '../target/command-failure.ts';
import { isCollated, numberIn } from '../target/describe-collection.ts';
import { SIMPLE_COLLATION } from '../target/statements.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import {
  askInGroups,
  cannotAnswer,
  isUnaskable,
  keysOnServer,
  localMatcher,
  matchOnServer,
  wereKeysMade,
} from './ask-server.ts';
import type { DocumentCheck, Objection } from './comparison.ts';

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

// Documents that an index of the target's collection cannot hold, found without storing them: the server makes their keys.
//
// Only documents that an index of its kind could object to are asked about, told apart here at little cost: an index on one plain
// field takes everything, one on several fields objects to nothing but arrays.

/** Undefined where the index takes every document. `warn` is told what could not be asked. */
export function indexFitCheck(
  { reader, collection, index }: IndexOfTarget,
  warn: (message: string) => void,
): DocumentCheck | undefined {
  if (isIdIndex(index)) return idCheck(index);
  const mayObject = suspicionOf(index);
  const old = isOfVersion1(index);
  if (mayObject === undefined && !old) return undefined;
  return async (documents, positions) => {
    const objections = new Map<number, Objection>();
    const refuse = (position: number, reason: string): void => {
      objections.set(position, cannotHold(index, reason));
    };
    const covered = await coveredBy({ reader, collection, index }, documents, positions);
    if (old) {
      for (const position of covered.filter((each) => hasDecimalKey(index, documents.value(each)))) {
        refuse(position, 'it is of version 1, which takes no Decimal128');
      }
    }
    const suspects = covered.filter((each) => mayObject?.(documents.value(each)) && !objections.has(each));
    const failed = (position: number, failure: CommandFailure): void => {
      if (wereKeysMade(failure)) return;
      if (cannotAnswer(failure)) {
        warn(`the server cannot be asked whether its ${indexText(index)} takes the documents: not foretold`);
      } else if (isUnaskable(failure)) {
        warn(`some documents are too large to ask the server whether its ${indexText(index)} takes them`);
      } else refuse(position, indexRefusal(failure.serverCode as number, index));
    };
    const ask = (group: readonly number[]): Promise<void> =>
      keysOnServer({ reader, index }, documents, group);
    await askInGroups(documents, suspects, { ask, failed });
    return objections;
  };
}

/** The server answers no question about the index on `_id` (197). All that it has to object to is a symbol, under a collation. */
function idCheck(index: TargetIndex): DocumentCheck | undefined {
  if (indexCollation(index) === undefined) return undefined;
  const objection = cannotHold(index, indexRefusal(NO_KEY, index));
  return async (documents, positions) =>
    new Map(
      positions.filter((each) => holdsSymbol(documents.id(each))).map((position) => [position, objection]),
    );
}

function cannotHold(index: TargetIndex, reason: string): Objection {
  return { class: 'refused', reason: `${indexText(index)} cannot hold it: ${reason}`, by: index };
}

/** CannotBuildIndexKeys */
const NO_KEY = 201;

type Suspicion = (document: RawValue) => boolean;

/** Whether a document could be one that the index does not take; undefined: it takes every one. */
function suspicionOf(index: TargetIndex): Suspicion | undefined {
  const suspicions = [...kindSuspicions(index)];
  if (indexCollation(index) !== undefined) suspicions.push(holdsSymbol);
  return suspicions.length === 0
    ? undefined
    : (document) => suspicions.some((mayObject) => mayObject(document));
}

function* kindSuspicions(index: TargetIndex): Generator<Suspicion> {
  const kinds = new Set(index.key.map(([, kind]) => kind).filter((kind) => typeof kind === 'string'));
  const plain = pathsOf(index).filter((path) => !isWildcard(path) && !path.startsWith('_fts'));
  const hasWildcard = pathsOf(index).some(isWildcard);
  const geo = index.key.flatMap(([path, kind]) => (kind === '2d' || kind === '2dsphere' ? [path] : []));
  if (geo.length > 0) yield (document) => indexKeys(document, geo).some((key) => key.some(isThere));
  if (kinds.has('text')) {
    const language = Buffer.from(`${languageField(index)}\0`);
    yield ({ bytes, start, end }) => bytes.subarray(start, end).includes(language);
  }
  // Kinds that take no array at all beside or within them; a number in a path may be a position or a name.
  const least = kinds.size > 0 || hasWildcard || plain.some((path) => /(^|\.)\d+(\.|$)/.test(path)) ? 1 : 2;
  if (plain.length >= least) {
    yield (document) => plain.filter((path) => meetsArray(document, path)).length >= least;
  }
}

function isWildcard(path: string): boolean {
  return path === '$**' || path.endsWith('.$**');
}

const isThere = (value: RawValue | undefined): boolean => value !== undefined;

/** Whether there is an array on the way down the path, or at its end. */
function meetsArray(document: RawValue, path: string): boolean {
  let value: RawValue | undefined = document;
  for (const part of path.split('.')) {
    if (value?.type !== BSON.OBJECT) return false;
    value = findElement(value.bytes, value.start, Buffer.from(part));
    if (value?.type === BSON.ARRAY) return true;
  }
  return false;
}

/** The field that names a document's language: `language` unless the index says otherwise. */
function languageField({ raw }: TargetIndex): string {
  const field = findElement(raw, 0, Buffer.from('language_override'));
  return field?.type === BSON.STRING
    ? field.bytes.toString('utf8', field.start + 4, field.end - 1)
    : 'language';
}

function isOfVersion1({ raw }: TargetIndex): boolean {
  const version = findElement(raw, 0, Buffer.from('v'));
  return version !== undefined && (numberIn(version) ?? 2) < 2;
}

function hasDecimalKey(index: TargetIndex, document: RawValue): boolean {
  return indexKeys(document, pathsOf(index)).some((key) =>
    key.some((value) => value !== undefined && holdsDecimal(value)),
  );
}

function holdsDecimal(value: RawValue): boolean {
  if (value.type === BSON.DECIMAL128) return true;
  if (value.type !== BSON.OBJECT && value.type !== BSON.ARRAY) return false;
  return [...elements(value.bytes, value.start)].some(holdsDecimal);
}

/** Why an index cannot hold a document, by the server's code: its own words quote the document. As seen on mongod 8.2. */
interface Cause {
  readonly text: string;
  /** The kinds of index that the code comes from. */
  readonly concerns: (index: TargetIndex) => boolean;
}

const hasKind = (kind: string) => (index: TargetIndex) => index.key.some(([, each]) => each === kind);
const isCompound = (index: TargetIndex): boolean => index.key.length > 1;

const NOT_A_PLACE = 'what it has there is not a GeoJSON object or pair of coordinates that the index takes';
const NOT_A_PAIR = 'what it has there is not a pair of coordinates within the bounds of the index';

const CAUSES: Readonly<Record<number, Cause>> = {
  171: { text: 'two of its fields are arrays that do not lie in one', concerns: isCompound },
  201: {
    text: 'the server can make no key of it',
    concerns: (index) => hasKind('text')(index) || hasCollation(index),
  },
  12: { text: 'it is of version 1, which takes no Decimal128', concerns: isOfVersion1 },
  13026: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  13027: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  13067: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  13068: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  16746: {
    text: 'a number in the path is both a position in an array and a name in it',
    concerns: hasNumberInPath,
  },
  16755: { text: NOT_A_PLACE, concerns: hasKind('2dsphere') },
  16766: { text: 'what it has there is, or lies in, an array', concerns: hasKind('hashed') },
  17261: { text: 'the field that names its language is not text', concerns: hasKind('text') },
  17262: { text: 'its language is none that the server knows', concerns: hasKind('text') },
  7246301: { text: 'a field beside the wildcard is, or lies in, an array', concerns: hasWildcard },
};

/** `what it has there … (server code 16755)` */
function indexRefusal(code: number, index: TargetIndex): string {
  const cause = CAUSES[code];
  const text = cause?.concerns(index) === true ? cause.text : 'the server can make no key of it';
  return `${text} (server code ${code})`;
}

/**
 * The same after a write was refused, where the server does not say by which of its indexes. Undefined: by none, as far as is
 * known.
 */
export function refusalByIndexes(code: number, indexes: readonly TargetIndex[]): string | undefined {
  const cause = CAUSES[code];
  const concerned = cause === undefined ? [] : indexes.filter(cause.concerns);
  if (cause === undefined || concerned.length === 0) return undefined;
  return `${concerned.map(indexText).join(' or ')} cannot hold it: ${cause.text} (server code ${code})`;
}

function hasCollation(index: TargetIndex): boolean {
  return indexCollation(index) !== undefined;
}

function hasWildcard({ key }: TargetIndex): boolean {
  return key.some(([path]) => path.endsWith('$**'));
}

function hasNumberInPath({ key }: TargetIndex): boolean {
  return key.some(([path]) => /(^|\.)\d+(\.|$)/.test(path));
}
