/**
 * Files of entries, found by their paths. A series may have a million of them: of each the path is kept and, while they are put in order, where it
 * begins.
 *
 * Alone because: where files come from and how they are read are two other things.
 */
import type { PathList } from '../../backup/storage/path-list.ts';
import { beginningOf, type Covered, type EntryFile, type EntryFiles } from './joined-entries.ts';

/** Files that are looked into at the same time. */
const LOOKED_INTO_AT_ONCE = 8;
/** Files that are known by more than their path: where they begin is found out once. */
const MOST_KNOWN = 1_000;

/** `order`: places in `paths`, of those that count; absent: all, as they come. */
class FilesByPath implements EntryFiles {
  readonly length: number;
  readonly #paths: PathList;
  readonly #fileAt: (path: string) => EntryFile;
  readonly #order: Uint32Array | undefined;
  readonly #known = new Map<number, EntryFile>();

  constructor({ paths, fileAt }: FoundFiles, order?: Uint32Array) {
    this.#paths = paths;
    this.#fileAt = fileAt;
    this.#order = order;
    this.length = order?.length ?? paths.length;
  }

  at(index: number): EntryFile | undefined {
    if (index >= this.length) return undefined;
    let file = this.#known.get(index);
    if (file === undefined) {
      const place = this.#order === undefined ? index : (this.#order[index] as number);
      file = this.#fileAt(this.#paths.at(place) as string);
      if (this.#known.size >= MOST_KNOWN) this.#known.clear();
      this.#known.set(index, file);
    }
    return file;
  }
}

export interface FoundFiles {
  /** At least one. */
  readonly paths: PathList;
  readonly fileAt: (path: string) => EntryFile;
  /** Of a series: the time in the name of each, UTC milliseconds. */
  readonly times?: readonly number[];
}

/** In the order in which they begin. Of files whose names do not tell it, those without entries are left out. */
export async function inOrder(found: FoundFiles): Promise<EntryFiles> {
  const { paths, times } = found;
  const order = Uint32Array.from({ length: paths.length }, (_, i) => i);
  const begins = new Beginnings(paths);
  let named = 0;
  for (let i = 0; i < paths.length; i++) {
    const covers = coveredBy(paths.at(i) as string);
    if (covers === undefined) continue;
    begins.set(i, covers);
    named++;
  }
  if (named === paths.length) return new FilesByPath(found, begins.sort(order));
  // Of a long series only few are looked into: their names have an order.
  if (named === 0 && times !== undefined) {
    for (const [i, time] of times.entries()) begins.set(i, { from: { seconds: time, ordinal: 0 } });
    if (begins.areDistinct(begins.sort(order))) return new FilesByPath(found, order);
  }
  const begun = await lookedInto(new FilesByPath(found), begins);
  return new FilesByPath(found, begun.length === 0 ? order.slice(0, 1) : begins.sort(begun));
}

/** The places of the files that have entries. */
async function lookedInto(files: EntryFiles, begins: Beginnings): Promise<Uint32Array> {
  const begun = new Uint32Array(files.length);
  let count = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < files.length; i = next++) {
      const from = await beginningOf(files.at(i) as EntryFile);
      if (from === undefined) continue;
      begins.set(i, { from });
      begun[count++] = i;
    }
  };
  await Promise.all(Array.from({ length: LOOKED_INTO_AT_ONCE }, worker));
  return begun.subarray(0, count);
}

const FIELDS = 4;

/** Where each of many files begins and, where its name says so, ends. */
class Beginnings {
  readonly #paths: PathList;
  readonly #values: Float64Array;

  constructor(paths: PathList) {
    this.#paths = paths;
    this.#values = new Float64Array(FIELDS * paths.length);
  }

  set(file: number, { from, till = from }: Pick<Covered, 'from'> & Partial<Covered>): void {
    this.#values.set([from.seconds, from.ordinal, till.seconds, till.ordinal], FIELDS * file);
  }

  /** Sorts the places of files, in place; of two that begin and end together, by path. */
  sort(order: Uint32Array): Uint32Array {
    return order.sort((a, b) => this.#compare(a, b) || this.#paths.compare(a, b));
  }

  /** Whether no two of these, sorted, begin together. */
  areDistinct(order: Uint32Array): boolean {
    return order.every((file, i) => i === 0 || this.#compare(order[i - 1] as number, file) !== 0);
  }

  #compare(a: number, b: number): number {
    for (let field = 0; field < FIELDS; field++) {
      const difference =
        (this.#values[FIELDS * a + field] as number) - (this.#values[FIELDS * b + field] as number);
      if (difference !== 0) return difference;
    }
    return 0;
  }
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
