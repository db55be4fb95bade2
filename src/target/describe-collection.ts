/** What a target's collection is: type, options, validator, indexes, shard key, as listCollections and listIndexes tell it. */
import { deserialize } from 'bson';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { elements, findElement, innerDocument, keyOf } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { asBuffer, readCursor } from '../mongo/reply.ts';
import type { Commands } from './commands.ts';
import type { ServerIdentity, TargetCollection, TargetIndex } from './target.ts';

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
    unique: isTrue(raw, 'unique'),
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
