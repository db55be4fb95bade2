/**
 * Streams of Snappy and S2 blocks: chunks of a type, a length of three bytes, and a body.
 *
 * Each block has a CRC-32C of what it inflates to. The stream has no end of its own, so it is read only where something else tells whether all
 * of it came.
 */
import { RestorePlanError } from '../../errors.ts';
import type { ByteCursor } from '../storage/byte-source.ts';
import { crc32c } from './crc.ts';
import { assertBelievable, type CompressedStream } from './decompress.ts';

const IDENTIFIERS = ['\xff\x06\x00\x00sNaPpY', '\xff\x06\x00\x00S2sTwO'];
export const SNAPPY_SNIFF_BYTES = 10;

const HEAD_BYTES = 4;
const COMPRESSED = 0x00;
const UNCOMPRESSED = 0x01;
const IDENTIFIER = 0xff;
/** An index of S2, and padding. The format lets a reader pass over whatever has the highest bit: one wrong bit would then hide a block. */
const PASSED_OVER: readonly number[] = [0x99, 0xfe];
const CRC_BYTES = 4;

/** Whether a file of these first bytes is such a stream. A BSON document cannot begin so. */
export function isSnappyStream(start: Buffer): boolean {
  return IDENTIFIERS.includes(start.toString('latin1', 0, SNAPPY_SNIFF_BYTES));
}

type SnappyStream = Omit<CompressedStream, 'compression'>;

/** The blocks, inflated. `cursor` stands at the beginning of the stream. Throws RestorePlanError BACKUP at the first damaged one. */
export async function* decodeSnappyStream(cursor: ByteCursor, options: SnappyStream): AsyncGenerator<Buffer> {
  let bytesOut = 0;
  for (;;) {
    const at = cursor.position;
    const fault = (what: string): RestorePlanError => damaged(options, at, what);
    const head = await cursor.take(HEAD_BYTES);
    if (head.length === 0) return;
    if (head.length < HEAD_BYTES) throw fault('is cut off');
    const [type, length] = [head[0] as number, head.readUIntLE(1, 3)];
    const body = await cursor.take(length);
    if (body.length < length) throw fault('is cut off');
    if (PASSED_OVER.includes(type)) continue;
    if (type === IDENTIFIER) {
      if (IDENTIFIERS.includes(Buffer.concat([head, body]).toString('latin1'))) continue;
      throw fault('goes on as a stream of another kind');
    }
    const block = blockOf(type, body, fault);
    bytesOut += block.length;
    assertBelievable({ bytesIn: cursor.position, bytesOut }, options);
    if (block.length > 0) yield block;
  }
}

/** The block of a chunk, inflated and held against its CRC. */
function blockOf(type: number, body: Buffer, fault: (what: string) => RestorePlanError): Buffer {
  if (type !== COMPRESSED && type !== UNCOMPRESSED) throw fault(`has the unknown type ${type}`);
  if (body.length < CRC_BYTES) throw fault('has no checksum');
  const stored = body.subarray(CRC_BYTES);
  if (type === UNCOMPRESSED && stored.length > MAX_BLOCK_BYTES) throw fault('has more than a block');
  const block = type === COMPRESSED ? inflate(stored, fault) : stored;
  if (masked(crc32c(block)) === body.readUInt32LE(0)) return block;
  throw fault('has a wrong checksum');
}

function inflate(stored: Buffer, fault: (what: string) => RestorePlanError): Buffer {
  try {
    return decodeSnappyBlock(stored);
  } catch (error) {
    throw error instanceof SnappyFault ? fault(error.message) : error;
  }
}

/** As the framing format writes a CRC: turned by 15 bits, and a constant added. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** `at`: where the chunk begins in the stored bytes. */
function damaged({ location }: SnappyStream, at: number, what: string): RestorePlanError {
  const where = `in the chunk that begins at its byte ${at}`;
  return new RestorePlanError('BACKUP', `${location} ${what}, ${where}: it is damaged S2 or Snappy data.`, {
    hint: 'Its upload or copy did not finish, or bytes were changed. Nothing of it was used; take another backup.',
    facts: { offset: at },
  });
}
/**
 * One block of Snappy, or of S2, which adds to Snappy a copy "from as far back as the last one" and larger blocks: a varint
 * of the length, then literals and copies of what came before.
 */

/** The largest block that S2 writes; Snappy's are 64 KiB. */
const MAX_BLOCK_BYTES = 4 * 1024 * 1024;

/** Bytes that are no block. */
export class SnappyFault extends Error {
  override readonly name = 'SnappyFault';
}

const LITERAL = 0;
const COPY_1 = 1;
const COPY_2 = 2;

/** Below this a loop is cheaper than the call into native code. */
const SHORT = 48;

/** Inflates a block into a buffer of its own. Makes about 500 MB/s of output where literals are long, less of short copies. */
export function decodeSnappyBlock(block: Buffer): Buffer {
  const { length, end } = readLength(block);
  const out = Buffer.allocUnsafe(length);
  let to = 0;
  let at = end;
  let offset = 0;
  while (at < block.length) {
    const tag = block[at++] as number;
    const kind = tag & 3;
    let count = tag >>> 2;
    if (kind === LITERAL) {
      if (count >= 60) {
        const bytes = count - 59;
        count = littleEndian(block, at, bytes);
        at += bytes;
      }
      count++;
      if (at + count > block.length || to + count > length)
        throw new SnappyFault('has a literal that is too long');
      copyIn(block, at, { out, to, count });
      at += count;
    } else {
      if (kind === COPY_1) {
        const back = ((tag & 0xe0) << 3) | littleEndian(block, at, 1);
        count = (tag >>> 2) & 7;
        at++;
        if (back !== 0) offset = back;
        else if (count >= 5) {
          // A repeat, and its length in the bytes that follow.
          const bytes = count - 4;
          count = littleEndian(block, at, bytes) + (bytes === 1 ? 4 : 1 << (8 * (bytes - 1)));
          at += bytes;
        }
        count += 4;
      } else {
        const bytes = kind === COPY_2 ? 2 : 4;
        offset = littleEndian(block, at, bytes);
        at += bytes;
        count++;
      }
      if (offset === 0 || offset > to || to + count > length) throw new SnappyFault('has a copy of nothing');
      copyBack(out, to, { offset, count });
    }
    to += count;
  }
  if (to < length) throw new SnappyFault('ends before its block is complete');
  return out;
}

function readLength(block: Buffer): { length: number; end: number } {
  let length = 0;
  for (let at = 0; at < 5 && at < block.length; at++) {
    const byte = block[at] as number;
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte >= 0x80) continue;
    if (length > MAX_BLOCK_BYTES) break;
    return { length, end: at + 1 };
  }
  throw new SnappyFault('has a block of an impossible length');
}

function littleEndian(block: Buffer, at: number, bytes: number): number {
  if (at + bytes > block.length) throw new SnappyFault('ends in the middle of a block');
  let value = 0;
  for (let i = bytes - 1; i >= 0; i--) value = value * 256 + (block[at + i] as number);
  return value;
}

function copyIn(
  block: Buffer,
  at: number,
  { out, to, count }: { readonly out: Buffer; readonly to: number; readonly count: number },
): void {
  if (count > SHORT) block.copy(out, to, at, at + count);
  else for (let i = 0; i < count; i++) out[to + i] = block[at + i] as number;
}

/** A copy may reach into what it writes: then the bytes repeat. */
function copyBack(
  out: Buffer,
  to: number,
  { offset, count }: { readonly offset: number; readonly count: number },
): void {
  if (count > SHORT && offset >= count) out.copyWithin(to, to - offset, to - offset + count);
  else for (let i = to; i < to + count; i++) out[i] = out[i - offset] as number;
}
