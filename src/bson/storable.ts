/**
 * What the server stores as an `_id`, and what it takes as a replacement: its rules for names that start with `$`, as measured on
 * mongod 8.2. A value that breaks them may not even be asked for: in a query it would be an operator.
 */
import { elements, keyOf, type RawElement } from './elements.ts';
import { BSON, type RawValue } from './types.ts';

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
