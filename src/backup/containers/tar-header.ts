/**
 * The format of a tar: its headers, and the order in which they may stand.
 *
 * One 512-byte header is decoded and checked. `tar`'s `Header` decodes (ustar prefixes, base-256 numbers, checksum,
 * extended fields); what it forgives is refused here, because a backup that is a little wrong is a wrong backup.
 */
import { Header } from 'tar/header';
import { RestorePlanError } from '../../errors.ts';

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
  /** Where taking another backup is not the only way out. */
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** How an entry is called that was stored without its zeros. */
export const SPARSE_FILE = 'a sparse file';
export const PACK_WHOLE =
  'Pack the backup again with its files whole (GNU tar without --sparse, bsdtar with --no-read-sparse), or take another one.';

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
  if (isSparse) return { kind: 'other', path, what: SPARSE_FILE, size };
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
  if (isUnclear)
    throw new TarFault(`holds ${what} whose end cannot be told`, type === 'S' ? PACK_WHOLE : undefined);
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
  S: SPARSE_FILE,
};

function describeType(type: string): string {
  return TYPE_NAMES[type] ?? `an entry of unknown type 0x${type.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

// The order of a tar, shared by the reader that seeks and the one that streams: extension headers apply to the next
// file, a path occurs once, two zero blocks end the archive, nothing but zeros follows.

const DAMAGED =
  'The archive is damaged or was not made by packing a mongodump. Nothing of it was used; take another backup.';
/** More entries than any dump has; keeps the list of them within memory. */
const MAX_ENTRIES = 1_000_000;

type TarEntry =
  /** The next `size` bytes are a file. */
  | ({ readonly kind: 'file' } & TarFile)
  /** The next `size` bytes (padded) go to `extension`, then the next header follows. */
  | { readonly kind: 'extension'; readonly size: number }
  /** The next `size` bytes (padded) are of no use. */
  | { readonly kind: 'none'; readonly size: number }
  /** The same, of something that is no plain file, or has a path that no dump has. `path`: what it comes to. */
  | ({ readonly kind: 'other' } & TarOther)
  /** The archive ended properly; only zero bytes may follow. */
  | { readonly kind: 'end' };

export class TarEntries {
  readonly #location: string;
  #files = 0;
  #extension: TarExtension = 'pax';
  #overrides: PaxOverrides = {};
  #zeroBlocks = 0;

  /** `location` names the tar in messages. */
  constructor(location: string) {
    this.#location = location;
  }

  /** Takes the header block that starts at byte `offset` of the tar. */
  header(block: Buffer, offset: number): TarEntry {
    const header = this.#refusing(offset, () => readTarHeader(block, this.#overrides));
    if (header.kind === 'zero') {
      this.#zeroBlocks++;
      return this.#zeroBlocks === 2 ? { kind: 'end' } : { kind: 'none', size: 0 };
    }
    if (this.#zeroBlocks > 0) throw this.fault(offset, 'has an entry after an end-of-archive block');
    return this.#refusing(offset, () => this.#step(header));
  }

  /** Takes the body that `header` announced with an `extension` step; `offset` is that header's. */
  extension(body: Buffer, offset: number): void {
    this.#refusing(offset, () => {
      if (this.#extension === 'long link') return;
      if (this.#extension === 'long name') this.#overrides.path ??= readLongName(body);
      else {
        const records = readPaxRecords(body);
        // Global records would rename or resize every later file: no tar of a dump has a use for that.
        if (this.#extension === 'pax') Object.assign(this.#overrides, records);
        else if (records.path !== undefined || records.size !== undefined)
          throw new TarFault('renames or resizes files by a global header');
      }
    });
  }

  /** Padding after `size` bytes of body, up to the next block. */
  static padding(size: number): number {
    return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
  }

  fault(offset: number, what: string, remedy = DAMAGED): RestorePlanError {
    return new RestorePlanError('BACKUP', `${this.#location} ${what} (byte ${offset}).`, { hint: remedy });
  }

  cutOff(offset: number): RestorePlanError {
    return new RestorePlanError(
      'BACKUP',
      `${this.#location} is cut off at byte ${offset}: the end of the tar is missing.`,
      {
        hint: 'Its upload or copy did not finish. Nothing of it was used; take another backup.',
      },
    );
  }

  #step(header: Exclude<TarHeader, { kind: 'zero' }>): TarEntry {
    if (header.kind === 'extension') {
      this.#extension = header.extension;
      return { kind: 'extension', size: header.size };
    }
    this.#overrides = {};
    if (header.kind === 'folder') return { kind: 'none', size: header.size };
    if (++this.#files > MAX_ENTRIES) throw new TarFault(`holds more than ${MAX_ENTRIES} files`);
    const { path, size } = header;
    if (isSafe(path)) return { ...header, path: cleanPath(path) };
    return {
      kind: 'other',
      path: cleanPath(path),
      what: `a file by the unsafe path ${JSON.stringify(path)}`,
      size,
    };
  }

  #refusing<T>(offset: number, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof TarFault) throw this.fault(offset, error.message, error.remedy);
      throw error;
    }
  }
}

/** Not one that would leave its folder, or that some system reads in another way. */
function isSafe(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return !/^\/|(?:^|\/)\.\.(?:\/|$)|^[A-Za-z]:|\\|[\u0000-\u001f\u007f\ufffd]/.test(path);
}

/** `./a//b` becomes `a/b`; an unsafe path becomes what a careless reader would make of it. */
function cleanPath(path: string): string {
  const [read = ''] = path.split('\u0000');
  const parts = read.replace(/^[A-Za-z]:/, '').split(/[/\\]/);
  return parts.filter((part) => part !== '' && part !== '.' && part !== '..').join('/');
}
