/**
 * Writes to documents that are, byte for byte, still the ones seen, or have still the same fields.
 *
 * A condition in a query compares values: 1 and 1.0 are equal to it, 1.50 and 1.5, and under a collation `abc` and `ABC`. So each
 * write is a transaction: it reads the documents of one snapshot by their `_id`s, compares bytes here, writes to those that are
 * the same, and commits to the majority. Whatever changes in between ends it with a WriteConflict, and it starts anew.
 *
 * An open transaction keeps other writers of its documents waiting. Therefore it is small: of as many documents as the server
 * was seen to take in a second, and cut in halves when it fails. All attempts share one session and have rising numbers: a newer
 * one ends an older one that is still open, and a commit of the older one that arrives late is refused.
 */
import { compareValues } from '../bson/compare-values.ts';
import { DocumentBuilder } from '../bson/document-builder.ts';
import { Documents } from '../bson/documents.ts';
import { RestorePlanError } from '../errors.ts';
import { rawDocument, readBatch, readWriteFaults, type WriteFault } from '../mongo/raw-messages.ts';
import {
  CommandFailure,
  isCodeOfManyDocuments,
  isDocumentCode,
  TOO_LARGE_FOR_CACHE,
  TRIES_FOR_CACHE,
} from './command-failure.ts';
import { COMMAND_TIME_MS, type Command, type Commands, retry, settle, TryAgain } from './commands.ts';
import { documentSequence } from './driver-internals.ts';
import { Existing, Pairing } from './existing.ts';
import { type EmptyTimestamps, idFilter, shardKeyValue, writeStatement } from './statements.ts';
import type {
  ConditionalOutcome,
  FieldChanges,
  TransactionSize,
  WriteIdentity,
  WrittenCollection,
} from './target.ts';
import { sessionFields, Transaction } from './write-sessions.ts';

/** A transaction's documents, as seen and as they shall be, bytes. One that is larger comes alone. */
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_DOCUMENTS = 4_000;
const LEAST_DOCUMENTS = 100;

/** How long the writes of a transaction, which hold its documents, should take, milliseconds. */
const HOLD_MS = 1_000;

/** Longest that the server may work on one command of a transaction of several documents, milliseconds: it is slow by then. */
const PART_TIME_MS = 10_000;

const TIME_IS_UP = 50;
const IMMUTABLE_FIELD = 66;
const NO_SUCH_TRANSACTION = 251;

/** How many documents a transaction takes, learned from those before it. */
class PartSize {
  #documents = MOST_DOCUMENTS;

  get documents(): number {
    return Math.floor(this.#documents);
  }

  get limits(): TransactionSize {
    return { bytes: MOST_BYTES, documents: this.documents };
  }

  /** So many documents took the server so long, milliseconds. */
  note(documents: number, tookMs: number): void {
    // By halves only: a machine that was busy for a moment says little of the next transaction.
    if (tookMs > HOLD_MS) this.#documents = Math.max(LEAST_DOCUMENTS, this.#documents / 2);
    else if (tookMs < HOLD_MS / 2 && documents >= this.#documents) {
      this.#documents = Math.min(MOST_DOCUMENTS, this.#documents * 2);
    }
  }
}

export interface ConditionalWrite extends Partial<FieldChanges> {
  readonly collection: WrittenCollection;
  readonly seen: readonly Buffer[];
  readonly identity: WriteIdentity;
  readonly beforeAttempt: (() => Promise<void>) | undefined;
}

/** Of one connection: what is learned from a transaction serves those after it. */
export class Transactions {
  readonly timestamps: EmptyTimestamps;
  readonly partSize = new PartSize();
  /** Of several mongos, only the one that began a transaction can go on with it. */
  readonly isSharded: boolean;

  constructor(timestamps: EmptyTimestamps, isSharded: boolean) {
    this.timestamps = timestamps;
    this.isSharded = isSharded;
  }

  get commands(): Commands {
    return this.timestamps.commands;
  }

  /** Throws CommandFailure or TryAgain when the patience is used up; what was written is open then. */
  write(write: ConditionalWrite): Promise<ConditionalOutcome> {
    return new TransactionalWrite(this, write).run();
  }
}

/** What one transaction came to. conflict: nothing was written, and fewer documents or another moment may do. */
type Attempt =
  | { readonly kind: 'committed' }
  | { readonly kind: 'conflict'; readonly reason: string; readonly code: number }
  | { readonly kind: 'refused'; readonly fault: WriteFault };

type Part = readonly number[];

class TransactionalWrite {
  readonly #transactions: Transactions;
  readonly #write: ConditionalWrite;
  readonly #what: string;
  readonly #seen: Documents;
  readonly #leftAlone = new Map<number, 'changed' | 'deleted'>();
  readonly #faults: WriteFault[] = [];
  /** By position, of those for which the server's cache had no room. */
  readonly #triesForCache = new Map<number, number>();
  #number: number;

  constructor(transactions: Transactions, write: ConditionalWrite) {
    this.#transactions = transactions;
    this.#write = write;
    this.#what = `writing to ${transactions.commands.database}.${write.collection.name}`;
    this.#seen = Documents.of(write.seen);
    this.#number = write.identity.txnNumber;
  }

  async run(): Promise<ConditionalOutcome> {
    const { patience } = this.#transactions.commands;
    const all = this.#withoutMoves();
    const queue: Part[] = all.length > 0 ? [all] : [];
    // The first number says of all documents that they were written, or that none was: see `settleTransaction`.
    if (this.#head(all).length < all.length) this.#number++;
    /** Documents that cannot be written at this moment: they must not keep the others waiting. */
    const waiting: Part[] = [];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const part = this.#head(next);
      if (part.length < next.length) queue.unshift(next.slice(part.length));
      const attempt = await retry(patience, this.#what, () => this.#attempt(part));
      queue.push(...this.#rest(part, attempt, (single) => waiting.push(single)));
    }
    const why = (open: number): string =>
      `${open} documents are being written by somebody else, or have no room in the cache`;
    await settle({ patience, what: this.#what, why }, waiting, async (unsettled) => {
      for (const single of unsettled.open) {
        const again: Part[] = [];
        // One whose attempt fails stays open, with those behind it.
        this.#rest(single, await this.#attempt(single), (part) => again.push(part));
        unsettled.open = [...unsettled.open.slice(1), ...again];
      }
    });
    return { leftAlone: this.#leftAlone, faults: this.#faults };
  }

  /** A replacement that would change the shard key might have to go to another shard. */
  #withoutMoves(): number[] {
    const { collection, seen, after } = this.#write;
    const positions = [...seen.keys()];
    const paths = collection.shardKey;
    if (paths === undefined || after === undefined) return positions;
    return positions.filter((position) => {
      const before = seen[position] as Buffer;
      const then = after(position, before);
      const stays = paths.every(
        (path) => compareValues(shardKeyValue(before, path), shardKeyValue(then, path)) === 0,
      );
      if (!stays) this.#faults.push({ index: position, code: IMMUTABLE_FIELD, keyPattern: undefined });
      return stays;
    });
  }

  /** As many of the first as one transaction takes. */
  #head(positions: Part): Part {
    const most = Math.min(positions.length, this.#transactions.partSize.documents);
    let bytes = 0;
    for (let count = 0; count < most; count++) {
      bytes += this.#size(positions[count] as number);
      if (bytes > MOST_BYTES) return positions.slice(0, Math.max(1, count));
    }
    return positions.slice(0, most);
  }

  #size(position: number): number {
    const { seen, after } = this.#write;
    const before = seen[position] as Buffer;
    return before.length + (after?.(position, before).length ?? 0);
  }

  /** What is still to be written of a part. */
  #rest(part: Part, attempt: Attempt, wait: (single: Part) => void): Part[] {
    if (attempt.kind === 'committed') return [];
    if (attempt.kind === 'refused') {
      this.#faults.push(attempt.fault);
      const at = part.indexOf(attempt.fault.index);
      // Those before it were probably taken. Of those after it nothing is known; halves keep the work small where all are refused.
      return [part.slice(0, at), ...halves(part.slice(at + 1))].filter(({ length }) => length > 0);
    }
    if (part.length > 1) return halves(part);
    const { code } = attempt;
    if (isDocumentCode(code) || (code === TOO_LARGE_FOR_CACHE && !this.#mayPass(part))) {
      this.#faults.push({ index: part[0] as number, code, keyPattern: undefined });
    } else wait(part);
    return [];
  }

  /** Whether it is to be tried again, because the server's cache may have room by then. */
  #mayPass([position = 0]: Part): boolean {
    const tries = (this.#triesForCache.get(position) ?? 0) + 1;
    this.#triesForCache.set(position, tries);
    return tries < TRIES_FOR_CACHE;
  }

  /** One transaction. Throws where waiting may help or nothing does. */
  async #attempt(part: Part): Promise<Attempt> {
    await this.#write.beforeAttempt?.();
    const timeMs = part.length > 1 ? PART_TIME_MS : COMMAND_TIME_MS;
    let transaction: Transaction | undefined;
    try {
      const attempt = await this.#transactions.timestamps.keep(
        () => part.flatMap((each) => this.#write.after?.(each, this.#write.seen[each] as Buffer) ?? []),
        (fields) => {
          transaction = this.#begin(timeMs);
          return this.#readAndWrite(transaction, part, fields);
        },
      );
      if (attempt.kind !== 'committed' || transaction === undefined) return attempt;
      return (await this.#commit(transaction)) ? attempt : ENDED;
    } catch (error) {
      await transaction?.abandon(error);
      if (!(error instanceof CommandFailure)) throw error;
      const { serverCode: code = 0, reason } = error;
      if (code === TIME_IS_UP) this.#transactions.partSize.note(part.length, timeMs);
      // Elections and the like want to be waited for; so does what is no fault of these documents.
      if (isCodeOfManyDocuments(code) || (isDocumentCode(code) && !error.transient))
        return { kind: 'conflict', reason, code };
      throw error;
    }
  }

  #begin(timeMs: number): Transaction {
    const session = sessionFields(this.#write.identity, this.#number++);
    return new Transaction(this.#transactions, { ...session, autocommit: false }, timeMs);
  }

  /** All but the commit. */
  async #readAndWrite(transaction: Transaction, part: Part, fields: Command): Promise<Attempt> {
    const { collection, seen, after } = this.#write;
    const there = await this.#look(transaction, part);
    const open: number[] = [];
    for (const position of part) {
      const presence = there.presence(position);
      if (presence === 'same') {
        this.#leftAlone.delete(position);
        open.push(position);
      } else this.#leftAlone.set(position, presence === 'other' ? 'changed' : 'deleted');
    }
    if (open.length === 0) return COMMITTED;
    const statements = new DocumentBuilder();
    for (const position of open) {
      // Where fields alone count, the rest of it may be another by now.
      const found = there.other(position) ?? (seen[position] as Buffer);
      writeStatement(statements, collection, found, after?.(position, found));
    }
    const sequence = statements.finish();
    const started = performance.now();
    const reply = await transaction.run(
      after === undefined
        ? { delete: collection.name, ...UNORDERED, deletes: documentSequence('deletes', sequence) }
        : {
            update: collection.name,
            ...UNORDERED,
            ...fields,
            updates: documentSequence('updates', sequence),
          },
    );
    this.#transactions.partSize.note(open.length, performance.now() - started);
    const [fault] = readWriteFaults(reply);
    if (fault !== undefined) {
      transaction.isOver = true;
      return refusedOrConflict({ ...fault, index: open[fault.index] as number });
    }
    // The snapshot holds each of them; a statement that matched none was sent to the wrong place.
    if (Number(reply['n']) < open.length) throw new TryAgain(this.#what, 'documents moved between shards');
    return COMMITTED;
  }

  /** The documents of the snapshot against those seen. */
  async #look(transaction: Transaction, part: Part): Promise<Existing> {
    const { name } = this.#write.collection;
    const { fields } = this.#write;
    const there = new Existing(this.#seen, { keepsOthers: fields !== undefined, fields });
    const pairing = new Pairing(this.#seen, part, there);
    let batch = readBatch(
      await transaction.run({
        find: name,
        filter: rawDocument(idFilter(this.#seen, part)),
        batchSize: part.length + 1,
        startTransaction: true,
        readConcern: { level: 'snapshot' },
      }),
    );
    for (;;) {
      pairing.add(new Documents(batch.bytes, batch.offsets));
      // They may have grown beyond one reply.
      if (batch.id === 0n) break;
      batch = readBatch(await transaction.run({ getMore: batch.id, collection: name }));
    }
    // Found under a collation by an `_id` that is not ours to the byte: whose place it has taken is all the same.
    if (pairing.unpaired > 0) {
      for (const position of part) if (there.presence(position) === 'absent') there.markOther(position);
    }
    return there;
  }

  /** False when the server ended it instead. Asked again after no answer: the server remembers. */
  async #commit(transaction: Transaction): Promise<boolean> {
    let tries = 0;
    const commit = async (): Promise<boolean> => {
      // A commit that comes late is still a write.
      if (tries++ > 0) await this.#write.beforeAttempt?.();
      try {
        await transaction.commit({ isRepeated: tries > 1 });
        return true;
      } catch (error) {
        if (error instanceof CommandFailure && error.abortedTransaction) return false;
        throw error;
      }
    };
    try {
      return await retry(this.#transactions.commands.patience, this.#what, commit);
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      // Not to be tried again from the start: what was perhaps written would be taken for somebody else's.
      throw new RestorePlanError('TARGET', error.message, {
        hint: error.advice,
        facts: error.facts,
        cause: error,
      });
    }
  }
}

/** In order, a mongos goes from shard to shard with one statement after the other: 3,000 took 13 s, and 0.3 s otherwise. */
const UNORDERED = { ordered: false } as const;
const COMMITTED: Attempt = { kind: 'committed' };
const ENDED: Attempt = { kind: 'conflict', reason: 'NoSuchTransaction', code: NO_SUCH_TRANSACTION };

/** The server says some conflicts, too, of a single statement. */
function refusedOrConflict(fault: WriteFault): Attempt {
  if (!isCodeOfManyDocuments(fault.code)) return { kind: 'refused', fault };
  return { kind: 'conflict', reason: `code ${fault.code}`, code: fault.code };
}

export function halves(part: Part): Part[] {
  if (part.length < 2) return [part];
  const half = Math.ceil(part.length / 2);
  return [part.slice(0, half), part.slice(half)];
}
