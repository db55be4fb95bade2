/**
 * Unpacks tars that lie in a tar, as the Ruby `backup` gem packs them, while they stream by. A tar stands for a folder
 * of its name; everything else passes unchanged.
 */
import { ByteCursor } from './byte-cursor.ts';
import { decompress } from './decompress.ts';
import { SNIFF_BYTES, sniff } from './sniff.ts';
import { type StreamedFile, streamTar } from './tar-stream.ts';

/** Deeper nesting than this has no purpose but to exhaust whoever reads it. */
const MAX_DEPTH = 4;

export interface Unpacking {
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
