/**
 * One MongoDB database that documents are restored into, seen through two ports.
 * Comparison, dry-run and status are handed a TargetReader, which has no write; only apply, revert and the ledger get a writer.
 */
import type { DocumentRun } from '../bson/document-run.ts';
import type { TargetName } from '../events.ts';
import type { WriteFault } from '../mongo/reply.ts';
import type { TargetPlan } from '../plan/plan.ts';
import type { CollectionBlueprint } from './collection-metadata.ts';

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
  /** The part of the plan it was made from, so that nobody passes one database off as another. */
  readonly plan: TargetPlan;
  readonly database: string;
  /** As it was when the connection was made. */
  readonly identity: ServerIdentity;
  /** The same, asked again. */
  identityNow(): Promise<ServerIdentity>;
  /** Undefined when the target lacks the collection. */
  collection(name: string): Promise<TargetCollection | undefined>;
  /**
   * Documents whose `_id` is one of `ids`, read at majority, raw, concatenated in no particular order.
   * `ids` are raw documents `{_id: …}` or documents that hold an `_id`; only that element is used.
   */
  findByIds(collection: string, ids: readonly Buffer[]): Promise<Buffer[]>;
  /**
   * The same for the documents of a run at `positions`, with no object per document: several times cheaper. One answer after the
   * other, each of at most 16 MiB, and together about all of the positions.
   */
  lookUp(collection: string, run: DocumentRun, positions: readonly number[]): AsyncIterable<Answer>;
  /** How many documents the collection holds, as the server keeps count: nearly right, and at once. */
  count(collection: string): Promise<number>;
  /**
   * All documents, read at majority in their natural order, `batch` of them at a time. A fault ends it: throws CommandFailure and
   * does not try again.
   */
  scan(collection: string, batch: number): AsyncIterable<DocumentRun>;
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
  /** Server time, UTC milliseconds (`hello.localTime`). */
  serverTime(): Promise<number>;
}

/** All documents that the target holds under the `_id`s of some documents of a run. */
export interface Answer {
  readonly positions: readonly number[];
  readonly found: DocumentRun;
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

export interface WriteOutcome {
  /** Documents the server counts as inserted, matched or removed. */
  readonly written: number;
  /** Documents it refused, one by one. */
  readonly faults: readonly WriteFault[];
}

/**
 * All that is ever written into a target's own collections. Writes wait for the majority. `insert`, `replace` and `remove`
 * are one attempt each: a thrown CommandFailure leaves open what was written.
 */
export interface TargetWriter {
  /**
   * Inserts whole documents, concatenated, byte for byte as they are; `_id` must be first in each. A collection that has another
   * `uuid` by now, or is gone, is not written to: the server would make a new one, without options and indexes.
   */
  insert(collection: string, documents: Buffer, uuid?: Buffer): Promise<WriteOutcome>;
  /**
   * Replaces each document that is still the one seen; others are left alone and not counted. `collated`: see TargetCollection.
   * Documents that are too large for one statement together, seen and after, come alone.
   */
  replace(
    collection: string,
    replacements: readonly Replacement[],
    collated?: boolean,
  ): Promise<WriteOutcome>;
  /** Removes each document that is still the one seen; others are left alone and not counted. */
  remove(collection: string, seen: readonly Buffer[], collated?: boolean): Promise<WriteOutcome>;
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
