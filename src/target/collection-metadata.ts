/**
 * A dumped collection's `.metadata.json` as the raw arguments of `create` and `createIndexes`. Read with an order-preserving
 * parser: the order of an index's fields is its meaning.
 */
import { elements, findElement, keyOf } from '../bson/elements.ts';
import { parseExtendedJson } from '../bson/parse-extended-json.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import { RestorePlanError } from '../errors.ts';

export interface CollectionBlueprint {
  /** Fields of the `create` command, in order. */
  readonly options: readonly { readonly name: string; readonly value: RawValue }[];
  /** Raw index specifications, without the index on `_id`, which every collection has. */
  readonly indexes: readonly Buffer[];
}

/** What old dumps hold that `create` no longer takes, or that belongs to the old server alone. */
const DROPPED_OPTIONS: readonly string[] = ['autoIndexId', 'create', 'flags', 'temp', 'uuid'];
/** The same for index specifications. */
const DROPPED_INDEX_FIELDS: readonly string[] = ['ns', 'background', 'dropDups', 'safe'];

/** Throws RestorePlanError BACKUP when the metadata is not what mongodump writes. */
export function readBlueprint(collection: string, metadataText: string | undefined): CollectionBlueprint {
  if (metadataText === undefined) return { options: [], indexes: [] };
  try {
    const metadata = writeExtendedJson(parseExtendedJson(metadataText));
    const options = findElement(metadata, 0, Buffer.from('options'));
    const indexes = findElement(metadata, 0, Buffer.from('indexes'));
    return {
      options: options === undefined ? [] : readOptions(options),
      indexes: indexes === undefined ? [] : readIndexes(indexes),
    };
  } catch (cause) {
    throw new RestorePlanError('BACKUP', `the backup's metadata of ${collection} cannot be read`, {
      cause,
      hint: 'Create the collection in the target by hand; then its metadata is not needed.',
    });
  }
}

function readOptions(options: RawValue): CollectionBlueprint['options'] {
  return [...elements(options.bytes, options.start)]
    .map((element) => ({ name: keyOf(element), value: element }))
    .filter(({ name }) => !DROPPED_OPTIONS.includes(name));
}

function readIndexes(indexes: RawValue): Buffer[] {
  return [...elements(indexes.bytes, indexes.start)]
    .map((element) => element.bytes.subarray(element.start, element.end))
    .filter((index) => !isIdIndex(index))
    .map(withoutDroppedFields);
}

/** `{key: {_id: 1}}`, also the index of a clustered collection. */
function isIdIndex(index: Buffer): boolean {
  const key = findElement(index, 0, Buffer.from('key'));
  if (key === undefined || key.type !== BSON.OBJECT) return false;
  const fields = [...elements(key.bytes, key.start)];
  return fields.length === 1 && keyOf(fields[0]!) === '_id' && fields[0]!.type !== BSON.STRING;
}

function withoutDroppedFields(index: Buffer): Buffer {
  const kept = [...elements(index)].filter((element) => !DROPPED_INDEX_FIELDS.includes(keyOf(element)));
  const body = Buffer.concat(kept.map((element) => index.subarray(element.at, element.end)));
  const whole = Buffer.concat([Buffer.alloc(4), body, Buffer.alloc(1)]);
  whole.writeInt32LE(whole.length, 0);
  return whole;
}
