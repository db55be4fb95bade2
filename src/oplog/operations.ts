/**
 * Takes the entries of an oplog apart into the operations on documents of wanted collections.
 *
 * Operations hide inside `applyOps` (deletes of many documents, inserts of many, transactions); a transaction counts at the entry that
 * commits it, and is kept in a log until then. What the operations come to is decided by whoever takes them.
 */
import { elements, findElement, valueEnd } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { OP, OplogEntry } from './entry.ts';
import { NEWER_SERVER, OplogFault } from './faults.ts';
import { NO_RECORD, type RecordLog } from './record-log.ts';
import { type SavedScope, scopeOf } from './saved-scope.ts';
import { type CollectionCommands, commandOf, meaningOf, type WantedCollections } from './wanted.ts';

/** `multiOpType` of an `applyOps` each of whose operations stands for itself, whatever it is chained to. */
export const APPLIED_SEPARATELY = 1;

const BEGUN_EARLIER =
  'Let the replay begin earlier: a transaction lasts at most 60 seconds unless the server was told otherwise.';

export interface TakesOperations {
  /**
   * An insert, update or delete of a document of the wanted collection at `index`. `container` is the entry by which it takes effect: itself,
   * the `applyOps` that holds it, or what commits its transaction. Both are lent.
   */
  operation(index: number, operation: OplogEntry, container: OplogEntry): void;
  /** An entry with at least one such operation; of a transaction all its entries, one after the other, when it is committed. */
  use(entry: OplogEntry): void;
  /** A transaction with at least one such operation also wrote to collections that are not wanted. */
  beyond?(namespaces: ReadonlySet<string>): void;
  /** The entries that follow were saved for some collections only. */
  saved?(scope: SavedScope): void;
}

/** The parts of an oplog that operations are told apart by. */
export interface OperationParts {
  readonly wanted: Pick<WantedCollections, 'find' | 'named'>;
  readonly commands: Pick<CollectionCommands, 'follow'>;
  readonly transactions: WaitingTransactions;
}

export class Operations {
  /** Who takes what the next entries hold, and who follows commands about whole collections. */
  taker: TakesOperations;
  commands: OperationParts['commands'];
  readonly #wanted: OperationParts['wanted'];
  readonly #transactions: WaitingTransactions;
  readonly #inner = new OplogEntry();

  constructor({ wanted, commands, transactions }: OperationParts, taker: TakesOperations) {
    this.#wanted = wanted;
    this.commands = commands;
    this.#transactions = transactions;
    this.taker = taker;
  }

  /** Throws OplogFault or BsonFault for an entry that cannot be followed. */
  follow(entry: OplogEntry): void {
    switch (entry.op) {
      case OP.INSERT:
      case OP.UPDATE:
      case OP.DELETE:
        if (this.#operation(entry, entry)) this.taker.use(entry);
        return;
      case OP.COMMAND:
        this.#command(entry);
        return;
      default:
        this.#other(entry);
    }
  }

  /** Applies the operations of a transaction: those kept, then those of the entry that commits it. */
  commit(entry: OplogEntry, waiting: Waiting | undefined): void {
    const others = new Set<string>();
    let isTouched = false;
    const apply = (part: OplogEntry): void => {
      if (this.#applyAll(part, entry, others)) isTouched = true;
    };
    if (waiting !== undefined) this.#transactions.forEach(waiting, apply);
    if (commandOf(entry) === 'applyOps') apply(entry);
    this.#transactions.forget(entry);
    if (!isTouched) return;
    if (waiting !== undefined) this.#transactions.forEach(waiting, (part) => this.taker.use(part));
    this.taker.use(entry);
    if (others.size > 0) this.taker.beyond?.(others);
  }

  /** Whether a transaction's kept entries hold an operation on a wanted collection. */
  touches(waiting: Waiting): boolean {
    let isTouched = false;
    this.#transactions.forEach(waiting, ({ bytes, o }) => {
      const list = findElement(bytes, o, APPLY_OPS);
      if (list?.type !== BSON.ARRAY) return;
      for (const { start } of elements(bytes, list.start))
        isTouched ||= this.#isWanted(this.#inner.read(bytes, start));
    });
    return isTouched;
  }

  /** False where it belongs to another collection. */
  #operation(entry: OplogEntry, container: OplogEntry): boolean {
    const index = this.#collectionOf(entry);
    if (index < 0) return false;
    if (entry.o < 0) throw new OplogFault('it has no "o"');
    this.taker.operation(index, entry, container);
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
    if (NO_CONTENT.has(entry.op)) {
      const scope = scopeOf(entry);
      if (scope !== undefined) this.taker.saved?.(scope);
      return;
    }
    if (entry.ui >= 0 && this.#wanted.find(entry.bytes, entry.ui, entry) < 0) return;
    throw new OplogFault(
      `it is an operation ${JSON.stringify(entry.opText)} that is not known here`,
      NEWER_SERVER,
    );
  }

  #command(entry: OplogEntry): void {
    const name = commandOf(entry);
    if (meaningOf(name) === 'operations') this.#operations(entry, name);
    else this.commands.follow(entry, name);
  }

  #operations(entry: OplogEntry, name: string): void {
    const { bytes } = entry;
    if (name === 'abortTransaction') {
      this.#transactions.forget(entry);
      return;
    }
    if (!entry.hasSession || (name === 'applyOps' && entry.multiOpType === APPLIED_SEPARATELY)) {
      if (name !== 'applyOps') throw new OplogFault(`${name} has no session`);
      if (this.#applyAll(entry, entry)) this.taker.use(entry);
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
    this.commit(entry, entry.hasPrevious ? waiting : undefined);
  }

  /** Hands on the operations of an `applyOps`; whether any is of a wanted collection. Notes the names of other collections. */
  #applyAll(list: OplogEntry, container: OplogEntry, others?: Set<string>, inner = this.#inner): boolean {
    const { bytes } = list;
    const operations = findElement(bytes, list.o, APPLY_OPS);
    if (operations?.type !== BSON.ARRAY)
      throw new OplogFault('it is an applyOps without a list of operations');
    let isTouched = false;
    const last = operations.end - 1;
    for (let at = operations.start + 4; at < last; ) {
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
          this.commands.follow(inner.at(container), commandOf(inner));
        else if (this.#applyAll(inner, container, others, new OplogEntry())) isTouched = true;
      } else if (inner.op === OP.INSERT || inner.op === OP.UPDATE || inner.op === OP.DELETE) {
        if (this.#operation(inner, container)) isTouched = true;
        else others?.add(inner.ns);
      } else {
        this.#other(inner);
      }
    }
    return isTouched;
  }

  #isWanted(entry: OplogEntry): boolean {
    return entry.ui >= 0 && this.#wanted.find(entry.bytes, entry.ui, entry) >= 0;
  }
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

function isTrue(bytes: Buffer, start: number, key: Buffer): boolean {
  const value = findElement(bytes, start, key);
  return value?.type === BSON.BOOL && bytes[value.start] === 1;
}

// Transactions of which the oplog has not said yet what became of them.

/** A transaction that is not decided yet. */
export interface Waiting {
  /** The newest of its entries in the log. */
  readonly newest: number;
  /** Only a command of its own decides about it. */
  readonly isPrepared: boolean;
  /** Its first entry came before the replay began. */
  readonly isHeadless: boolean;
  /** It was begun or prepared behind the cut. */
  readonly isLater: boolean;
}

/** The entries of transactions that are not decided yet, kept whole. */
export class WaitingTransactions {
  readonly #log: RecordLog;
  readonly #waiting = new Map<string, Waiting>();
  readonly #part = new OplogEntry();
  /** What is kept from now on came behind the cut. */
  isLater = false;

  constructor(log: RecordLog) {
    this.#log = log;
  }

  /** What there is of the transaction that an entry belongs to. */
  of(entry: OplogEntry): Waiting | undefined {
    return this.#waiting.get(entry.transaction);
  }

  /** Keeps a further part of a transaction. */
  keep(entry: OplogEntry, isPrepared: boolean): void {
    const before = entry.hasPrevious ? this.of(entry) : undefined;
    this.#waiting.set(entry.transaction, {
      newest: this.#log.append(before?.newest ?? NO_RECORD, 0, entry.bytes, entry.start, entry.end),
      isPrepared,
      isHeadless: entry.hasPrevious && (before === undefined || before.isHeadless),
      isLater: this.isLater,
    });
  }

  forget(entry: OplogEntry): void {
    this.#waiting.delete(entry.transaction);
  }

  /** Shows each part of a transaction, oldest first; it is lent. */
  forEach({ newest }: Waiting, look: (part: OplogEntry) => void): void {
    for (const number of this.#log.chain(newest)) {
      const { bytes, start } = this.#log.read(number);
      look(this.#part.read(bytes, start));
    }
  }

  /** Those that are prepared and wait for their outcome. */
  *prepared(): Generator<Waiting> {
    for (const waiting of this.#waiting.values()) if (waiting.isPrepared) yield waiting;
  }

  close(): void {
    this.#log.close();
  }
}
