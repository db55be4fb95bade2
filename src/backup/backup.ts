/**
 * The port every kind of backup is read through: a dump directory, a tar, a tar.gz, a mongodump archive, an S3 prefix,
 * a live database. Adapters live beside this file; selection sees only what is declared here.
 */

/** Which backup it was: enough to say "the same bytes" later, without reading them. */
export interface BackupIdentity {
  /** For people and reports: `s3://bucket/key`, a path, `mongodb (live)`. Never holds credentials. */
  readonly location: string;
  /** What the backup is: `dump directory`, `tar`, `tar.gz`, `mongodump archive`, … */
  readonly kind: string;
  /** Time of the backup by its name, UTC milliseconds; undefined when the location has no `{time:…}`. */
  readonly time: number | undefined;
  /** The same time as the name spells it, with its zone: `2016-09-13 08:00:00 America/New_York`. */
  readonly localTime: string | undefined;
  /** When the object or file was finished (S3 LastModified, mtime), UTC milliseconds. */
  readonly modified: number | undefined;
  /** Bytes as stored. */
  readonly size: number | undefined;
  /** Changes whenever the stored bytes change: ETag + size (+ version id), or inode + size + mtime. */
  readonly fingerprint: string;
}

/** The time of a backup by its name. */
export type BackupMoment = Pick<BackupIdentity, 'time' | 'localTime'>;

export interface CollectionMetadata {
  /** True name, from `collectionName` where there is one, else unescaped from the file name. */
  readonly collection: string;
  /** Text of the `.metadata.json` exactly as stored (canonical Extended JSON v2); undefined when there is none. */
  readonly text: string | undefined;
  readonly type: 'collection' | 'view' | 'timeseries';
}

/** One run of documents of one collection: a `.bson` member, or one namespace of an archive. */
export interface MemberInfo {
  readonly collection: string;
  /** Where inside the backup, for messages: `db.tar!c0/gravity/artworks.bson`. */
  readonly path: string;
  /** Number that tells the members of a scan apart (an archive interleaves them). */
  readonly id: number;
}

/**
 * Receives what a scan finds. Calls never overlap. Chunks are raw member bytes in order, cut anywhere (a document may
 * span chunks), and their Buffer may be reused after the call returned (or its promise settled).
 */
export interface MemberVisitor {
  /** Once per collection; in a stream possibly after its documents. */
  metadata(metadata: CollectionMetadata): void;
  chunk(member: MemberInfo, bytes: Buffer): void | Promise<void>;
  /** The member is complete: its declared size or CRC was met. */
  end(member: MemberInfo): void | Promise<void>;
  /**
   * A collection that was not asked for comes by in a stream, its documents about to follow: they go to what is returned. Other kinds of
   * backup never call it.
   */
  passing?(member: Omit<MemberInfo, 'id'>): Promise<PassingDocuments | undefined>;
  /** So many bytes more have come from storage, wanted or not; for progress. May be called while another call is not settled. */
  stored?(bytes: number): void;
}

/** Takes the documents of a collection that was not asked for: raw, cut anywhere, lent as those of `MemberVisitor.chunk`. */
export interface PassingDocuments {
  chunk(bytes: Buffer): void;
  end(): void;
}

/**
 * For a collection, a raw query that every document the caller may want matches; undefined = all are wanted. Only a hint:
 * a backup that can query leaves the others out, every other kind gives all documents.
 */
export type FilterOf = (collection: string) => Buffer | undefined;

/** What `ScanSummary.relaxed` comes to, and both ways on. */
export const RELAXED_TYPES =
  'types as the text spells them: relaxed export; int64 and double may have been lost';
export const RELAXED_REMEDY =
  'Export again with `mongoexport --jsonFormat=canonical`, or write `source.jsonl.relaxed: accept` to restore the types as they are read.';

export interface ScanSummary {
  /** Bytes read from storage. */
  readonly bytesRead: number;
  /** False when `integrity: needed` let the scan stop before the archive's end: then nothing proves it whole. */
  readonly readToEnd: boolean;
  /** Every wanted member: how many bytes of documents it holds and their sha256 (hex), both after inflating. */
  readonly members: readonly {
    readonly path: string;
    readonly collection: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  /** Things the operator should know: an oplog that is not replayed, a member without metadata, … */
  readonly warnings: readonly string[];
  /** True: numbers of a relaxed export have lost their types; what was read of them is what the text spells. */
  readonly relaxed?: boolean;
}

export interface Backup {
  readonly identity: BackupIdentity;
  /**
   * random: members are read in any order, each scan costs only the members it names, so scans may follow each other.
   * interleaved: one pass over a stream in which each collection is one member; ask for everything in one scan.
   * sequential: the same with one member after the other, and nobody knows what follows: perhaps another host's or shard's part of
   * a collection that came by already.
   */
  readonly access: 'random' | 'interleaved' | 'sequential';
  /** Whether the wanted database has the collection here; undefined when only reading everything would tell. */
  holds(collection: string): boolean | undefined;
  /** The collections of the wanted database, where they can be known without reading everything; else undefined. */
  collections(): Promise<readonly CollectionMetadata[] | undefined>;
  /** Bytes that `scan` would read from storage for these collections; undefined where nobody knows beforehand. */
  storedBytes(collections: ReadonlySet<string>): number | undefined;
  /**
   * Reads the members of the named collections. Throws RestorePlanError BACKUP when bytes are missing, damaged or
   * changed since the backup was opened. A collection the backup lacks is simply never visited.
   */
  scan(collections: ReadonlySet<string>, visitor: MemberVisitor, filterOf?: FilterOf): Promise<ScanSummary>;
  /**
   * About the first `maxBytes` bytes of a collection's documents, the last of them perhaps cut off; empty where there are
   * none. Absent where it would mean reading everything.
   */
  sample?(collection: string, maxBytes: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** A backup that is closed together with the store it lies in. */
export type StoredBackup = Omit<Backup, 'close'>;
