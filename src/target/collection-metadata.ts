/**
 * A dumped collection's `.metadata.json` as the raw arguments of `create` and `createIndexes`. Read with an order-preserving
 * parser: the order of an index's fields is its meaning.
 */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { elements, findElement, keyOf } from '../bson/elements.ts';
import { parseExtendedJson } from '../bson/parse-extended-json.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { writeExtendedJson } from '../bson/write-extended-json.ts';
import { RestorePlanError } from '../errors.ts';

export interface CollectionBlueprint {
  /** Fields of the `create` command, in order: one raw document. */
  readonly options: Buffer;
  /** Raw index specifications, without the index on `_id`, which every collection has. */
  readonly indexes: readonly Buffer[];
}

/** What old dumps hold that `create` no longer takes, or that belongs to the old server alone. */
const DROPPED_OPTIONS: readonly string[] = ['autoIndexId', 'create', 'flags', 'temp', 'uuid'];
/** The same for index specifications. */
const DROPPED_INDEX_FIELDS: readonly string[] = ['ns', 'background', 'dropDups', 'safe'];

/** Throws RestorePlanError BACKUP when the metadata is not what mongodump writes. */
export function readBlueprint(collection: string, metadataText: string | undefined): CollectionBlueprint {
  if (metadataText === undefined) return { options: EMPTY_DOCUMENT, indexes: [] };
  try {
    const metadata = writeExtendedJson(parseExtendedJson(metadataText));
    const options = findElement(metadata, 0, Buffer.from('options'));
    const indexes = findElement(metadata, 0, Buffer.from('indexes'));
    return {
      options: options === undefined ? EMPTY_DOCUMENT : without(DROPPED_OPTIONS, options),
      indexes: indexes === undefined ? [] : readIndexes(indexes),
    };
  } catch (cause) {
    throw new RestorePlanError('BACKUP', `the backup's metadata of ${collection} cannot be read`, {
      cause,
      hint: 'Create the collection in the target by hand; then its metadata is not needed.',
    });
  }
}

function readIndexes(indexes: RawValue): Buffer[] {
  return [...elements(indexes.bytes, indexes.start)]
    .filter((index) => !isIdIndex(index))
    .map((index) => without(DROPPED_INDEX_FIELDS, index));
}

/** `{key: {_id: 1}}`, also the index of a clustered collection. */
function isIdIndex({ bytes, start }: RawValue): boolean {
  const key = findElement(bytes, start, Buffer.from('key'));
  if (key === undefined || key.type !== BSON.OBJECT) return false;
  const fields = [...elements(key.bytes, key.start)];
  return fields.length === 1 && keyOf(fields[0]!) === '_id' && fields[0]!.type !== BSON.STRING;
}

function without(dropped: readonly string[], { bytes, start }: RawValue): Buffer {
  const kept = [...elements(bytes, start)].filter((element) => !dropped.includes(keyOf(element)));
  const body = Buffer.concat(kept.map((element) => bytes.subarray(element.at, element.end)));
  const whole = Buffer.concat([Buffer.alloc(4), body, Buffer.alloc(1)]);
  whole.writeInt32LE(whole.length, 0);
  return whole;
}
