/**
 * One MongoDB database that documents are restored into, seen through two ports.
 * Comparison, dry-run and status are handed a TargetReader, which has no write; only apply, revert and the ledger get a writer.
 */
import type { TargetName } from '../events.ts';
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
}

export interface TargetReader {
  readonly name: TargetName;
  readonly database: string;
  readonly identity: ServerIdentity;
  /** Undefined when the target lacks the collection. */
  collection(name: string): Promise<TargetCollection | undefined>;
  /**
   * Documents whose `_id` is one of `ids`, read at majority, raw, concatenated in no particular order.
   * `ids` are raw documents `{_id: …}` or documents that hold an `_id`; only that element is used.
   */
  findByIds(collection: string, ids: readonly Buffer[]): Promise<Buffer[]>;
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

export interface FindOptions {
  readonly limit: number;
  /** Raw projection document; whole documents without it. */
  readonly projection?: Buffer;
  /** Raw collation document; the collection's default without it (`{locale: "simple"}` switches a default off). */
  readonly collation?: Buffer;
}

/** One open connection to a target. Dry-run, comparison and status are handed `reader` alone. */
export interface Target {
  readonly name: TargetName;
  /** The part of the plan it was made from, so that nobody passes production off as staging. */
  readonly plan: TargetPlan;
  readonly reader: TargetReader;
  /** What was changed in the connection string's settings, and what kind of server answered: to be said to the operator. */
  readonly notes: readonly string[];
  /** Raw commands on the target's database; the ledger keeps its documents with them. */
  readonly commands: Commands;
  close(): Promise<void>;
}
