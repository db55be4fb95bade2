/**
 * The files of a tar, by two readers: one of a tar that arrives as a stream (a compressed one), and further down one that seeks.
 *
 * A stream gives them in order. The caller reads the bytes of a file
 * before it asks for the next; what it leaves unread is passed over.
 *
 * The generator ends only after a proper end of archive; a stream that stops before throws BACKUP.
 */

import { RestorePlanError } from '../../errors.ts';
import { ByteCursor, type ByteSource } from '../storage/byte-source.ts';
import { MemorySource, PartSource, type ReadAhead, UnreadableSource } from '../storage/derived-sources.ts';
import { decompress } from './decompress.ts';
import { SNIFF_BYTES, sniff } from './sniff.ts';
import { BLOCK_BYTES, isZero, PACK_WHOLE, SPARSE_FILE, TarEntries, type TarFile } from './tar-header.ts';

export interface StreamedFile {
  /** Path inside the tar, cleaned. */
  readonly path: string;
  readonly size: number;
  /** When it was finished, UTC milliseconds; undefined where nobody knows. */
  readonly modified: number | undefined;
  /** What it is where it is no plain file; then it has no bytes to read. */
  readonly what?: string;
  /** It is a `mongodump --archive`, where somebody has looked. */
  readonly isArchive?: boolean;
  /** The file's bytes, once, in order; a chunk is valid until the next one is asked for. */
  readonly bytes: AsyncIterable<Buffer>;
}

async function* noBytes(): AsyncGenerator<Buffer> {}

/** `location` names the tar in messages. */
export async function* streamTar(
  chunks: AsyncIterable<Buffer>,
  location: string,
): AsyncGenerator<StreamedFile> {
  const cursor = new ByteCursor(chunks);
  const entries = new TarEntries(location);
  try {
    for (;;) {
      const at = cursor.position;
      const step = entries.header(await exactly(BLOCK_BYTES), at);
      if (step.kind === 'end') break;
      if (step.kind === 'extension') {
        entries.extension(await exactly(step.size), at);
        await cursor.skip(TarEntries.padding(step.size));
      } else if (step.kind === 'none' || step.kind === 'other') {
        if (step.kind === 'other')
          yield { path: step.path, size: 0, modified: undefined, what: step.what, bytes: noBytes() };
        await cursor.skip(step.size + TarEntries.padding(step.size));
      } else {
        const end = cursor.position + step.size;
        const { path, size, modified } = step;
        yield { path, size, modified, bytes: body(end) };
        await cursor.skip(end - cursor.position);
        if (cursor.position < end) throw entries.cutOff(cursor.position);
        await cursor.skip(TarEntries.padding(step.size));
      }
    }
    const end = cursor.position;
    for await (const rest of cursor.chunks(Number.POSITIVE_INFINITY)) {
      if (!isZero(rest)) throw entries.fault(end, 'has something after its end');
    }
  } finally {
    await cursor.close();
  }

  async function exactly(length: number): Promise<Buffer> {
    const bytes = await cursor.take(length);
    if (bytes.length < length) throw entries.cutOff(cursor.position);
    return bytes;
  }

  async function* body(end: number): AsyncGenerator<Buffer> {
    yield* cursor.chunks(end - cursor.position);
    if (cursor.position < end) throw entries.cutOff(cursor.position);
  }
}

// Unpacks tars that lie in a tar, as the Ruby `backup` gem packs them, while they stream by. A tar stands for a folder
// of its name; everything else passes unchanged.

/** Deeper nesting than this has no purpose but to exhaust whoever reads it. */
const MAX_DEPTH = 4;

interface Unpacking {
  /** Names the outer tar in messages. */
  readonly location: string;
  readonly maxRatio: number;
  /** Whether a file of this path may be a tar; others are not looked into. */
  readonly mayBePacked: (path: string) => boolean;
  readonly depth?: number;
}

export async function* unpackNested(
  files: AsyncIterable<StreamedFile>,
  { location, maxRatio, mayBePacked, depth = 1 }: Unpacking,
): AsyncGenerator<StreamedFile> {
  for await (const file of files) {
    if (depth >= MAX_DEPTH || file.what !== undefined || !mayBePacked(file.path)) {
      yield file;
      continue;
    }
    const cursor = new ByteCursor(file.bytes);
    const container = sniff(await cursor.peek(SNIFF_BYTES));
    const bytes = cursor.chunks(Number.POSITIVE_INFINITY);
    if (container.kind !== 'tar') {
      yield { ...file, bytes, isArchive: container.kind === 'mongodump archive' };
      continue;
    }
    const inner = `${location}!${file.path}`;
    const { compression } = container;
    const plain =
      compression === undefined ? bytes : decompress(bytes, { compression, maxRatio, location: inner });
    const inside = unpackNested(streamTar(plain, inner), {
      location: inner,
      maxRatio,
      mayBePacked,
      depth: depth + 1,
    });
    for await (const one of inside) yield { ...one, path: `${file.path}/${one.path}` };
  }
}

// The files of an uncompressed tar, found by seeking from header to header: what the plan does not need is never read.
//
// Costs one small read per file that is larger than the read-ahead; smaller files share one. Where the next header lies
// is known only from the one before, so over a network each read is a round trip. The walk goes to the end of the
// archive, so a tar that was cut off, or has anything after its end, is refused before a byte of it is used.
//
// Small files (metadata) that came along with a header are kept, so that they need no round trip of their own.

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
      hint:
        what === SPARSE_FILE
          ? PACK_WHOLE
          : 'Pack the backup again, by relative paths and with what links lead to (tar --directory, --dereference, --hard-dereference), or take another one.',
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
