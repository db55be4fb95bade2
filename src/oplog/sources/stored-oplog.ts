/** Files of entries that a plan names: one, a folder of them, or a series of either; on a disk or in a bucket. */
import { templateOf } from '../../backup/backup-store.ts';
import { DEFAULT_MAX_RATIO } from '../../backup/containers/decompress.ts';
import { isSnappyStream } from '../../backup/containers/snappy.ts';
import { foreignFormat } from '../../backup/containers/sniff.ts';
import { findStored, isPattern, searchTemplate, wallClock } from '../../backup/locate/search-template.ts';
import { openStore } from '../../backup/open-store.ts';
import { inflateIfCompressed } from '../../backup/readers/member.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import { type ByteSource, wholeOf } from '../../backup/storage/byte-source.ts';
import { PathList } from '../../backup/storage/path-list.ts';
import type { Store } from '../../backup/storage/store.ts';
import { RestorePlanError } from '../../errors.ts';
import { type StoreLocation, storeOf } from '../../plan/sources/stores.ts';
import type { Run } from '../../run.ts';
import { coveredBy, type FoundFiles, inOrder } from './entry-files.ts';
import { FileEntries } from './file-entries.ts';
import type { EntryFile } from './joined-entries.ts';

/** Throws RestorePlanError BACKUP where there is nothing of the kind. */
export async function openStoredOplog(
  run: Run,
  from: StoreLocation,
  patience: RemotePatience,
): Promise<FileEntries> {
  const store = await openStore(run, from, patience);
  try {
    const place = storeOf(from).describe(from);
    const files = await filesAt(store, from);
    return new FileEntries(`the oplog in ${place}`, await inOrder(files), { close: () => store.close() });
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function filesAt(store: Store, from: StoreLocation): Promise<FoundFiles> {
  const template = templateOf(from);
  const key = storeOf(from).template.join('.');
  const place = storeOf(from).describe(from);
  const isSeries = isPattern(template);
  const paths = new PathList();
  const times: number[] = [];
  for await (const { path, fields } of searchTemplate(store, template)) {
    const found = isSeries ? undefined : await findStored(store, path);
    if (!isSeries && found === undefined) throw nothingAt(`source.oplog.${key}: ${place} is not there`);
    const folder = found?.kind === 'folder' ? found.path : path;
    if (folder.endsWith('/')) await addFilesBelow(folder, store, paths);
    else paths.add(path);
    while (times.length < paths.length) times.push(wallClock(fields));
  }
  if (paths.length === 0)
    throw nothingAt(
      `source.oplog.${key}: ${place} ${isSeries ? 'matches nothing' : 'holds no file of entries'}`,
    );
  return { paths, fileAt: (path) => entryFile(store, path), times };
}

const SAVED = 'oplog.rs.bson';
const OF_ENTRIES = /\.(?:bson|oplog)(?:\.(?:gz|lz4|snappy|s2|zst))?$/;

/** The files of entries in a folder; of the database `local`, as mongodump writes it, the oplog alone. */
async function addFilesBelow(folder: string, store: Store, paths: PathList): Promise<void> {
  const before = paths.length;
  let isSaved = false;
  for await (const { path } of store.below(folder)) {
    if (path.slice(path.lastIndexOf('/') + 1).startsWith(SAVED)) {
      if (!isSaved) paths.cutTo(before);
      isSaved = true;
      paths.add(path);
    } else if (!isSaved && (OF_ENTRIES.test(path) || coveredBy(path) !== undefined)) paths.add(path);
  }
}

/** Looked for when it is read: of a series, the first ones are not. */
function entryFile(store: Store, path: string): EntryFile {
  return entryFileOf(store.describe(path), async () => {
    const found = await findStored(store, path);
    return found?.kind === 'file' ? found.open() : undefined;
  });
}

/** A file that is opened whenever it is read; undefined: it is not there. */
export function entryFileOf(
  location: string,
  open: () => ByteSource | undefined | Promise<ByteSource | undefined>,
): EntryFile {
  return {
    location,
    covers: coveredBy(location),
    tellsItsEnd: /\.(?:gz|zst)$/.test(location),
    async *chunks() {
      const file = await open();
      if (file === undefined) return;
      try {
        yield* inflated(file, location);
      } finally {
        await file.close();
      }
    },
  };
}

/** Snappy and S2, too: what is missing at the end is found by the name or by what is needed of the file. */
async function* inflated(file: ByteSource, location: string): AsyncGenerator<Buffer> {
  const options = { location, maxRatio: DEFAULT_MAX_RATIO, withSnappy: true };
  yield* inflateIfCompressed(knownFormat(wholeOf(file), location), options);
}

async function* knownFormat(chunks: AsyncIterable<Buffer>, location: string): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const chunk of chunks) {
    const foreign = isFirst && !isSnappyStream(chunk) ? foreignFormat(chunk) : undefined;
    if (foreign !== undefined)
      throw new RestorePlanError('BACKUP', `${location} is ${foreign.what}.`, { hint: foreign.remedy });
    isFirst = false;
    yield chunk;
  }
}

function nothingAt(what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${what}.`, {
    hint: '`mongodump -d local -c oplog.rs` writes such a file: <folder>/local/oplog.rs.bson.',
  });
}
