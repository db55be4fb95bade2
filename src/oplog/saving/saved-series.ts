/**
 * Entries saved as a series of objects below a prefix of a bucket.
 *
 * Each object is stored whole or not at all, under a name that says from which entry to which it reaches, as Percona Backup for MongoDB names its
 * slices: a hole is seen in the names, and one that was cut off in the entry that it lacks. It begins with the entry that the one before it ends with.
 * They are stored one after the other, so whatever is there of a saving that was killed is whole up to its end, and gone on from.
 */
import { createHash } from 'node:crypto';
import { openWritableStore } from '../../backup/open-store.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import { wholeOf } from '../../backup/storage/byte-source.ts';
import { filesBelow, type StoredFile, type WritableStore } from '../../backup/storage/store.ts';
import { RestorePlanError } from '../../errors.ts';
import { bucketLike, bucketNeeds, type S3Location } from '../../plan/sources/s3.ts';
import type { Run } from '../../run.ts';
import { compareTimestamps, type Moment, showMoment, type Timestamp, timeless } from '../entry.ts';
import { isSameScope, type SavedBefore, scopeEntry } from '../saved-scope.ts';
import { coveredBy } from '../sources/entry-files.ts';
import type { Covered } from '../sources/joined-entries.ts';
import {
  type EntryStore,
  isEarlyEnough,
  type Kept,
  notSavedHere,
  proven,
  type SaveOrder,
  type Saving,
  savedByAnother,
} from './save-oplog.ts';

/** An object is stored when it has so many bytes; it may have a batch of entries more. */
const OBJECT_BYTES = 8 * 1024 * 1024;

interface SeriesPlace {
  readonly bucket: string;
  /** Not empty; with or without a `/` at its end. */
  readonly prefix: string;
  /** Region, profile and endpoint are the same; undefined: as the environment says. */
  readonly near: S3Location | undefined;
}

/** One object of the series. */
interface SeriesObject {
  readonly file: StoredFile;
  readonly covers: Covered;
}

export class SavedSeries implements EntryStore {
  readonly name: string;
  readonly location: S3Location;
  readonly #store: WritableStore;
  /** Ends in `/`. */
  readonly #root: string;
  /** Paths that are there by our knowledge. */
  readonly #known = new Set<string>();
  /** The entry that the last object ends with. */
  #overlap: Buffer = Buffer.alloc(0);

  private constructor(store: WritableStore, location: S3Location) {
    this.#store = store;
    this.#root = location.key;
    this.location = location;
    this.name = `s3://${location.bucket}/${location.key}`;
  }

  static async open(
    run: Run,
    { bucket, prefix, near }: SeriesPlace,
    patience: RemotePatience,
  ): Promise<SavedSeries> {
    const key = prefix.endsWith('/') ? prefix : `${prefix}/`;
    const location = { ...bucketLike(near, bucket), key, timezone: undefined };
    return new SavedSeries(await openWritableStore(run, location, patience), location);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async kept(order: SaveOrder): Promise<Kept | undefined> {
    const objects = await this.#objects();
    const [first] = objects;
    const last = objects.at(-1);
    if (first === undefined || last === undefined) return undefined;
    for (const { file } of objects) this.#known.add(file.path);
    const kept = { ...(await this.#read(last)), from: first.covers.from };
    if (!isSameScope(kept.scope, order.scope))
      throw notSavedHere(this.name, 'holds the entries for other collections');
    if (!(await isEarlyEnough(kept, order)))
      throw notSavedHere(
        this.name,
        `holds the entries from ${showMoment(timeless(kept.from))} on, and earlier ones are needed`,
      );
    return kept;
  }

  /** Throws USAGE unless they go on from each other, and nothing else is there. */
  async #objects(): Promise<SeriesObject[]> {
    const found = await this.#told(() => filesBelow(this.#store, this.#root));
    const objects = found.map((file): SeriesObject => {
      const covers = file.path.endsWith('.bson') ? coveredBy(file.path) : undefined;
      if (covers === undefined)
        throw notSavedHere(this.#store.describe(file.path), 'is there, and was not saved by this command');
      return { file, covers };
    });
    objects.sort((a, b) => compareTimestamps(a.covers.from, b.covers.from));
    for (const [i, { covers, file }] of objects.entries()) {
      const before = objects[i - 1];
      if (before === undefined || compareTimestamps(before.covers.till, covers.from) === 0) continue;
      throw notSavedHere(
        this.#store.describe(file.path),
        'does not begin where the object before it ends: one was removed, or two processes saved there at a time',
      );
    }
    return objects;
  }

  /** What the last object says of the series. Throws where it is not what its name says. */
  async #read({ file, covers }: SeriesObject): Promise<Kept> {
    const name = this.#store.describe(file.path);
    const pieces: Buffer[] = [];
    await this.#told(async () => {
      const source = file.open();
      try {
        for await (const chunk of wholeOf(source)) pieces.push(Buffer.from(chunk));
      } finally {
        await source.close();
      }
    });
    const bytes = Buffer.concat(pieces);
    const found = await proven(once(bytes));
    if (found === undefined) throw notSavedHere(name, 'is there, and was not saved by this command');
    const { kept, isWhole } = found;
    if (!isWhole || compareTimestamps(kept.last, covers.till) !== 0)
      throw notSavedHere(name, 'is not whole: somebody stored it anew, or only a part of it');
    this.#overlap = lastOf(bytes);
    return kept;
  }

  async open(kept: Kept): Promise<Saving> {
    const { scope, renamed } = kept;
    let from: Timestamp = kept.entries > 0 ? kept.last : kept.from;
    let before: SavedBefore = { entries: kept.entries, bytes: kept.bytes, renamed: [...renamed] };
    let pieces: Buffer[] = [];
    let size = 0;
    let count = 0;
    let till: Moment | undefined;
    /** One object is on its way while the next is put together; never two, for they are to come there in their order. */
    let storing: Promise<void> = Promise.resolve();
    const store = async (): Promise<void> => {
      if (till === undefined) return;
      const isFirst = before.entries === 0;
      const shared = isFirst ? [] : [this.#overlap];
      const header = scopeEntry(scope, from, {
        ...before,
        entries: Math.max(0, before.entries - shared.length),
      });
      const content = Buffer.concat([header, ...shared, ...pieces]);
      const path = `${this.#root}${nameOf(from)}.${nameOf(till)}.bson`;
      before = { ...before, entries: before.entries + count, bytes: before.bytes + content.length };
      this.#overlap = lastOf(content);
      from = till;
      till = undefined;
      pieces = [];
      size = 0;
      count = 0;
      await storing;
      storing = this.#put(path, content);
      // Whoever waits for it next is told.
      storing.catch(() => undefined);
    };
    return {
      write: async (entries, last) => {
        pieces.push(entries);
        size += entries.length;
        count += countOf(entries);
        till = last;
        if (size >= OBJECT_BYTES) await store();
      },
      finish: async () => {
        await store();
        await storing;
        await this.#requireAlone();
        return before.bytes;
      },
      close: async () => {
        await storing.catch(() => undefined);
      },
    };
  }

  async #put(path: string, bytes: Buffer): Promise<void> {
    await this.#requireAlone();
    this.#known.add(path);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await this.#told(() => this.#store.put(path, { bytes, sha256 }));
  }

  async #requireAlone(): Promise<void> {
    await this.#told(async () => {
      for await (const { path } of this.#store.below(this.#root))
        if (!this.#known.has(path)) throw savedByAnother(this.name);
    });
  }

  /** What goes wrong here is no fault of the oplog. */
  async #told<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof RestorePlanError) || error.code !== 'BACKUP') throw error;
      throw new RestorePlanError('WORK_DIRECTORY', `the oplog cannot be saved there: ${error.message}`, {
        hint: `${bucketNeeds(this.name, ['s3:GetObject', 's3:PutObject'])} What was saved is gone on from when the command runs again.`,
        cause: error,
        facts: error.facts,
      });
    }
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** Of whole entries. */
function countOf(entries: Buffer): number {
  let count = 0;
  for (let at = 0; at < entries.length; at += entries.readInt32LE(at)) count++;
  return count;
}

function lastOf(entries: Buffer): Buffer {
  let start = 0;
  for (let at = 0; at < entries.length; at += entries.readInt32LE(at)) start = at;
  return Buffer.from(entries.subarray(start));
}

/** `20261122080000-1`, UTC: an end of a slice, as `coveredBy` reads it. */
function nameOf({ seconds, ordinal }: Timestamp): string {
  const time = new Date(seconds * 1000).toISOString().replaceAll(/[-:T]|\..*$/g, '');
  return `${time}-${ordinal}`;
}
