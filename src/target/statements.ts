/** What a write sends, raw: update and delete statements for one document each, and the query for documents by their `_id`s. */
import { documentValue } from '../bson/diff-documents.ts';
import { buildDocument, type DocumentBuilder, documentOf } from '../bson/document-builder.ts';
import { type Documents, findId } from '../bson/documents.ts';
import { elements, keyOf, valueAt } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import { CommandFailure } from './command-failure.ts';
import type { Command, Commands } from './commands.ts';
import type { Replacement, WrittenCollection } from './target.ts';

/** A statement is one document and must fit the server's limit of 16 MiB and 16 KiB for those in a command. */
const MOST_QUOTED_BYTES = 16 * 1024 * 1024;

/**
 * How a statement says which document was seen. quoted: whole, in the statement. variable: by a variable of the command,
 * `let: {seen: …}`, where quoting would make it too large. size: by its size alone, where the server has no such variables.
 */
export type SeenAs = 'quoted' | 'variable' | 'size';

interface StatementRules {
  readonly seenAs?: SeenAs;
  /** The collection has a collation: texts that differ may be equal to the server unless it is told to take them as they are. */
  readonly collated?: boolean;
}

/** Whether a statement can quote what was seen beside what shall be. */
export function fitsQuoted({ seen, after }: Replacement): boolean {
  return seen.length + after.length <= MOST_QUOTED_BYTES;
}

/** `{q: <still seen>, u: <after>}`: replaces the document, outside a transaction. `after` must be in stored form, so that it starts with `_id`. */
export function replaceIfSeenStatement({ seen, after }: Replacement, rules: StatementRules = {}): Buffer {
  return buildDocument((builder) => {
    writeStillSeen(builder, seen, rules);
    builder.element(BSON.OBJECT, 'u');
    builder.raw(after);
  });
}

/** `{q: <still seen>, limit: 1}`: removes the document, outside a transaction. */
export function removeIfSeenStatement(seen: Buffer, rules: StatementRules = {}): Buffer {
  return buildDocument((builder) => {
    writeStillSeen(builder, seen, rules);
    writeLimit(builder);
  });
}

/** Statements one after another; one alone, which may hold a document of 16 MB, without a copy. */
export function joined(statements: readonly Buffer[]): Buffer {
  const [only] = statements;
  return statements.length === 1 && only !== undefined ? only : Buffer.concat(statements);
}

/** Types of an `_id` that no collation looks at: the index on `_id` serves a query by simple collation, too. */
const WITHOUT_TEXT: ReadonlySet<number> = new Set([
  BSON.OBJECT_ID,
  BSON.INT32,
  BSON.INT64,
  BSON.DOUBLE,
  BSON.DECIMAL128,
  BSON.BINARY,
  BSON.DATE,
  BSON.TIMESTAMP,
  BSON.BOOL,
]);

/** Texts are compared byte by byte, whatever the collection's default. */
export const SIMPLE_COLLATION = documentOf(
  'locale',
  BSON.STRING,
  Buffer.from('\x07\0\0\0simple\0', 'latin1'),
);

/**
 * `q: {_id: …, $expr: {$eq: ["$$ROOT", {$literal: seen}]}}`. The server compares values: 1 and 1.0 are equal to it. Callers
 * have compared bytes just before; this closes the gap between their read and the write.
 */
function writeStillSeen(
  builder: DocumentBuilder,
  seen: Buffer,
  { seenAs = 'quoted', collated = false }: StatementRules,
): void {
  const id = idOf(seen);
  if (collated) writeSimpleCollation(builder, id);
  builder.element(BSON.OBJECT, 'q');
  const query = builder.beginDocument();
  builder.element(id.type, '_id');
  builder.value(id);
  builder.element(BSON.OBJECT, '$expr');
  const expression = builder.beginDocument();
  builder.element(BSON.ARRAY, '$eq');
  const sides = builder.beginDocument();
  if (seenAs === 'size') {
    builder.element(BSON.OBJECT, '0');
    const size = builder.beginDocument();
    builder.element(BSON.STRING, '$bsonSize');
    builder.string('$$ROOT');
    builder.endDocument(size);
    builder.element(BSON.INT32, '1');
    builder.int32(seen.length);
  } else {
    builder.element(BSON.STRING, '0');
    builder.string('$$ROOT');
    if (seenAs === 'variable') {
      builder.element(BSON.STRING, '1');
      builder.string('$$seen');
    } else {
      builder.element(BSON.OBJECT, '1');
      const literal = builder.beginDocument();
      builder.element(BSON.OBJECT, '$literal');
      builder.raw(seen);
      builder.endDocument(literal);
    }
  }
  builder.endDocument(sides);
  builder.endDocument(expression);
  builder.endDocument(query);
}

/**
 * `{q: {_id: …, <shard key>}, u: after}` or `{q: …, limit: 1}` without `after`: for a transaction, which has read the document and
 * compared its bytes. A mongos sends it to one shard only with the shard key, as the document holds it.
 */
export function writeStatement(
  builder: DocumentBuilder,
  { collated, shardKey = [] }: Pick<WrittenCollection, 'collated' | 'shardKey'>,
  seen: Buffer,
  after?: Buffer,
): void {
  const id = idOf(seen);
  const statement = builder.beginDocument();
  // Shards are chosen by simple collation; under the collection's, a text in the shard key would lead to every shard.
  if (collated && shardKey.length > 0) writeSimpleCollation(builder, id);
  builder.element(BSON.OBJECT, 'q');
  const query = builder.beginDocument();
  writeEquality(builder, '_id', id);
  for (const path of shardKey) {
    if (path !== '_id') writeEquality(builder, path, shardKeyValue(seen, path));
  }
  builder.endDocument(query);
  if (after === undefined) writeLimit(builder);
  else {
    builder.element(BSON.OBJECT, 'u');
    builder.raw(after);
  }
  builder.endDocument(statement);
}

/** `{q: {_id: …, $expr: <false>}, limit: 1}`: removes nothing, and goes where the document of this `_id` would be. */
export function neverRemoveStatement(id: RawValue): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.OBJECT, 'q');
    const query = builder.beginDocument();
    writeEquality(builder, '_id', id);
    builder.element(BSON.OBJECT, '$expr');
    builder.raw(HAS_NO_ID);
    builder.endDocument(query);
    writeLimit(builder);
  });
}

/**
 * `{$eq: [{$type: "$_id"}, "missing"]}`, true of no document that a server holds. Nothing that a planner sees through: for a query
 * that cannot match, a mongos may ask one shard alone.
 */
const HAS_NO_ID = buildDocument((builder) => {
  builder.element(BSON.ARRAY, '$eq');
  const sides = builder.beginDocument();
  builder.element(BSON.OBJECT, '0');
  const type = builder.beginDocument();
  builder.element(BSON.STRING, '$type');
  builder.string('$_id');
  builder.endDocument(type);
  builder.element(BSON.STRING, '1');
  builder.string('missing');
  builder.endDocument(sides);
});

/** The server takes a document without it as one whose shard key is null. */
export function shardKeyValue(document: Buffer, path: string): RawValue {
  const value = valueAt(documentValue(document), path);
  // A server keeps no array in a shard key.
  return value === undefined || value === 'array' ? NULL : value;
}

const NULL: RawValue = { bytes: Buffer.alloc(0), type: BSON.NULL, start: 0, end: 0 };

/**
 * `name: value`, or `name: {$eq: value}` for a document that would be taken for operators. The only `_id` that begins with `$` is a
 * reference, which is a value as it stands; a write by `{_id: {$eq: <reference>}}` fails (mongod 8.2: 9248801, 9248804).
 */
function writeEquality(builder: DocumentBuilder, name: string, value: RawValue): void {
  if (name === '_id' || !looksLikeOperators(value)) {
    builder.element(value.type, name);
    builder.value(value);
    return;
  }
  builder.element(BSON.OBJECT, name);
  builder.raw(documentOf('$eq', value.type, value.bytes.subarray(value.start, value.end)));
}

function looksLikeOperators(value: RawValue): boolean {
  if (value.type !== BSON.OBJECT) return false;
  const [first] = elements(value.bytes, value.start);
  return first !== undefined && keyOf(first).startsWith('$');
}

function writeSimpleCollation(builder: DocumentBuilder, id: RawValue): void {
  if (!WITHOUT_TEXT.has(id.type)) return;
  builder.element(BSON.OBJECT, 'collation');
  builder.raw(SIMPLE_COLLATION);
}

function writeLimit(builder: DocumentBuilder): void {
  builder.element(BSON.INT32, 'limit');
  builder.int32(1);
}

function idOf(seen: Buffer): RawValue {
  const id = findId(seen);
  if (id === undefined) throw new TypeError('a stored document has an _id');
  return id;
}

const UNKNOWN_FIELD = 40415;

/** Keeps a server from putting its own time in the place of a top-level Timestamp(0,0). */
export class EmptyTimestamps {
  readonly commands: Commands;
  /** False as soon as the server has said that it does not know how, as those before 2024 do (SERVER-88750). */
  #isKnown = true;

  constructor(commands: Commands) {
    this.commands = commands;
  }

  /** Runs a write with the fields to add to it, a second time for a server that refuses them before it looks at a document. */
  async keep<T>(documents: () => Iterable<Buffer>, write: (fields: Command) => Promise<T>): Promise<T> {
    if (this.#isKnown) {
      try {
        return await write({ bypassEmptyTsReplacement: true });
      } catch (error) {
        if (!(error instanceof CommandFailure && error.serverCode === UNKNOWN_FIELD)) throw error;
        this.#isKnown = false;
      }
    }
    for (const each of documents()) if (holdsEmptyTimestamp(each)) throw this.#cannotKeep();
    return write({});
  }

  #cannotKeep(): RestorePlanError {
    return new RestorePlanError(
      'TARGET',
      `${this.commands.target}: a document holds an empty Timestamp, which this server would replace by its own time`,
      {
        hint: 'Update the server: MongoDB 8.0, and the patch releases of 5.0 to 7.0 since 2024, can keep it as it is.',
      },
    );
  }
}

/**
 * True when one of the documents, concatenated, holds Timestamp(0,0) at its top level beside the `_id`. Walks every element of
 * that level, so it is for servers that cannot be told.
 */
function holdsEmptyTimestamp(documents: Buffer): boolean {
  for (let start = 0; start < documents.length; start += documents.readInt32LE(start)) {
    for (const element of elements(documents, start)) {
      const isEmpty = element.type === BSON.TIMESTAMP && documents.readBigUInt64LE(element.start) === 0n;
      if (isEmpty && keyOf(element) !== '_id') return true;
    }
  }
  return false;
}

const HEAD = Buffer.concat([
  Buffer.from([0, 0, 0, 0, BSON.OBJECT]),
  Buffer.from('_id\0'),
  Buffer.from([0, 0, 0, 0, BSON.ARRAY]),
  Buffer.from('$in\0'),
]);
const INNER_START = 9;
const ARRAY_START = HEAD.length;

/** The raw query `{_id: {$in: [...]}}`, built without decoding a value. Cost: one short copy per document; no object is made. */
export function idFilter(documents: Documents, positions: readonly number[]): Buffer {
  let size = ARRAY_START + 4 + 3;
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i] as number;
    size += 2 + digits(i) + documents.idEnd(position) - documents.idStart(position);
  }
  const filter = Buffer.alloc(size);
  HEAD.copy(filter);
  let at = ARRAY_START + 4;
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i] as number;
    filter[at++] = documents.idType(position);
    at += filter.write(String(i), at, 'latin1') + 1;
    at += documents.bytes.copy(filter, at, documents.idStart(position), documents.idEnd(position));
  }
  // Three terminators, of the array, the inner and the outer document, are already zero.
  filter.writeInt32LE(size, 0);
  filter.writeInt32LE(size - INNER_START - 1, INNER_START);
  filter.writeInt32LE(size - ARRAY_START - 2, ARRAY_START);
  return filter;
}

function digits(index: number): number {
  return index < 10 ? 1 : index < 100 ? 2 : index < 1_000 ? 3 : index < 10_000 ? 4 : String(index).length;
}
