/**
 * A dump in a compressed tar: one pass from the beginning to the end, because no byte can be reached without
 * inflating all that lie before it.
 */
import { BsonFault } from '../../bson/elements.ts';
import { RestorePlanError } from '../../errors.ts';
import type {
  BackupIdentity,
  BackupPiece,
  CollectionMetadata,
  MemberInfo,
  MemberRead,
  ReadOptions,
  StoredBackup,
} from '../backup.ts';
import { type Compression, decompress } from '../containers/decompress.ts';
import { noPlainFile, type StreamedFile, streamTar, unpackNested } from '../containers/tar-files.ts';
import {
  apsaraPart,
  collectionOf,
  fileNameOf,
  folderOf,
  inDatabase,
  isDataFile,
  metadataOfNameOnly,
  readDumpPath,
  readMetadata,
} from '../layout/dump-paths.ts';
import { addTo, type DumpRoot, type PackedIn } from '../layout/dump-tree.ts';
import {
  assertOneBackup,
  type DatedFile,
  type NamedFolder,
  type PlacedFile,
  refuseLeftovers,
  refuseTwice,
  type WhereFound,
} from '../layout/one-backup.ts';
import { type ByteSource, wholeOf } from '../storage/byte-source.ts';
import { countBytes, DocumentFramer, inflateIfCompressed, MemberReader, readText } from './member.ts';
import {
  apsaraLayout,
  archiveBehind,
  dataFiles,
  documentsMissing,
  entriesPassedOver,
  noMetadataWarning,
  noOplog,
  noSuchDatabase,
  notDocuments,
  OPLOG_WARNING,
  refuseOtherDatabase,
  severalOplogs,
  takenFor,
} from './refusals.ts';

export interface StreamBackupParts {
  readonly identity: BackupIdentity;
  /** Read one after the other; `path` is the tar's own in what is around it. */
  readonly streams: readonly {
    readonly bytes: ByteSource;
    readonly compression: Compression;
    readonly path: string;
    /** The tar that is a file of its own beside others; undefined where this one is the whole backup. */
    readonly packedIn: PackedIn | undefined;
  }[];
  readonly database: string;
  readonly maxRatio: number;
  /** The folder that is taken for the database's, which bears no name of one. */
  readonly nameless: string | undefined;
  /** What the plan names, where that is a folder. */
  readonly folder: NamedFolder | undefined;
  /** needed: reading stops once every wanted collection and its metadata were met. */
  readonly integrity: 'whole' | 'needed';
}

/** What one pass has met so far. */
interface Pass {
  readonly wanted: ReadonlySet<string>;
  /** Collections by the cut and hashed names of their files. */
  readonly longNames: ReadonlyMap<string, string>;
  readonly reader: MemberReader;
  readonly members: MemberRead[];
  /** Members met so far, wanted or not. */
  met: number;
  readonly metadata: Map<string, CollectionMetadata>;
  readonly databases: Set<string>;
  /** Places of the wanted database; and the files of wanted collections, by name and kind. */
  readonly roots: Map<string, DumpRoot>;
  /** The files of documents in each of these places. */
  readonly dated: Map<string, DatedFile[]>;
  readonly files: Map<string, Readonly<Record<'documents' | 'metadata' | 'buckets', PlacedFile[]>>>;
  readonly warnings: Set<string>;
  /** Entries that are no plain files and of no wanted collection. */
  readonly others: { readonly path: string; readonly what: string }[];
  /** Paths of mongodump archives among the files. */
  readonly archives: string[];
  /** Files of a mongod's dbPath came by. */
  hasDataFiles: boolean;
  /** A part of a collection in the layout of ApsaraDB. */
  apsara: string | undefined;
}

export class StreamBackup implements StoredBackup {
  readonly access = 'sequential';
  readonly identity: BackupIdentity;
  readonly #parts: StreamBackupParts;
  /** The collections that came by when the oplog was looked for. */
  #passed: readonly CollectionMetadata[] | undefined;

  constructor(parts: StreamBackupParts) {
    this.identity = parts.identity;
    this.#parts = parts;
  }

  holds(): undefined {
    return undefined;
  }

  /** All of it: what is not wanted is read as well. */
  storedBytes(): number {
    return this.#parts.streams.reduce((sum, { bytes }) => sum + bytes.size, 0);
  }

  /** Unknown until the stream was read for its oplog: the names lie between the documents, all along it. */
  async collections(): Promise<readonly CollectionMetadata[] | undefined> {
    return this.#passed;
  }

  async *read(wanted: ReadonlySet<string>, { stored }: ReadOptions = {}): AsyncGenerator<BackupPiece> {
    const { streams, database, integrity, nameless } = this.#parts;
    const pass: Pass = {
      wanted,
      longNames: new Map([...wanted].map((name) => [fileNameOf(name), name])),
      reader: new MemberReader(),
      members: [],
      met: 0,
      metadata: new Map(),
      databases: new Set(),
      roots: new Map(),
      dated: new Map(),
      files: new Map(),
      warnings: new Set(nameless === undefined ? [] : [takenFor(database, nameless, this.identity.location)]),
      others: [],
      archives: [],
      hasDataFiles: false,
      apsara: undefined,
    };
    let bytesRead = 0;
    let readToEnd = true;
    for (const stream of streams) {
      // gzip ends in a checksum of its own; zstd may.
      const { bytes, compression } = stream;
      const packed = compression === 'gzip' ? bytes.stream(0, bytes.size) : wholeOf(bytes);
      const counted = countBytes(packed, stored);
      for await (const file of this.#files(stream, counted.chunks)) {
        yield* this.#meet({ ...file, ...placeOf(file, stream) }, pass);
        if (integrity === 'needed' && isServed(pass)) {
          readToEnd = false;
          break;
        }
      }
      bytesRead += counted.total();
      if (!readToEnd) break;
    }
    if (!pass.databases.has(database)) throw this.#nothingFound(pass);
    if (pass.others.length > 0) pass.warnings.add(entriesPassedOver(pass.others, this.identity.location));
    for (const path of pass.archives)
      pass.warnings.add(`${path} is a mongodump archive and was passed over.`);
    assertOneBackup([...pass.roots.values()], this.#where());
    for (const files of pass.dated.values()) {
      const warning = refuseLeftovers(files, this.#parts.folder);
      if (warning !== undefined) pass.warnings.add(warning);
    }
    yield* this.#finish(pass);
    const { members, warnings } = pass;
    yield { type: 'finished', summary: { bytesRead, readToEnd, members, warnings: [...warnings] } };
  }

  async *oplog(isOf?: (part: string) => boolean): AsyncGenerator<Buffer> {
    const { streams, database, maxRatio, nameless } = this.#parts;
    const found: string[] = [];
    const roots = new Map<string, DumpRoot>();
    const passed: CollectionMetadata[] = [];
    for (const stream of streams) {
      const { bytes, compression } = stream;
      const packed = compression === 'gzip' ? bytes.stream(0, bytes.size) : wholeOf(bytes);
      for await (const file of this.#files(stream, packed)) {
        const path = inDatabase(placeOf(file, stream).path, nameless, database);
        const meaning = readDumpPath(path, database);
        if ('database' in meaning && meaning.database === database)
          addTo(roots, { path, packedIn: undefined, at: { modified: undefined } });
        if (meaning.kind === 'metadata' && meaning.database === database && file.what === undefined)
          passed.push(...(await this.#metadataPassing(file, meaning.fileName)));
        if (meaning.kind !== 'oplog' || isOf?.(folderOf(path)) === false) continue;
        found.push(path);
        if (found.length > 1) throw severalOplogs(this.identity.location);
        yield* inflateIfCompressed(file.bytes, { location: `${this.identity.location}!${path}`, maxRatio });
      }
    }
    // Elsewhere a file of this name is a collection of another database.
    for (const path of found) if (!roots.has(folderOf(path))) throw noOplog(this.identity.location, path);
    this.#passed = passed;
  }

  /** Damaged, it is left to whoever reads the collection. */
  async #metadataPassing({ path, bytes }: StreamedFile, fileName: string): Promise<CollectionMetadata[]> {
    const location = `${this.identity.location}!${path}`;
    const { maxRatio } = this.#parts;
    try {
      const text = await readText(inflateIfCompressed(bytes, { location, maxRatio }), location);
      return [readMetadata(text, location, fileName)];
    } catch (error) {
      if (error instanceof RestorePlanError && error.code === 'BACKUP') return [];
      throw error;
    }
  }

  /** All files of a tar, with those of tars inside it. */
  #files(
    { bytes, compression }: StreamBackupParts['streams'][number],
    chunks: AsyncIterable<Buffer>,
  ): AsyncGenerator<StreamedFile> {
    const { database, maxRatio } = this.#parts;
    const { location } = bytes;
    const inflated = decompress(chunks, { compression, location, maxRatio });
    const mayBePacked = (path: string): boolean => readDumpPath(path, database).kind === 'other';
    return unpackNested(streamTar(inflated, location), { location, maxRatio, mayBePacked });
  }

  /** A collection of which only one half, documents or metadata, lay in the archive. */
  *#finish({ members, metadata, warnings }: Pass): Generator<BackupPiece> {
    const met = new Map(members.map((member) => [member.collection, member.path]));
    for (const collection of metadata.keys()) {
      if (!met.has(collection)) throw documentsMissing(collection, this.identity.location);
    }
    for (const [collection, path] of met) {
      if (metadata.has(collection)) continue;
      warnings.add(noMetadataWarning(path));
      yield { type: 'metadata', metadata: metadataOfNameOnly(path, fileNameOf(collection)) };
    }
  }

  #nothingFound({ databases, archives, hasDataFiles, apsara }: Pass): RestorePlanError {
    const { location } = this.identity;
    const [archive] = archives;
    if (archive !== undefined) return archiveBehind(archive);
    if (hasDataFiles) return dataFiles(location);
    if (apsara !== undefined) return apsaraLayout(apsara, { location, setting: 'source.path' });
    return noSuchDatabase(this.#parts.database, [...databases].sort(), location);
  }

  #where(): WhereFound {
    const { database, folder } = this.#parts;
    return { location: this.identity.location, database, folder };
  }

  async *#meet(
    file: StreamedFile & Pick<PlacedFile, 'packedIn'>,
    pass: Pass,
  ): AsyncGenerator<BackupPiece, void> {
    const { database, maxRatio, folder, nameless } = this.#parts;
    const path = `${this.identity.location}!${file.path}`;
    const inDump = inDatabase(file.path, nameless, database);
    const meaning = readDumpPath(inDump, database);
    if (meaning.kind === 'oplog') pass.warnings.add(OPLOG_WARNING);
    if (file.isArchive) pass.archives.push(path);
    pass.hasDataFiles ||= isDataFile(file.path);
    if (apsaraPart(file.path) !== undefined) pass.apsara ??= file.path;
    const isOfDump = 'database' in meaning && meaning.database === database;
    if (file.what !== undefined && !isOfDump) pass.others.push({ path: file.path, what: file.what });
    if (!('database' in meaning)) return;
    pass.databases.add(meaning.database);
    if (meaning.database !== database || meaning.kind === 'system') return;
    const placed = { ...file, path: inDump, at: { location: path, modified: file.modified } };
    const known = pass.roots.size;
    const { path: root } = addTo(pass.roots, placed);
    if (pass.roots.size > known) assertOneBackup([...pass.roots.values()], this.#where());
    const named = collectionOf(meaning.fileName) ?? '';
    const collection = pass.wanted.has(named) ? named : pass.longNames.get(meaning.fileName);
    if (meaning.kind === 'documents' && file.what === undefined) {
      const dated = { file: { ...placed, root }, bytes: file.size, wanted: collection !== undefined };
      const inFolder = pass.dated.get(root) ?? [];
      pass.dated.set(root, inFolder);
      inFolder.push(dated);
    }
    if (collection === undefined) {
      if (meaning.kind === 'documents') yield* passOn(file, { collection: named, path, id: pass.met++ });
      return;
    }
    const files = pass.files.get(collection) ?? { documents: [], metadata: [], buckets: [] };
    pass.files.set(collection, files);
    files[meaning.kind].push({ ...placed, root });
    refuseTwice(files, { collection, folder });
    if (file.what !== undefined) throw noPlainFile(path, file.what);
    if (meaning.kind === 'buckets') throw notDocuments(collection, 'timeseries', this.identity.location);
    const bytes = inflateIfCompressed(file.bytes, { location: path, maxRatio });
    if (meaning.kind === 'metadata') {
      const text = await readText(bytes, path);
      if (nameless !== undefined) refuseOtherDatabase(text, database, path);
      const metadata = readMetadata(text, path, meaning.fileName);
      if (metadata.type !== 'collection')
        throw notDocuments(collection, metadata.type, this.identity.location);
      if (!pass.metadata.has(collection)) yield { type: 'metadata', metadata };
      pass.metadata.set(collection, metadata);
      return;
    }
    const member = { collection, path, id: pass.met++, part: root };
    pass.members.push(yield* pass.reader.cut(member, bytes));
  }
}

/** A file that is compressed once more is passed over: nobody needs it, so that its damage must not end the reading. */
async function* passOn({ path, bytes }: StreamedFile, member: MemberInfo): AsyncGenerator<BackupPiece, void> {
  if (member.collection === '' || !path.endsWith('.bson')) return;
  let isTaken = false;
  const take = (): void => {
    isTaken = true;
  };
  yield { type: 'passing', member, take };
  if (!isTaken) return;
  const framer = new DocumentFramer();
  try {
    for await (const chunk of bytes)
      for (const documents of framer.push(chunk)) yield { type: 'documents', member, ...documents };
    framer.end();
  } catch (error) {
    if (!(error instanceof BsonFault)) throw error;
    return;
  }
  yield { type: 'ended', member };
}

/** Everything wanted was met. Folders of further hosts or shards, if there are any, have not been: `needed` says so. */
function isServed({ wanted, metadata, members }: Pass): boolean {
  if (metadata.size < wanted.size) return false;
  const met = new Set(members.map((member) => member.collection));
  return met.size === wanted.size;
}

/** Of several tars, each stands for a folder of its name. */
function placeOf(
  { path }: StreamedFile,
  stream: StreamBackupParts['streams'][number],
): Pick<PlacedFile, 'path' | 'packedIn'> {
  const { packedIn } = stream;
  return { path: packedIn === undefined ? path : `${stream.path}/${path}`, packedIn };
}
