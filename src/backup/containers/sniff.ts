/** Tells what a file is by its first bytes, never by its name. */
import { MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from '../../bson/types.ts';
import { type Compression, canDecompress, decompressStart } from './decompress.ts';
import { BLOCK_BYTES, isZero, readTarHeader } from './tar-header.ts';

/** Enough to see a tar header through a compressor. */
export const SNIFF_BYTES = 64 * 1024;

export type Container =
  | { readonly kind: 'tar' | 'mongodump archive' | 'bson'; readonly compression: Compression | undefined }
  /** Something else; `what` completes "… is ". `remedy`: a sentence on what makes a backup of it. */
  | { readonly kind: 'unknown'; readonly what: string; readonly remedy?: string };

/** `start` holds the first SNIFF_BYTES of the file, or all of a shorter one. */
export function sniff(start: Buffer): Container {
  const compression = compressionOf(start);
  if (compression === undefined) return recognise(start, undefined);
  if (!canDecompress(compression)) {
    return {
      kind: 'unknown',
      what: `compressed with ${compression}, which this Node.js cannot read (22.15 and newer can)`,
    };
  }
  const inside = decompressStart(start, compression);
  if (compressionOf(inside) !== undefined)
    return { kind: 'unknown', what: `${compression} inside ${compressionOf(inside)}`, remedy: TWICE };
  if (inside.length === 0) return { kind: 'unknown', what: `damaged or empty ${compression} data` };
  return recognise(inside, compression);
}

export function compressionOf(start: Buffer): Compression | undefined {
  // With the method (8, the only one): 1f 8b 00 00 is also the length of a document of 35,615 bytes.
  if (startsWith(start, [0x1f, 0x8b, 0x08])) return 'gzip';
  if (startsWith(start, [0x28, 0xb5, 0x2f, 0xfd])) return 'zstd';
  return undefined;
}

function recognise(start: Buffer, compression: Compression | undefined): Container {
  if (startsWith(start, [0x6d, 0xe2, 0x99, 0x81])) return { kind: 'mongodump archive', compression };
  if (isTar(start)) return { kind: 'tar', compression };
  const foreign = foreignFormat(start);
  if (foreign !== undefined) return { kind: 'unknown', what: foreign.what, remedy: foreign.remedy };
  if (looksLikeBson(start)) return { kind: 'bson', compression };
  return { kind: 'unknown', what: describe(start) };
}

/** A format that nothing here reads, by the first bytes of a file; of lzma, they can be those of a document. */
export function foreignFormat(start: Buffer): { readonly what: string; readonly remedy: string } | undefined {
  return looksLikeBson(start) ? undefined : FOREIGN.find(({ magic }) => startsWith(start, magic));
}

const text = (value: string): number[] => [...Buffer.from(value, 'latin1')];

const TWICE = 'It was compressed twice: decompress it once, and name the result.';
const UNPACK = 'Unpack it, and name the folder or the file that comes out as the source.';
const decompressWith = (tool: string): string =>
  `Decompress it (${tool}), or compress it with gzip instead, and name the result as the source.`;
const DECRYPT = 'Decrypt it, and name the result as the source.';

/** Formats people pack backups in that are not read here, by their magic numbers. */
const FOREIGN: readonly {
  readonly magic: readonly number[];
  readonly what: string;
  readonly remedy: string;
}[] = [
  { magic: text('BZh'), what: 'compressed with bzip2', remedy: decompressWith('bunzip2') },
  { magic: [0xfd, ...text('7zXZ')], what: 'compressed with xz', remedy: decompressWith('unxz') },
  { magic: [0x5d, 0x00, 0x00], what: 'compressed with lzma', remedy: decompressWith('unlzma') },
  { magic: text('LZIP'), what: 'compressed with lzip', remedy: decompressWith('lzip -d') },
  { magic: text('\x89LZO\0'), what: 'compressed with lzop', remedy: decompressWith('lzop -d') },
  { magic: [0x1f, 0x9d], what: 'compressed with compress', remedy: decompressWith('uncompress') },
  { magic: [0x04, 0x22, 0x4d, 0x18], what: 'compressed with lz4', remedy: decompressWith('unlz4') },
  {
    magic: [0xff, 0x06, 0x00, 0x00, ...text('sNaPpY')],
    what: 'compressed with snappy',
    remedy: decompressWith('snzip -d'),
  },
  {
    magic: [0xff, 0x06, 0x00, 0x00, ...text('S2sTwO')],
    what: 'compressed with s2',
    remedy: decompressWith('s2d'),
  },
  { magic: text('PK\x03\x04'), what: 'a zip archive', remedy: UNPACK },
  { magic: text('PK\x05\x06'), what: 'an empty zip archive', remedy: UNPACK },
  { magic: text('7z\xbc\xaf'), what: 'a 7-Zip archive', remedy: UNPACK },
  { magic: text('Rar!\x1a\x07'), what: 'a RAR archive', remedy: UNPACK },
  { magic: text('07070'), what: 'a cpio archive', remedy: UNPACK },
  { magic: text('!<arch>\n'), what: 'an ar archive', remedy: UNPACK },
  { magic: text('Salted__'), what: 'encrypted with OpenSSL', remedy: DECRYPT },
  { magic: text('-----BEGIN PGP'), what: 'encrypted with PGP', remedy: DECRYPT },
  { magic: [0x84, 0x8c], what: 'encrypted with PGP', remedy: DECRYPT },
  { magic: [0x85, 0x02], what: 'encrypted with PGP', remedy: DECRYPT },
  { magic: text('age-encryption.org'), what: 'encrypted with age', remedy: DECRYPT },
];

/** A checksum that fits, or the ustar magic of a header that was damaged: both are the tar reader's to judge. */
function isTar(start: Buffer): boolean {
  if (start.length < BLOCK_BYTES) return false;
  const block = start.subarray(0, BLOCK_BYTES);
  if (block.toString('latin1', 257, 262) === 'ustar') return true;
  if (isZero(block)) return start.length >= 2 * BLOCK_BYTES && isZero(start.subarray(0, 2 * BLOCK_BYTES));
  try {
    return readTarHeader(block).kind !== 'zero';
  } catch {
    return false;
  }
}

function looksLikeBson(start: Buffer): boolean {
  if (start.length < MIN_DOCUMENT_BYTES) return false;
  const length = start.readInt32LE(0);
  if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) return false;
  return start.length < length || start[length - 1] === 0;
}

/** Shows nothing of what may be documents. */
function describe(start: Buffer): string {
  if (start.length === 0) return 'empty';
  const shown = start
    .toString('latin1', 0, 60)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim();
  if (/^<(?:!doctype|html|\?xml)/i.test(shown)) return `a web or XML page ("${shown}")`;
  if (/^[[{]/.test(shown)) return 'JSON by its first character, which source.jsonl reads';
  return `neither a tar nor a mongodump archive; its first bytes are ${start.toString('hex', 0, 4)}`;
}

function startsWith(bytes: Buffer, magic: readonly number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, i) => bytes[i] === byte);
}
