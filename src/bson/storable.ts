/**
 * What a server stores: a document without a damaged byte, not too large and not nested too deep, an `_id` that it takes, and a
 * replacement that it takes. Its rules are as measured on mongod 8.2; an `_id` that breaks them may not even be asked for: in a query it
 * would be an operator.
 */

import { splitCodeWithScope } from './compare-values.ts';
import {
  BsonFault,
  cstringEnd,
  documentEnd,
  ElementCursor,
  elements,
  keyOf,
  type RawElement,
  valueEnd,
} from './elements.ts';
import { BSON, type RawValue } from './types.ts';

export const MAX_STORED_BYTES = 16 * 1024 * 1024;
/** Documents and arrays from the outermost one down: the server stores 180 below the first (measured; error 15 beyond). */
const MAX_DEPTH = 181;

const UNSTORABLE_TYPES: Readonly<Record<number, string>> = {
  // The server would invent one, and a second run would insert the document again.
  0: 'it has no _id',
  [BSON.ARRAY]: 'its _id is an array, which the server does not take',
  [BSON.REGEX]: 'its _id is a regular expression, which the server does not take',
  [BSON.UNDEFINED]: 'its _id is undefined, which the server does not take',
};

/** Why no server would store a document with this `_id` (type 0: it has none); undefined where one does. */
export function idRefusal(id: RawValue): string | undefined {
  if (id.type !== BSON.OBJECT) return UNSTORABLE_TYPES[id.type];
  const name = dollarNameWithin(id);
  return name === undefined
    ? undefined
    : `its _id has a field "${name}": the server takes no name that starts with $ in an _id, except in a reference {$ref: "…", $id: …}`;
}

/** The first name that starts with `$`, at any depth, and belongs to no reference `{$ref: text, $id, $db?: text}`. */
function dollarNameWithin({ bytes, start }: RawValue): string | undefined {
  const fields = [...elements(bytes, start)];
  // What `$id` holds is not looked into.
  const rest = isReference(fields) ? fields.slice(isNamed(fields[2], '$db', BSON.STRING) ? 3 : 2) : fields;
  for (const field of rest) {
    const name = keyOf(field);
    if (name.startsWith('$')) return name;
    const within = documentIn(field);
    const inner = within && dollarNameWithin(within);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** Whether there is a symbol in the value, at any depth: no index with a collation takes one, that of `_id` neither. */
export function holdsSymbol(value: RawValue): boolean {
  if (value.type === BSON.SYMBOL) return true;
  const within = value.type === BSON.CODE_WITH_SCOPE ? undefined : documentIn(value);
  return within !== undefined && [...elements(within.bytes, within.start)].some(holdsSymbol);
}

/** Whether there is text in the value, at any depth: what a collation may take for the same as another text. */
export function holdsText(value: RawValue): boolean {
  if (value.type === BSON.STRING) return true;
  const within = value.type === BSON.CODE_WITH_SCOPE ? undefined : documentIn(value);
  return within !== undefined && [...elements(within.bytes, within.start)].some(holdsText);
}

/** The document that a value is, or that code has as its scope. */
function documentIn({ bytes, type, start, end }: RawValue): RawValue | undefined {
  if (type === BSON.OBJECT || type === BSON.ARRAY) return { bytes, type, start, end };
  if (type !== BSON.CODE_WITH_SCOPE) return undefined;
  const code = start + 4;
  return { bytes, type: BSON.OBJECT, start: code + 4 + bytes.readInt32LE(code), end };
}

function isReference(fields: readonly RawElement[]): boolean {
  return isNamed(fields[0], '$ref', BSON.STRING) && isNamed(fields[1], '$id');
}

function isNamed(field: RawElement | undefined, name: string, type = field?.type): boolean {
  return field !== undefined && keyOf(field) === name && field.type === type;
}

/**
 * Why the server would not let this document, whose `_id` comes first, take the place of another one; undefined where it would.
 * An insert takes any name at the top level.
 */
export function replacementRefusal({ bytes, start }: RawValue): string | undefined {
  const fields = [...elements(bytes, start)];
  const wrong = fields.find((field, at) => {
    const name = keyOf(field);
    if (!name.startsWith('$')) return false;
    if (name === '$ref') return field.type !== BSON.STRING || !isNamed(fields[at + 1], '$id');
    if (name === '$id') return !isNamed(fields[at - 1], '$ref');
    return name !== '$db' || field.type !== BSON.STRING || !isNamed(fields[at - 1], '$id');
  });
  return wrong && `the server takes no field "${keyOf(wrong)}" in a replacement: its name starts with $`;
}

/** Why no server would store a document of this many bytes; undefined where one does. */
export function lengthRefusal(length: number): string | undefined {
  return length > MAX_STORED_BYTES ? `it has ${length} bytes; the server stores at most 16 MiB` : undefined;
}

/** Undefined where the document is not nested too deep to be stored. */
export function depthRefusal({ bytes, start, end }: RawValue): string | undefined {
  // Each level costs at least 7 bytes (type, shortest key, frame): a short document cannot be too deep.
  if (end - start < MAX_DEPTH * 7) return undefined;
  return isDeeperThan(bytes, start, MAX_DEPTH) ? `it is nested deeper than ${MAX_DEPTH} levels` : undefined;
}

/** Walks embedded documents only; scalars are stepped over. Recursion is bounded by `levels`. */
function isDeeperThan(bytes: Buffer, start: number, levels: number): boolean {
  if (levels === 0) return true;
  const last = start + bytes.readInt32LE(start) - 1;
  let at = start + 4;
  while (at < last) {
    const type = bytes[at] as number;
    const valueStart = cstringEnd(bytes, at + 1, last);
    if (type === BSON.OBJECT || type === BSON.ARRAY) {
      if (isDeeperThan(bytes, valueStart, levels - 1)) return true;
    }
    at = valueEnd(bytes, type, valueStart, last);
  }
  return false;
}

/** Far above the server's limit of 180, far below what a call stack holds. The server refuses such depth by itself, with its own words. */
const MAX_NESTING = 1000;

/**
 * Checks a raw document to its last byte: what passes here, a MongoDB server stores, and what no server would have stored is
 * refused. Costs more than finding one field, so it is for documents that are used. Throws BsonFault at the first byte that is
 * wrong; returns the offset after the document. `limit` is the end of the usable bytes.
 *
 * Passed through, because servers accept it and backups hold it: text that is not UTF-8, array keys that are not 0, 1, 2 …,
 * repeated keys, regular expression options that mean nothing, a wrong inner length in binary data of subtype 2.
 */
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
