/**
 * A `mongodump --archive`: one pass over interleaved namespaces. Its prelude names all collections, so what it holds is
 * known after its first bytes.
 */
import { crc32 } from 'node:zlib';
import { RestorePlanError } from '../../errors.ts';
import {
  type BackupIdentity,
  type BackupPiece,
  type CollectionMetadata,
  hexOfCrc32,
  type MemberInfo,
  type MemberRead,
  type ReadOptions,
  type StoredBackup,
} from '../backup.ts';
import {
  type ArchivedCollection,
  ArchiveFault,
  ArchiveParser,
  type ArchivePiece,
} from '../containers/archive-parser.ts';
import { type CompressedStream, decompress } from '../containers/decompress.ts';
import { streamTar } from '../containers/tar-files.ts';
import { fileNameOf, readMetadata } from '../layout/dump-paths.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { countBytes, DocumentFramer, documentsIn, endOf, inflateIfCompressed } from './member.ts';
import { noSuchDatabase, notDocuments, OPLOG_WARNING } from './refusals.ts';

interface ArchiveBackupParts {
  readonly identity: BackupIdentity;
  readonly bytes: ByteSource;
  /** The archive itself, from the bytes as they are stored. */
  readonly unpack: (stored: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;
  readonly database: string;
  /** needed: reading stops once every wanted collection has ended. */
  readonly integrity: 'whole' | 'needed';
}

/** Bytes fetched at a time until the prelude is complete. */
const PRELUDE_STEP = 256 * 1024;

/** Reads the prelude. Throws BACKUP when it is damaged or does not name the database. */
export async function openArchive(parts: ArchiveBackupParts): Promise<ArchiveBackup> {
  const { bytes, identity, database } = parts;
  const parser = new ArchiveParser();
  for await (const chunk of parts.unpack(readInSteps(bytes))) {
    parsing(identity, () => parser.push(chunk));
    if (parser.hasPrelude) break;
  }
  if (!parser.hasPrelude) parsing(identity, () => parser.finish());
  const databases = [...new Set(parser.collections.map((one) => one.database))].filter((name) => name !== '');
  if (!databases.includes(database)) throw noSuchDatabase(database, databases.sort(), identity.location);
  const collections = parser.collections.filter((one) => one.database === database);
  return new ArchiveBackup(
    parts,
    collections.filter(({ collection }) => !/^(?:system\.|\$)/.test(collection)),
  );
}

/** A collection that comes by. */
interface OpenMember {
  readonly member: MemberInfo;
  readonly framer: DocumentFramer;
  /** It was asked for. */
  readonly isNeeded: boolean;
  bytes: number;
  crc: number;
}

class ArchiveBackup implements StoredBackup {
  readonly access = 'interleaved';
  readonly identity: BackupIdentity;
  readonly #parts: ArchiveBackupParts;
  readonly #collections: ReadonlyMap<string, ArchivedCollection>;

  constructor(parts: ArchiveBackupParts, collections: readonly ArchivedCollection[]) {
    this.identity = parts.identity;
    this.#parts = parts;
    this.#collections = new Map(collections.map((one) => [one.collection, one]));
  }

  holds(collection: string): boolean {
    return this.#collections.has(collection);
  }

  /** All of it: collections lie interleaved. */
  storedBytes(): number {
    return this.#parts.bytes.size;
  }

  async collections(): Promise<readonly CollectionMetadata[]> {
    return [...this.#collections.values()].map((one) => this.#metadataOrName(one));
  }

  async *read(wanted: ReadonlySet<string>, { stored }: ReadOptions = {}): AsyncGenerator<BackupPiece> {
    const { bytes, integrity, unpack } = this.#parts;
    const needed = this.#metadataFor(wanted);
    for (const metadata of needed.values()) yield { type: 'metadata', metadata };
    const members: MemberRead[] = [];
    const open = new Map<string, OpenMember | 'passed over'>();
    const parser = new ArchiveParser();
    let readToEnd = true;
    let hasOplog = false;
    const counted = countBytes(bytes.stream(0, bytes.size), stored);
    for await (const chunk of unpack(counted.chunks)) {
      for (const piece of parsing(this.identity, () => parser.push(chunk))) {
        hasOplog ||= isOplog(piece);
        if (!this.#isOfDatabase(piece)) continue;
        const { collection } = piece.namespace;
        let one = open.get(collection);
        if (one === undefined) {
          one = yield* this.#meet(collection, open.size, needed.has(collection));
          open.set(collection, one);
        }
        if (one === 'passed over') continue;
        if (piece.kind === 'documents') yield* documentsOf(one, piece.bytes);
        else {
          yield* ended(one, members);
          open.set(collection, 'passed over');
        }
      }
      if (integrity === 'needed' && members.length === needed.size) {
        readToEnd = false;
        break;
      }
    }
    if (readToEnd) parsing(this.identity, () => parser.finish());
    const warnings = hasOplog ? [OPLOG_WARNING] : [];
    yield { type: 'finished', summary: { bytesRead: counted.total(), readToEnd, members, warnings } };
  }

  async *oplog(): AsyncGenerator<Buffer> {
    const { bytes, unpack } = this.#parts;
    const parser = new ArchiveParser();
    for await (const chunk of unpack(bytes.stream(0, bytes.size))) {
      for (const piece of parsing(this.identity, () => parser.push(chunk)))
        if (isOplog(piece) && piece.kind === 'documents') yield piece.bytes;
    }
    parsing(this.identity, () => parser.finish());
  }

  #metadataFor(wanted: ReadonlySet<string>): Map<string, CollectionMetadata> {
    const found = new Map<string, CollectionMetadata>();
    const { location } = this.identity;
    for (const collection of wanted) {
      const archived = this.#collections.get(collection);
      if (archived === undefined) continue;
      const metadata = metadataOf(archived, location);
      if (metadata.type !== 'collection') throw notDocuments(collection, metadata.type, location);
      found.set(collection, metadata);
    }
    return found;
  }

  #isOfDatabase({ namespace: { database, collection } }: ArchivePiece): boolean {
    return database === this.#parts.database && this.#collections.has(collection);
  }

  /** The first piece of a collection came. */
  *#meet(
    collection: string,
    id: number,
    isNeeded: boolean,
  ): Generator<BackupPiece, OpenMember | 'passed over', undefined> {
    const { location } = this.identity;
    const member = { collection, path: `${location}!${this.#parts.database}.${collection}`, id };
    let isTaken = isNeeded;
    if (!isNeeded) {
      const archived = this.#collections.get(collection) as ArchivedCollection;
      if (this.#metadataOrName(archived).type !== 'collection') return 'passed over';
      const take = (): void => {
        isTaken = true;
      };
      yield { type: 'passing', member, take };
    }
    if (!isTaken) return 'passed over';
    return { member, framer: new DocumentFramer(), isNeeded, bytes: 0, crc: 0 };
  }

  /** Damaged metadata matters to whoever wants the collection; to others it leaves the name. */
  #metadataOrName(archived: ArchivedCollection): CollectionMetadata {
    try {
      return metadataOf(archived, this.identity.location);
    } catch (error) {
      if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
      return metadataOf({ ...archived, metadata: '' }, this.identity.location);
    }
  }
}

function isOplog({ namespace: { database, collection } }: ArchivePiece): boolean {
  return database === '' && collection === 'oplog';
}

function* documentsOf(one: OpenMember, bytes: Buffer): Generator<BackupPiece, void, undefined> {
  if (one.isNeeded) one.crc = crc32(bytes, one.crc);
  one.bytes += bytes.length;
  yield* documentsIn(bytes, one.framer, one.member);
}

function* ended(one: OpenMember, members: MemberRead[]): Generator<BackupPiece, void, undefined> {
  const { member, framer, isNeeded, bytes, crc } = one;
  endOf(member, framer);
  yield { type: 'ended', member };
  const { path, collection } = member;
  if (isNeeded) members.push({ path, collection, bytes, crc32: hexOfCrc32(crc) });
}

function metadataOf(
  { collection, metadata, type }: ArchivedCollection,
  location: string,
): CollectionMetadata {
  if (metadata !== '') return readMetadata(metadata, `${location}!${collection}`, fileNameOf(collection));
  return { collection, text: undefined, type: type === 'timeseries' ? 'timeseries' : 'collection' };
}

/** The archive in a compressed tar; the tar is read to its end, so that its checksum is met. */
export async function* archiveInTar(
  stored: AsyncIterable<Buffer>,
  { path, ...options }: CompressedStream & { readonly path: string },
): AsyncGenerator<Buffer> {
  const { location, maxRatio } = options;
  for await (const file of streamTar(decompress(stored, options), location)) {
    if (file.path === path)
      yield* inflateIfCompressed(file.bytes, { location: `${location}!${path}`, maxRatio });
  }
}

async function* readInSteps(bytes: ByteSource): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.size; at += PRELUDE_STEP)
    yield await bytes.read(at, Math.min(PRELUDE_STEP, bytes.size - at));
}

/** Runs a step of the parser; its faults become errors that name the archive. */
function parsing<T>({ location }: BackupIdentity, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    throw new RestorePlanError('BACKUP', `${location} ${error.message} (byte ${error.offset}).`, {
      hint: 'The archive is damaged or was cut off. Nothing of it was used; take another backup.',
      cause: error,
    });
  }
}
