/**
 * One key in two BSON types: an ObjectId and its 24 digits as text, a number and its digits, a UUID and its text or other subtype.
 *
 * To a query they are different values, and so they are to a selection. Applications that wrote both leave children behind that nobody
 * misses; they are counted and named.
 */
import type { KeySet } from '../bson/key-set.ts';
import { showValue, typeName } from '../bson/show.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Route } from './routes.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const UUID_BYTES = 16;
/** Subtypes of binary data that hold UUIDs. */
const UUID_SUBTYPES = [3, 4];

/** The same key as values of other types. */
export function otherFormsOf(value: RawValue): RawValue[] {
  const { bytes, start, end } = value;
  switch (value.type) {
    case BSON.OBJECT_ID:
      return [text(bytes.toString('hex', start, end))];
    case BSON.INT32:
      return [text(String(bytes.readInt32LE(start)))];
    case BSON.INT64:
      return [text(String(bytes.readBigInt64LE(start)))];
    case BSON.DOUBLE: {
      const number = bytes.readDoubleLE(start);
      return Number.isSafeInteger(number) ? [text(String(number))] : [];
    }
    case BSON.BINARY:
      return formsOfBinary(value);
    case BSON.STRING:
      // Longer texts are no such keys.
      return end - start > 5 + 36 ? [] : formsOfText(bytes.toString('latin1', start + 4, end - 1));
    default:
      return [];
  }
}

function formsOfBinary({ bytes, start, end }: RawValue): RawValue[] {
  const subtype = bytes[start + 4] as number;
  if (end - start !== 5 + UUID_BYTES || !UUID_SUBTYPES.includes(subtype)) return [];
  const data = bytes.subarray(start + 5, end);
  const hex = data.toString('hex');
  const dashed = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return [binary(subtype === 3 ? 4 : 3, data), text(dashed)];
}

function formsOfText(letters: string): RawValue[] {
  if (/^[0-9a-f]{24}$/i.test(letters)) return [raw(BSON.OBJECT_ID, Buffer.from(letters, 'hex'))];
  if (/^(?:0|-?[1-9]\d{0,17})$/.test(letters)) {
    const long = Buffer.alloc(8);
    long.writeBigInt64LE(BigInt(letters));
    return [raw(BSON.INT64, long)];
  }
  if (!UUID.test(letters)) return [];
  const data = Buffer.from(letters.replaceAll('-', ''), 'hex');
  return UUID_SUBTYPES.map((subtype) => binary(subtype, data));
}

function text(letters: string): RawValue {
  const length = Buffer.alloc(4);
  length.writeInt32LE(letters.length + 1);
  return raw(BSON.STRING, Buffer.concat([length, Buffer.from(`${letters}\0`)]));
}

function binary(subtype: number, data: Buffer): RawValue {
  const head = Buffer.alloc(5);
  head.writeInt32LE(data.length);
  head[4] = subtype;
  return raw(BSON.BINARY, Buffer.concat([head, data]));
}

function raw(type: number, bytes: Buffer): RawValue {
  return { type, bytes, start: 0, end: bytes.length };
}

/** The form of `value` in which `keys` has it; undefined when it has none. */
export function otherFormIn(keys: KeySet, value: RawValue): RawValue | undefined {
  // Without text among the keys, the digits of a child's ObjectId need not be written out.
  if (value.type !== BSON.STRING && value.type !== BSON.BINARY && !keys.holdsText) return undefined;
  return otherFormsOf(value).find((form) => keys.has(form));
}

/** Children that one route left out for the type of their key. */
export interface OtherTyped {
  readonly route: Route;
  readonly type: string;
  readonly parentType: string;
  /** The first one's key, as Extended JSON. */
  readonly example: string;
  documents: number;
}

/** Counts the children that are left out because they hold a chosen parent's key in another type. */
export class OtherTypes {
  readonly #found = new Map<string, OtherTyped>();

  note(route: Route, child: RawValue, parent: RawValue): void {
    const [type, parentType] = [typeName(child.type), typeName(parent.type)];
    const key = `${route.where} ${type} ${parentType}`;
    const known = this.#found.get(key);
    if (known === undefined)
      this.#found.set(key, { route, type, parentType, example: showValue(child), documents: 1 });
    else known.documents++;
  }

  /** Those that were found elsewhere, behind what was noted here. */
  add(found: OtherTyped): void {
    const key = `${found.route.where} ${found.type} ${found.parentType}`;
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { ...found });
    else known.documents += found.documents;
  }

  /** In the order in which the first of each was noted. */
  all(): OtherTyped[] {
    return [...this.#found.values()];
  }

  *warnings(collection: string): Generator<string> {
    for (const { route, type, parentType, example, documents } of this.#found.values()) {
      const { parent, ids } = route;
      const types = `of another type (${type}, not ${parentType})`;
      const [are, refer] = documents === 1 ? ['is', 'document refers'] : ['are', 'documents refer'];
      if (parent === undefined) {
        yield `${collection}: ${documents} _id${documents === 1 ? '' : 's'} of ${ids?.list.file} ${are} in the backup, but ${types} and ` +
          `${are} not selected (${ids?.list.where}). To restore them too, write them in the file with their type: ${example}`;
        continue;
      }
      const { foreignKey } = parent;
      yield `${collection}: ${documents} ${refer} by ${foreignKey} to a selected document of ${parent.collection} with a key ${types} ` +
        `and ${are} not selected (${route.where}). To restore them too, add an entry for ${collection} ` +
        `with a query such as { "${foreignKey}": ${example} }.`;
    }
  }
}
