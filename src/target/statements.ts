/** Raw update and delete statements that hit a document only while it is still the one that was seen. */
import { DocumentBuilder } from '../bson/document-builder.ts';
import { findId } from '../bson/stored-form.ts';
import { BSON } from '../bson/types.ts';

/**
 * A statement is one document and must fit the server's limit of 16 MiB and 16 KiB for those in a command. A condition
 * that quotes the whole document seen is used up to this size of everything quoted; beyond it, the condition is the size.
 */
const MOST_QUOTED_BYTES = 16 * 1024 * 1024;

/** `{q: <still seen>, u: <after>}`: replaces the document. `after` must be in stored form, so that it starts with `_id`. */
export function replaceStatement(seen: Buffer, after: Buffer): Buffer {
  return statement((builder) => {
    builder.element(BSON.OBJECT, 'q');
    writeStillSeen(builder, seen, after.length);
    builder.element(BSON.OBJECT, 'u');
    builder.raw(after);
  });
}

/** `{q: <still seen>, limit: 1}`: removes the document. */
export function removeStatement(seen: Buffer): Buffer {
  return statement((builder) => {
    builder.element(BSON.OBJECT, 'q');
    writeStillSeen(builder, seen, 0);
    builder.element(BSON.INT32, 'limit');
    builder.int32(1);
  });
}

/**
 * `{_id: …, $expr: {$eq: ["$$ROOT", {$literal: seen}]}}`. The server compares values: 1 and 1.0 are equal to it. Callers
 * have compared bytes just before; this closes the gap between their read and the write.
 */
function writeStillSeen(builder: DocumentBuilder, seen: Buffer, quotedBeside: number): void {
  const id = findId(seen);
  if (id === undefined) throw new TypeError('a stored document has an _id');
  const query = builder.beginDocument();
  builder.element(id.type, '_id');
  builder.raw(id.bytes.subarray(id.start, id.end));
  builder.element(BSON.OBJECT, '$expr');
  const expression = builder.beginDocument();
  builder.element(BSON.ARRAY, '$eq');
  const sides = builder.beginDocument();
  if (seen.length + quotedBeside <= MOST_QUOTED_BYTES) {
    builder.element(BSON.STRING, '0');
    builder.string('$$ROOT');
    builder.element(BSON.OBJECT, '1');
    const literal = builder.beginDocument();
    builder.element(BSON.OBJECT, '$literal');
    builder.raw(seen);
    builder.endDocument(literal);
  } else {
    builder.element(BSON.OBJECT, '0');
    const size = builder.beginDocument();
    builder.element(BSON.STRING, '$bsonSize');
    builder.string('$$ROOT');
    builder.endDocument(size);
    builder.element(BSON.INT32, '1');
    builder.int32(seen.length);
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
