/** Files of entries that a plan names: one, a folder of them, or a series of either; on a disk or in a bucket. */
import { templateOf } from '../../backup/backup-store.ts';
import { DEFAULT_MAX_RATIO } from '../../backup/containers/decompress.ts';
import { isSnappyStream } from '../../backup/containers/snappy.ts';
import { foreignFormat } from '../../backup/containers/sniff.ts';
import {
  findStored,
  isPattern,
  type LocalFields,
  searchTemplate,
  wallClock,
} from '../../backup/locate/search-template.ts';
import { openStore } from '../../backup/open-store.ts';
import { inflateIfCompressed } from '../../backup/readers/member.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import { type ByteSource, wholeOf } from '../../backup/storage/byte-source.ts';
import { filesBelow, type Store } from '../../backup/storage/store.ts';
import { RestorePlanError } from '../../errors.ts';
import { type StoreLocation, storeOf } from '../../plan/sources/stores.ts';
import type { Run } from '../../run.ts';
import { compareTimestamps } from '../entry.ts';
import { FileEntries } from './file-entries.ts';
import { beginningOf, type Covered, type EntryFile } from './joined-entries.ts';

/** Files that are looked into at the same time. */
const LOOKED_INTO_AT_ONCE = 8;

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

interface NamedEntryFile extends EntryFile {
  readonly path: string;
  /** What its name says of its time; empty where it says nothing. */
  readonly fields: LocalFields;
}

async function filesAt(store: Store, from: StoreLocation): Promise<NamedEntryFile[]> {
  const template = templateOf(from);
  const key = storeOf(from).template.join('.');
  const place = storeOf(from).describe(from);
  const paths: { readonly path: string; readonly fields: LocalFields }[] = [];
  for await (const { path, fields } of searchTemplate(store, template)) {
    const found = isPattern(template) ? undefined : await findStored(store, path);
    if (!isPattern(template) && found === undefined)
      throw nothingAt(`source.oplog.${key}: ${place} is not there`);
    const folder = found?.kind === 'folder' ? found.path : path;
    if (!folder.endsWith('/')) paths.push({ path, fields });
    else for (const one of await namesBelow(store, folder)) paths.push({ path: one, fields });
  }
  if (paths.length === 0)
    throw nothingAt(
      `source.oplog.${key}: ${place} ${isPattern(template) ? 'matches nothing' : 'holds no file of entries'}`,
    );
  return paths.map((one) => ({ ...entryFile(store, one.path), ...one }));
}

const SAVED = 'oplog.rs.bson';
const OF_ENTRIES = /\.(?:bson|oplog)(?:\.(?:gz|lz4|snappy|s2|zst))?$/;

/** The files of entries in a folder; of the database `local`, as mongodump writes it, the oplog alone. */
async function namesBelow(store: Store, folder: string): Promise<string[]> {
  const paths = (await filesBelow(store, folder)).map(({ path }) => path);
  const saved = paths.filter((path) => path.slice(path.lastIndexOf('/') + 1).startsWith(SAVED));
  if (saved.length > 0) return saved;
  return paths.filter((path) => OF_ENTRIES.test(path) || coveredBy(path) !== undefined);
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

/** In the order in which they begin. */
export async function inOrder(
  files: readonly (EntryFile & { readonly fields?: LocalFields })[],
): Promise<EntryFile[]> {
  const covered = files.flatMap((file) => (file.covers === undefined ? [] : [{ file, ...file.covers }]));
  if (covered.length === files.length)
    return covered
      .sort((a, b) => compareTimestamps(a.from, b.from) || compareTimestamps(a.till, b.till))
      .map(({ file }) => file);
  // Of a long series only few are looked into: their names have an order.
  const timed = files.map((file) => ({ file, time: wallClock(file.fields ?? {}) }));
  if (covered.length === 0 && new Set(timed.map(({ time }) => time)).size === files.length)
    return timed.sort((a, b) => a.time - b.time).map(({ file }) => file);
  const waiting = [...files];
  const begun: {
    readonly file: EntryFile;
    readonly begins: NonNullable<Awaited<ReturnType<typeof beginningOf>>>;
  }[] = [];
  const worker = async (): Promise<void> => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
      const begins = await beginningOf(file);
      if (begins !== undefined) begun.push({ file, begins });
    }
  };
  await Promise.all(Array.from({ length: LOOKED_INTO_AT_ONCE }, worker));
  const order = begun
    .sort((a, b) => compareTimestamps(a.begins, b.begins) || (a.file.location < b.file.location ? -1 : 1))
    .map(({ file }) => file);
  return order.length === 0 ? files.slice(0, 1) : order;
}

/** `20220209124238-19.20220209124938-4.oplog.s2`, as Percona Backup for MongoDB names its slices: UTC, both ends inclusive. */
const SLICE = /^(\d{14})-(\d+)\.(\d{14})-(\d+)(?:\.oplog)?(?:\.bson)?(?:\.(?:gz|lz4|snappy|s2|zst))?$/;
/** `oplog_1588258934.7_1588258996.1.bson`, as wal-g names them: seconds since 1970, the first end exclusive. */
const SEGMENT = /^oplog_(\d+)\.(\d+)_(\d+)\.(\d+)(?:\.\w+)*$/;

/** What the name of a file says that it covers. */
export function coveredBy(path: string): Covered | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const slice = SLICE.exec(name);
  if (slice !== null) {
    const [from, till] = [secondsOf(slice[1] as string), secondsOf(slice[3] as string)];
    return {
      from: { seconds: from, ordinal: Number(slice[2]) },
      till: { seconds: till, ordinal: Number(slice[4]) },
    };
  }
  const numbers = SEGMENT.exec(name)?.slice(1).map(Number);
  if (numbers === undefined) return undefined;
  const [from, first, till, last] = numbers as [number, number, number, number];
  return { from: { seconds: from, ordinal: first + 1 }, till: { seconds: till, ordinal: last } };
}

/** `yyyyMMddHHmmss`, UTC, as seconds since 1970. */
function secondsOf(time: string): number {
  const [month, day, hour, minute, second] = [4, 6, 8, 10, 12].map((at) => Number(time.slice(at, at + 2)));
  return Date.UTC(Number(time.slice(0, 4)), (month as number) - 1, day, hour, minute, second) / 1000;
}

function nothingAt(what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${what}.`, {
    hint: '`mongodump -d local -c oplog.rs` writes such a file: <folder>/local/oplog.rs.bson.',
  });
}
