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
import type { ArchivedCollection } from '../containers/archive-documents.ts';
import { ArchiveFault } from '../containers/archive-fault.ts';
import { ArchiveParser, type ArchivePiece } from '../containers/archive-parser.ts';
import { type Compression, decompress } from '../containers/decompress.ts';
import { fileNameOf } from '../layout/collection-names.ts';
import { readMetadata } from '../layout/metadata.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { countBytes, type MemberRead } from './member.ts';
import { noSuchDatabase, notDocuments, OPLOG_WARNING } from './refusals.ts';

export interface ArchiveBackupParts {
  readonly identity: BackupIdentity;
  readonly bytes: ByteSource;
  readonly compression: Compression | undefined;
  readonly database: string;
  readonly maxRatio: number;
  /** needed: reading stops once every wanted collection has ended. */
  readonly integrity: 'whole' | 'needed';
}

/** Bytes fetched at a time until the prelude is complete. */
const PRELUDE_STEP = 256 * 1024;

/** Reads the prelude. Throws BACKUP when it is damaged or does not name the database. */
export async function openArchive(parts: ArchiveBackupParts): Promise<ArchiveBackup> {
  const { bytes, identity, database } = parts;
  const parser = new ArchiveParser();
  for await (const chunk of inflated(readInSteps(bytes), parts)) {
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
  readonly #collections: ReadonlyMap<string, CollectionMetadata>;

  constructor(parts: ArchiveBackupParts, collections: readonly ArchivedCollection[]) {
    this.identity = parts.identity;
    this.#parts = parts;
    const read = collections.map((one) => metadataOf(one, this.identity.location));
    this.#collections = new Map(read.map((metadata) => [metadata.collection, metadata]));
  }

  holds(collection: string): boolean {
    return this.#collections.has(collection);
  }

  /** All of it: collections lie interleaved. */
  storedBytes(): number {
    return this.#parts.bytes.size;
  }

  async collections(): Promise<readonly CollectionMetadata[]> {
    return [...this.#collections.values()];
  }

  async scan(wanted: ReadonlySet<string>, visitor: MemberVisitor): Promise<ScanSummary> {
    const { bytes, integrity } = this.#parts;
    const open = this.#begin(wanted, visitor);
    const members: MemberRead[] = [];
    const passing = new Map<string, PassingDocuments | undefined>();
    const parser = new ArchiveParser();
    let readToEnd = true;
    let hasOplog = false;
    const counted = countBytes(bytes.stream(0, bytes.size), visitor);
    for await (const chunk of inflated(counted.chunks, this.#parts)) {
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
      const metadata = this.#collections.get(collection);
      if (metadata === undefined) continue;
      if (metadata.type !== 'collection')
        throw notDocuments(collection, metadata.type, this.identity.location);
      visitor.metadata(metadata);
      const path = `${this.identity.location}!${this.#parts.database}.${collection}`;
      open.set(collection, { collection, path, id: open.size, hash: createHash('sha256'), bytes: 0 });
    }
    return open;
  }

  /** `passing`: who takes the documents of each collection met so far that was not asked for. */
  async #passOn(
    piece: ArchivePiece,
    passing: Map<string, PassingDocuments | undefined>,
    visitor: MemberVisitor,
  ): Promise<void> {
    const { database, collection } = piece.namespace;
    if (database !== this.#parts.database || this.#collections.get(collection)?.type !== 'collection') return;
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

function inflated(chunks: AsyncIterable<Buffer>, parts: ArchiveBackupParts): AsyncIterable<Buffer> {
  const { compression, maxRatio, identity } = parts;
  return compression === undefined
    ? chunks
    : decompress(chunks, { compression, maxRatio, location: identity.location });
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
