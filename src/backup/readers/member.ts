/** Reading one member of a backup: inflate it where needed, take its CRC-32, cut it into documents. */
import { crc32 } from 'node:zlib';
import { advice } from '../../advice.ts';
import { BsonFault, documentEnd } from '../../bson/elements.ts';
import { MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from '../../bson/types.ts';
import { RestorePlanError } from '../../errors.ts';
import {
  type BackupPiece,
  hexOfCrc32,
  type MemberInfo,
  type MemberRead,
  type ReadOptions,
  type SeparateMember,
  type WholeDocuments,
} from '../backup.ts';
import { Crc64 } from '../containers/crc.ts';
import { decompress } from '../containers/decompress.ts';
import { decodeSnappyStream, isSnappyStream, SNAPPY_SNIFF_BYTES } from '../containers/snappy.ts';
import { compressionOf } from '../containers/sniff.ts';
import { MAX_METADATA_BYTES } from '../layout/dump-paths.ts';
import { ByteCursor, wholeOf } from '../storage/byte-source.ts';

/** Cuts members into documents, one after the other. Returned is what was read of each. */
export class MemberReader {
  readonly #framer = new DocumentFramer();

  /** A member whose bytes come cut anywhere. */
  async *cut(member: MemberInfo, chunks: AsyncIterable<Buffer>): AsyncGenerator<BackupPiece, MemberRead> {
    let bytes = 0;
    let crc = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      crc = crc32(chunk, crc);
      yield* documentsIn(chunk, this.#framer, member);
    }
    endOf(member, this.#framer);
    yield { type: 'ended', member };
    return { path: member.path, collection: member.collection, bytes, crc32: hexOfCrc32(crc) };
  }
}

/** Gives the documents of a member that come whole, each by itself. Returned is what was read of it. */
export async function* wholeMember(
  member: MemberInfo,
  batches: AsyncIterable<readonly Buffer[]>,
): AsyncGenerator<BackupPiece, MemberRead> {
  let bytes = 0;
  let crc = 0;
  let documents = 0;
  for await (const batch of batches) {
    const together = Buffer.concat(batch);
    const starts = startsOf(batch, member, { documents, bytes });
    crc = crc32(together, crc);
    yield { type: 'documents', member, bytes: together, starts, count: batch.length };
    bytes += together.length;
    documents += batch.length;
  }
  yield { type: 'ended', member };
  return { path: member.path, collection: member.collection, bytes, crc32: hexOfCrc32(crc) };
}

/** The documents that are whole with the next chunk of a member. Throws RestorePlanError BACKUP at a bad frame. */
export function* documentsIn(
  chunk: Buffer,
  framer: DocumentFramer,
  member: MemberInfo,
): Generator<BackupPiece, void, undefined> {
  try {
    for (const { bytes, starts, count } of framer.push(chunk))
      yield { type: 'documents', member, bytes, starts, count };
  } catch (error) {
    throw error instanceof BsonFault ? damagedDocument(error, member, framer.documents) : error;
  }
}

/** Where documents start that are put together. `before`: of the member. Throws RestorePlanError BACKUP at a bad frame. */
function startsOf(
  batch: readonly Buffer[],
  member: MemberInfo,
  before: { readonly documents: number; readonly bytes: number },
): Int32Array {
  const starts = new Int32Array(batch.length + 1);
  let end = 0;
  for (const [i, document] of batch.entries()) {
    try {
      if (documentEnd(document, 0) < document.length) throw new BsonFault('bytes follow the document', 0);
    } catch (error) {
      if (!(error instanceof BsonFault)) throw error;
      const fault = new BsonFault(error.message, before.bytes + end + error.offset);
      throw damagedDocument(fault, member, before.documents + i + 1);
    }
    end += document.length;
    starts[i + 1] = end;
  }
  return starts;
}

/** Throws RestorePlanError BACKUP where the member ends inside a document. */
export function endOf(member: MemberInfo, framer: DocumentFramer): void {
  try {
    framer.end();
  } catch (error) {
    throw error instanceof BsonFault ? damagedDocument(error, member, framer.documents) : error;
  }
}

/** Even an empty collection leaves some bytes in a file of such a name. */
const COMPRESSED_NAME = /\.(?:gz|zst|s2|snappy)$/;

function cutToNothing(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} is cut off: it is compressed, by its name, and empty.`, {
    hint: 'Its upload or copy did not finish. Nothing of it was used; take another backup.',
  });
}

/** Inflates a file that begins like a compressed one, whatever its name says (`oplog.bson` of a `--gzip` dump does). */
export async function* inflateIfCompressed(
  chunks: AsyncIterable<Buffer>,
  options: {
    readonly location: string;
    readonly maxRatio: number;
    /** Snappy and S2 do not tell whether all of it came; they are read where something else does. */
    readonly withSnappy?: boolean;
  },
): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(chunks);
  try {
    const start = await cursor.peek(SNAPPY_SNIFF_BYTES);
    if (start.length === 0 && COMPRESSED_NAME.test(options.location)) throw cutToNothing(options.location);
    const compression = compressionOf(start);
    const rest = cursor.chunks(Number.POSITIVE_INFINITY);
    if (options.withSnappy && isSnappyStream(start)) yield* decodeSnappyStream(cursor, options);
    else yield* compression === undefined ? rest : decompress(rest, { ...options, compression });
  } finally {
    await cursor.close();
  }
}

/** The documents of a member that is read by itself, inflated, and checked as far as it can be. */
export function documentBytes(member: SeparateMember, stored?: ReadOptions['stored']): AsyncIterable<Buffer> {
  const { at, crc } = member;
  const documents = inflatedBytes(member, stored);
  return crc === undefined ? documents : assertCrc(documents, crc, at.location);
}

/** A file of a dump, inflated where it is compressed. */
export function inflatedBytes(
  { at, crc, maxRatio }: Pick<SeparateMember, 'at' | 'maxRatio'> & { readonly crc?: bigint | undefined },
  stored?: ReadOptions['stored'],
): AsyncIterable<Buffer> {
  return inflateIfCompressed(countBytes(wholeOf(at), stored).chunks, {
    location: at.location,
    maxRatio,
    withSnappy: crc !== undefined,
  });
}

/** Passes the bytes on and compares their CRC-64 at the end. `location` names them in messages. */
async function* assertCrc(
  chunks: AsyncIterable<Buffer>,
  expected: bigint,
  location: string,
): AsyncGenerator<Buffer> {
  const crc = new Crc64();
  for await (const chunk of chunks) {
    crc.update(chunk);
    yield chunk;
  }
  if (crc.digest() === expected) return;
  throw new RestorePlanError('BACKUP', `${location} is damaged: its checksum is wrong.`, {
    hint: 'Nothing of it was used; take another backup.',
  });
}

/** The text of a metadata file. `path` names it in messages. */
export async function readText(chunks: AsyncIterable<Buffer>, path: string): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > MAX_METADATA_BYTES) {
      throw new RestorePlanError(
        'BACKUP',
        `${path} is larger than any metadata file (${MAX_METADATA_BYTES} bytes).`,
        {
          hint: 'The backup is damaged. Take another one.',
        },
      );
    }
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Counts what passes through, and reports it. */
export function countBytes(
  input: AsyncIterable<Buffer>,
  stored: ReadOptions['stored'],
): { chunks: AsyncIterable<Buffer>; total(): number } {
  let total = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of input) {
      total += chunk.length;
      stored?.(chunk.length);
      yield chunk;
    }
  }
  return { chunks: chunks(), total: () => total };
}

/** Bytes of a document that were not all there yet are kept in a buffer that holds at least this much, and all of the document. */
const FIRST_CARRY_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
/** Documents given at a time: enough that a step costs nothing by the document, and so few that small ones stay in the cache. */
const MOST_TOGETHER = 4096;

/**
 * Cuts the chunks of one member, or of one after the other, into documents.
 *
 * A document inside a chunk is given where it lies; only one that spans chunks is copied, so the cost per chunk is one
 * such copy, and per document one length and one terminator read. A document with a bad frame is thrown as a BsonFault whose offset counts
 * from the start of the member, after those before it were given; `documents` then includes it.
 */
export class DocumentFramer {
  /** Documents of the member begun so far. */
  documents = 0;
  /** Offset within the member of the next byte to arrive. */
  #position = 0;
  #carry = Buffer.allocUnsafeSlow(0);
  #carried = 0;
  readonly #starts = new Int32Array(MOST_TOGETHER + 1);

  /** The documents that are whole by now, lent until the next are asked for. The chunk is needed until there are no more. */
  *push(chunk: Buffer): Generator<WholeDocuments, void, undefined> {
    let at = 0;
    if (this.#carried > 0) {
      at = this.#completeCarried(chunk);
      if (this.#isCarryWhole()) {
        const bytes = this.#carry.subarray(0, this.#carried);
        this.#carried = 0;
        yield {
          bytes,
          starts: this.#starts,
          count: this.#frame(bytes, 0, this.#position + at - bytes.length),
        };
      }
    }
    for (let count = this.#frame(chunk, at, this.#position); count > 0; ) {
      at = this.#starts[count] as number;
      yield { bytes: chunk, starts: this.#starts, count };
      count = this.#frame(chunk, at, this.#position);
    }
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
    this.#position += chunk.length;
  }

  /** What comes next is something else. The memory of a large document is kept for another. */
  reset(): void {
    this.#carried = 0;
    this.documents = 0;
    this.#position = 0;
  }

  /** The member ended; what comes next is another one. Throws when bytes of an unfinished document are left. */
  end(): void {
    if (this.#carried > 0) {
      this.documents++;
      const start = this.#position - this.#carried;
      throw new BsonFault(`the last ${this.#carried} bytes are not a whole document`, start);
    }
    this.reset();
    // One large document is no reason to hold its memory for all members that follow.
    if (this.#carry.length > FIRST_CARRY_BYTES) this.#carry = Buffer.allocUnsafeSlow(0);
  }

  /**
   * Notes where the next documents from `from` on start, and where the last of them ends; returns how many. 0: the next is not all
   * there. A bad frame is left until it is the next, and then thrown. `base`: offset within the member of byte 0.
   */
  #frame(bytes: Buffer, from: number, base: number): number {
    const starts = this.#starts;
    const limit = bytes.length;
    let at = from;
    let count = 0;
    while (count < MOST_TOGETHER && limit - at >= LENGTH_BYTES) {
      const length = bytes.readInt32LE(at);
      const plausible = length >= MIN_DOCUMENT_BYTES && length <= MAX_DOCUMENT_BYTES;
      if (plausible && length > limit - at) break;
      if (!plausible || bytes[at + length - 1] !== 0) {
        if (count > 0) break;
        this.documents++;
        placed(base, () => documentEnd(bytes, at));
      }
      starts[count++] = at;
      at += length;
      starts[count] = at;
    }
    this.documents += count;
    return count;
  }

  /** Adds what is missing to the kept document, as far as `chunk` has it; returns how many bytes of `chunk` it took. */
  #completeCarried(chunk: Buffer): number {
    let taken = 0;
    if (this.#carried < LENGTH_BYTES) {
      taken = Math.min(LENGTH_BYTES - this.#carried, chunk.length);
      this.#keep(chunk, 0, taken);
      if (this.#carried < LENGTH_BYTES) return taken;
    }
    const length = this.#carry.readInt32LE(0);
    if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) {
      this.documents++;
      const begin = this.#position + taken - this.#carried;
      throw new BsonFault(`impossible document length ${length}`, begin);
    }
    const more = Math.min(length - this.#carried, chunk.length - taken);
    this.#keep(chunk, taken, taken + more);
    return taken + more;
  }

  #isCarryWhole(): boolean {
    return this.#carried >= LENGTH_BYTES && this.#carried === this.#carry.readInt32LE(0);
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    const needed = this.#carried + end - start;
    if (needed > this.#carry.length) {
      // All of it at once: memory that is not written to yet costs nothing, and what was grown from would lie about.
      const grown = Buffer.allocUnsafeSlow(roomFor(Math.max(needed, this.#lengthWith(chunk, start, end))));
      this.#carry.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    chunk.copy(this.#carry, this.#carried, start, end);
    this.#carried = needed;
  }

  /** Of the document that is kept and of which the chunk has more; 0: its length is not all there yet, or it is none. */
  #lengthWith(chunk: Buffer, start: number, end: number): number {
    const isKept = this.#carried >= LENGTH_BYTES;
    if (!isKept && (this.#carried > 0 || end - start < LENGTH_BYTES)) return 0;
    const length = isKept ? this.#carry.readInt32LE(0) : chunk.readInt32LE(start);
    return length <= MAX_DOCUMENT_BYTES ? length : 0;
  }
}

/** A power of two, so that documents that grow a little need no new memory each. */
function roomFor(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(bytes, FIRST_CARRY_BYTES)));
}

/** Throws a BsonFault of `check` with its offset in the member. */
function placed(base: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw error instanceof BsonFault ? new BsonFault(error.message, base + error.offset) : error;
  }
}

/** Bytes of a member that are no document. `document` counts from 1; the fault's offset from the start of the member. */
export function damagedDocument(fault: BsonFault, member: MemberInfo, document: number): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${member.path}: document ${document} is damaged, at byte ${fault.offset} of the member: ${fault.message}`,
    {
      hint: advice`Nothing of this backup was used. Take another backup, for instance the next older one: ${{ command: 'backups' }} lists them.`,
      cause: fault,
      facts: { member: member.path, collection: member.collection, document, offset: fault.offset },
    },
  );
}
