/**
 * A `mongodump --archive`: one pass over interleaved namespaces. Its prelude names all collections, so what it holds is
 * known after its first bytes.
 */
import { createHash, type Hash } from 'node:crypto';
import { RestorePlanError } from '../../errors.ts';
import type {
  BackupIdentity,
  CollectionMetadata,
  MemberInfo,
  MemberVisitor,
  PassingDocuments,
  ScanSummary,
  StoredBackup,
} from '../backup.ts';
import { type ArchivedCollection, ArchiveFault } from '../containers/archive-documents.ts';
import { ArchiveParser, type ArchivePiece } from '../containers/archive-parser.ts';
import { type DecompressOptions, decompress } from '../containers/decompress.ts';
import { streamTar } from '../containers/tar-stream.ts';
import { fileNameOf } from '../layout/collection-names.ts';
import { readMetadata } from '../layout/metadata.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { countBytes, inflateIfCompressed, type MemberRead } from './member.ts';
import { noSuchDatabase, notDocuments, OPLOG_WARNING } from './refusals.ts';

export interface ArchiveBackupParts {
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

interface OpenMember extends MemberInfo {
  readonly hash: Hash;
  bytes: number;
}

export class ArchiveBackup implements StoredBackup {
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

  async scan(wanted: ReadonlySet<string>, visitor: MemberVisitor): Promise<ScanSummary> {
    const { bytes, integrity, unpack } = this.#parts;
    const open = this.#begin(wanted, visitor);
    const members: MemberRead[] = [];
    const passing = new Map<string, PassingDocuments | undefined>();
    const parser = new ArchiveParser();
    let readToEnd = true;
    let hasOplog = false;
    const counted = countBytes(bytes.stream(0, bytes.size), visitor);
    for await (const chunk of unpack(counted.chunks)) {
      for (const piece of parsing(this.identity, () => parser.push(chunk))) {
        hasOplog ||= piece.namespace.database === '' && piece.namespace.collection === 'oplog';
        const member = this.#memberOf(piece, open);
        if (member === undefined) {
          await this.#passOn(piece, passing, visitor);
          continue;
        }
        if (piece.kind === 'documents') {
          member.hash.update(piece.bytes);
          member.bytes += piece.bytes.length;
          const working = visitor.chunk(member, piece.bytes);
          if (working !== undefined) await working;
        } else {
          await visitor.end(member);
          const { path, collection, hash } = member;
          members.push({ path, collection, bytes: member.bytes, sha256: hash.digest('hex') });
        }
      }
      if (integrity === 'needed' && members.length === open.size) {
        readToEnd = false;
        break;
      }
    }
    if (readToEnd) parsing(this.identity, () => parser.finish());
    return { bytesRead: counted.total(), readToEnd, members, warnings: hasOplog ? [OPLOG_WARNING] : [] };
  }

  #begin(wanted: ReadonlySet<string>, visitor: MemberVisitor): Map<string, OpenMember> {
    const open = new Map<string, OpenMember>();
    for (const collection of wanted) {
      const archived = this.#collections.get(collection);
      if (archived === undefined) continue;
      const metadata = metadataOf(archived, this.identity.location);
      if (metadata.type !== 'collection')
        throw notDocuments(collection, metadata.type, this.identity.location);
      visitor.metadata(metadata);
      const path = `${this.identity.location}!${this.#parts.database}.${collection}`;
      open.set(collection, { collection, path, id: open.size, hash: createHash('sha256'), bytes: 0 });
    }
    return open;
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

  /** `passing`: who takes the documents of each collection met so far that was not asked for. */
  async #passOn(
    piece: ArchivePiece,
    passing: Map<string, PassingDocuments | undefined>,
    visitor: MemberVisitor,
  ): Promise<void> {
    const { database, collection } = piece.namespace;
    const archived = this.#collections.get(collection);
    if (database !== this.#parts.database || archived === undefined) return;
    if (this.#metadataOrName(archived).type !== 'collection') return;
    if (!passing.has(collection)) {
      const path = `${this.identity.location}!${database}.${collection}`;
      passing.set(collection, await visitor.passing?.({ collection, path }));
    }
    if (piece.kind === 'documents') passing.get(collection)?.chunk(piece.bytes);
    else passing.get(collection)?.end();
  }

  #memberOf({ namespace }: ArchivePiece, open: ReadonlyMap<string, OpenMember>): OpenMember | undefined {
    return namespace.database === this.#parts.database ? open.get(namespace.collection) : undefined;
  }
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
  { path, ...options }: DecompressOptions & { readonly path: string },
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
