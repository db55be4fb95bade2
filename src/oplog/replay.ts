/**
 * Follows an oplog from where a replay begins to the cut, and keeps what happened to each document of the wanted collections.
 *
 * Entries are handed in one by one, in the oplog's order. Those behind the cut only say what happened later to a document that is restored.
 */
import { createHash } from 'node:crypto';
import { BsonFault } from '../bson/elements.ts';
import {
  type Cut,
  commitTimestampOf,
  compareTimestamps,
  driftsNear,
  isBehind,
  OP,
  OplogEntry,
  showTimestamp,
  type Timestamp,
  timeOf,
  tookEffectAt,
} from './entry.ts';
import { OplogFault } from './faults.ts';
import { LaterChanges } from './later.ts';
import { Operations, type TakesOperations, WaitingTransactions } from './operations.ts';
import { RecordLog } from './record-log.ts';
import { requireSaved, type SavedScope, scopeOf } from './saved-scope.ts';
import { isMigration, noteWrite, type ShardScope } from './shards/shard-writes.ts';
import { idOf, TouchedDocuments } from './touched.ts';
import {
  CollectionCommands,
  type CollectionEnd,
  type CommandWatch,
  copyOf,
  momentText,
  numRecords,
  type WantedCollection,
  WantedCollections,
} from './wanted.ts';
import { type CollectionWindows, type WindowScope, windowsOf } from './windows/collection-windows.ts';

export interface ReplayScope {
  readonly collections: readonly WantedCollection[];
  /** The first entry that counts; undefined: the first there is. */
  readonly begin: Timestamp | undefined;
  /** dump: the first entry was there when the dump was begun, as the dump itself says. */
  readonly said?: 'dump' | 'plan' | 'oplog';
  readonly cut: Cut;
  /** Entries behind the cut are followed too, for what happened to documents later. */
  readonly looksOn?: boolean;
  /** Undefined: it is of no cluster. */
  readonly shard?: ShardScope | undefined;
  /** Where documents are wanted as they were before something happened to them; the cut is then behind the last window. */
  readonly windows?: WindowScope;
  /** Names of files that are made where memory is not enough begin with this path. */
  readonly spillPath: string;
}

/** As far behind the end of a window an entry may stand that was written before, by its wall. */
export const STRAYS_MS = 10_000;

export class Replay {
  /** Entries handed in; those that count; and the SHA-256 of the latter, in the order in which they take effect. */
  entriesRead = 0;
  entriesUsed = 0;
  /** Entries that do not matter for its collections were left out when the oplog was saved. */
  isPartial = false;
  readonly #scope: ReplayScope;
  readonly #wanted: WantedCollections;
  readonly #operations: Operations;
  readonly #touched: readonly TouchedDocuments[];
  readonly #laterChanges: readonly LaterChanges[];
  /** By collection; undefined where nothing but its state at one moment is wanted. */
  readonly #windows: readonly (CollectionWindows | undefined)[];
  /** By collection: whether its state at one moment is wanted. */
  readonly #isAt: readonly boolean[];
  readonly #changes: RecordLog;
  readonly #transactions: WaitingTransactions;
  readonly #hash = createHash('sha256');
  readonly #entry = new OplogEntry();
  readonly #notes = new Set<string>();
  readonly #laterNotes = new Set<string>();
  readonly #commands: CollectionCommands;
  readonly #laterCommands: CollectionCommands;
  /** Other collections that transactions of wanted ones wrote to, and how many such transactions. */
  readonly #beyond = new Map<string, number>();
  /** Of the last entry; 0 seconds: there was none. No object of its own, for there is one of each entry. */
  #lastSeconds = 0;
  #lastOrdinal = 0;
  #lastWall = Number.NaN;
  /** The first entry that does not count, and its wall. */
  #cutAt: (Timestamp & { readonly wall: number }) | undefined;
  /** With windows: the first entry that no longer counts for documents as of one moment. */
  #momentAt: (Timestamp & { readonly wall: number }) | undefined;
  /** It has not come, or an entry behind it commits what was visible before. */
  #isMomentOpen = true;
  #laterFault: string | undefined;
  #operationsLater = 0;
  readonly #takes: TakesOperations = {
    operation: (index, entry, container) => {
      if (this.#isMomentOpen) this.#take(index, entry, container);
      else this.#takeLater(index, entry, container);
      this.#windows[index]?.take(entry, container);
    },
    use: ({ bytes, start, end }) => {
      this.entriesUsed++;
      this.#hash.update(bytes.subarray(start, end));
    },
    saved: (scope) => this.#saved(scope),
    beyond: (namespaces) => {
      for (const each of namespaces) this.#beyond.set(each, (this.#beyond.get(each) ?? 0) + 1);
    },
  };
  readonly #takesLater: TakesOperations = {
    operation: (index, entry, container) => {
      this.#takeLater(index, entry, container);
      const windows = this.#windows[index];
      // Clocks are no clockwork: an entry of a window may stand a little behind its end.
      if (this.#mayStray(container)) windows?.take(entry, container);
      else windows?.takeLater(entry, container);
    },
    use: () => {},
  };
  readonly #watch: CommandWatch = {
    gone: (index, entry, end) => this.#gone(index, entry, end),
    indexes: (index, entry, command) => this.#windows[index]?.ttl.follow(entry, command),
  };

  constructor(scope: ReplayScope) {
    this.#scope = scope;
    this.#wanted = new WantedCollections(scope.collections);
    this.#changes = new RecordLog(`${scope.spillPath}changes`);
    this.#transactions = new WaitingTransactions(new RecordLog(`${scope.spillPath}transactions`));
    this.#touched = scope.collections.map(() => new TouchedDocuments(this.#changes));
    this.#laterChanges = scope.collections.map(() => new LaterChanges());
    this.#isAt = scope.collections.map(
      ({ collection }) => scope.windows?.views.get(collection)?.isAt ?? true,
    );
    this.#windows = windowsOf(scope, this.#changes);
    this.#commands = new CollectionCommands(this.#wanted, this.#notes, scope.windows && this.#watch);
    this.#laterCommands = new CollectionCommands(this.#wanted, this.#laterNotes);
    this.#operations = new Operations(
      { wanted: this.#wanted, commands: this.#commands, transactions: this.#transactions },
      this.#takes,
    );
  }

  /** The last entry handed in. */
  get last(): (Timestamp & { readonly wall: number }) | undefined {
    if (this.#lastSeconds === 0) return undefined;
    return { seconds: this.#lastSeconds, ordinal: this.#lastOrdinal, wall: this.#lastWall };
  }

  /** The entry that was handed in last, also where it could not be followed, as `seconds,ordinal`; for messages. */
  get current(): string | undefined {
    return this.#entry.seconds === 0 ? undefined : showTimestamp(this.#entry);
  }

  /** Whether a prepared transaction on wanted collections waits for an outcome behind the cut. */
  get awaitsOutcome(): boolean {
    return [...this.#transactions.prepared()].some(
      (waiting) => !waiting.isLater && this.#operations.touches(waiting),
    );
  }

  /** With windows: the first entry that no longer counts for documents as of one moment. */
  get momentAt(): (Timestamp & { readonly wall: number }) | undefined {
    return this.#momentAt;
  }

  get looksOn(): boolean {
    return this.#scope.looksOn === true;
  }

  /** The first entry that does not count any more; undefined while it has not come. */
  get cutAt(): (Timestamp & { readonly wall: number }) | undefined {
    return this.#cutAt;
  }

  /**
   * Takes the entry at `start`, whose frame is sound. False: nothing that follows is of use. Throws OplogFault or BsonFault for an entry
   * before the cut that cannot be followed.
   */
  entry(bytes: Buffer, start: number): boolean {
    const entry = this.#entry.read(bytes, start);
    this.#inOrder(entry);
    this.entriesRead++;
    if (this.#scope.begin !== undefined && compareTimestamps(entry, this.#scope.begin) < 0) {
      // A file may have been saved from an earlier moment on, and say of what.
      const scope = scopeOf(entry);
      if (scope !== undefined) this.#saved(scope);
      return true;
    }
    if (this.#cutAt !== undefined || this.#isCut(entry)) return this.#afterCut(entry);
    this.#meetMoment(entry);
    this.#noteDrift(entry);
    if (!this.#endsBeforeDump(entry)) this.#operations.follow(entry);
    return true;
  }

  /** Whether it ends a transaction, as the newest entry when the dump was begun: what that did is in the dump, and of an open one the first entry would be there. */
  #endsBeforeDump(entry: OplogEntry): boolean {
    const { said, begin } = this.#scope;
    if (said !== 'dump' || entry.op !== OP.COMMAND || !entry.hasSession || !entry.hasPrevious) return false;
    return begin === undefined ? this.entriesRead === 1 : compareTimestamps(entry, begin) === 0;
  }

  /** No more entries come. Throws OplogFault where what came is not enough. */
  finish(): ReplayResult {
    if (this.#cutAt === undefined) this.#wanted.refuseStrangers();
    if (this.awaitsOutcome)
      throw new OplogFault(
        'a prepared transaction has no outcome in it',
        'Read an oplog that goes on until the transaction was committed or aborted.',
      );
    for (const [namespace, count] of this.#beyond)
      this.#notes.add(
        `${count} ${count === 1 ? 'transaction' : 'transactions'} that changed documents of this plan also changed ${namespace}, which is not part of it`,
      );
    return {
      touched: this.#touched,
      later: this.#laterChanges,
      windows: this.#windows,
      laterFault: this.#laterFault,
      laterNotes: [...this.#laterNotes],
      begin: this.#scope.begin,
      cut: this.#cutAt,
      last: this.last,
      entriesRead: this.entriesRead,
      entriesUsed: this.entriesUsed,
      sha256: this.#hash.digest('hex'),
      notes: [...this.#notes],
      operationsLater: this.#operationsLater,
      close: () => this.close(),
    };
  }

  /** Forgets the changes. */
  close(): void {
    this.#changes.close();
    this.#transactions.close();
  }

  #inOrder(entry: OplogEntry): void {
    const seconds = this.#lastSeconds;
    if ((entry.seconds - seconds || entry.ordinal - this.#lastOrdinal) <= 0 && seconds > 0)
      throw new OplogFault(
        `it comes after ${showTimestamp({ seconds, ordinal: this.#lastOrdinal })}, and an oplog's timestamps rise`,
        'Entries of several oplogs may have been joined, or joined in another order. Name the oplog of one replica set, in its order.',
      );
    if (entry.seconds === 0)
      throw new OplogFault('it has no timestamp: these are not the entries of an oplog');
    this.#lastSeconds = entry.seconds;
    this.#lastOrdinal = entry.ordinal;
    this.#lastWall = entry.wall;
  }

  #isCut(entry: OplogEntry): boolean {
    const { cut } = this.#scope;
    if (cut === 'end' || !isBehind(entry, cut)) return false;
    // What comes later may well belong to other collections of these names. Before the cut is known: behind it a fault is only told.
    this.#wanted.refuseStrangers();
    this.#cutAt = { seconds: entry.seconds, ordinal: entry.ordinal, wall: entry.wall };
    return true;
  }

  /** Tells what counts for documents as of one moment from what comes between it and the end of the windows. */
  #meetMoment(entry: OplogEntry): void {
    const { windows } = this.#scope;
    if (windows === undefined) return;
    if (this.#momentAt === undefined) {
      if (!isBehind(entry, windows.at)) return;
      this.#momentAt = { seconds: entry.seconds, ordinal: entry.ordinal, wall: entry.wall };
    }
    this.#isMomentOpen = this.#commitsBefore(entry, this.#momentAt);
  }

  /** It decides about a transaction that was committed, to those who read, before a moment. */
  #commitsBefore(entry: OplogEntry, moment: Timestamp): boolean {
    const waiting = entry.op === OP.COMMAND && entry.hasSession ? this.#transactions.of(entry) : undefined;
    const commit = waiting?.isPrepared && !waiting.isLater ? commitTimestampOf(entry) : undefined;
    return commit !== undefined && compareTimestamps(commit, moment) < 0;
  }

  /** Where a collection is gone in a window, its documents were deleted; behind all that is wanted of it, that is told. */
  #gone(index: number, entry: OplogEntry, { what, by }: CollectionEnd): boolean {
    if (this.#scope.shard !== undefined || this.#isMomentOpen) return false;
    // Made capped, it has what it had, and how much of that fits is in no entry.
    if (by && copyOf(by) === 'convertToCapped') return false;
    if (this.#windows[index]?.drop(timeOf(entry), numRecords(entry)) === false) return false;
    const follows = by && '; what happened to the collection that took its name is not followed';
    this.#notes.add(`${this.#wanted.nameOf(index)} ${what} at ${momentText(entry)}${follows ?? ''}`);
    return true;
  }

  #mayStray(container: OplogEntry): boolean {
    const { cut } = this.#scope;
    return cut !== 'end' && 'wall' in cut && timeOf(container) < cut.wall + STRAYS_MS;
  }

  /** What was committed before the cut was visible then, even where its transaction's outcome stands behind it. All else happened later. */
  #afterCut(entry: OplogEntry): boolean {
    // Where the cut is named, the entry that shows it may be later.
    const { cut } = this.#scope;
    const end = cut !== 'end' && 'ts' in cut ? cut.ts : (this.#cutAt as Timestamp);
    const moment = this.#momentAt ?? end;
    this.#isMomentOpen = this.#commitsBefore(entry, moment);
    if (this.#isMomentOpen) this.#operations.commit(entry, this.#transactions.of(entry));
    else this.#later(entry);
    return this.awaitsOutcome || (this.looksOn && this.#laterFault === undefined);
  }

  /** What happens behind the cut is only told: where it cannot be followed any more, that is told as well. */
  #later(entry: OplogEntry): void {
    this.#operations.taker = this.#takesLater;
    this.#operations.commands = this.#laterCommands;
    this.#transactions.isLater = true;
    try {
      if (this.#laterFault === undefined && this.looksOn) this.#operations.follow(entry);
      else if (entry.op === OP.COMMAND && entry.hasSession) this.#transactions.forget(entry);
    } catch (fault) {
      if (!(fault instanceof OplogFault || fault instanceof BsonFault)) throw fault;
      this.laterEndsWith(fault.message);
    } finally {
      this.#transactions.isLater = false;
      this.#operations.taker = this.#takes;
      this.#operations.commands = this.#commands;
    }
  }

  /** What happened later is not known from here on, and why. */
  laterEndsWith(why: string): void {
    this.#laterFault ??= why;
  }

  #noteDrift(entry: OplogEntry): void {
    const { cut } = this.#scope;
    if (cut === 'end' || 'ts' in cut || !driftsNear(entry, cut.wall)) return;
    this.#notes.add(
      "near the cut the primary's clock and the oplog's own time differ by more than 2 seconds",
    );
  }

  #saved(scope: SavedScope): void {
    this.isPartial = true;
    for (const { namespace } of this.#scope.collections) requireSaved(scope, namespace);
  }

  /** Keeps what an insert, update or delete does. */
  #take(index: number, entry: OplogEntry, container: OplogEntry): void {
    if (this.#isAt[index] === false) return;
    const { shard } = this.#scope;
    if (shard !== undefined) noteWrite(shard, index, entry, container);
    else if (isMigration(entry, container))
      throw new OplogFault(
        'it moved a document between shards',
        'For a sharded cluster, name the oplog of each shard in source.oplog.shards.',
      );
    const touched = this.#touched[index] as TouchedDocuments;
    // On a shard it may only have moved.
    if (entry.op === OP.DELETE && shard === undefined) touched.remove(entry, tookEffectAt(container));
    else touched.take(entry);
  }

  /** What it comes to for a document that is restored as it was before. */
  #takeLater(index: number, entry: OplogEntry, container: OplogEntry): void {
    this.#operationsLater++;
    if (this.#isAt[index] === false) return;
    if (this.#scope.shard !== undefined && isMigration(entry, container)) return;
    (this.#laterChanges[index] as LaterChanges).happened(entry.op, idOf(entry), tookEffectAt(container));
  }
}

/** What a replay has found out. */
export interface ReplayResult {
  /** For each wanted collection, in their order. */
  readonly touched: readonly TouchedDocuments[];
  /** What happened to documents behind the cut, alike; nothing where the scope does not look on. */
  readonly later: readonly LaterChanges[];
  /** Documents as they were before they were deleted or changed, alike; undefined where none are wanted. */
  readonly windows: readonly (CollectionWindows | undefined)[];
  /** Why no more of that is known; undefined: it was followed to the end. */
  readonly laterFault: string | undefined;
  /** What happened to whole collections behind the cut. */
  readonly laterNotes: readonly string[];
  readonly begin: Timestamp | undefined;
  /** The first entry that does not count; undefined where all of them do. */
  readonly cut: Timestamp | undefined;
  readonly last: (Timestamp & { readonly wall: number }) | undefined;
  readonly entriesRead: number;
  readonly entriesUsed: number;
  /** Of the entries used, in the order in which they take effect; a transaction's together, where it is committed. */
  readonly sha256: string;
  /** Worth telling the operator. */
  readonly notes: readonly string[];
  /** Operations on documents of its collections behind the cut, migrations included. */
  readonly operationsLater: number;
  /** Forgets the changes. */
  close(): void;
}
