/** What lies at one path: a file, a folder, or a file that was split into chunks beside each other. */
import { RestorePlanError } from '../../errors.ts';
import { JoinedSource } from '../storage/derived-sources.ts';
import { newestOf, type Store, type StoredFile, type StoredFolder } from '../storage/store.ts';

/** Undefined when nothing is there. */
export async function findStored(store: Store, path: string): Promise<StoredFile | StoredFolder | undefined> {
  const found = await store.find(path);
  if (found !== undefined || path.endsWith('/')) return found;
  return joinChunks(store, path, await chunksOf(store, path));
}

/** `db.tar-aa`, `db.tar-ab` … as `split` and the Ruby `backup` gem name them, sorted. */
async function chunksOf(store: Store, path: string): Promise<StoredFile[]> {
  const cut = path.lastIndexOf('/') + 1;
  const chunks: StoredFile[] = [];
  for await (const item of store.list(path.slice(0, cut), `${path.slice(cut)}-`)) {
    if (item.kind === 'file' && /^-[a-z]{2,5}$/.test(item.path.slice(path.length))) chunks.push(item);
  }
  return chunks.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function joinChunks(store: Store, path: string, chunks: readonly StoredFile[]): StoredFile | undefined {
  const first = chunks[0];
  if (first === undefined) return undefined;
  const width = first.path.length - path.length - 1;
  chunks.forEach((chunk, i) => {
    const expected = `${path}-${suffix(i, width)}`;
    if (chunk.path === expected) return;
    throw new RestorePlanError('BACKUP', `${store.describe(expected)} is missing.`, {
      hint: `The backup was split into chunks; there are ${chunks.length}, but not this one. Take another backup.`,
    });
  });
  refuseCutChunk(chunks, store);
  return {
    kind: 'file',
    path,
    size: chunks.reduce((sum, { size }) => sum + size, 0),
    modified: newestOf(chunks),
    fingerprint: chunks.map(({ fingerprint }) => fingerprint).join('+'),
    open: () =>
      new JoinedSource(
        store.describe(path),
        chunks.map((chunk) => chunk.open()),
      ),
  };
}

/**
 * `split` makes chunks of one size; only the last may be smaller, or (of as many chunks as were asked for) larger by fewer
 * bytes than there are chunks. A chunk that was cut off would move all that follows it.
 */
function refuseCutChunk(chunks: readonly StoredFile[], store: Store): void {
  const size = Math.max(...chunks.slice(0, -1).map((chunk) => chunk.size), 0);
  const last = chunks.at(-1) as StoredFile;
  const cut =
    chunks.slice(0, -1).find((chunk) => chunk.size < size) ??
    (chunks.length > 1 && last.size >= size + chunks.length ? chunks[0] : undefined);
  if (cut === undefined) return;
  throw new RestorePlanError(
    'BACKUP',
    `${store.describe(cut.path)} is cut off: it is smaller than other chunks.`,
    {
      hint: 'Its upload or copy did not finish. Nothing of it was used; take another backup.',
    },
  );
}

/** The letters of chunk `index`: aa, ab … az, ba … */
function suffix(index: number, width: number): string {
  let letters = '';
  for (let rest = index, i = 0; i < width; i++, rest = Math.floor(rest / 26)) {
    letters = String.fromCharCode(97 + (rest % 26)) + letters;
  }
  return letters;
}
