/**
 * Logical backups of Percona Backup for MongoDB, since its version 2.0: for each replica set a folder with one
 * `metadata.json` or `meta.pbm` and a file of documents per collection, `<database>.<collection><.gz>`.
 *
 * Shown as the mongodump tree they came from: PBM makes these files by taking a mongodump archive apart. The checksum
 * in the metadata is the archive's, of the inflated documents. A collection without documents has no file.
 */
import { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { MemorySource } from '../storage/memory-source.ts';
import { UnreadableSource } from '../storage/unreadable-source.ts';
import { fileNameOf } from './collection-names.ts';
import type { NamedFile } from './dump-tree.ts';
import { type PbmNamespace, readPbmMetadata } from './pbm-metadata.ts';

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
