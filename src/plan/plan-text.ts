/**
 * A plan file as text: read with a size limit, refused when it is not a plain UTF-8 file, and able to turn offsets
 * into lines and columns.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { findCredentials, type HiddenRange } from './credentials.ts';
import { faultOfFile, type PlanFault } from './fault.ts';
import { nearest } from './nearest.ts';

/** Largest plan file, in bytes. A plan that lists 10,000 ids has half of it; a file beyond it is not a plan. */
const MAX_PLAN_BYTES = 768 * 1024;

export interface PlanText {
  /** As the file was named on the command line or, for a base, relative to the file that extends it. */
  readonly file: string;
  readonly absolutePath: string;
  /** Without byte order mark. */
  readonly text: string;
  /** Offset in `text` of the first character of each line. */
  readonly lineStarts: readonly number[];
  /** Credentials found in the text: never shown, whatever is wrong nearby. Parsing may find more and adds them. */
  readonly hidden: HiddenRange[];
}

export type TextReading = { readonly text: PlanText } | { readonly fault: PlanFault };

export async function readPlanText(file: string): Promise<TextReading> {
  let handle: FileHandle;
  try {
    // O_NONBLOCK: opening a FIFO that nobody writes to returns at once instead of hanging.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const fault = unreadable(file, error);
    return { fault: { ...fault, suggestion: await similarFile(file) } };
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) {
      const kind = stats.isDirectory()
        ? 'a directory'
        : stats.isFIFO()
          ? 'a pipe (FIFO)'
          : 'not a plain file';
      return { fault: faultOfFile(file, 'file', `the file cannot be read: it is ${kind}`, 'a plain file') };
    }
    if (stats.size > MAX_PLAN_BYTES) return { fault: tooLarge(file, stats.size) };
    // One byte more than allowed, so that a file that grew since is noticed.
    const buffer = Buffer.alloc(MAX_PLAN_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > MAX_PLAN_BYTES) return { fault: tooLarge(file, length) };
    return planTextOf(file, buffer.subarray(0, length));
  } catch (error) {
    return { fault: unreadable(file, error) };
  } finally {
    await handle.close();
  }
}

/** Decodes the bytes of a plan file: UTF-8, with or without byte order mark, any line ends. */
export function planTextOf(file: string, bytes: Buffer): TextReading {
  const encodingFault = (message: string): TextReading => ({
    fault: faultOfFile(file, 'encoding', message, 'UTF-8 text'),
  });
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'UTF-16LE'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'UTF-16BE'
        : undefined;
  if (utf16 !== undefined)
    return encodingFault(`the file is ${utf16} text (byte order mark at byte offset 0)`);
  const nul = bytes.indexOf(0);
  if (nul >= 0) return encodingFault(`the file has a NUL byte at byte offset ${nul}`);
  const invalid = firstInvalidUtf8(bytes);
  if (invalid >= 0) return encodingFault(`the file is not valid UTF-8 at byte offset ${invalid}`);

  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  const lineStarts = [0];
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) lineStarts.push(i + 1);
  return { text: { file, absolutePath: resolve(file), text, lineStarts, hidden: findCredentials(text) } };
}

/** Line and column, from 1, of an offset; the offset may be the end of the text. */
export function positionOf(text: PlanText, offset: number): { line: number; column: number } {
  const { lineStarts } = text;
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (lineStarts[low] as number) + 1 };
}

function tooLarge(file: string, size: number): PlanFault {
  const limit = `${MAX_PLAN_BYTES / 1024} KiB`;
  return faultOfFile(
    file,
    'file',
    `the file is too large for a plan: ${size} bytes`,
    `at most ${limit}; select by a condition rather than by a list of ids`,
  );
}

function unreadable(file: string, error: unknown): PlanFault {
  return faultOfFile(file, 'file', `the file cannot be read: ${whyUnreadable(error)}`);
}

/** What the operating system's refusal of a file means, in words. */
export function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a directory';
  if (code === 'ENXIO') return 'it is a socket or a device';
  return code ?? message;
}

/** A YAML file in the same folder with nearly that name. */
async function similarFile(file: string): Promise<string | undefined> {
  const folder = dirname(file);
  // Only a suggestion: where the folder cannot be listed either, there is none.
  const names = await readdir(folder).catch(() => []);
  const near = nearest(
    basename(file),
    names.filter((name) => /\.ya?ml$/.test(name)),
  );
  return near === undefined || near === basename(file) ? undefined : join(folder, near);
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
