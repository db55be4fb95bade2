/**
 * A dump whose files can be read in any order: a folder on disk, a prefix in S3, an uncompressed tar, tars inside tars.
 */

import { RestorePlanError } from '../../errors.ts';
import type {
  BackupIdentity,
  BackupPiece,
  CollectionMetadata,
  MemberRead,
  OplogSlices,
  ReadOptions,
  SeparatePiece,
  StoredBackup,
} from '../backup.ts';
import { isSnappyStream } from '../containers/snappy.ts';
import { compressionOf } from '../containers/sniff.ts';
import { collectionOf, folderOf, metadataOfNameOnly, readMetadata } from '../layout/dump-paths.ts';
import type { CollectionFiles, DumpTree, NamedFile } from '../layout/dump-tree.ts';
import { type DatedFile, type NamedFolder, refuseLeftovers, refuseTwice } from '../layout/one-backup.ts';
import { documentBytes, inflatedBytes, MemberReader, readText } from './member.ts';
import {
  documentsMissing,
  noMetadataWarning,
  notDocuments,
  OPLOG_WARNING,
  refuseOtherDatabase,
  severalOplogs,
} from './refusals.ts';

/** Metadata files read at the same time; each is a round trip where the files are objects of a bucket. */
const METADATA_AT_ONCE = 8;

interface FileBackupParts {
  readonly identity: BackupIdentity;
  readonly tree: DumpTree;
  readonly maxRatio: number;
  /** What the plan names, where that is a folder. */
  readonly folder: NamedFolder | undefined;
  /** What opening it showed that the operator should know. */
  readonly warnings: readonly string[];
  /** The folder that was taken for the database's, which bears no name of one. */
  readonly nameless?: string;
  /** The plan names each file by itself: nobody takes them for the files of one dump. */
  readonly areSingles?: boolean;
  readonly slices?: () => Promise<readonly OplogSlices[]>;
}

export class FileBackup implements StoredBackup {
  readonly access = 'random';
  readonly identity: BackupIdentity;
  readonly slices?: () => Promise<readonly OplogSlices[]>;
  readonly #parts: FileBackupParts;
  readonly #metadata = new Map<CollectionFiles, Promise<CollectionMetadata>>();
  /** What is wrong with the metadata of a collection; it matters to whoever wants that collection. */
  readonly #damaged = new Map<CollectionFiles, string>();

  constructor(parts: FileBackupParts) {
    this.identity = parts.identity;
    this.#parts = parts;
    if (parts.slices !== undefined) this.slices = parts.slices;
  }

  /** Throws BACKUP where two dumps hold it in one folder. */
  holds(collection: string): boolean {
    return this.#find(collection) !== undefined;
  }

  async collections(): Promise<readonly CollectionMetadata[]> {
    const waiting = [...this.#parts.tree.collections];
    const found: CollectionMetadata[] = [];
    const worker = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
        found.push(...(await this.#metadataOrName(next)));
    };
    await Promise.all(Array.from({ length: METADATA_AT_ONCE }, worker));
    return found.sort((a, b) => (a.collection < b.collection ? -1 : 1));
  }

  storedBytes(collections: ReadonlySet<string>): number {
    const files = [...collections].flatMap(
      (collection) => this.#parts.tree.find(collection)?.documents ?? [],
    );
    return files.reduce((sum, { at }) => sum + at.size, 0);
  }

  async *read(wanted: ReadonlySet<string>, { stored }: ReadOptions = {}): AsyncGenerator<BackupPiece> {
    const members: MemberRead[] = [];
    let bytesRead = 0;
    const reader = new MemberReader();
    for await (const piece of this.apart(wanted)) {
      if (piece.type === 'finished') {
        yield { type: 'finished', summary: { ...piece.summary, bytesRead, members } };
      } else if (piece.type === 'member') {
        const { member, at } = piece.member;
        members.push(yield* reader.cut(member, documentBytes(piece.member, stored)));
        await at.close();
        bytesRead += at.size;
      } else {
        yield piece;
      }
    }
  }

  async *apart(wanted: ReadonlySet<string>): AsyncGenerator<SeparatePiece> {
    const { tree, maxRatio } = this.#parts;
    const warnings = [...this.#parts.warnings, ...(tree.oplogs.length > 0 ? [OPLOG_WARNING] : [])];
    const needed = new Set([...wanted].map((collection) => tree.find(collection)));
    for (const [files, fault] of this.#damaged)
      if (!needed.has(files)) warnings.push(`${fault} Nothing that is read here needs it.`);
    warnings.push(...this.#leftovers(needed));
    for (const collection of wanted) {
      const files = this.#find(collection);
      if (files === undefined) continue;
      const metadata = await this.#metadataOf(files);
      if (metadata.type !== 'collection')
        throw notDocuments(collection, metadata.type, this.identity.location);
      if (files.documents[0] === undefined) throw documentsMissing(collection, this.identity.location);
      if (metadata.text === undefined) warnings.push(noMetadataWarning(files.documents[0].at.location));
      yield { type: 'metadata', metadata };
      for (const { at, id, crc, root: part } of files.documents) {
        const member = { collection, path: at.location, id, part };
        yield { type: 'member', member: { member, at, crc, maxRatio } };
      }
    }
    yield { type: 'finished', summary: { bytesRead: 0, readToEnd: true, members: [], warnings } };
  }

  async sample(collection: string, maxBytes: number): Promise<Buffer> {
    const file = this.#find(collection)?.documents[0];
    if (file === undefined) return Buffer.alloc(0);
    const { at } = file;
    const stored = await at.read(0, Math.min(maxBytes, at.size));
    await at.close();
    if (compressionOf(stored) === undefined && !isSnappyStream(stored)) return stored;
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.#bytesOf(file)) {
      parts.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (bytes >= maxBytes) break;
    }
    return Buffer.concat(parts);
  }

  parts(): readonly string[] {
    return this.#parts.tree.roots.map(({ path }) => path);
  }

  async *oplog(isOf?: (part: string) => boolean): AsyncGenerator<Buffer> {
    const { tree } = this.#parts;
    const places = new Set(isOf === undefined ? this.parts() : this.parts().filter(isOf));
    // Elsewhere a file of this name is a collection of another database.
    const [file, second] = tree.oplogs.filter(({ path }) => places.has(folderOf(path)));
    if (second !== undefined) throw severalOplogs(this.identity.location);
    if (file === undefined) return;
    yield* this.#bytesOf(file);
    await file.at.close();
  }

  #find(collection: string): CollectionFiles | undefined {
    const { tree, folder } = this.#parts;
    const files = tree.find(collection);
    if (files !== undefined) refuseTwice(files, { collection, folder });
    return files;
  }

  /** Throws BACKUP where the wanted files of one folder are of two dumps. */
  #leftovers(wanted: ReadonlySet<CollectionFiles | undefined>): string[] {
    const { tree, folder, areSingles = false } = this.#parts;
    if (areSingles) return [];
    const inFolders = new Map<string, DatedFile[]>(tree.roots.map(({ path }) => [path, []]));
    for (const files of tree.collections) {
      for (const file of files.documents.filter(({ what }) => what === undefined))
        inFolders.get(file.root)?.push({ file, bytes: file.at.size, wanted: wanted.has(files) });
    }
    return [...inFolders.values()].flatMap((files) => refuseLeftovers(files, folder) ?? []);
  }

  /** Damaged metadata leaves the name, where the file has it. */
  async #metadataOrName(files: CollectionFiles): Promise<CollectionMetadata[]> {
    try {
      return [await this.#metadataOf(files)];
    } catch (error) {
      if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
      this.#damaged.set(files, error.message);
      const collection = collectionOf(files.fileName);
      return collection === undefined ? [] : [{ collection, text: undefined, type: 'collection' }];
    }
  }

  #metadataOf(files: CollectionFiles): Promise<CollectionMetadata> {
    let reading = this.#metadata.get(files);
    if (reading === undefined) {
      reading = this.#readMetadata(files);
      this.#metadata.set(files, reading);
    }
    return reading;
  }

  async #readMetadata(files: CollectionFiles): Promise<CollectionMetadata> {
    const file = files.metadata[0];
    if (file === undefined) {
      const some = files.documents[0] ?? files.buckets[0];
      const metadata = metadataOfNameOnly(some?.path ?? files.fileName, files.fileName);
      return files.buckets.length > 0 ? { ...metadata, type: 'timeseries' } : metadata;
    }
    const { location } = file.at;
    const text = await readText(this.#bytesOf(file), location);
    await file.at.close();
    const { nameless, tree } = this.#parts;
    if (nameless !== undefined) refuseOtherDatabase(text, tree.databases[0] ?? '', location);
    return readMetadata(text, location, files.fileName);
  }

  #bytesOf({ at, crc }: NamedFile): AsyncIterable<Buffer> {
    return inflatedBytes({ at, crc, maxRatio: this.#parts.maxRatio });
  }
}
