/** Raw update and delete statements that hit a document only while it is still the one that was seen. */
import { DocumentBuilder, documentOf } from '../bson/document-builder.ts';
import { findId } from '../bson/stored-form.ts';
import { BSON } from '../bson/types.ts';
import type { Replacement } from './target.ts';

/** A statement is one document and must fit the server's limit of 16 MiB and 16 KiB for those in a command. */
const MOST_QUOTED_BYTES = 16 * 1024 * 1024;

/**
 * How a statement says which document was seen. quoted: whole, in the statement. variable: by a variable of the command,
 * `let: {seen: …}`, where quoting would make it too large. size: by its size alone, where the server has no such variables.
 */
export type SeenAs = 'quoted' | 'variable' | 'size';

export interface StatementRules {
  readonly seenAs?: SeenAs;
  /** The collection has a collation: texts that differ may be equal to the server unless it is told to take them as they are. */
  readonly collated?: boolean;
}

/** Whether a statement can quote what was seen beside what shall be. */
export function fitsQuoted({ seen, after }: Replacement): boolean {
  return seen.length + after.length <= MOST_QUOTED_BYTES;
}

/** `{q: <still seen>, u: <after>}`: replaces the document. `after` must be in stored form, so that it starts with `_id`. */
export function replaceStatement({ seen, after }: Replacement, rules: StatementRules = {}): Buffer {
  return statement((builder) => {
    writeStillSeen(builder, seen, rules);
    builder.element(BSON.OBJECT, 'u');
    builder.raw(after);
  });
}

/** `{q: <still seen>, limit: 1}`: removes the document. */
export function removeStatement(seen: Buffer, rules: StatementRules = {}): Buffer {
  return statement((builder) => {
    writeStillSeen(builder, seen, rules);
    builder.element(BSON.INT32, 'limit');
    builder.int32(1);
  });
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

const SIMPLE = documentOf('locale', BSON.STRING, Buffer.from('\x07\0\0\0simple\0', 'latin1'));

/**
 * `q: {_id: …, $expr: {$eq: ["$$ROOT", {$literal: seen}]}}`. The server compares values: 1 and 1.0 are equal to it. Callers
 * have compared bytes just before; this closes the gap between their read and the write.
 */
function writeStillSeen(
  builder: DocumentBuilder,
  seen: Buffer,
  { seenAs = 'quoted', collated = false }: StatementRules,
): void {
  const id = findId(seen);
  if (id === undefined) throw new TypeError('a stored document has an _id');
  if (collated && WITHOUT_TEXT.has(id.type)) {
    builder.element(BSON.OBJECT, 'collation');
    builder.raw(SIMPLE);
  }
  builder.element(BSON.OBJECT, 'q');
  const query = builder.beginDocument();
  builder.element(id.type, '_id');
  builder.raw(id.bytes.subarray(id.start, id.end));
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

function statement(fields: (builder: DocumentBuilder) => void): Buffer {
  const builder = new DocumentBuilder();
  const start = builder.beginDocument();
  fields(builder);
  builder.endDocument(start);
  return builder.finish();
}
