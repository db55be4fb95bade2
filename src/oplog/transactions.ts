/**
 * Transactions of which the oplog has not said yet what became of them.
 *
 * Alone because: what waits, and until when, is decided without the rest of a replay.
 */
import { OplogEntry } from './entry.ts';
import { NO_RECORD, type RecordLog } from './record-log.ts';

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
