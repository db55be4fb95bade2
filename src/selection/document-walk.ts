/**
 * Shows the documents of a member to whoever decides about them: in order, watched where a regular expression might find no end, and with
 * the place of every fault.
 */

import { type Context, createContext, Script } from 'node:vm';
import { bytesOf, type MemberInfo, type WholeDocuments } from '../backup/backup.ts';
import { damagedDocument } from '../backup/readers/member.ts';
import { BsonFault } from '../bson/elements.ts';
import { IDS_TOGETHER } from '../bson/flat-sets.ts';
import { RestorePlanError } from '../errors.ts';
import { QueryFault } from '../query/query-fault.ts';

/** What is done with the documents of a member. All methods are synchronous and see bytes that are only lent to them. */
export interface DocumentConsumer {
  /** Told of the `count` documents that `wants` will be asked about next; `starts` are their offsets. */
  lookAhead(bytes: Buffer, starts: ArrayLike<number>, count: number): void;
  /** Decides about the document in `bytes[start, end)`, whose frame is sound. */
  wants(bytes: Buffer, start: number, end: number): boolean;
  /** Takes a run of wanted documents that lie back to back in `bytes[start, end)`. */
  append(bytes: Buffer, start: number, end: number): void;
}

/** Watching has a price by the piece; what comes from S3 at a time is a small part of this. */
const PIECE_BYTES = 1024 * 1024;
const PIECE_DOCUMENTS = 16_384;

/**
 * Shows the documents of one member to a consumer, in order; wanted neighbours are handed on as one run. With a limit the consumer is watched
 * while it decides, and small pieces are copied together, so that this is worth its price. Faults are thrown with their place.
 */
export class DocumentWalk {
  /** Documents shown so far. */
  documents = 0;
  readonly #member: MemberInfo;
  readonly #consumer: DocumentConsumer;
  readonly #limit: TimeLimit | undefined;
  /** Offset within the member of the next document to be shown. */
  #position = 0;
  /** Copied together, with `#waiting.count` documents in it. */
  readonly #waiting = { bytes: Buffer.alloc(0), starts: new Int32Array(0), count: 0 };

  constructor(member: MemberInfo, consumer: DocumentConsumer, limit: TimeLimit | undefined) {
    this.#member = member;
    this.#consumer = consumer;
    this.#limit = limit;
  }

  take(documents: WholeDocuments): void {
    if (this.#limit === undefined) {
      this.#decide(documents);
      return;
    }
    const { count } = documents;
    const bytes = bytesOf(documents);
    const waiting = this.#waiting;
    const isLarge = bytes > PIECE_BYTES / 2 || count > PIECE_DOCUMENTS / 2;
    const isFull = bytesOf(waiting) + bytes > PIECE_BYTES || waiting.count + count > PIECE_DOCUMENTS;
    if (isLarge || isFull) this.end();
    if (isLarge) this.#decide(documents);
    else this.#gather(documents);
  }

  /** Taken, and not shown yet. */
  get waitingBytes(): number {
    return bytesOf(this.#waiting);
  }

  /** So many documents, which have so many bytes, are shown by somebody else. */
  pass(documents: number, bytes: number): void {
    this.end();
    this.documents += documents;
    this.#position += bytes;
  }

  /** Shows what waits. */
  end(): void {
    if (this.#waiting.count === 0) return;
    this.#decide(this.#waiting);
    this.#waiting.count = 0;
  }

  #gather({ bytes, starts, count }: WholeDocuments): void {
    const waiting = this.#waiting;
    if (waiting.bytes.length === 0) {
      waiting.bytes = Buffer.allocUnsafeSlow(PIECE_BYTES);
      waiting.starts = new Int32Array(PIECE_DOCUMENTS + 1);
    }
    const at = bytesOf(waiting);
    const first = starts[0] as number;
    bytes.copy(waiting.bytes, at, first, starts[count]);
    for (let i = 0; i <= count; i++) waiting.starts[waiting.count + i] = (starts[i] as number) - first + at;
    waiting.count += count;
  }

  #decide(documents: WholeDocuments): void {
    try {
      if (this.#limit === undefined) this.#show(documents);
      else this.#limit.run(() => this.#show(documents));
    } catch (error) {
      const before = this.#position - (documents.starts[0] as number);
      const placed = error instanceof BsonFault ? new BsonFault(error.message, before + error.offset) : error;
      throw faultAt(placed, this.#member, this.documents);
    }
    this.#position += bytesOf(documents);
  }

  #show({ bytes, starts, count }: WholeDocuments): void {
    const consumer = this.#consumer;
    let runStart = -1;
    for (let i = 0; i < count; ) {
      const until = Math.min(i + IDS_TOGETHER, count);
      consumer.lookAhead(bytes, starts.subarray(i, until), until - i);
      for (; i < until; i++) {
        this.documents++;
        const start = starts[i] as number;
        if (consumer.wants(bytes, start, starts[i + 1] as number)) {
          if (runStart < 0) runStart = start;
        } else if (runStart >= 0) {
          consumer.append(bytes, runStart, start);
          runStart = -1;
        }
      }
    }
    if (runStart >= 0) consumer.append(bytes, runStart, starts[count] as number);
  }
}

/** How long one piece of work may take, milliseconds: thousands of times what matching a megabyte takes. */
const LIMIT_MS = 30_000;

/** A regular expression that found no end. */
class EndlessPattern extends QueryFault {}

/**
 * Runs synchronous work that might never end: throws EndlessPattern when the time is up, and RestorePlanError SIGINT when the operator
 * does not want to wait that long. No handler of a signal runs during synchronous work, so nothing else could end it.
 *
 * Watching costs 0.15 ms each time (two threads of V8's are started), so it is for work on many documents, and only where there is need.
 */
export class TimeLimit {
  readonly #limitMs: number;
  readonly #names = { work: (): void => undefined };
  /** Made when it is needed: a context takes a third of a megabyte. */
  #watch: { readonly script: Script; readonly context: Context } | undefined;

  constructor(limitMs = LIMIT_MS) {
    this.#limitMs = limitMs;
  }

  run(work: () => void): void {
    this.#names.work = work;
    this.#watch ??= { script: new Script('work()'), context: createContext(this.#names) };
    const { script, context } = this.#watch;
    try {
      script.runInContext(context, {
        timeout: this.#limitMs,
        breakOnSigint: true,
        displayErrors: false,
      });
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      return new EndlessPattern(`its regular expression was still at work after ${this.#limitMs / 1000} s`);
    if (code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED')
      return new RestorePlanError('SIGINT', 'stopped by SIGINT', {
        hint: 'Nothing was selected, and nothing was written. Run the same command again to start anew.',
      });
    return error;
  }
}

/** A sound document whose `_id` no target can hold as it is. */
export class UnfitId extends Error {
  override readonly name = 'UnfitId';
  /** Condition of a query that leaves such documents out. */
  readonly without: string;
  /** What comes of it on a server, and what to do beside leaving it out. */
  readonly why: string;

  constructor(message: string, { without, why }: { readonly without: string; readonly why: string }) {
    super(message);
    this.without = without;
    this.why = why;
  }

  static missing(): UnfitId {
    return new UnfitId('has no _id', {
      without: '_id: { $exists: true }',
      why:
        'A server gives it a new one at each insert, so a second run would restore it twice, and nothing could verify it or take it back. ' +
        'mongorestore inserts such documents, each with a new _id.',
    });
  }

  /** `type`: as `$type` names it. */
  static refused(type: string): UnfitId {
    return new UnfitId(`has an _id of type ${type}`, {
      without: `_id: { $not: { $type: '${type}' } }`,
      why: 'No server takes such an _id.',
    });
  }
}

/**
 * What is wrong with a document, with its place, as an error for the operator. `document` counts from 1; a BsonFault's offset from the start of
 * the member. Other errors pass unchanged.
 */
function faultAt(error: unknown, member: MemberInfo, document: number): unknown {
  if (error instanceof QueryFault) return unanswerable(error, member, document);
  if (error instanceof UnfitId) return unfit(error, member, document);
  if (error instanceof BsonFault) return damagedDocument(error, member, document);
  return error;
}

function unfit(fault: UnfitId, member: MemberInfo, document: number): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${member.path}: document ${document} is selected, and ${fault.message}`,
    {
      hint: `${fault.why} To restore the others, add to the query of ${member.collection}: ${fault.without}`,
      cause: fault,
      facts: { member: member.path, collection: member.collection, document },
    },
  );
}

/** An expression ($expr) that would have ended the query on a server too, rather than leave the document out; or an endless pattern. */
function unanswerable(fault: QueryFault, member: MemberInfo, document: number): RestorePlanError {
  const where = fault.path === '' ? 'the query' : `the query's ${fault.path}`;
  return new RestorePlanError(
    'PLAN_INVALID',
    `${where} has no answer for document ${document} of ${member.path}: ${fault.message}`,
    {
      hint:
        fault instanceof EndlessPattern
          ? 'Repetitions share out the same text there, as in (a+)+; write each part so that it ends where the next begins. Nothing was selected.'
          : 'Have the expression look at such documents first, for instance with $cond and $type. Nothing was selected.',
      cause: fault,
      facts: { member: member.path, collection: member.collection, document },
    },
  );
}
