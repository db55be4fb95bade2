/**
 * What Percona Backup for MongoDB tells of the collections of a replica set: its first versions 2 in a `metadata.json`,
 * later ones in a `meta.pbm`, one BSON document.
 */
import { BsonFault, documentEnd, elements, findElement } from '../../bson/elements.ts';
import { showText, showValue } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from '../storage/byte-source.ts';

export interface PbmNamespace {
  readonly database: string;
  readonly collection: string;
  /** Text of the collection's metadata, as mongodump writes it. */
  readonly metadata: string;
  readonly type: string;
  /** CRC-64/XZ of its documents, inflated; and their bytes. */
  readonly crc: bigint;
  readonly size: bigint;
}

/** Longest metadata that is believed; 100,000 collections take a tenth of it. */
const MAX_METADATA_BYTES = 256 * 1024 * 1024;

/** Undefined where a file of this path is nothing of the kind. Throws BACKUP where it is damaged. */
export async function readPbmMetadata(path: string, at: ByteSource): Promise<PbmNamespace[] | undefined> {
  const isBson = path.endsWith('/meta.pbm');
  if ((!isBson && !path.endsWith('/metadata.json')) || at.size > MAX_METADATA_BYTES) return undefined;
  const bytes = await at.read(0, at.size);
  return isBson ? readBson(bytes, at) : readJson(bytes.toString('utf8'), at);
}

function readJson(text: string, at: ByteSource): PbmNamespace[] | undefined {
  let value: { readonly namespaces?: unknown };
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value?.namespaces)) return undefined;
  return value.namespaces.map((one: Readonly<Record<string, unknown>> | null) => {
    const { db: database, collection, metadata, type, crc, size } = one ?? {};
    if (typeof database !== 'string' || typeof collection !== 'string')
      throw damaged(at, 'a collection has no name');
    return {
      database,
      collection,
      metadata: String(metadata ?? ''),
      type: String(type ?? ''),
      crc: longOf(crc, at),
      size: longOf(size, at),
    };
  });
}

/** A 64-bit integer of canonical Extended JSON: `{ "$numberLong": "5" }`. */
function longOf(value: unknown, at: ByteSource): bigint {
  const { $numberLong: text = value } = (value ?? {}) as { $numberLong?: unknown };
  if (/^-?\d{1,19}$/.test(String(text))) return BigInt(String(text));
  throw damaged(at, 'a size or checksum is missing');
}

function readBson(bytes: Buffer, at: ByteSource): PbmNamespace[] {
  try {
    if (documentEnd(bytes, 0) !== bytes.length) throw damaged(at, 'it has bytes behind its end');
    const list = findElement(bytes, 0, Buffer.from('specifications'));
    if (list?.type !== BSON.ARRAY) throw damaged(at, 'it names no collections');
    return [...elements(list.bytes, list.start)].map((one) => namespaceOf(one, at));
  } catch (error) {
    if (error instanceof BsonFault) throw damaged(at, error.message);
    throw error;
  }
}

function namespaceOf(value: RawValue, at: ByteSource): PbmNamespace {
  if (value.type !== BSON.OBJECT) throw damaged(at, 'a collection has no name');
  const field = (key: string): RawValue | undefined =>
    findElement(value.bytes, value.start, Buffer.from(key));
  const text = (key: string): string => {
    const found = field(key);
    return found?.type === BSON.STRING ? found.bytes.toString('utf8', found.start + 4, found.end - 1) : '';
  };
  const integer = (key: string): bigint => {
    const found = field(key);
    if (found?.type !== BSON.INT64) throw damaged(at, 'a size or checksum is missing');
    return found.bytes.readBigInt64LE(found.start);
  };
  const [name, type] = [text('name'), text('type')];
  // Documents of a time series lie in another collection; it is shown by its own name, and refused by its type.
  const isBuckets = name.startsWith('system.buckets.');
  const collection = isBuckets ? name.slice('system.buckets.'.length) : name;
  const [options, indexes] = [field('options'), field('indexes')];
  const parts = [
    ...(options === undefined ? [] : [`"options":${showValue(options)}`]),
    `"indexes":${indexes?.type === BSON.ARRAY ? showValue(indexes) : '[]'}`,
    `"collectionName":${showText(collection)}`,
    `"type":${showText(isBuckets ? 'timeseries' : type)}`,
  ];
  return {
    database: text('db'),
    collection,
    type: isBuckets ? 'timeseries' : type,
    metadata: `{${parts.join(',')}}`,
    crc: integer('crc'),
    size: integer('size'),
  };
}

function damaged({ location }: ByteSource, what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is damaged: ${what}.`, { hint: 'Take another backup.' });
}
