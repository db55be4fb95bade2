/**
 * Whether a collection can be restored into at all: one that the target has, or one that apply would create there with the
 * options and indexes of the backup's metadata.
 */

import { buildDocument, EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { Documents } from '../bson/documents.ts';
import { findElement, innerDocument } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { settingsOf } from '../plan/plan.ts';
import { readMetadata } from '../selection/open-selection.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { isCapped, isCollated, numberIn, readBlueprint, readIndex } from '../target/describe-collection.ts';
import type { CollectionBlueprint, TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import {
  cannotAnswer,
  documentsStage,
  keysOnServer,
  putDocument,
  wereKeysMade,
  wrapped,
} from './ask-server.ts';
import type { Encounter } from './comparison.ts';
import { indexText } from './index-keys.ts';

/** Throws TARGET for what documents cannot be inserted into safely and repeatably. */
export function requireFit(reader: TargetReader, collection: TargetCollection): void {
  const where = `${reader.name}: ${reader.database}.${collection.name}`;
  if (collection.type === 'view') {
    throw unfit(`${where} is a view`, 'Restore into the collection that the view reads from, with `into`.');
  }
  if (collection.type === 'timeseries') {
    throw unfit(
      `${where} is a time series`,
      'A time series takes the same _id twice, so a repeated restore would double documents. Restore into another collection, with `into`.',
    );
  }
  if (isEncrypted(collection.options)) throw encrypted(`${where} is encrypted`);
  if (collection.capped) {
    throw unfit(
      `${where} is capped`,
      'A capped collection drops its oldest documents when new ones come in. Restore into another collection, with `into`.',
    );
  }
}

/**
 * Throws TARGET for a collection that the target lacks and that apply does not create: what the server would refuse of its
 * options or indexes is known before anything is written.
 */
export async function requireCreatable(
  reader: TargetReader,
  into: string,
  blueprint: CollectionBlueprint,
): Promise<void> {
  const { options, indexes } = blueprint;
  const where = `${reader.name}: ${reader.database}.${into} is missing`;
  if (isCapped(options)) {
    throw unfit(
      `${where}, and was capped in the backup`,
      'A capped collection drops documents by itself. Create the collection by hand, as it shall be, then run again.',
    );
  }
  if (isEncrypted(options)) throw encrypted(`${where}, and is encrypted in the backup`);
  const fault = await optionsFault(reader, options);
  if (fault !== undefined) {
    throw unfit(
      `${where}, and the server does not take the backup's ${fault.option}: ${fault.reason}`,
      'Create the collection by hand, as it shall be, then run again: a collection that is there is used as it is.',
    );
  }
  const refused = await refusedIndexes(reader, indexes);
  if (refused.length > 0) throw uncreatableIndexes(where, refused);
}

/** `where` names target and collection. */
export function uncreatableIndexes(where: string, refused: readonly RefusedIndex[]): RestorePlanError {
  const what = refused.length === 1 ? 'an index' : `${refused.length} indexes`;
  const each = refused.map(({ text, reason }) => `${text}: ${reason}`).join('; ');
  const names = refused.map(({ name }) => JSON.stringify(name)).join(', ');
  return unfit(
    `${where}, and the server does not take ${what} of the backup: ${each}`,
    `Leave out what you can do without: \`indexes: { skip: [${names}] }\` at the collection in the plan. Or create the collection by hand: one that is there is used as it is.`,
  );
}

interface OptionsFault {
  readonly option: string;
  readonly reason: string;
}

/** Asks the server to read the collation and the validator, over no document at all. */
async function optionsFault(reader: TargetReader, options: Buffer): Promise<OptionsFault | undefined> {
  const collation = innerDocument(options, 'collation');
  const validator = innerDocument(options, 'validator');
  const nothing = documentsStage(EMPTY, []);
  const collating = collation === undefined ? {} : { collation };
  if (collation !== undefined) {
    const inCollation = await faultOf(() => reader.aggregate(1, [nothing], collating));
    if (inCollation !== undefined) return { option: 'collation', reason: inCollation };
  }
  if (validator === undefined) return undefined;
  const pipeline = [nothing, wrapped('$match', validator)];
  const inValidator = await faultOf(() => reader.aggregate(1, pipeline, collating));
  return inValidator === undefined ? undefined : { option: 'validator', reason: inValidator };
}

async function faultOf(ask: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    return cannotAnswer(error) ? undefined : error.serverWords;
  }
}

/** By Queryable Encryption; what a client encrypts by itself is bytes like any other. */
function isEncrypted(options: Buffer): boolean {
  return innerDocument(options, 'encryptedFields') !== undefined;
}

function encrypted(message: string): RestorePlanError {
  return unfit(
    `${message} (Queryable Encryption)`,
    'The server takes its documents only from a client that has the keys and encrypts them anew, together with the state collections enxcol_.… beside it. Restore the backup whole with mongorestore into an empty database, then copy the documents with such a client.',
  );
}

function unfit(message: string, hint: string): RestorePlanError {
  return new RestorePlanError('TARGET', message, { hint });
}

/** A document whose shard key changes might belong on another shard. Throws TARGET. */
export function requireMergeable(
  { name, database }: Pick<TargetReader, 'name' | 'database'>,
  { shardKey = [] }: Pick<TargetCollection, 'shardKey'>,
  { into, merge }: SelectedCollection,
): void {
  const wrong = merge?.fields.find((field) =>
    shardKey.some((key) => key === field || key.startsWith(`${field}.`) || field.startsWith(`${key}.`)),
  );
  if (wrong === undefined) return;
  throw unfit(
    `${name}: ${database}.${into} is sharded by ${shardKey.join(', ')}, so its field ${wrong} cannot be merged`,
    `Take ${wrong} out of the plan's \`fields\`.`,
  );
}

/**
 * What apply creates, without the indexes that the plan skips. Without metadata it is a collection without options and with no
 * index but that of `_id`. Throws BACKUP where the metadata cannot be read.
 */
export async function blueprintOf(
  { plan, selection }: Omit<Encounter, 'reader'>,
  selected: SelectedCollection,
): Promise<CollectionBlueprint> {
  const { skipIndexes } = settingsOf(plan, selected.collection);
  return readBlueprint(selected.collection, await readMetadata(selection, selected), skipIndexes);
}

/** Throws TARGET where apply would not create it, BACKUP where the metadata cannot be read. */
export async function collectionToCreate(
  encounter: Encounter,
  selected: SelectedCollection,
  warn: (message: string) => void,
): Promise<TargetCollection> {
  const { into } = selected;
  const blueprint = await blueprintOf(encounter, selected);
  await requireCreatable(encounter.reader, into, blueprint);
  const { options, indexes, conversions } = blueprint;
  for (const conversion of conversions) warn(`created in another form than in the backup: ${conversion}`);
  return {
    name: into,
    type: 'collection',
    capped: false,
    options,
    validator: innerDocument(options, 'validator'),
    indexes: [idIndex(options), ...indexes].map(readIndex),
    shardKey: undefined,
    collated: isCollated(options),
    uuid: undefined,
  };
}

/** As the server makes it: it compares as the collection does. */
function idIndex(options: Buffer): Buffer {
  const collation = innerDocument(options, 'collation');
  return buildDocument((builder) => {
    builder.element(BSON.INT32, 'v');
    builder.int32(2);
    builder.element(BSON.OBJECT, 'key');
    builder.embed(() => {
      builder.element(BSON.INT32, '_id');
      builder.int32(1);
    });
    builder.element(BSON.STRING, 'name');
    builder.string('_id_');
    if (collation !== undefined) putDocument(builder, 'collation', collation);
  });
}

// Indexes of the backup that the target's server would not create: known before anything is written. The server is asked to make
// the keys of an empty document, for which it reads the whole specification; what it looks at only when it creates an index is
// held here, as measured on mongod 8.2.

export interface RefusedIndex {
  readonly name: string;
  /** `index pos_hay { pos: "geoHaystack", type: 1 }` */
  readonly text: string;
  readonly reason: string;
}

/** With the one on `_id`. */
const MOST_INDEXES = 64;
export const LONGEST_SECONDS = 0x7fffffff;

/** `specifications` are raw, without the index on `_id`. Throws CommandFailure when the server cannot be reached. */
export async function refusedIndexes(
  reader: TargetReader,
  specifications: readonly Buffer[],
): Promise<RefusedIndex[]> {
  const refused: RefusedIndex[] = [];
  const taken: TargetIndex[] = [];
  for (const specification of specifications) {
    const index = readIndex(specification);
    const reason = specificationFault(index, taken) ?? (await serversFault(reader, index));
    if (reason === undefined) taken.push(index);
    else refused.push({ name: index.name, text: indexText(index), reason });
  }
  return refused;
}

function specificationFault(index: TargetIndex, taken: readonly TargetIndex[]): string | undefined {
  const { name, raw } = index;
  if (name === '') return 'an index needs a name';
  if (name.includes('\0')) return 'its name holds a NUL';
  if (taken.length + 1 >= MOST_INDEXES) return `a collection has at most ${MOST_INDEXES} indexes`;
  if (taken.some((other) => other.name === name)) return 'another index of the backup has its name';
  if (taken.some((other) => isSame(index, other))) return 'another index of the backup has the same key';
  const kinds = index.key.map(([, direction]) => direction);
  if (kinds.includes('text') && taken.some(isText)) return 'a collection has at most one text index';
  if (index.unique && kinds.includes('hashed')) return 'a hashed index cannot be unique';
  if (index.sparse && innerDocument(raw, 'partialFilterExpression') !== undefined) {
    return 'an index cannot be both sparse and partial';
  }
  return ttlFault(index) ?? wildcardFault(index);
}

function ttlFault({ raw, key }: TargetIndex): string | undefined {
  const ttl = findElement(raw, 0, Buffer.from('expireAfterSeconds'));
  if (ttl === undefined) return undefined;
  const seconds = numberIn(ttl);
  if (seconds === undefined && ttl.type !== BSON.DECIMAL128) return 'its expireAfterSeconds is not a number';
  if (seconds !== undefined && !(seconds >= 0 && seconds <= LONGEST_SECONDS)) {
    return `its expireAfterSeconds is not from 0 to ${LONGEST_SECONDS}`;
  }
  return key.length > 1 ? 'an index on several fields cannot expire documents' : undefined;
}

function wildcardFault({ key, unique, sparse, expireAfterSeconds }: TargetIndex): string | undefined {
  if (!key.some(([path]) => path === '$**' || path.endsWith('.$**'))) return undefined;
  if (unique) return 'a wildcard index cannot be unique';
  if (sparse) return 'a wildcard index cannot be sparse';
  return expireAfterSeconds === undefined ? undefined : 'a wildcard index cannot expire documents';
}

function isText({ key }: TargetIndex): boolean {
  return key.some(([, direction]) => direction === 'text');
}

/** Indexes of one key may stand side by side where they differ in what they cover or in how they compare. */
function isSame(one: TargetIndex, other: TargetIndex): boolean {
  const told = ({ key, raw, unique, sparse }: TargetIndex): string =>
    JSON.stringify([
      key,
      unique,
      sparse,
      innerDocument(raw, 'partialFilterExpression')?.toString('base64'),
      innerDocument(raw, 'collation')?.toString('base64'),
    ]);
  return told(one) === told(other);
}

const EMPTY = Documents.of([EMPTY_DOCUMENT]);

/** A text index before the server has filled in what it always lists: its specification cannot be asked about. */
function isUnfilled(index: TargetIndex): boolean {
  return isText(index) && !index.key.some(([path]) => path === '_fts');
}

async function serversFault(reader: TargetReader, index: TargetIndex): Promise<string | undefined> {
  if (isUnfilled(index)) return undefined;
  try {
    await keysOnServer({ reader, index }, EMPTY, [0]);
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    return cannotAnswer(error) || wereKeysMade(error) ? undefined : error.serverWords;
  }
}
