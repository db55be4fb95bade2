/**
 * The port every kind of backup is read through: a dump directory, a tar, a tar.gz, a mongodump archive, an S3 prefix,
 * a live database. Adapters live beside this file; selection sees only what is declared here.
 *
 * A backup hands over whole documents, many at a time, when it is asked for them. So whatever stands between a backup and those who read
 * it, and changes, adds or leaves out documents, is a `Backup` itself (`around`).
 */

import type { ByteSource } from './storage/byte-source.ts';
import type { PathList } from './storage/path-list.ts';

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
  /** The folder of a host or shard that it lies in, inside the backup; empty where the database's folder is at the top. Absent: nobody knows. */
  readonly part?: string;
  /** Number that tells the members of a reading apart (an archive interleaves them). */
  readonly id: number;
  /** Where documents are given in several states: which one, by `windowKey`; absent: as of one moment, for all of them. */
  readonly view?: string;
}

/** Whole documents back to back, each with a sound length and terminator; what lies between these is not checked. */
export interface WholeDocuments {
  readonly bytes: Buffer;
  /** Document i is `bytes[starts[i], starts[i + 1])`, for i below `count`. */
  readonly starts: Int32Array;
  /** At least 1. */
  readonly count: number;
}

/** Bytes of all of them. */
export function bytesOf({ starts, count }: WholeDocuments): number {
  return count === 0 ? 0 : (starts[count] as number) - (starts[0] as number);
}

/** What comes out of a backup, in its order. Bytes and starts are lent until the next piece is asked for. */
export type BackupPiece =
  /** Once per collection; in a stream possibly after its documents. */
  | { readonly type: 'metadata'; readonly metadata: CollectionMetadata }
  /** The next documents of a member; about a megabyte, a batch of a server, or one large document. Members of an archive alternate. */
  | ({ readonly type: 'documents'; readonly member: MemberInfo } & WholeDocuments)
  /** The member is complete: its declared size or CRC was met. */
  | { readonly type: 'ended'; readonly member: MemberInfo }
  /**
   * A stream comes to a collection that was not asked for. After `take` its documents are given like all others, as far as they are sound: damage
   * there is no fault, the member just does not end. Other kinds of backup never give this.
   */
  | { readonly type: 'passing'; readonly member: MemberInfo; take(): void }
  /** The last piece. */
  | { readonly type: 'finished'; readonly summary: ScanSummary };

/** A member as bytes, for whoever reads its documents by themselves: all of them, or those of a stretch. */
export interface SeparateMember {
  readonly member: MemberInfo;
  /** As stored, perhaps compressed. */
  readonly at: ByteSource;
  /** CRC-64/XZ of the inflated bytes, where something beside the member tells it. */
  readonly crc: bigint | undefined;
  /** Largest inflated size over compressed size that is believed. */
  readonly maxRatio: number;
}

/** What `Backup.apart` gives: the same pieces as a reading, but for each member, in the same order, its bytes. */
export type SeparatePiece =
  | Extract<BackupPiece, { type: 'metadata' | 'finished' }>
  | { readonly type: 'member'; readonly member: SeparateMember };

export interface ReadOptions {
  readonly filterOf?: FilterOf | undefined;
  /** So many bytes more have come from storage, wanted or not; for progress. Called at any time. */
  readonly stored?: ((bytes: number) => void) | undefined;
}

/**
 * For a collection, a raw query that every document the caller may want matches; undefined = all are wanted. Only a hint:
 * a backup that can query leaves the others out, every other kind gives all documents. One that changes the documents of another does not
 * pass it on: a document may match only when it has changed.
 */
export type FilterOf = (collection: string) => Buffer | undefined;

/** What `ScanSummary.relaxed` comes to, and both ways on. */
export const RELAXED_TYPES =
  'types as the text spells them: relaxed export; int64 and double may have been lost';
export const RELAXED_REMEDY =
  'Export again with `mongoexport --jsonFormat=canonical`, or write `source.jsonl.relaxed: accept` to restore the types as they are read.';

/** What was read of a member. Tells damage, no forgery: only what is chosen gets a SHA-256. */
export interface MemberRead {
  readonly path: string;
  readonly collection: string;
  /** Of its documents, inflated. */
  readonly bytes: number;
  /** Of these bytes, as gzip and zip have it (polynomial 0x04C11DB7, reflected): 8 hex digits. */
  readonly crc32: string;
}

/** A CRC-32 as `MemberRead` writes it. */
export function hexOfCrc32(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

export interface ScanSummary {
  /** Bytes read from storage. */
  readonly bytesRead: number;
  /** False when `integrity: needed` let the reading stop before the archive's end: then nothing proves it whole. */
  readonly readToEnd: boolean;
  /**
   * Every wanted member: how many bytes of documents it gave, and their CRC-32. A backup that changes documents of another one on
   * their way says here what it made of them.
   */
  readonly members: readonly MemberRead[];
  /** Things the operator should know: an oplog that is not replayed, a member without metadata, … */
  readonly warnings: readonly string[];
  /** True: numbers of a relaxed export have lost their types; what was read of them is what the text spells. */
  readonly relaxed?: boolean;
}

export interface Backup {
  readonly identity: BackupIdentity;
  /**
   * random: members are read in any order, each reading costs only the members it names, so readings may follow each other.
   * interleaved: one pass over a stream in which each collection is one member; ask for everything in one reading.
   * sequential: the same with one member after the other, and nobody knows what follows: perhaps another host's or shard's part of
   * a collection that came by already.
   */
  readonly access: 'random' | 'interleaved' | 'sequential';
  /** Whether the wanted database has the collection here; undefined when only reading everything would tell. */
  holds(collection: string): boolean | undefined;
  /** The collections of the wanted database, where they can be known without reading everything; else undefined. */
  collections(): Promise<readonly CollectionMetadata[] | undefined>;
  /** Bytes that `read` would read from storage for these collections; undefined where nobody knows beforehand. */
  storedBytes(collections: ReadonlySet<string>): number | undefined;
  /**
   * Reads the members of the named collections. Throws RestorePlanError BACKUP when bytes are missing, damaged or
   * changed since the backup was opened. A collection the backup lacks is simply never met. Leaving the loop early
   * releases what was in flight.
   */
  read(collections: ReadonlySet<string>, options?: ReadOptions): AsyncIterable<BackupPiece>;
  /**
   * The members of the named collections, to be read by the caller, who says at the end what was read. Throws as `read` does for what shows
   * before documents are read. Absent where members cannot be read by themselves, or something stands between that changes their documents.
   */
  apart?(collections: ReadonlySet<string>): AsyncIterable<SeparatePiece>;
  /**
   * About the first `maxBytes` bytes of a collection's documents, the last of them perhaps cut off; empty where there are
   * none. Absent where it would mean reading everything.
   */
  sample?(collection: string, maxBytes: number): Promise<Buffer>;
  /** The folders of hosts or shards, as members name them; absent where only reading everything would tell. */
  parts?(): readonly string[];
  /**
   * The oplog that a dump took along (`mongodump --oplog`), of a sharded cluster that of the parts which `isOf` names: its entries, in chunks
   * cut anywhere and lent until the next; nothing where it took none. A stream is read to its end. Throws BACKUP where there are several.
   * Absent where there cannot be one.
   */
  oplog?(isOf?: (part: string) => boolean): AsyncIterable<Buffer>;
  /** Of a Percona backup: the slices of the oplog of each of its replica sets. Absent for every other kind. */
  slices?(): Promise<readonly OplogSlices[]>;
  close(): Promise<void>;
}

export interface OplogSlices {
  readonly replicaSet: string;
  /** Its folder in the backup, as `parts` names it. */
  readonly part: string;
  /** Written while the backup was: from its beginning to its end. */
  readonly own: readonly OplogSlice[];
  /** Paths of those that were written for point-in-time recovery, before the backup, while it was written, and after it. */
  readonly continued: PathList;
  /** Of one of these paths; undefined where it is not there any more. */
  open(path: string): Promise<ByteSource | undefined>;
  /** How people name such a path. */
  describe(path: string): string;
}

export interface OplogSlice {
  /** Its name says from where to where it reaches. */
  readonly path: string;
  readonly at: ByteSource;
}

/** A backup that is closed together with the store it lies in. */
export type StoredBackup = Omit<Backup, 'close'>;

/** The backup, but for what `changes` says: how one stands before another. */
export function around(
  backup: StoredBackup,
  changes: Partial<Omit<Backup, 'close'>> & Pick<Backup, 'close'>,
): Backup {
  return {
    identity: backup.identity,
    access: backup.access,
    holds: (collection) => backup.holds(collection),
    collections: () => backup.collections(),
    storedBytes: (wanted) => backup.storedBytes(wanted),
    read: (wanted, options) => backup.read(wanted, options),
    // Whoever changes what is read would be passed by.
    ...(backup.apart && changes.read === undefined && { apart: backup.apart.bind(backup) }),
    ...(backup.sample && { sample: backup.sample.bind(backup) }),
    ...(backup.parts && { parts: backup.parts.bind(backup) }),
    ...(backup.oplog && { oplog: backup.oplog.bind(backup) }),
    ...(backup.slices && { slices: backup.slices.bind(backup) }),
    ...changes,
  };
}
