/**
 * Tars for tests, two ways: the system's `tar` as a backup script would run it, and a builder that writes headers field by
 * field, so that a hostile or damaged archive can be read off the test that makes it.
 */
import { program } from './tools.ts';

/** Packs `members` (paths inside `folder`) into `file` with the system's tar. */
export async function tarFolder(folder: string, file: string, options: TarFolderOptions = {}): Promise<void> {
  const { members = ['.'], format = 'gnu', gzip = false } = options;
  await program('tar', [
    ...['--create', ...(gzip ? ['--gzip'] : []), `--format=${format}`, '--file', file],
    ...['--directory', folder, ...members],
  ]);
}

export interface TarFolderOptions {
  readonly members?: readonly string[];
  readonly format?: 'gnu' | 'pax' | 'ustar' | 'v7';
  readonly gzip?: boolean;
}

export interface TarMember {
  readonly path: string;
  readonly body?: Buffer | string;
  /** One character of the type flag; default `0`, a plain file. `5` is a folder, `2` a symbolic link, `x` a pax header. */
  readonly type?: string;
  readonly linkPath?: string;
  /** What the header claims, where it should differ from the body's length. */
  readonly claimedSize?: number;
  /** Raw 12 bytes of the size field, for sizes that octal digits cannot spell. */
  readonly sizeField?: Buffer;
  /** Written instead of the right checksum. */
  readonly checksum?: number;
}

const BLOCK = 512;

/** The end of an archive: two blocks of zeros. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** A whole ustar archive; `end: Buffer.alloc(0)` leaves out the end blocks. */
export function buildTar(members: readonly TarMember[], end: Buffer = TAR_END): Buffer {
  return Buffer.concat([...members.map(buildTarMember), end]);
}

/** Header, body and padding of one member. */
export function buildTarMember(member: TarMember): Buffer {
  const body = Buffer.from(member.body ?? '');
  const header = Buffer.alloc(BLOCK);
  const name = Buffer.from(member.path);
  if (name.length > 100) throw new Error('a name over 100 bytes needs a pax or long-name member before it');
  name.copy(header, 0);
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${octal(member.claimedSize ?? body.length, 11)} `, 124, 'latin1');
  member.sizeField?.copy(header, 124);
  header.write(`${octal(1_473_771_600, 11)} `, 136, 'latin1');
  header.write(member.type ?? '0', 156, 'latin1');
  header.write(member.linkPath ?? '', 157, 'utf8');
  header.write('ustar\u000000', 257, 'latin1');
  header.fill(' ', 148, 156);
  const sum = member.checksum ?? header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148, 'latin1');
  return Buffer.concat([header, body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)]);
}

/** A pax extended header (`x` for the next member, `g` for all that follow): records such as `{ path: 'a very long name' }`. */
export function paxHeader(records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): TarMember {
  const body = Object.entries(records).map(([key, value]) => paxRecord(key, value));
  return { path: 'PaxHeader', type, body: body.join('') };
}

/** GNU tar's own way to give the next member a long name. */
export const gnuLongName = (path: string): TarMember => ({
  path: '././@LongLink',
  type: 'L',
  body: `${path}\0`,
});

/** `"<length> <key>=<value>\n"`, where length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  length += String(length + String(length).length).length;
  return `${length}${rest}`;
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');
