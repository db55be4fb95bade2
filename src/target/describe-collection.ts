/**
 * What a collection is: type, options, validator, indexes, shard key. Of a target's as listCollections and listIndexes tell it; of
 * one that is to be created as the backup's metadata do.
 */
import { deserialize } from 'bson';
import { documentOf, EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { elements, findElement, innerDocument, keyOf, type RawElement } from '../bson/elements.ts';
import { parseExtendedJson } from '../bson/extended-json.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import { RestorePlanError } from '../errors.ts';
import { asBuffer, readCursor } from '../mongo/raw-messages.ts';
import type { Commands } from './commands.ts';
import { SIMPLE_COLLATION } from './statements.ts';
import type { CollectionBlueprint, ServerIdentity, TargetCollection, TargetIndex } from './target.ts';

/** The first version of the server that takes a write for one collection by its uuid. */
const COMPARES_UUIDS = 6;

/** Undefined when the database has no such collection. */
export async function describeCollection(
  commands: Commands,
  identity: ServerIdentity,
  name: string,
): Promise<TargetCollection | undefined> {
  const what = `describing ${commands.database}.${name}`;
  const listed = readCursor(
    await commands.runPatiently(what, { listCollections: 1, filter: { name: { $eq: name } } }),
  ).documents[0];
  if (listed === undefined) return undefined;
  const entry = deserialize(listed, { raw: true });
  const options = entry['options'] === undefined ? EMPTY_DOCUMENT : asBuffer(entry['options']);
  const type = entry['type'] as TargetCollection['type'];
  return {
    name,
    type,
    capped: isCapped(options),
    options: Buffer.from(options),
    validator: part(options, 'validator'),
    indexes: type === 'view' ? [] : await describeIndexes(commands, name),
    shardKey: identity.kind === 'sharded cluster' ? await shardKey(commands, name) : undefined,
    collated: isCollated(options),
    uuid: Number.parseInt(identity.version, 10) >= COMPARES_UUIDS ? uuidOf(entry['info']) : undefined,
  };
}

function uuidOf(info: unknown): Buffer | undefined {
  const uuid = info === undefined ? undefined : findElement(asBuffer(info), 0, Buffer.from('uuid'));
  if (uuid?.type !== BSON.BINARY) return undefined;
  // Behind the length and the subtype.
  return Buffer.from(uuid.bytes.subarray(uuid.start + 5, uuid.end));
}

async function describeIndexes(commands: Commands, name: string): Promise<TargetIndex[]> {
  const reply = await commands.runPatiently(`listing the indexes of ${commands.database}.${name}`, {
    listIndexes: name,
    cursor: { batchSize: 1_000 },
  });
  return readCursor(reply).documents.map(readIndex);
}

/** Reads one index specification as `listIndexes` gives it. */
export function readIndex(raw: Buffer): TargetIndex {
  const spec = deserialize(raw);
  const key = part(raw, 'key') ?? EMPTY_DOCUMENT;
  const ttl = spec['expireAfterSeconds'];
  return {
    name: String(spec['name']),
    key: [...elements(key)].map((element) => [keyOf(element), direction(element)] as const),
    // One that is being made unique (collMod) takes no second document of a key either.
    unique: isTrue(raw, 'unique') || isTrue(raw, 'prepareUnique'),
    sparse: isTrue(raw, 'sparse'),
    expireAfterSeconds: typeof ttl === 'number' ? ttl : undefined,
    raw: Buffer.from(raw),
  };
}

function direction(value: RawValue): unknown {
  const { bytes, start } = value;
  return value.type === BSON.STRING ? bytes.toString('utf8', start + 4, value.end - 1) : numberIn(value);
}

/** Undefined for what is not a number; a Decimal128, which no server wrote there, is none. */
export function numberIn(value: RawValue): number | undefined {
  const { bytes, start } = value;
  if (value.type === BSON.DOUBLE) return bytes.readDoubleLE(start);
  if (value.type === BSON.INT64) return Number(bytes.readBigInt64LE(start));
  return value.type === BSON.INT32 ? bytes.readInt32LE(start) : undefined;
}

/** Sharded collections are listed in the cluster's config database; a user without access to it sees none. */
async function shardKey(commands: Commands, name: string): Promise<readonly string[] | undefined> {
  const reply = await commands.runPatiently(
    `reading the shard key of ${commands.database}.${name}`,
    { find: 'collections', filter: { _id: `${commands.database}.${name}` }, limit: 1, singleBatch: true },
    'config',
  );
  const entry = readCursor(reply).documents[0];
  const key = entry && part(entry, 'key');
  return key && [...elements(key)].map(keyOf);
}

/** Of a collection with these options. */
export function isCapped(options: Buffer): boolean {
  return isTrue(options, 'capped');
}

/** Whether texts are compared by other rules than byte by byte, in a collection or an index with these options. */
export function isCollated(options: Buffer): boolean {
  const collation = part(options, 'collation');
  return collation !== undefined && deserialize(collation)['locale'] !== 'simple';
}

/** A copy: the reply that it came in is larger. */
function part(document: Buffer, key: string): Buffer | undefined {
  const inner = innerDocument(document, key);
  return inner && Buffer.from(inner);
}

/** Old servers stored flags as numbers. */
function isTrue(document: Buffer, key: string): boolean {
  const value = findElement(document, 0, Buffer.from(key));
  if (value === undefined) return false;
  return value.type === BSON.BOOL ? value.bytes[value.start] === 1 : direction(value) !== 0;
}

// A dumped collection's `.metadata.json` as the raw arguments of `create` and `createIndexes`. Read with an order-preserving
// parser: the order of an index's fields is its meaning. What servers of before took and those of today do not is converted where
// `mongorestore` does so, too, and said.

/** What `create` takes (MongoDB 3.6 to 8.2). Views and time series are not created. */
const OPTIONS: ReadonlySet<string> = new Set([
  ...['capped', 'size', 'max', 'storageEngine', 'indexOptionDefaults', 'collation'],
  ...['validator', 'validationLevel', 'validationAction', 'changeStreamPreAndPostImages'],
  ...['clusteredIndex', 'expireAfterSeconds', 'encryptedFields'],
]);
/** What belonged to the old server alone, so that nothing is lost without it. */
const DROPPED_OPTIONS: ReadonlySet<string> = new Set([
  'autoIndexId',
  'create',
  'flags',
  'idIndex',
  'temp',
  'uuid',
]);

/** What an index specification may hold (MongoDB 3.6 to 8.2). */
const INDEX_FIELDS: ReadonlySet<string> = new Set([
  ...['v', 'key', 'name', 'unique', 'sparse', 'hidden', 'prepareUnique', 'expireAfterSeconds'],
  ...['partialFilterExpression', 'collation', 'storageEngine', 'wildcardProjection', 'clustered'],
  ...['weights', 'default_language', 'language_override', 'textIndexVersion'],
  ...[
    '2dsphereIndexVersion',
    'coarsestIndexedLevel',
    'finestIndexedLevel',
    'bits',
    'min',
    'max',
    'bucketSize',
  ],
]);
/** The same as DROPPED_OPTIONS, for index specifications. */
const DROPPED_INDEX_FIELDS: ReadonlySet<string> = new Set(['ns', 'background', 'dropDups', 'safe']);

const ASCENDING = documentOf('', BSON.INT32, Buffer.from([1, 0, 0, 0]));

/** `skip`: names of indexes to leave out. Throws RestorePlanError BACKUP when the metadata is not what mongodump writes. */
export function readBlueprint(
  collection: string,
  metadataText: string | undefined,
  skip: ReadonlySet<string> = new Set(),
): CollectionBlueprint {
  if (metadataText === undefined) return { options: EMPTY_DOCUMENT, indexes: [], conversions: [] };
  const conversions: string[] = [];
  try {
    const metadata = writeExtendedJson(parseExtendedJson(metadataText));
    const stored = partOf(metadata, 'options');
    if (stored !== undefined && stored.type !== BSON.OBJECT) throw new Error('its options are no document');
    const options = readOptions(
      stored?.bytes.subarray(stored.start, stored.end) ?? EMPTY_DOCUMENT,
      conversions,
    );
    const indexes = partOf(metadata, 'indexes');
    if (indexes !== undefined && indexes.type !== BSON.ARRAY) throw new Error('its indexes are no list');
    const specifications = indexes === undefined ? [] : [...elements(indexes.bytes, indexes.start)];
    if (!specifications.every(isSpecification)) throw new Error('an index of it has no name or no key');
    return {
      options,
      indexes: specifications
        .filter((index) => !isIdIndex(index) && !skip.has(nameOf(index)))
        .map((index) => readSpecification(index, isCollated(options), conversions)),
      conversions,
    };
  } catch (cause) {
    throw new RestorePlanError('BACKUP', `the backup's metadata of ${collection} cannot be read`, {
      cause,
      hint: 'Create the collection in the target by hand; then its metadata is not needed.',
    });
  }
}

function readOptions(stored: Buffer, conversions: string[]): Buffer {
  const capped = isCapped(stored);
  return keeping(stored, (option) => {
    const name = keyOf(option);
    if (DROPPED_OPTIONS.has(name) || option.type === BSON.NULL) return undefined;
    // Old servers kept them beside `capped: false`.
    if (!capped && (name === 'size' || name === 'max')) return undefined;
    if (!OPTIONS.has(name)) conversions.push(`its option ${name} is unknown to the server and left out`);
    else if (name === 'storageEngine' || name === 'indexOptionDefaults') {
      if (!isOfAnotherEngine(option)) return option;
      conversions.push(`its option ${name} is of another storage engine and left out`);
    } else return option;
    return undefined;
  });
}

function readSpecification(index: RawElement, isInCollated: boolean, conversions: string[]): Buffer {
  const said = (what: string): void => void conversions.push(`index ${nameOf(index)}: ${what}`);
  const stored = index.bytes.subarray(index.start, index.end);
  const specification = keeping(stored, (field) => {
    const name = keyOf(field);
    if (DROPPED_INDEX_FIELDS.has(name)) return undefined;
    if (name === 'key' && field.type === BSON.OBJECT) return readKey(field, said);
    if (!INDEX_FIELDS.has(name)) said(`its option ${name} is unknown to the server and left out`);
    else if (name === 'storageEngine' && isOfAnotherEngine(field)) said('its storageEngine is left out');
    else if (name === 'v' && (numberIn(field) ?? 2) < 2)
      said(`built as version 2 instead of ${numberIn(field)}`);
    else return field;
    return undefined;
  });
  // It would take the collection's collation, which the server does not list for it: it has none.
  if (!isInCollated || findElement(specification, 0, Buffer.from('collation')) !== undefined)
    return specification;
  const collation = Buffer.concat([Buffer.from([BSON.OBJECT]), Buffer.from('collation\0'), SIMPLE_COLLATION]);
  return document([specification.subarray(4, -1), collation]);
}

/** Before 3.4 every value but a text and a number below 0 meant ascending. */
function readKey(field: RawElement, said: (what: string) => void): RawElement {
  const key = keeping(field.bytes.subarray(field.start, field.end), (part) => {
    const isText = part.type === BSON.STRING && part.end - part.start > 5;
    const order = numberIn(part);
    if (isText || (order !== undefined && order !== 0 && !Number.isNaN(order))) return part;
    said(`${keyOf(part)} is ascending, as the old server took it`);
    const [one] = [...elements(ASCENDING)] as [RawElement];
    return renamed(one, keyOf(part));
  });
  return renamed({ ...field, bytes: key, start: 0, end: key.length }, 'key');
}

/** The value of an element under a key, as an element of its own. */
function renamed({ bytes, type, start, end }: RawElement, key: string): RawElement {
  const head = Buffer.from(`\0${key}\0`);
  head[0] = type;
  const whole = Buffer.concat([head, bytes.subarray(start, end)]);
  return { bytes: whole, type, at: 0, keyStart: 1, start: head.length, end: whole.length };
}

/** `{mmapv1: {…}}` */
function isOfAnotherEngine(option: RawValue): boolean {
  if (option.type !== BSON.OBJECT) return false;
  const engines = [...elements(option.bytes, option.start)];
  const [inner] = engines;
  if (inner !== undefined && keyOf(inner) === 'storageEngine') return isOfAnotherEngine(inner);
  return engines.some((engine) => keyOf(engine) !== 'wiredTiger');
}

const NAME = Buffer.from('name');
const KEY = Buffer.from('key');

function nameOf({ bytes, start }: RawValue): string {
  const name = findElement(bytes, start, NAME);
  return name?.type === BSON.STRING ? name.bytes.toString('utf8', name.start + 4, name.end - 1) : '';
}

/** A list that is none is null in what some programs write. */
function partOf(metadata: Buffer, name: string): RawValue | undefined {
  const found = findElement(metadata, 0, Buffer.from(name));
  return found?.type === BSON.NULL ? undefined : found;
}

/** What old servers kept is for the server to judge, an empty name too: by that it can be left out. */
function isSpecification({ type, bytes, start }: RawElement): boolean {
  return (
    type === BSON.OBJECT &&
    findElement(bytes, start, NAME)?.type === BSON.STRING &&
    findElement(bytes, start, KEY)?.type === BSON.OBJECT
  );
}

/** `{key: {_id: 1}}`, also the index of a clustered collection. */
function isIdIndex({ bytes, start }: RawValue): boolean {
  const key = findElement(bytes, start, KEY);
  if (key === undefined || key.type !== BSON.OBJECT) return false;
  const fields = [...elements(key.bytes, key.start)];
  return fields.length === 1 && keyOf(fields[0]!) === '_id' && fields[0]!.type !== BSON.STRING;
}

/** The document with what `take` makes of each of its elements. */
function keeping(stored: Buffer, take: (element: RawElement) => RawElement | undefined): Buffer {
  const kept = [...elements(stored)].map(take).filter((element) => element !== undefined);
  return document(kept.map(({ bytes, at, end }) => bytes.subarray(at, end)));
}

function document(parts: readonly Buffer[]): Buffer {
  const whole = Buffer.concat([Buffer.alloc(4), ...parts, Buffer.alloc(1)]);
  whole.writeInt32LE(whole.length, 0);
  return whole;
}
