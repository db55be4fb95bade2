/** S2 streams for tests, as Percona Backup for MongoDB writes them by default: blocks of literals, copies and repeats. Snappy has no repeats. */
import { crc32c } from '../../src/backup/containers/crc.ts';

/** Bytes of a block; small, so that a small file has several. */
const BLOCK_BYTES = 4096;
const IDENTIFIER = { s2: 'S2sTwO', snappy: 'sNaPpY' } as const;

/** A whole stream. */
export function packS2(bytes: Buffer, format: keyof typeof IDENTIFIER = 's2'): Buffer {
  const chunks: Buffer[] = [Buffer.from(`\xff\x06\x00\x00${IDENTIFIER[format]}`, 'latin1')];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const block = bytes.subarray(at, at + BLOCK_BYTES);
    chunks.push(chunkOf(encodeBlock(block, format === 's2'), block));
  }
  return Buffer.concat(chunks);
}

/** A block of a stream: as it is stored, with the masked CRC-32C of what it inflates to. The two may be the same bytes. */
export function chunkOf(stored: Buffer, block: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head[0] = stored === block ? 1 : 0;
  head.writeUIntLE(stored.length + 4, 1, 3);
  const crc = crc32c(block);
  head.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0, 4);
  return Buffer.concat([head, stored]);
}

/** Greedy: a copy wherever four bytes came before, a repeat where there are such and it is from as far back as the last one. */
function encodeBlock(bytes: Buffer, hasRepeats: boolean): Buffer {
  const out = [varint(bytes.length)];
  const seen = new Map<number, number>();
  let literalFrom = 0;
  let lastOffset = 0;
  for (let at = 0; at + 4 <= bytes.length; ) {
    const word = bytes.readInt32LE(at);
    const from = seen.get(word);
    seen.set(word, at);
    if (from === undefined) {
      at++;
      continue;
    }
    let count = 4;
    while (at + count < bytes.length && bytes[from + count] === bytes[at + count]) count++;
    if (at > literalFrom) out.push(literal(bytes.subarray(literalFrom, at)));
    const isRepeat = hasRepeats && at - from === lastOffset;
    out.push(...(isRepeat ? [repeat(count)] : copies(at - from, count)));
    lastOffset = at - from;
    at += count;
    literalFrom = at;
  }
  if (literalFrom < bytes.length) out.push(literal(bytes.subarray(literalFrom)));
  return Buffer.concat(out);
}

/** The elements of a block, one by one, for tests of their reader. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

export function literal(bytes: Buffer): Buffer {
  const count = bytes.length - 1;
  if (count < 60) return Buffer.concat([Buffer.from([count << 2]), bytes]);
  const width = count < 1 << 8 ? 1 : count < 1 << 16 ? 2 : 3;
  return Buffer.concat([Buffer.from([(59 + width) << 2]), littleEndian(count, width), bytes]);
}

/** 4 to 11 bytes from at most 2047 back. */
export function copy1(offset: number, count: number): Buffer {
  return Buffer.from([1 | ((count - 4) << 2) | ((offset >> 8) << 5), offset & 255]);
}

/** 1 to 64 bytes. */
export function copy2(offset: number, count: number): Buffer {
  return Buffer.concat([Buffer.from([2 | ((count - 1) << 2)]), littleEndian(offset, 2)]);
}

/** 1 to 64 bytes. */
export function copy4(offset: number, count: number): Buffer {
  return Buffer.concat([Buffer.from([3 | ((count - 1) << 2)]), littleEndian(offset, 4)]);
}

/** 4 bytes or more from as far back as the last copy: a copy of offset 0. */
export function repeat(count: number): Buffer {
  if (count <= 8) return Buffer.from([1 | ((count - 4) << 2), 0]);
  if (count < 8 + (1 << 8)) return Buffer.from([1 | (5 << 2), 0, count - 8]);
  if (count < 4 + (1 << 8) + (1 << 16))
    return Buffer.concat([Buffer.from([1 | (6 << 2), 0]), littleEndian(count - 4 - (1 << 8), 2)]);
  return Buffer.concat([Buffer.from([1 | (7 << 2), 0]), littleEndian(count - 4 - (1 << 16), 3)]);
}

function copies(offset: number, count: number): Buffer[] {
  const parts: Buffer[] = [];
  for (let left = count; left > 0; left -= 64) parts.push(copy2(offset, Math.min(64, left)));
  return parts;
}

function littleEndian(value: number, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeUIntLE(value, 0, width);
  return bytes;
}
