/**
 * Logical backups of Percona Backup for MongoDB, since its version 2.0: for each replica set a folder with one
 * `metadata.json` or `meta.pbm` and a file of documents per collection, `<database>.<collection><.gz>`.
 *
 * Shown as the mongodump tree they came from: PBM makes these files by taking a mongodump archive apart. The checksum
 * in the metadata is the archive's, of the inflated documents. A collection without documents has no file.
 */

import { BsonFault, documentEnd, elements, findElement } from '../../bson/elements.ts';
import { showText, showValue } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import type { OplogSlices } from '../backup.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { MemorySource, UnreadableSource } from '../storage/derived-sources.ts';
import { PathList } from '../storage/path-list.ts';
import type { Store } from '../storage/store.ts';
import { fileNameOf } from './dump-paths.ts';
import type { NamedFile } from './dump-tree.ts';

/** What PBM appends to the name of a compressed file, and whether it can be read here. */
const EXTENSIONS = ['', '.gz', '.zst', '.s2', '.snappy', '.lz4'] as const;
const UNREADABLE = new Set<string>(['.lz4']);

/** The files as a mongodump tree; undefined when this is no PBM backup. */
export async function readPbmBackup(files: readonly NamedFile[]): Promise<NamedFile[] | undefined> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const tree: NamedFile[] = [];
  for (const { path, at } of files) {
    const namespaces = await readPbmMetadata(path, at);
    if (namespaces === undefined) continue;
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    for (const namespace of namespaces) tree.push(...filesOf(namespace, { folder, byPath, metadata: at }));
  }
  return tree.length === 0 ? undefined : tree;
}

/** The dump of a replica set. */
interface DumpOfSet {
  /** Its folder, as in the paths of the files. */
  readonly folder: string;
  /** What stands before that in the store. */
  readonly above: string;
  readonly files: readonly NamedFile[];
  /** Absent where the backup is packed: then nothing lies beside it. */
  readonly store: Store | undefined;
}

/**
 * The slices of a replica set's oplog: `oplog/` in its folder, and `pbmPitr/<set>/<day>/` beside the folder of the backup, where PBM keeps those
 * for point-in-time recovery.
 */
export async function slicesOf({ folder, above, files, store }: DumpOfSet): Promise<OplogSlices> {
  const parts = `${above}${folder}`.split('/');
  const replicaSet = parts.at(-1) as string;
  const own = files.filter(({ path }) => path.startsWith(`${folder}/oplog/`));
  const beside = [...parts.slice(0, -2), 'pbmPitr', replicaSet, ''].join('/');
  const continued = new PathList();
  if (store !== undefined) for await (const { path } of store.below(beside)) continued.add(path);
  return {
    replicaSet,
    part: folder,
    own,
    continued,
    open: async (path) => {
      const found = await store?.find(path);
      return found?.kind === 'file' ? found.open() : undefined;
    },
    describe: (path) => store?.describe(path) ?? path,
  };
}

interface Surroundings {
  readonly folder: string;
  readonly byPath: ReadonlyMap<string, NamedFile>;
  readonly metadata: ByteSource;
}

/** Two files of a mongodump: documents and metadata. */
function filesOf(namespace: PbmNamespace, { folder, byPath, metadata }: Surroundings): NamedFile[] {
  const { database, collection, crc, type } = namespace;
  const dumped = `${folder}${database}/${fileNameOf(collection)}`;
  const described: NamedFile[] =
    namespace.metadata === ''
      ? []
      : [
          {
            path: `${dumped}.metadata.json`,
            at: new MemorySource(
              Buffer.from(namespace.metadata),
              `${metadata.location}!${collection}`,
              metadata,
            ),
          },
        ];
  if (type === 'view') return described;
  const stored = `${folder}${database}.${collection}`;
  if (namespace.size === 0n) {
    const empty = new MemorySource(Buffer.alloc(0), `${metadata.location}!${collection}`, metadata);
    return [...described, { path: `${dumped}.bson`, at: empty }];
  }
  const extension = EXTENSIONS.find((one) => byPath.has(stored + one));
  const documents = extension === undefined ? undefined : byPath.get(stored + extension);
  // Without its documents, the collection is shown as incomplete when it is asked for.
  if (documents === undefined || extension === undefined) return described;
  const at = UNREADABLE.has(extension)
    ? new UnreadableSource(documents.at, () => unreadable(documents.at.location, extension.slice(1)))
    : documents.at;
  return [...described, { path: `${dumped}.bson`, at, crc }];
}

function unreadable(location: string, format: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is compressed with ${format}, which is not supported.`, {
    hint: 'Make PBM compress with s2, gzip, zstd or not at all (backup.compression), or restore this backup with pbm.',
  });
}

// What PBM tells of the collections of a replica set: its first versions 2 in a `metadata.json`, later ones in a `meta.pbm`, one
// BSON document.

interface PbmNamespace {
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

/** By its name. */
export function isPbmMetadata(path: string): boolean {
  return path.endsWith('/meta.pbm') || path.endsWith('/metadata.json');
}

/** Undefined where a file of this path is nothing of the kind. Throws BACKUP where it is damaged. */
async function readPbmMetadata(path: string, at: ByteSource): Promise<PbmNamespace[] | undefined> {
  if (!isPbmMetadata(path) || at.size > MAX_METADATA_BYTES) return undefined;
  const isBson = path.endsWith('/meta.pbm');
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
  const [options, indexes, uuid] = [field('options'), field('indexes'), uuidOf(field('uuid'))];
  const parts = [
    ...(uuid === undefined ? [] : [`"uuid":${showText(uuid)}`]),
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

/** As mongodump spells it, 32 hex digits. */
function uuidOf(value: RawValue | undefined): string | undefined {
  if (value?.type === BSON.STRING) return value.bytes.toString('utf8', value.start + 4, value.end - 1);
  return value?.type === BSON.BINARY ? value.bytes.toString('hex', value.start + 5, value.end) : undefined;
}

function damaged({ location }: ByteSource, what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is damaged: ${what}.`, { hint: 'Take another backup.' });
}
