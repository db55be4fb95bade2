import { bytesOf, type MemberInfo, type WholeDocuments } from '../backup/backup.ts';
import { BsonFault } from '../bson/elements.ts';
import { IDS_TOGETHER } from '../bson/flat-sets.ts';
import { faultAt } from './document-fault.ts';
import type { TimeLimit } from './time-limit.ts';

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
