/**
 * Checks a raw document to its last byte: what passes here, a MongoDB server stores, and what no server would have stored is
 * refused. Costs more than finding one field, so it is for documents that are used.
 *
 * Passed through, because servers accept it and backups hold it: text that is not UTF-8, array keys that are not 0, 1, 2 …,
 * repeated keys, regular expression options that mean nothing, a wrong inner length in binary data of subtype 2.
 */
import { splitCodeWithScope } from './compare-values.ts';
import { ElementCursor } from './element-cursor.ts';
import { BsonFault, documentEnd } from './elements.ts';
import { BSON, type RawValue } from './types.ts';

/** Far above the server's limit of 180, far below what a call stack holds. The server refuses such depth by itself, with its own words. */
const MAX_NESTING = 1000;

/** Throws BsonFault at the first byte that is wrong; returns the offset after the document. `limit` is the end of the usable bytes. */
export function checkDocument(bytes: Buffer, start = 0, limit: number = bytes.length): number {
  const end = documentEnd(bytes, start, limit);
  checkElements({ bytes, type: BSON.OBJECT, start, end }, 1);
  return end;
}

function checkElements(document: RawValue, depth: number): void {
  if (depth > MAX_NESTING)
    throw new BsonFault(`document is nested deeper than ${MAX_NESTING} levels`, document.start);
  const cursor = new ElementCursor().open(document.bytes, document.start, document.end);
  while (cursor.next()) checkValue(cursor, depth);
  if (cursor.end !== document.end - 1) {
    throw new BsonFault('document goes on after its last element', cursor.end);
  }
}

/** The cursor has checked the length of the value against its document; here is what lies inside. */
function checkValue(value: ElementCursor, depth: number): void {
  const { bytes, start, end } = value;
  switch (value.type) {
    case BSON.STRING:
    case BSON.SYMBOL:
    case BSON.CODE:
      checkTerminated(bytes, end);
      break;
    case BSON.OBJECT:
    case BSON.ARRAY:
      checkElements(value, depth + 1);
      break;
    case BSON.BOOL:
      if ((bytes[start] as number) > 1) throw new BsonFault('a boolean is neither 0 nor 1', start);
      break;
    case BSON.DB_POINTER:
      checkTerminated(bytes, end - 12);
      break;
    case BSON.CODE_WITH_SCOPE:
      checkCodeWithScope(value, depth);
  }
}

function checkTerminated(bytes: Buffer, end: number): void {
  if (bytes[end - 1] !== 0) throw new BsonFault('text does not end in a zero byte', end - 1);
}

function checkCodeWithScope(value: RawValue, depth: number): void {
  const { code, scope } = splitCodeWithScope(value);
  checkTerminated(value.bytes, code.end);
  checkElements(scope, depth + 1);
}
