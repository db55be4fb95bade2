/**
 * The files of a tar that arrives as a stream (a compressed one), in order. The caller reads the bytes of a file
 * before it asks for the next; what it leaves unread is passed over.
 *
 * The generator ends only after a proper end of archive; a stream that stops before throws BACKUP.
 */
import { ByteCursor } from './byte-cursor.ts';
import { decompress } from './decompress.ts';
import { SNIFF_BYTES, sniff } from './sniff.ts';
import { TarEntries } from './tar-entries.ts';
import { BLOCK_BYTES, isZero } from './tar-header.ts';

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
