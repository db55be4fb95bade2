/** Reading one member of a backup: inflate it where needed, hash it, hand it to the visitor. */
import { RestorePlanError } from '../../errors.ts';
import type { MemberInfo, MemberVisitor, ScanSummary } from '../backup.ts';
import { ByteCursor } from '../containers/byte-cursor.ts';
import { Crc64 } from '../containers/crc64.ts';
import { decompress } from '../containers/decompress.ts';
import { decodeSnappyStream, isSnappyStream, SNAPPY_SNIFF_BYTES } from '../containers/snappy-stream.ts';
import { compressionOf } from '../containers/sniff.ts';
import { MAX_METADATA_BYTES } from '../layout/metadata.ts';
import { BackgroundHash } from './background-hash.ts';

export type MemberRead = ScanSummary['members'][number];

/** Passes members, one after the other, to a visitor and hashes them. */
export class MemberReader {
  readonly #visitor: MemberVisitor;
  readonly #hash = new BackgroundHash();

  constructor(visitor: MemberVisitor) {
    this.#visitor = visitor;
  }

  /** Returns the member's count of bytes (inflated) and sha256. */
  async read(member: MemberInfo, chunks: AsyncIterable<Buffer>): Promise<MemberRead> {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      const working = this.#visitor.chunk(member, chunk);
      if (working !== undefined) await working;
      const hashing = this.#hash.update(chunk);
      if (hashing !== undefined) await hashing;
    }
    await this.#visitor.end(member);
    return { path: member.path, collection: member.collection, bytes, sha256: await this.#hash.digest() };
  }

  /** Ends what hashes in the background. */
  close(): void {
    this.#hash.close();
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
    /** A checksum beside the file tells whether all of it came, which Snappy and S2 do not tell. */
    readonly hasCrc?: boolean;
  },
): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(chunks);
  try {
    const start = await cursor.peek(SNAPPY_SNIFF_BYTES);
    if (start.length === 0 && COMPRESSED_NAME.test(options.location)) throw cutToNothing(options.location);
    const compression = compressionOf(start);
    const rest = cursor.chunks(Number.POSITIVE_INFINITY);
    if (options.hasCrc && isSnappyStream(start)) yield* decodeSnappyStream(cursor, options);
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

/** Counts what passes through, and tells the visitor. */
export function countBytes(
  input: AsyncIterable<Buffer>,
  visitor: MemberVisitor,
): { chunks: AsyncIterable<Buffer>; total(): number } {
  let total = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of input) {
      total += chunk.length;
      visitor.stored?.(chunk.length);
      yield chunk;
    }
  }
  return { chunks: chunks(), total: () => total };
}
