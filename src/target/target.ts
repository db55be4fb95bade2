/**
 * One MongoDB database that documents are restored into, seen through two ports.
 * Comparison, dry-run and status are handed a TargetReader, which has no write; only apply, revert and the ledger get a writer.
 */
import type { Documents } from '../bson/documents.ts';
import type { MergeFields } from '../bson/merge-fields.ts';
import type { RawValue } from '../bson/types.ts';
import type { TargetName } from '../events.ts';
import type { WriteFault } from '../mongo/raw-messages.ts';
import type { TargetPlan } from '../plan/plan.ts';
import type { Commands } from './commands.ts';

/** What the server says of itself; two targets are told apart by this, never by connection strings. */
export interface ServerIdentity {
  readonly kind: 'replica set' | 'standalone' | 'sharded cluster';
  /** Replica-set name + replicaSetId, cluster id of a sharded cluster, or process id of a standalone. */
  readonly id: string;
  /** False when the user may not ask for the replicaSetId or cluster id: then `id` is only a name. */
  readonly exact: boolean;
  /** Members as the server names them, sorted, lower case; the shards' members of a sharded cluster. */
  readonly members: readonly string[];
  /** Changes with each start of the server process that answered. */
  readonly processId: string;
  readonly version: string;
}

/** What a missing collection is created from. */
export interface CollectionBlueprint {
  /** Fields of the `create` command, in order: one raw document. */
  readonly options: Buffer;
  /** Raw index specifications, without the index on `_id`, which every collection has. */
  readonly indexes: readonly Buffer[];
  /** What is created in another form than the backup has it, in words. */
  readonly conversions: readonly string[];
}

export interface TargetIndex {
  readonly name: string;
  /** Key pattern, fields in order. */
  readonly key: readonly (readonly [field: string, direction: unknown])[];
  readonly unique: boolean;
  readonly sparse: boolean;
  readonly expireAfterSeconds: number | undefined;
  /** Raw index specification as `listIndexes` gave it. */
  readonly raw: Buffer;
}

export interface TargetCollection {
  readonly name: string;
  readonly type: 'collection' | 'view' | 'timeseries';
  readonly capped: boolean;
  /** Raw `options` document of listCollections. */
  readonly options: Buffer;
  readonly validator: Buffer | undefined;
  readonly indexes: readonly TargetIndex[];
  /** Shard key fields where the target is sharded. */
  readonly shardKey: readonly string[] | undefined;
  /** True when the collection has a default collation other than simple: `_id`s then compare by the server alone. */
  readonly collated: boolean;
  /**
   * 16 bytes by which a server tells this very collection from another one that bears the name later. Undefined where it has
   * none, as a view, or where the server does not compare it (before 6.0).
   */
  readonly uuid: Buffer | undefined;
}

export interface TargetReader {
  readonly name: TargetName;
  /** The part of the plan it was made from, so that one database cannot pass for another. */
  readonly plan: TargetPlan;
  readonly database: string;
  /** As it was when the connection was made. */
  readonly identity: ServerIdentity;
  /** The same, asked again. */
  identityNow(): Promise<ServerIdentity>;
  /** Undefined when the target lacks the collection. */
  collection(name: string): Promise<TargetCollection | undefined>;
  /**
   * What the collection holds under the `_id`s of the documents at `positions`, read at majority, raw, in no particular order. Only
   * that element of theirs is used. One answer after the other, each of at most 16 MiB, and together about all of the positions.
   */
  lookUp(collection: string, documents: Documents, positions: readonly number[]): AsyncIterable<Answer>;
  /** How many documents the collection holds, as the server keeps count: nearly right, and at once. */
  count(collection: string): Promise<number>;
  /**
   * All documents, read at majority in their natural order, `batch` of them at a time. A fault ends it: throws CommandFailure and
   * does not try again.
   */
  scan(collection: string, batch: number): AsyncIterable<Documents>;
  /**
   * Runs a read-only aggregation on the target and returns raw result documents, all of them: let the pipeline limit
   * them. `pipeline` holds raw BSON stages; `collection` 1 is the database (`$documents`).
   */
  aggregate(
    collection: string | 1,
    pipeline: readonly Buffer[],
    options?: { readonly collation?: Buffer },
  ): Promise<Buffer[]>;
  /** Documents matching a raw query, read at majority, at most `limit`. */
  find(collection: string, query: Buffer, options: FindOptions): Promise<Buffer[]>;
  /** The databases of the server that the user may see; undefined where the server does not say. */
  databaseNames(): Promise<readonly string[] | undefined>;
  /** `user@database` of the user that the server authenticated, asked now; undefined where it has no access control. */
  authenticatedUser(): Promise<string | undefined>;
  /** Server time, UTC milliseconds (`hello.localTime`). */
  serverTime(): Promise<number>;
}

/** All documents that the target holds under the `_id`s of some documents. */
export interface Answer {
  readonly positions: readonly number[];
  readonly found: Documents;
}

export interface FindOptions {
  readonly limit: number;
  /** Raw projection document; whole documents without it. */
  readonly projection?: Buffer;
  /** Raw collation document; the collection's default without it (`{locale: "simple"}` switches a default off). */
  readonly collation?: Buffer;
  /** In the order of this index, from this key on (a raw document with the index's fields). */
  readonly from?: { readonly index: string; readonly key: Buffer };
}

/** A document to be replaced: the bytes the target was seen to hold, and the bytes it shall hold, `_id` first. */
export interface Replacement {
  readonly seen: Buffer;
  readonly after: Buffer;
}

/**
 * The name under which a server remembers what one batch wrote. To be noted before anything is sent: a later process can then ask
 * whose work a document is (`executedStatements`), and end what was left open (`settleTransaction`). One batch, one identity: a
 * session remembers its newest number alone.
 */
export interface WriteIdentity {
  /** Id of a logical session, a UUID of 16 bytes. No session of the driver has it, so it is not ended before its time. */
  readonly lsid: Buffer;
  /** Number within the session, from 1. A conditional write may also use the numbers after it. */
  readonly txnNumber: number;
  /** `user@database` as authenticated, empty without access control: to another user the same `lsid` is another session. */
  readonly user: string;
  /** When it was made, UTC milliseconds by the server's clock: a server forgets a session some time after its last use. */
  readonly at: number;
}

/** Documents of many, by their positions. */
export interface DocumentBatch {
  readonly documents: Documents;
  readonly positions: readonly number[];
}

/** How documents are written. */
export interface WriteOptions {
  /** Noted before anything is sent. Undefined for a standalone alone, where nothing is remembered. */
  readonly identity: WriteIdentity | undefined;
  /** The operator's word that nobody else writes meanwhile, without which nothing on a standalone is replaced or removed. */
  readonly exclusive?: boolean;
  /** Called before every attempt: a process that was out of reach for long may have lost the lock. */
  readonly beforeAttempt?: () => Promise<void>;
}

/** Documents of which single fields are changed. */
export interface FieldChanges {
  readonly fields: MergeFields;
  readonly seen: readonly Buffer[];
  /** What a document shall be, `_id` first, by its place in `seen`; `found`: as it stands in the moment of the write. */
  readonly after: (place: number, found: Buffer) => Buffer;
}

/**
 * absent: no document of that `_id`. same: one with the same bytes. other: one with other bytes. otherId: none, and no room for one:
 * the collection's collation takes the `_id` of another document for the same (`ABC` for `abc`).
 */
export type Presence = 'absent' | 'same' | 'other' | 'otherId';

/** What kept a document out; of `doubtful`, the same bytes, and nobody knows whether an attempt wrote them. */
export type FoundPresence = Exclude<Presence, 'absent'> | 'doubtful';

/** What became of documents that were to be inserted, by their place in `positions`. Every document that is in neither was written. */
export interface InsertOutcome {
  readonly there: ReadonlyMap<number, FoundPresence>;
  /** Documents that the server refused, one by one. */
  readonly faults: readonly WriteFault[];
}

/** What became of each document, by its position. Every document that is in neither was written. */
export interface ConditionalOutcome {
  /** Documents that were not, byte for byte, the ones seen any more. */
  readonly leftAlone: ReadonlyMap<number, 'changed' | 'deleted'>;
  /** Documents that the server refused, one by one. */
  readonly faults: readonly WriteFault[];
}

/** committed: all of the batch was written, except to documents that had changed. aborted: nothing of it. unknown: look at them. */
export type Settlement = 'committed' | 'aborted' | 'unknown';

/** What a writer needs to know of a collection. */
export type WrittenCollection = Pick<TargetCollection, 'name' | 'collated' | 'shardKey'>;

/** Larger batches are written in several transactions, of which the server does not say afterwards which were committed. */
export interface TransactionSize {
  /** Of the documents as seen and as they shall be, together. */
  readonly bytes: number;
  /** So many the server was seen to take within a second. */
  readonly documents: number;
}

/** All that is ever written into a target's own collections. Writes wait for the majority. */
export interface TargetWriter {
  /** For one batch. Undefined for a standalone, which remembers nothing and has no transactions. */
  newIdentity(): Promise<WriteIdentity | undefined>;
  /**
   * Inserts the documents at `positions`, which were absent a moment ago, byte for byte as they are; `_id` must be first in each. A
   * collection that has another `uuid` by now, or is gone, is not written to: the server would make a new one, without options and
   * indexes.
   *
   * Rides out transient faults. With an identity, an attempt without an answer is sent again as it was: the server knows by the
   * statement ids, which are the places in `positions`, what it carried out already, so a document that it refuses as there is
   * somebody else's. Without one, the documents are looked up. What it throws leaves open what was written.
   */
  insert(
    collection: Pick<TargetCollection, 'name' | 'collated' | 'uuid'>,
    batch: DocumentBatch,
    options: WriteOptions,
  ): Promise<InsertOutcome>;
  /**
   * Which inserts under this identity the server carried out; `ids` are the `_id`s, the position of each being its statement id.
   * Also tells of documents that were removed since, and never of another's. Writes nothing. `unknown` where the server does not
   * remember: a standalone, a server before 6.0, another user, too long ago.
   */
  executedStatements(
    collection: string,
    identity: WriteIdentity,
    ids: readonly RawValue[],
  ): Promise<ReadonlySet<number> | 'unknown'>;
  /**
   * Uses an identity up: an insert under it that is still on its way is refused when it arrives. One that the server has in hand
   * is waited for. Afterwards `executedStatements` is `unknown`. Does nothing on a standalone.
   */
  endIdentity(collection: string, identity: WriteIdentity): Promise<void>;
  /** What one transaction of a conditional write takes now. */
  readonly transactionSize: TransactionSize;
  /**
   * Replaces each document that is, byte for byte, still the one seen; no other is touched. Rides out transient faults; what it
   * throws leaves open what was written, until `settleTransaction` has been asked. Throws RestorePlanError TARGET on a standalone
   * without `exclusive`, USAGE with it elsewhere.
   */
  replace(
    collection: WrittenCollection,
    replacements: readonly Replacement[],
    options: WriteOptions,
  ): Promise<ConditionalOutcome>;
  /**
   * Makes of each document whose `fields` are, byte for byte, still those of the one seen what `after` says, whatever else has changed in
   * it: read, compared and written in one transaction. By the same rules.
   */
  merge(
    collection: WrittenCollection,
    changes: FieldChanges,
    options: WriteOptions,
  ): Promise<ConditionalOutcome>;
  /** Removes each document that is still the one seen, by the same rules. */
  remove(
    collection: WrittenCollection,
    seen: readonly Buffer[],
    options: WriteOptions,
  ): Promise<ConditionalOutcome>;
  /**
   * Ends what a conditional write of another process left open: documents are free at once, and nothing of it can still be
   * committed afterwards. An open transaction keeps every other writer of its documents waiting, for a minute by default.
   */
  settleTransaction(collection: string, identity: WriteIdentity): Promise<Settlement>;
  /** Does nothing when the collection exists. */
  createCollection(name: string, blueprint: CollectionBlueprint): Promise<void>;
  /** Only for a collection that this tool created. */
  createIndexes(collection: string, blueprint: CollectionBlueprint): Promise<void>;
}

/** One open connection to a target. Its holder can read; what writes is behind `accessTo`. */
export interface Target {
  readonly name: TargetName;
  readonly plan: TargetPlan;
  readonly reader: TargetReader;
  /** What was changed in the connection string's settings, and what kind of server answered: to be said to the operator. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

// What only the engine may do with a target: write, and run commands. Kept apart from the Target that callers of the library
// hold, so that nothing is written past the gate, and a Target that was not made by `connectTarget` can do nothing.

interface TargetAccess {
  readonly writer: TargetWriter;
  /** Raw commands on the target's database; the ledger keeps its documents with them. */
  readonly commands: Commands;
}

const accesses = new WeakMap<Target, TargetAccess>();

/** Only for `connectTarget`. */
export function withAccess(target: Target, access: TargetAccess): Target {
  accesses.set(target, access);
  return target;
}

export function accessTo(target: Target): TargetAccess {
  const access = accesses.get(target);
  if (access === undefined) throw new TypeError('a target can only be written to as connectTarget made it');
  return access;
}
