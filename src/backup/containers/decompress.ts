/**
 * Inflates a stream: gzip everywhere, zstd where the runtime's zlib has it.
 *
 * Refuses what zlib lets pass: bytes after the last gzip member, and more output per byte of input than a backup has.
 * A cut stream and a wrong CRC are errors of zlib's own. zlib works in a thread of its own while the consumer works on
 * the chunk before.
 */
import * as zlib from 'node:zlib';
import { RestorePlanError } from '../../errors.ts';

export type Compression = 'gzip' | 'zstd';

export interface CompressedStream {
  readonly compression: Compression;
  /** Names the stream in messages. */
  readonly location: string;
  /** Largest output per input that is believed. */
  readonly maxRatio: number;
}

/** `tar`'s own default; gzip cannot do better than 1032, so only bombs and degenerate data come near. */
export const DEFAULT_MAX_RATIO = 1000;

/** Output that is allowed before the ratio is looked at: the first blocks of a stream are a rounding error. */
const RATIO_GRACE_BYTES = 256 * 1024;

/**
 * Output per call of zlib. Each call crosses a thread: with zlib's default of 16 KiB a gunzip makes 180 MB/s, with
 * 64 KiB 370, with 1 MiB 490, beyond that no more (Node 20, data that compresses to 45 %).
 */
const OUTPUT_BYTES = 1024 * 1024;

/**
 * Inflated ahead of the consumer. With none, zlib's thread stands still whenever a chunk is matched for longer than the next one takes to
 * inflate, or its consumer does not get a processor at once.
 */
const AHEAD_BYTES = 4 * OUTPUT_BYTES;

const STREAM = { chunkSize: OUTPUT_BYTES, readableHighWaterMark: AHEAD_BYTES };

export async function* decompress(
  input: AsyncIterable<Buffer>,
  options: CompressedStream,
): AsyncGenerator<Buffer> {
  const inflate = createInflate(options);
  let taken = (): void => undefined;
  let bytesIn = 0;
  let last: Buffer = Buffer.alloc(0);
  let inflated = 0; // bytes
  const push = inflate.push.bind(inflate);
  // Counted here: what zlib gave just before it fails does not reach the loop below.
  inflate.push = (chunk: Buffer | null) => {
    inflated += chunk?.length ?? 0;
    return push(chunk);
  };
  inflate.once('close', () => taken());

  const feed = async (): Promise<void> => {
    for await (const chunk of input) {
      if (inflate.destroyed) return;
      bytesIn += chunk.length;
      // The source reuses the chunk's memory, so the next one is asked for only when zlib has taken all of this one.
      await new Promise<void>((resolve) => {
        taken = resolve;
        inflate.write(chunk, () => resolve());
      });
      if (inflate.destroyed) return;
      last = Buffer.concat([last, chunk.subarray(-END_BYTES)]).subarray(-END_BYTES);
    }
    inflate.end();
  };
  const feeding = feed();
  feeding.catch((error: Error) => inflate.destroy(error));

  try {
    let bytesOut = 0;
    for await (const chunk of inflate as AsyncIterable<Buffer>) {
      bytesOut += chunk.length;
      assertBelievable({ bytesIn, bytesOut }, options);
      yield chunk;
    }
  } catch (error) {
    if (!isZlibError(error)) throw error;
    await feeding.catch(() => undefined);
    throw isAfterEnd(error, last, inflated) ? trailingBytes(options) : damaged(options, error);
  } finally {
    inflate.destroy();
    await feeding.catch(() => undefined);
  }
  if (inflate.bytesWritten < bytesIn) throw trailingBytes(options);
}

/** Kept of what zlib was given last: the end of a gzip member and some bytes behind it. */
const END_BYTES = 64;

/**
 * Whether zlib failed at what follows a sound gzip member: it takes that for another one. It then finds no header there,
 * which the first member had, or misses the rest of it; and a member ends in the length of what it inflates to.
 */
function isAfterEnd(error: Error, last: Buffer, inflated: number): boolean {
  if (error.message === 'incorrect header check') return true;
  if ((error as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR') return false;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(inflated % 2 ** 32);
  const at = inflated === 0 ? -1 : last.lastIndexOf(length);
  return at >= 0 && at + length.length < last.length;
}

/** The first bytes of a file inflate to no more than this: those of a bomb could be gigabytes. */
const START_BYTES = 16 * 1024 * 1024;

/**
 * Inflates what the first bytes of a compressed file give, for recognising what is inside. Where they are damaged, or
 * inflate to very much, it goes by fewer of them: that is left for the real reading to find and name.
 */
export function decompressStart(start: Buffer, compression: Compression): Buffer {
  const trailer = 8; // of gzip: CRC and length
  for (const length of [start.length, start.length - trailer, start.length / 2, start.length / 8, 128]) {
    try {
      const inside = inflateStart(start.subarray(0, length), compression);
      if (inside.length > 0) return inside;
    } catch {
      // Perhaps fewer bytes are sound.
    }
  }
  return Buffer.alloc(0);
}

const LIMIT = { maxOutputLength: START_BYTES } as const;

function inflateStart(start: Buffer, compression: Compression): Buffer {
  if (compression === 'gzip')
    return zlib.gunzipSync(start, { finishFlush: zlib.constants.Z_SYNC_FLUSH, ...LIMIT });
  return zstd?.zstdDecompressSync(start, { finishFlush: ZSTD_FLUSH, ...LIMIT }) ?? Buffer.alloc(0);
}

/** The zstd half of zlib, which Node has since 22.15 and 23.8. */
interface ZstdZlib {
  createZstdDecompress(options: zlib.ZlibOptions): zlib.Gunzip;
  zstdDecompressSync(bytes: Buffer, options: { finishFlush: number; maxOutputLength: number }): Buffer;
}

const library: object = zlib;
const zstd = 'createZstdDecompress' in library ? (library as ZstdZlib) : undefined;
/** `ZSTD_e_flush`: decode what is there. */
const ZSTD_FLUSH = 1;

/** Whether this runtime inflates it at all. */
export function canDecompress(compression: Compression): boolean {
  return compression === 'gzip' || zstd !== undefined;
}

function createInflate({ compression, location }: CompressedStream): zlib.Gunzip {
  if (compression === 'gzip') return zlib.createGunzip(STREAM);
  if (zstd !== undefined) return zstd.createZstdDecompress(STREAM);
  throw new RestorePlanError(
    'BACKUP',
    `${location} is compressed with zstd, which this Node.js cannot read.`,
    {
      hint: 'Run plan with Node.js 22.15 or newer, or recompress the backup with gzip.',
    },
  );
}

function isZlibError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    /^(?:Z_|ERR_BUFFER_TOO_LARGE|ZSTD_)/.test((error as NodeJS.ErrnoException).code ?? '')
  );
}

function damaged({ compression, location }: CompressedStream, cause: unknown): RestorePlanError {
  const cut = (cause as NodeJS.ErrnoException).code === 'Z_BUF_ERROR';
  const what = cut
    ? `is cut off: the end of the ${compression} stream is missing`
    : `is damaged ${compression} data`;
  return new RestorePlanError('BACKUP', `${location} ${what}.`, {
    hint: 'Its upload or copy did not finish, or bytes were changed. Nothing of it was used; take another backup.',
    cause,
  });
}

function trailingBytes({ compression, location }: CompressedStream): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} has bytes after the end of its ${compression} data.`, {
    hint: `They were added; nothing was cut off. Nothing of it was used: take another backup, or, once it is clear who added them, unpack it with ${compression}, which leaves them out, and name the result.`,
  });
}

/** Throws BACKUP when so little input cannot have held so much. */
export function assertBelievable(
  { bytesIn, bytesOut }: { readonly bytesIn: number; readonly bytesOut: number },
  { location, maxRatio }: Pick<CompressedStream, 'location' | 'maxRatio'>,
): void {
  if (bytesOut <= RATIO_GRACE_BYTES + maxRatio * bytesIn) return;
  throw new RestorePlanError(
    'BACKUP',
    `${location} inflates to more than ${maxRatio} times its size, as a decompression bomb does.`,
    { hint: 'If the data really is that repetitive, raise source.maxDecompressionRatio in the plan.' },
  );
}
