/** Files that people name: read whole, up to a bound, whatever they turn out to be. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Socket } from 'node:net';

type FileReading = { readonly bytes: Buffer } | FileRefusal;

export interface FileRefusal {
  /** Why, as the end of "the file …". */
  readonly refused: string;
  readonly expected?: string;
  /** What the operating system said. */
  readonly error?: unknown;
}

/** How long nothing may come out of a pipe, milliseconds. */
const PIPE_PATIENCE_MS = 10_000;

/** Never throws for what is wrong with the file. `pipes`: one that somebody writes to is read too, as `<(command)` makes it. */
export async function readFileOfAtMost(
  file: string,
  maxBytes: number,
  { pipes = false } = {},
): Promise<FileReading> {
  let handle: FileHandle;
  try {
    // O_NONBLOCK: opening a FIFO that nobody writes to returns at once instead of hanging.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return unreadable(error);
  }
  try {
    const stats = await handle.stat();
    if (pipes && stats.isFIFO()) return await readPipe(file, maxBytes);
    if (!stats.isFile()) {
      const kind = stats.isDirectory()
        ? 'a directory'
        : stats.isFIFO()
          ? 'a pipe (FIFO)'
          : 'not a plain file';
      return { refused: `cannot be read: it is ${kind}`, expected: 'a plain file' };
    }
    if (stats.size > maxBytes) return tooLarge(stats.size, maxBytes);
    // One byte more than allowed, so that a file that grew since is noticed.
    const buffer = Buffer.alloc(Math.min(maxBytes, stats.size + 64 * 1024) + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) return { bytes: buffer.subarray(0, length) };
      length += bytesRead;
    }
    return tooLarge(length, maxBytes);
  } catch (error) {
    return unreadable(error);
  } finally {
    await handle.close();
  }
}

/**
 * What lies in the pipe is read at once, what its writer still writes through a socket, so that waiting can end.
 * A socket alone hears no end when the writer wrote and closed before the pipe was opened here.
 */
async function readPipe(file: string, maxBytes: number): Promise<FileReading> {
  // A bare descriptor: the socket closes it, and a FileHandle would be closed once more when it is collected.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const atHand = readAtHand(fd, maxBytes);
  if (atHand.ended || atHand.bytes.length > maxBytes) {
    closeSync(fd);
    return atHand.ended ? { bytes: atHand.bytes } : tooLarge(atHand.bytes.length, maxBytes);
  }
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.setTimeout(PIPE_PATIENCE_MS, () =>
    socket.destroy(new Error(`nothing came out of the pipe for ${PIPE_PATIENCE_MS / 1000} s`)),
  );
  return readStreamOfAtMost(joined(atHand.bytes, socket), maxBytes);
}

/** What a pipe holds now, at most one byte more than `maxBytes`. `ended`: it held something, and no writer is left. */
function readAtHand(fd: number, maxBytes: number): { readonly bytes: Buffer; readonly ended: boolean } {
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  while (length < buffer.length) {
    let read: number;
    try {
      read = readSync(fd, buffer, length, buffer.length - length, null);
    } catch (error) {
      // A writer is there and has nothing yet.
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN')
        return { bytes: buffer.subarray(0, length), ended: false };
      closeSync(fd);
      throw error;
    }
    // Nobody writes: gone after writing, or, where nothing was read, not come yet.
    if (read === 0) return { bytes: buffer.subarray(0, length), ended: length > 0 };
    length += read;
  }
  return { bytes: buffer, ended: false };
}

async function* joined(first: Buffer, rest: AsyncIterable<Buffer | string>): AsyncIterable<Buffer | string> {
  yield first;
  yield* rest;
}

/** The same of a stream, which is read no further than the bound. */
export async function readStreamOfAtMost(
  stream: AsyncIterable<Buffer | string>,
  maxBytes: number,
): Promise<FileReading> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of stream) {
      const bytes = Buffer.from(part);
      length += bytes.length;
      if (length > maxBytes) return tooLarge(length, maxBytes);
      parts.push(bytes);
    }
  } catch (error) {
    return unreadable(error);
  }
  return { bytes: Buffer.concat(parts) };
}

/** Why bytes are no UTF-8 text without NUL, as the end of "the file …"; undefined when they are. */
export function whyNoText(bytes: Buffer): string | undefined {
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'UTF-16LE'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'UTF-16BE'
        : undefined;
  if (utf16 !== undefined) return `is ${utf16} text (byte order mark at byte offset 0)`;
  const nul = bytes.indexOf(0);
  if (nul >= 0) return `has a NUL byte at byte offset ${nul}`;
  const invalid = firstInvalidUtf8(bytes);
  return invalid < 0 ? undefined : `is not valid UTF-8 at byte offset ${invalid}`;
}

/** The text of UTF-8 bytes, without a byte order mark. */
export function textOf(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/^\ufeff/, '');
}

function tooLarge(size: number, maxBytes: number): FileReading {
  return { refused: `is too large: ${size} bytes`, expected: `at most ${maxBytes / 1024} KiB` };
}

function unreadable(error: unknown): FileReading {
  return { refused: `cannot be read: ${whyUnreadable(error)}`, error };
}

/** What the operating system's refusal of a file means, in words. */
function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a directory';
  if (code === 'ENXIO') return 'it is a socket or a device';
  return code ?? message;
}

/** Byte offset of the first byte that is not part of well-formed UTF-8 (RFC 3629), or -1. */
function firstInvalidUtf8(bytes: Buffer): number {
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i] as number;
    const length =
      lead < 0x80
        ? 1
        : lead >= 0xc2 && lead < 0xe0
          ? 2
          : lead >= 0xe0 && lead < 0xf0
            ? 3
            : lead >= 0xf0 && lead < 0xf5
              ? 4
              : 0;
    if (length === 0) return i;
    for (let k = 1; k < length; k++) {
      const next = bytes[i + k];
      if (next === undefined || (next & 0xc0) !== 0x80) return i;
    }
    const second = bytes[i + 1] as number;
    const overlong = (lead === 0xe0 && second < 0xa0) || (lead === 0xf0 && second < 0x90);
    const outside = (lead === 0xed && second >= 0xa0) || (lead === 0xf4 && second >= 0x90);
    if (length > 1 && (overlong || outside)) return i;
    i += length;
  }
  return -1;
}
