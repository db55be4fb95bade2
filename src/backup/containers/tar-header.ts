/**
 * One 512-byte tar header, decoded and checked. `tar`'s `Header` decodes (ustar prefixes, base-256 numbers, checksum,
 * extended fields); what it forgives is refused here, because a backup that is a little wrong is a wrong backup.
 */
import { Header } from 'tar/header';

export const BLOCK_BYTES = 512;

/** Larger extension bodies (a long name, PAX records) than this are an attack or damage, not a name. */
const MAX_EXTENSION_BYTES = 1024 * 1024;

/** What a PAX extended header overrides for the next file. */
export interface PaxOverrides {
  path?: string;
  /** The file has holes, and its body is not its contents. */
  isSparse?: true;
  size?: number;
}

/** An entry that is no plain file: a link, a device. Nothing is unpacked, so it can do no harm; its documents are missing. */
export interface TarOther {
  readonly path: string;
  /** `a symbolic link` */
  readonly what: string;
  /** Bytes that follow. */
  readonly size: number;
}

/** What a header tells of a file. */
export interface TarFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** UTC milliseconds; undefined where the header has none. */
  readonly modified: number | undefined;
}

export type TarHeader =
  | { readonly kind: 'zero' }
  | ({ readonly kind: 'file' } & TarFile)
  /** `size`: bytes of a body that nobody needs. */
  | { readonly kind: 'folder'; readonly path: string; readonly size: number }
  | ({ readonly kind: 'other' } & TarOther)
  | { readonly kind: 'extension'; readonly extension: TarExtension; readonly size: number };

/** A header whose body speaks of the next file: PAX records, PAX records for all files, a GNU long name. */
export type TarExtension = 'pax' | 'global pax' | 'long name' | 'long link';

/** Bytes that are not an acceptable tar header; the message says what was found, the caller adds where. */
export class TarFault extends Error {
  override readonly name = 'TarFault';
}

/** `overrides` come from the PAX header before this one and apply to files and folders only. */
export function readTarHeader(block: Buffer, overrides: PaxOverrides = {}): TarHeader {
  if (isZero(block)) return { kind: 'zero' };
  const header = decode(block, overrides);
  if (!header.cksumValid) throw new TarFault('has a wrong header checksum');
  const type = String.fromCharCode(block[156] as number);
  switch (type) {
    case '0':
    case '\0':
    case '7': // "contiguous file": an ordinary file on every system in use
      return fileOrFolder(overrides, {
        path: pathOf(header, overrides),
        size: sizeOf(block, header, overrides),
        modified: header.mtime?.getTime(),
      });
    case '5':
      return { kind: 'folder', path: pathOf(header, overrides), size: 0 };
    case 'D': // the names in a folder, of an incremental backup by GNU tar
      return { kind: 'folder', path: pathOf(header, overrides), size: sizeOf(block, header, overrides) };
    case 'V': // the label of the volume
      return { kind: 'folder', path: '', size: 0 };
    case 'x':
      return { kind: 'extension', extension: 'pax', size: extensionSize(block, header) };
    case 'g':
      return { kind: 'extension', extension: 'global pax', size: extensionSize(block, header) };
    case 'L':
      return { kind: 'extension', extension: 'long name', size: extensionSize(block, header) };
    case 'K':
      return { kind: 'extension', extension: 'long link', size: extensionSize(block, header) };
    default:
      return other(type, { block, header, overrides });
  }
}

/** Decodes the body of a PAX header, strictly: "length key=value\n" records that fill it to the last byte. */
export function readPaxRecords(body: Buffer): PaxOverrides {
  const overrides: PaxOverrides = {};
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const digits = space < 0 ? '' : body.toString('latin1', at, space);
    const end = at + (/^[1-9]\d{0,6}$/.test(digits) ? Number(digits) : 0);
    const equals = body.indexOf(0x3d, space);
    if (end <= space || end > body.length || body[end - 1] !== 0x0a || equals < 0 || equals >= end) {
      throw new TarFault('has a damaged extended (PAX) header');
    }
    const key = body.toString('utf8', space + 1, equals);
    const value = body.toString('utf8', equals + 1, end - 1);
    if (key.startsWith('GNU.sparse.')) overrides.isSparse = true;
    if (key === 'GNU.sparse.name') overrides.path = value;
    if (key === 'path') overrides.path ??= value;
    if (key === 'size') overrides.size = decimalSize(value);
    at = end;
  }
  return overrides;
}

/** The body of a GNU "long name" header: the path, ended by NUL. */
export function readLongName(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('utf8', 0, end < 0 ? body.length : end);
}

function decode(block: Buffer, overrides: PaxOverrides): Header {
  try {
    return new Header(block, 0, { ...overrides });
  } catch {
    throw new TarFault('has an impossible number in its header');
  }
}

/** Old tars mark a folder by nothing but the slash at the end of its name. */
function fileOrFolder({ isSparse }: PaxOverrides, file: TarFile): TarHeader {
  const { path, size } = file;
  if (isSparse) return { kind: 'other', path, what: 'a sparse file', size };
  if (!path.endsWith('/')) return { kind: 'file', ...file };
  if (size > 0) throw new TarFault('has a folder with contents of its own');
  return { kind: 'folder', path, size: 0 };
}

/** Types whose entries are a header alone. */
const BODILESS = new Set(['1', '2', '3', '4', '6']);
/** Offset of the byte that says that more headers of a sparse file follow. */
const SPARSE_GOES_ON = 482;

function other(
  type: string,
  { block, header, overrides }: { block: Buffer; header: Header; overrides: PaxOverrides },
): TarHeader {
  const what = describeType(type);
  const size = sizeOf(block, header, overrides);
  const isUnclear = (type === '1' && size > 0) || (type === 'S' && block[SPARSE_GOES_ON] !== 0);
  if (isUnclear) throw new TarFault(`holds ${what} whose end cannot be told`);
  return { kind: 'other', path: pathOf(header, overrides), what, size: BODILESS.has(type) ? 0 : size };
}

function pathOf(header: Header, overrides: PaxOverrides): string {
  const path = overrides.path ?? header.path ?? '';
  if (path === '') throw new TarFault('has an entry without a name');
  return path;
}

/** A size in octal or base-256 (GNU), or what PAX says; never what `parseInt` would make of something else. */
function sizeOf(block: Buffer, header: Header, overrides: PaxOverrides): number {
  if (overrides.size !== undefined) return overrides.size;
  const octal = block.toString('latin1', 124, 136);
  const wellFormed = (block[124] as number) >= 0x80 || /^ *[0-7]+[ \0]*$/.test(octal);
  if (!wellFormed || header.size === undefined || !Number.isSafeInteger(header.size)) {
    throw new TarFault('has an impossible size in its header');
  }
  return header.size;
}

function extensionSize(block: Buffer, header: Header): number {
  const size = sizeOf(block, header, {});
  if (size > MAX_EXTENSION_BYTES) throw new TarFault(`has an extended header of ${size} bytes`);
  return size;
}

function decimalSize(value: string): number {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new TarFault('has an impossible size in its extended (PAX) header');
  return size;
}

/** True when every byte is zero. */
export function isZero(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a FIFO',
  M: 'the continuation of a multi-volume archive',
  N: 'an old GNU long name',
  S: 'a sparse file',
};

function describeType(type: string): string {
  return TYPE_NAMES[type] ?? `an entry of unknown type 0x${type.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
