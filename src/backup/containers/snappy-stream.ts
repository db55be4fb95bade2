/**
 * Streams of Snappy and S2 blocks: chunks of a type, a length of three bytes, and a body.
 *
 * Such a stream has no end of its own, so it is read only where something else tells whether all of it came. The CRC-32C
 * of each block is not looked at: it could say nothing that this does not.
 */
import { RestorePlanError } from '../../errors.ts';
import type { ByteCursor } from './byte-cursor.ts';
import { assertBelievable } from './decompress.ts';
import { decodeSnappyBlock, MAX_BLOCK_BYTES, SnappyFault } from './snappy-block.ts';

const IDENTIFIERS = ['\xff\x06\x00\x00sNaPpY', '\xff\x06\x00\x00S2sTwO'];
export const SNAPPY_SNIFF_BYTES = 10;

const COMPRESSED = 0x00;
const UNCOMPRESSED = 0x01;
/** From here on chunks that are not understood may be passed over: indexes, padding, further identifiers. */
const SKIPPABLE = 0x80;
const CRC_BYTES = 4;

/** Whether a file of these first bytes is such a stream. A BSON document cannot begin so. */
export function isSnappyStream(start: Buffer): boolean {
  return IDENTIFIERS.includes(start.toString('latin1', 0, SNAPPY_SNIFF_BYTES));
}

export interface SnappyOptions {
  /** Names the stream in messages. */
  readonly location: string;
  /** Largest output per input that is believed. */
  readonly maxRatio: number;
}

/** The blocks, inflated. `cursor` stands at the beginning of the stream. */
export async function* decodeSnappyStream(
  cursor: ByteCursor,
  options: SnappyOptions,
): AsyncGenerator<Buffer> {
  let bytesOut = 0;
  for (;;) {
    const head = await cursor.take(4);
    if (head.length === 0) return;
    const length = head.length < 4 ? 0 : head.readUIntLE(1, 3);
    const type = head[0] as number;
    if (head.length < 4) throw damaged(options, 'is cut off');
    if (type >= SKIPPABLE) {
      await cursor.skip(length);
      continue;
    }
    const body = await cursor.take(length);
    if (body.length < length || length < CRC_BYTES) throw damaged(options, 'is cut off');
    const block = decode(type, body.subarray(CRC_BYTES), options);
    bytesOut += block.length;
    assertBelievable({ bytesIn: cursor.position, bytesOut }, options);
    if (block.length > 0) yield block;
  }
}

function decode(type: number, block: Buffer, options: SnappyOptions): Buffer {
  if (type === UNCOMPRESSED && block.length <= MAX_BLOCK_BYTES) return block;
  if (type !== COMPRESSED) throw damaged(options, `has a chunk of the unknown type ${type}`);
  try {
    return decodeSnappyBlock(block);
  } catch (error) {
    throw error instanceof SnappyFault ? damaged(options, error.message) : error;
  }
}

function damaged({ location }: SnappyOptions, what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} ${what}: it is damaged S2 or Snappy data.`, {
    hint: 'Its upload or copy did not finish, or bytes were changed. Nothing of it was used; take another backup.',
  });
}
