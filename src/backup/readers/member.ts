/** Reading one member of a backup: inflate it where needed, take its CRC-32, cut it into documents. */
import { crc32 } from 'node:zlib';
import { BsonFault, documentEnd } from '../../bson/elements.ts';
import { RestorePlanError } from '../../errors.ts';
import {
  type BackupPiece,
  hexOfCrc32,
  type MemberInfo,
  type MemberRead,
  type ReadOptions,
} from '../backup.ts';
import { ByteCursor } from '../containers/byte-cursor.ts';
import { Crc64 } from '../containers/crc64.ts';
import { decompress } from '../containers/decompress.ts';
import { decodeSnappyStream, isSnappyStream, SNAPPY_SNIFF_BYTES } from '../containers/snappy.ts';
import { compressionOf } from '../containers/sniff.ts';
import { MAX_METADATA_BYTES } from '../layout/metadata.ts';
import { DocumentFramer, damagedDocument } from './document-framer.ts';

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

/** Passes the bytes on and compares their CRC-64 at the end. `location` names them in messages. */
export async function* assertCrc(
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
