/**
 * The order of a tar, shared by the reader that seeks and the one that streams: extension headers apply to the next
 * file, a path occurs once, two zero blocks end the archive, nothing but zeros follows.
 */
import { RestorePlanError } from '../../errors.ts';
import {
  BLOCK_BYTES,
  type PaxOverrides,
  readLongName,
  readPaxRecords,
  readTarHeader,
  type TarExtension,
  TarFault,
  type TarFile,
  type TarHeader,
  type TarOther,
} from './tar-header.ts';

/** More entries than any dump has; keeps the list of them within memory. */
const MAX_ENTRIES = 1_000_000;

type TarStep =
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
  header(block: Buffer, offset: number): TarStep {
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

  fault(offset: number, what: string): RestorePlanError {
    return new RestorePlanError('BACKUP', `${this.#location} ${what} (byte ${offset}).`, {
      hint: 'The archive is damaged or was not made by packing a mongodump. Nothing of it was used; take another backup.',
    });
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

  #step(header: Exclude<TarHeader, { kind: 'zero' }>): TarStep {
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
      if (error instanceof TarFault) throw this.fault(offset, error.message);
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
