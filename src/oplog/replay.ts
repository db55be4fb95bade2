/**
 * Follows an oplog from where a replay begins to the cut, and keeps what happened to each document of the wanted collections.
 *
 * Entries are handed in one by one, in the oplog's order. Operations hide inside `applyOps` (deletes of many documents, inserts of many,
 * transactions); a transaction counts at the entry that commits it, and is kept in a log until then.
 */
import { createHash } from 'node:crypto';
import { elements, findElement, valueEnd } from '../bson/elements.ts';
import { findId } from '../bson/stored-form.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { compareTimestamps, OP, OplogEntry, showTimestamp, type Timestamp } from './entry.ts';
import { NEWER_SERVER, OplogFault } from './faults.ts';
import { RecordLog } from './record-log.ts';
import { TouchedDocuments } from './touched.ts';
import { type Waiting, WaitingTransactions } from './transactions.ts';
import { updateKind } from './update.ts';
import {
  CollectionCommands,
  commandOf,
  meaningOf,
  type WantedCollection,
  WantedCollections,
} from './wanted.ts';

/** Where a replay ends, exclusive: before the first entry that a primary wrote at this time (UTC milliseconds) or later, or that has this timestamp. */
export type Cut = { readonly wall: number } | { readonly ts: Timestamp } | 'end';

export interface ReplayScope {
  readonly collections: readonly WantedCollection[];
  /** The first entry that counts; undefined: the first there is. */
  readonly begin: Timestamp | undefined;
  readonly cut: Cut;
  /** Names of files that are made where memory is not enough begin with this path. */
  readonly spillPath: string;
}

const APPLIED_SEPARATELY = 1;
/** A clock this far from the oplog's own time, near the cut, is worth telling. */
const CLOCK_DRIFT_MS = 2_000;
const NEAR_CUT_MS = 60_000;

const BEGUN_EARLIER =
  'Let the replay begin earlier: a transaction lasts at most 60 seconds unless the server was told otherwise.';

export class Replay {
  /** Entries handed in; those that count; and the SHA-256 of the latter, in the order in which they take effect. */
  entriesRead = 0;
  entriesUsed = 0;
  readonly #scope: ReplayScope;
  readonly #wanted: WantedCollections;
  readonly #commands: CollectionCommands;
  readonly #touched: readonly TouchedDocuments[];
  readonly #changes: RecordLog;
  readonly #transactions: WaitingTransactions;
  readonly #hash = createHash('sha256');
  readonly #entry = new OplogEntry();
  readonly #inner = new OplogEntry();
  readonly #notes = new Set<string>();
  /** Other collections that transactions of wanted ones wrote to, and how many such transactions. */
  readonly #beyond = new Map<string, number>();
  #last: Timestamp | undefined;
  #lastWall = Number.NaN;
  /** The first entry that does not count, and its wall. */
  #cutAt: (Timestamp & { readonly wall: number }) | undefined;

  constructor(scope: ReplayScope) {
    this.#scope = scope;
    this.#wanted = new WantedCollections(scope.collections);
    this.#commands = new CollectionCommands(this.#wanted, this.#notes);
    this.#changes = new RecordLog(`${scope.spillPath}changes`);
    this.#transactions = new WaitingTransactions(new RecordLog(`${scope.spillPath}transactions`));
    this.#touched = scope.collections.map(() => new TouchedDocuments(this.#changes));
  }

  /** The last entry handed in. */
  get last(): (Timestamp & { readonly wall: number }) | undefined {
    return this.#last === undefined ? undefined : { ...this.#last, wall: this.#lastWall };
  }

  /** The entry that was handed in last, also where it could not be followed, as `seconds,ordinal`; for messages. */
  get current(): string | undefined {
    return this.#entry.seconds === 0 ? undefined : showTimestamp(this.#entry);
  }

  /** Whether a prepared transaction on wanted collections waits for an outcome behind the cut. */
  get awaitsOutcome(): boolean {
    return [...this.#transactions.prepared()].some((waiting) => this.#touches(waiting));
  }

  /** The first entry that does not count any more; undefined while it has not come. */
  get cutAt(): (Timestamp & { readonly wall: number }) | undefined {
    return this.#cutAt;
  }

  /**
   * Takes the entry at `start`, whose frame is sound. False: nothing that follows counts. Throws OplogFault or BsonFault for an entry that
   * cannot be followed.
   */
  entry(bytes: Buffer, start: number): boolean {
    const entry = this.#entry.read(bytes, start);
    this.#inOrder(entry);
    this.entriesRead++;
    if (this.#scope.begin !== undefined && compareTimestamps(entry, this.#scope.begin) < 0) return true;
    if (this.#cutAt !== undefined || this.#isCut(entry)) return this.#afterCut(entry);
    this.#noteDrift(entry);
    switch (entry.op) {
      case OP.INSERT:
      case OP.UPDATE:
      case OP.DELETE:
        if (this.#operation(entry)) this.#use(bytes, entry.start, entry.end);
        return true;
      case OP.COMMAND:
        this.#command(entry);
        return true;
      default:
        this.#other(entry);
        return true;
    }
  }

  /** No more entries come. Throws OplogFault where what came is not enough. */
  finish(): ReplayResult {
    this.#wanted.refuseStrangers();
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
      begin: this.#scope.begin,
      cut: this.#cutAt,
      last: this.last,
      entriesRead: this.entriesRead,
      entriesUsed: this.entriesUsed,
      sha256: this.#hash.digest('hex'),
      notes: [...this.#notes],
      close: () => this.close(),
    };
  }

  /** Forgets the changes. */
  close(): void {
    this.#changes.close();
    this.#transactions.close();
  }

  #inOrder(entry: OplogEntry): void {
    const last = this.#last;
    if (last !== undefined && compareTimestamps(entry, last) <= 0)
      throw new OplogFault(
        `it comes after ${showTimestamp(last)}, and an oplog's timestamps rise`,
        'Entries of several oplogs may have been joined, or joined in another order. Name the oplog of one replica set, in its order.',
      );
    if (entry.seconds === 0)
      throw new OplogFault('it has no timestamp: these are not the entries of an oplog');
    this.#last = { seconds: entry.seconds, ordinal: entry.ordinal };
    this.#lastWall = entry.wall;
  }

  #isCut(entry: OplogEntry): boolean {
    const { cut } = this.#scope;
    if (cut === 'end') return false;
    const isCut =
      'ts' in cut
        ? compareTimestamps(entry, cut.ts) >= 0
        : Number.isNaN(entry.wall)
          ? entry.seconds >= Math.floor(cut.wall / 1000)
          : entry.wall >= cut.wall;
    if (isCut) this.#cutAt = { seconds: entry.seconds, ordinal: entry.ordinal, wall: entry.wall };
    return isCut;
  }

  /** Behind the cut only the outcome of a prepared transaction counts: what was committed before the cut was visible then. */
  #afterCut(entry: OplogEntry): boolean {
    const waiting = entry.op === OP.COMMAND && entry.hasSession ? this.#transactions.of(entry) : undefined;
    if (waiting?.isPrepared) {
      const commit = findElement(entry.bytes, entry.o, COMMIT_TIMESTAMP);
      const isIn =
        commit?.type === BSON.TIMESTAMP &&
        compareTimestamps(timestampOf(commit), this.#cutAt as Timestamp) < 0;
      if (isIn) this.#commit(entry, waiting);
      else if (commandOf(entry) === 'abortTransaction' || commit !== undefined)
        this.#transactions.forget(entry);
    }
    return this.awaitsOutcome;
  }

  #noteDrift(entry: OplogEntry): void {
    const { cut } = this.#scope;
    if (cut === 'end' || 'ts' in cut || !(Math.abs(entry.wall - cut.wall) <= NEAR_CUT_MS)) return;
    if (Math.abs(entry.wall - entry.seconds * 1000) <= CLOCK_DRIFT_MS) return;
    this.#notes.add(
      "near the cut the primary's clock and the oplog's own time differ by more than 2 seconds",
    );
  }

  #use(bytes: Buffer, start: number, end: number): void {
    this.entriesUsed++;
    this.#hash.update(bytes.subarray(start, end));
  }

  /** Keeps what an insert, update or delete does; false where it belongs to another collection. */
  #operation(entry: OplogEntry): boolean {
    const { bytes } = entry;
    const index = this.#collectionOf(entry);
    if (index < 0) return false;
    if (entry.fromMigrate)
      throw new OplogFault(
        'it moved a document between shards',
        'The backup of a sharded cluster cannot be rolled forward by this version. Leave out source.oplog.',
      );
    const touched = this.#touched[index] as TouchedDocuments;
    if (entry.o < 0) throw new OplogFault('it has no "o"');
    if (entry.op === OP.INSERT) {
      touched.put(idIn(bytes, entry.o), bytes, entry.o);
    } else if (entry.op === OP.DELETE) {
      touched.remove(idIn(bytes, entry.o));
    } else {
      const id = idIn(bytes, entry.o2 < 0 ? entry.o : entry.o2);
      if (updateKind(bytes, entry.o) === 'whole') touched.put(id, bytes, entry.o);
      else if (entry.upsert)
        throw new OplogFault('it is an update that may make its document, which is not known here');
      else touched.change(id, bytes, entry.o, entry.o + bytes.readInt32LE(entry.o));
    }
    return true;
  }

  #collectionOf(entry: OplogEntry): number {
    if (entry.ui >= 0) return this.#wanted.find(entry.bytes, entry.ui, entry);
    if (this.#wanted.named(entry.ns) < 0) return -1;
    throw new OplogFault(
      `it is an entry for ${entry.ns} without a UUID`,
      'Servers before 3.6 write such entries, and a collection cannot be followed by them.',
    );
  }

  /** An entry that is no operation on a document and no command. */
  #other(entry: OplogEntry): void {
    if (NO_CONTENT.has(entry.op)) return;
    if (entry.ui >= 0 && this.#wanted.find(entry.bytes, entry.ui, entry) < 0) return;
    throw new OplogFault(
      `it is an operation ${JSON.stringify(entry.opText)} that is not known here`,
      NEWER_SERVER,
    );
  }

  #command(entry: OplogEntry): void {
    const name = commandOf(entry);
    if (meaningOf(name) === 'operations') this.#operations(entry, name);
    else this.#commands.follow(entry, name);
  }

  #operations(entry: OplogEntry, name: string): void {
    const { bytes } = entry;
    if (name === 'abortTransaction') {
      this.#transactions.forget(entry);
      return;
    }
    if (!entry.hasSession || (name === 'applyOps' && entry.multiOpType === APPLIED_SEPARATELY)) {
      if (name !== 'applyOps') throw new OplogFault(`${name} has no session`);
      if (this.#applyAll(entry, this.#inner)) this.#use(bytes, entry.start, entry.end);
      return;
    }
    if (entry.multiOpType !== 0)
      throw new OplogFault(
        `it is an applyOps of a kind (multiOpType ${entry.multiOpType}) that is not known here`,
        NEWER_SERVER,
      );
    const waiting = this.#transactions.of(entry);
    const isPrepared = isTrue(bytes, entry.o, PREPARE);
    if (name === 'applyOps' && (isPrepared || isTrue(bytes, entry.o, PARTIAL))) {
      this.#transactions.keep(entry, isPrepared);
      return;
    }
    if (entry.hasPrevious && (waiting === undefined || waiting.isHeadless))
      throw new OplogFault('it commits a transaction that was begun before the replay begins', BEGUN_EARLIER);
    this.#commit(entry, entry.hasPrevious ? waiting : undefined);
  }

  /** Applies the operations of a transaction: those kept, then those of the entry that commits it. */
  #commit(entry: OplogEntry, waiting: Waiting | undefined): void {
    const others = new Set<string>();
    let isTouched = false;
    const apply = (part: OplogEntry): void => {
      if (this.#applyAll(part, this.#inner, others)) isTouched = true;
    };
    if (waiting !== undefined) this.#transactions.forEach(waiting, apply);
    if (commandOf(entry) === 'applyOps') apply(entry);
    this.#transactions.forget(entry);
    if (!isTouched) return;
    const use = ({ bytes, start, end }: OplogEntry): void => this.#use(bytes, start, end);
    if (waiting !== undefined) this.#transactions.forEach(waiting, use);
    use(entry);
    for (const namespace of others) this.#beyond.set(namespace, (this.#beyond.get(namespace) ?? 0) + 1);
  }

  /** Keeps what the operations of an `applyOps` do; whether any is of a wanted collection. Notes the names of other collections. */
  #applyAll(container: OplogEntry, inner: OplogEntry, others?: Set<string>): boolean {
    const { bytes } = container;
    const list = findElement(bytes, container.o, APPLY_OPS);
    if (list?.type !== BSON.ARRAY) throw new OplogFault('it is an applyOps without a list of operations');
    let isTouched = false;
    const last = list.end - 1;
    for (let at = list.start + 4; at < last; ) {
      let value = at + 1;
      while (bytes[value] !== 0) value++;
      value++;
      const end = valueEnd(bytes, bytes[at] as number, value, last);
      if (bytes[at] !== BSON.OBJECT)
        throw new OplogFault('it is an applyOps of something else than operations');
      at = end;
      inner.read(bytes, value);
      if (inner.op === OP.COMMAND) {
        if (meaningOf(commandOf(inner)) !== 'operations')
          this.#commands.follow(inner.at(container), commandOf(inner));
        else if (this.#applyAll(inner, new OplogEntry(), others)) isTouched = true;
      } else if (inner.op === OP.INSERT || inner.op === OP.UPDATE || inner.op === OP.DELETE) {
        if (this.#operation(inner)) isTouched = true;
        else others?.add(inner.ns);
      } else {
        this.#other(inner);
      }
    }
    return isTouched;
  }

  /** Whether a transaction's kept entries hold an operation on a wanted collection. */
  #touches(waiting: Waiting): boolean {
    let isTouched = false;
    this.#transactions.forEach(waiting, ({ bytes, o }) => {
      const list = findElement(bytes, o, APPLY_OPS);
      if (list?.type !== BSON.ARRAY) return;
      for (const { start } of elements(bytes, list.start))
        isTouched ||= this.#isWanted(this.#inner.read(bytes, start));
    });
    return isTouched;
  }

  #isWanted(entry: OplogEntry): boolean {
    return entry.ui >= 0 && this.#wanted.find(entry.bytes, entry.ui, entry) >= 0;
  }
}

/** What a replay has found out. */
export interface ReplayResult {
  /** For each wanted collection, in their order. */
  readonly touched: readonly TouchedDocuments[];
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
  /** Forgets the changes. */
  close(): void;
}

const NO_CONTENT: ReadonlySet<number> = new Set([
  OP.NOOP,
  OP.CONTAINER_INSERT,
  OP.CONTAINER_UPDATE,
  OP.CONTAINER_DELETE,
  OP.KEY_MATERIAL,
]);

const APPLY_OPS = Buffer.from('applyOps');
const PARTIAL = Buffer.from('partialTxn');
const PREPARE = Buffer.from('prepare');
const COMMIT_TIMESTAMP = Buffer.from('commitTimestamp');

function idIn(bytes: Buffer, start: number): RawValue {
  const id = findId(bytes, start);
  if (id === undefined) throw new OplogFault('it names no _id');
  return id;
}

function isTrue(bytes: Buffer, start: number, key: Buffer): boolean {
  const value = findElement(bytes, start, key);
  return value?.type === BSON.BOOL && bytes[value.start] === 1;
}

function timestampOf({ bytes, start }: RawValue): Timestamp {
  return { seconds: bytes.readUInt32LE(start + 4), ordinal: bytes.readUInt32LE(start) };
}
