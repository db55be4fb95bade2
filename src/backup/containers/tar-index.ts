/**
 * The files of an uncompressed tar, found by seeking from header to header: what the plan does not need is never read.
 *
 * Costs one small read per file that is larger than the read-ahead; smaller files share one. Where the next header lies
 * is known only from the one before, so over a network each read is a round trip. The walk goes to the end of the
 * archive, so a tar that was cut off, or has anything after its end, is refused before a byte of it is used.
 *
 * Small files (metadata) that came along with a header are kept, so that they need no round trip of their own.
 */
import { RestorePlanError } from '../../errors.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import { MemorySource, PartSource, UnreadableSource } from '../storage/derived-sources.ts';
import type { ReadAhead } from '../storage/read-ahead.ts';
import { TarEntries } from './tar-entries.ts';
import { BLOCK_BYTES, isZero, type TarFile } from './tar-header.ts';

/** Metadata has some hundred bytes; what is larger is read when it is needed. */
const SMALL_FILE_BYTES = 16 * 1024;
/** Of all small files together. */
const MOST_KEPT_BYTES = 8 * 1024 * 1024;

export interface TarMember {
  /** Path inside the tar, cleaned. */
  readonly path: string;
  readonly bytes: ByteSource;
  /** What it is where it is no plain file; then it has no bytes to read. */
  readonly what?: string;
}

export async function indexTar(source: ReadAhead): Promise<TarMember[]> {
  const entries = new TarEntries(source.location);
  const members: TarMember[] = [];
  let kept = 0;
  let at = 0;
  const take = async (length: number): Promise<Buffer> => {
    if (at + length > source.size) throw entries.cutOff(source.size);
    const bytes = await source.read(at, length);
    at += length;
    return bytes;
  };
  for (;;) {
    const start = at;
    const step = entries.header(await take(BLOCK_BYTES), start);
    if (step.kind === 'end') break;
    if (step.kind === 'extension') {
      entries.extension(await take(step.size), start);
      at += TarEntries.padding(step.size);
    } else if (step.kind === 'none' || step.kind === 'other') {
      at += step.size + TarEntries.padding(step.size);
      if (at > source.size) throw entries.cutOff(source.size);
      if (step.kind === 'none') continue;
      const { path, what } = step;
      members.push({ path, what, bytes: notPlain(source, path, what) });
    } else {
      const end = at + step.size + TarEntries.padding(step.size);
      if (end > source.size) throw entries.cutOff(source.size);
      const { path, size, modified } = step;
      const small =
        size <= Math.min(SMALL_FILE_BYTES, MOST_KEPT_BYTES - kept) ? source.held(at, size) : undefined;
      kept += small?.length ?? 0;
      const part = new PartSource(source, { path, from: at, size, modified });
      members.push({
        path,
        bytes: small === undefined ? part : new MemorySource(Buffer.from(small), part.location, part),
      });
      at = end;
    }
  }
  for await (const chunk of source.stream(at, source.size)) {
    if (!isZero(chunk)) throw entries.fault(at, 'has something after its end');
  }
  return members;
}

/** Stands for an entry that is no plain file; says so to whoever wants its bytes. */
function notPlain(tar: ByteSource, path: string, what: string): ByteSource {
  const location = `${tar.location}!${path}`;
  const facts = { location, size: 0, modified: tar.modified, fingerprint: `${tar.fingerprint}!${path}` };
  return new UnreadableSource(facts, () => noPlainFile(location, what));
}

/** An entry of a tar that somebody wants the bytes of. */
export function noPlainFile(location: string, what: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${location} is ${what} in the tar, and its documents are not read.`,
    {
      hint: 'Pack the backup again, by relative paths and with what links lead to (tar --directory, --dereference, --hard-dereference), or take another one.',
    },
  );
}

/** A file whose header lies within the first bytes of a tar, with as much of the file as does. */
export interface PeekedFile extends TarFile {
  readonly start: Buffer;
}

/** Where headers are damaged, the files before. */
export function peekTar(start: Buffer, location: string): PeekedFile[] {
  const entries = new TarEntries(location);
  const files: PeekedFile[] = [];
  try {
    for (let at = 0; at + BLOCK_BYTES <= start.length; ) {
      const step = entries.header(start.subarray(at, at + BLOCK_BYTES), at);
      const header = at;
      at += BLOCK_BYTES;
      if (step.kind === 'end') break;
      if (step.kind === 'file') files.push({ ...step, start: start.subarray(at, at + step.size) });
      else if (step.kind === 'extension' && at + step.size <= start.length)
        entries.extension(start.subarray(at, at + step.size), header);
      at += step.size + TarEntries.padding(step.size);
    }
  } catch (error) {
    // Whoever reads the tar to its end meets the damage again and names it.
    if (!(error instanceof RestorePlanError)) throw error;
  }
  return files;
}
