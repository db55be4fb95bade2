/**
 * What a dry-run keeps on disk: for an apply what it saw, and for a page every document that was compared.
 *
 * It saw a target hold something of each selected document: nothing, the backup's bytes, or others. An apply that finds
 * something else names the document. Eight bytes per document, in a private file of the work directory and, while a command
 * compares or applies, in memory: 4.6 MiB for 600,000 documents, 76 MiB for 10 million.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TargetName } from '../events.ts';
import {
  makeDirectory,
  PRIVATE_DIRECTORY,
  PRIVATE_FILE,
  removeUnused,
  workDirectoryFault,
} from '../files.ts';
import { freeMemory } from '../free-memory.ts';
import { ATTENTION_ORDER, type DocumentClass } from '../outcomes.ts';
import { removeAbandoned, trusted } from '../selection/directory.ts';
import { AppendFile } from '../selection/file-batches.ts';
import type { SelectionManifest } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import type { ComparedDocument } from './comparison.ts';

export type ChangeSince = 'appeared' | 'disappeared' | 'changed';

/** What a target holds under a selected document's `_id`: nothing, the same bytes, or another document (raw). */
export type Sighting = 'absent' | 'same' | Buffer;

const FORMAT = 1;
const SEEN_FOLDER = 'seen';
const STATE_BYTES = BigUint64Array.BYTES_PER_ELEMENT;
/** With the counts of 10,000 collections it has some 100 KB. */
const MOST_HEADER_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
/** As a Date, UTC milliseconds. */
const LAST_DATE = 8.64e15;

/** Not yet seen; never saved as anything but "unknown". */
const UNKNOWN = 0n;
const ABSENT = 1n;
const SAME = 2n;

interface Header {
  readonly format: number;
  readonly digest: string;
  readonly server: string;
  readonly database: string;
  /** UTC milliseconds. */
  readonly seenAt: number;
  readonly counts: readonly number[];
}

export class TargetMemory {
  /** UTC milliseconds. */
  readonly seenAt: number;
  readonly #manifest: SelectionManifest;
  readonly #states: ReadonlyMap<string, BigUint64Array>;

  private constructor(manifest: SelectionManifest, seenAt: number, states: Map<string, BigUint64Array>) {
    this.#manifest = manifest;
    this.seenAt = seenAt;
    this.#states = states;
  }

  /** Remembers nothing yet. */
  static empty(manifest: SelectionManifest, seenAt: number): TargetMemory {
    const states = manifest.collections.map(
      ({ collection, count }) => [collection, new BigUint64Array(count)] as const,
    );
    return new TargetMemory(manifest, seenAt, new Map(states));
  }

  /** `index`: of the document in the collection's file. */
  remember(collection: string, index: number, seen: Sighting): void {
    const states = this.#states.get(collection);
    if (states !== undefined) states[index] = stateOf(seen);
  }

  /** How the target's document differs from what was seen; undefined = it does not, or it was not seen. */
  changeOf(collection: string, index: number, sighting: Sighting): ChangeSince | undefined {
    const before = this.#states.get(collection)?.[index] ?? UNKNOWN;
    const now = stateOf(sighting);
    if (before === UNKNOWN || before === now) return undefined;
    if (before === ABSENT) return 'appeared';
    return now === ABSENT ? 'disappeared' : 'changed';
  }

  async save(workDirectory: string, reader: TargetReader): Promise<void> {
    const header: Header = {
      format: FORMAT,
      digest: this.#manifest.digest,
      server: reader.identity.id,
      database: reader.database,
      seenAt: this.seenAt,
      counts: this.#manifest.collections.map(({ count }) => count),
    };
    const path = pathOf(workDirectory, this.#manifest, reader.name);
    const partial = `${path}.${randomBytes(6).toString('hex')}`;
    try {
      await makeDirectory(dirname(path));
      await trusted(workDirectory, SEEN_FOLDER);
      await this.#write(partial, header);
      await rename(partial, path);
    } catch (error) {
      await removeUnused(partial);
      throw workDirectoryFault(error, path);
    }
  }

  async #write(path: string, header: Header): Promise<void> {
    const file = await open(path, 'wx', PRIVATE_FILE);
    try {
      await file.appendFile(`${JSON.stringify(header)}\n`);
      for (const states of this.#states.values()) await file.appendFile(bytesOf(states));
    } finally {
      await file.close();
    }
  }

  /**
   * What was saved for this selection and this very database; undefined when there is nothing, or nothing readable. Throws RestorePlanError
   * WORK_DIRECTORY where another user may have written it.
   */
  static async load(
    workDirectory: string,
    manifest: SelectionManifest,
    reader: TargetReader,
  ): Promise<TargetMemory | undefined> {
    const path = pathOf(workDirectory, manifest, reader.name);
    const found = await trusted(workDirectory, SEEN_FOLDER, basename(path));
    if (!found?.isFile()) return undefined;
    const statesBytes = manifest.collections.reduce((sum, { count }) => sum + count, 0) * STATE_BYTES;
    const start = found.size - statesBytes;
    if (start <= 0 || start > MOST_HEADER_BYTES) return undefined;
    const file = await open(path, 'r');
    try {
      const header = parseHeader(await readWhole(file, Buffer.alloc(start), 0));
      const isOurs =
        header?.digest === manifest.digest &&
        header.server === reader.identity.id &&
        header.database === reader.database;
      if (!isOurs) return undefined;
      const memory = TargetMemory.empty(manifest, header.seenAt);
      let at = start;
      for (const states of memory.#states.values()) {
        // What the file lacks stays zero: "unknown".
        await readWhole(file, bytesOf(states), at);
        at += states.byteLength;
      }
      return memory;
    } finally {
      await file.close();
    }
  }
}

/** A convenience, not a record: without it nothing is named, nothing goes wrong. */
function parseHeader(line: Buffer): Header | undefined {
  if (line.at(-1) !== NEWLINE) return undefined;
  let header: Partial<Header> | null;
  try {
    header = JSON.parse(line.toString('utf8')) as Partial<Header> | null;
  } catch {
    return undefined;
  }
  const isRight = header?.format === FORMAT && Math.abs(Number(header.seenAt)) <= LAST_DATE;
  return isRight && typeof header?.seenAt === 'number' ? (header as Header) : undefined;
}

/** Fills `into`, in as many reads as that takes. What a file that has become shorter lacks stays as it was. */
export async function readWhole(file: FileHandle, into: Buffer, position: number): Promise<Buffer> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return into;
}

function bytesOf(states: BigUint64Array): Buffer {
  return Buffer.from(states.buffer, states.byteOffset, states.byteLength);
}

function pathOf(workDirectory: string, { digest }: SelectionManifest, target: TargetName): string {
  return join(workDirectory, SEEN_FOLDER, `${digest.slice(0, 16)}-${target}`);
}

/** The first eight bytes of another document's sha256. */
function stateOf(sighting: Sighting): bigint {
  if (sighting === 'absent') return ABSENT;
  if (sighting === 'same') return SAME;
  const state = createHash('sha256').update(sighting).digest().readBigUInt64LE(0);
  return state <= SAME ? SAME + 1n : state;
}

// Every compared document of one target, kept on disk while a page is made of them: one JSON object per line, one file per
// class, however many collections there are. Private, and removed when the command ends.

/** Of a document of which much is shown. */
const LARGE_LINE_BYTES = 512 * 1024;

/** Read without a stream: thousands of collections may have a few lines each, and what a stream leaves behind is 35 KB. */
const AT_ONCE_BYTES = 64 * 1024;

/** Bytes of a file, `end` exclusive. */
interface Extent {
  readonly start: number;
  end: number;
}

export class DocumentSpill {
  readonly #folder: string;
  readonly #files = new Map<DocumentClass, AppendFile>();
  /** Where in the file of its class a collection has its lines. */
  readonly #extents = new Map<string, Extent>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `workDirectory` must exist. Throws RestorePlanError WORK_DIRECTORY where nothing can be written. */
  static async create(workDirectory: string): Promise<DocumentSpill> {
    const folder = join(workDirectory, `.comparison-${randomBytes(6).toString('hex')}`);
    try {
      await removeAbandoned(workDirectory, /^\.comparison-[0-9a-f]{12}$/);
      await mkdir(folder, { mode: PRIVATE_DIRECTORY });
    } catch (error) {
      throw workDirectoryFault(error, folder);
    }
    return new DocumentSpill(folder);
  }

  /** Collection after collection, each in backup order. */
  async add(collection: string, document: ComparedDocument): Promise<void> {
    let file = this.#files.get(document.class);
    if (file === undefined) {
      file = await AppendFile.create(join(this.#folder, `${this.#files.size}.ndjson`));
      this.#files.set(document.class, file);
    }
    const name = nameOf(collection, document.class);
    const extent = this.#extents.get(name) ?? { start: file.bytes, end: file.bytes };
    this.#extents.set(name, extent);
    const line = Buffer.from(`${lineOf(document)}\n`);
    if (line.length > LARGE_LINE_BYTES) freeMemory();
    file.append(line, 0, line.length);
    extent.end = file.bytes;
    await file.drain();
  }

  /** What needs an eye first, or one class alone; each class in backup order. Nothing may be added any more. */
  async *read(
    collection: string,
    documentClass?: DocumentClass,
  ): AsyncGenerator<ComparedDocument, void, undefined> {
    await this.#close();
    for (const each of documentClass === undefined ? ATTENTION_ORDER : [documentClass]) {
      const file = this.#files.get(each);
      const extent = this.#extents.get(nameOf(collection, each));
      if (file === undefined || extent === undefined) continue;
      const { start, end } = extent;
      if (end - start <= AT_ONCE_BYTES) {
        for (const line of await linesOf(file.path, extent)) yield JSON.parse(line) as ComparedDocument;
        continue;
      }
      const input = createReadStream(file.path, { start, end: end - 1 });
      try {
        const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
        for await (const line of lines) {
          if (line.length > LARGE_LINE_BYTES) freeMemory();
          yield JSON.parse(line) as ComparedDocument;
        }
      } finally {
        // A page that has enough stops reading, which only pauses the file.
        input.destroy();
      }
    }
  }

  async #close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }

  async remove(): Promise<void> {
    for (const file of this.#files.values()) await file.close().catch(() => undefined);
    await removeUnused(this.#folder);
  }
}

/** Newer versions of Node end a line also at the Unicode separators, which JSON leaves as they are. */
function lineOf(document: ComparedDocument): string {
  return JSON.stringify(document).replace(/[\u2028\u2029]/g, (separator) =>
    separator === '\u2028' ? '\\u2028' : '\\u2029',
  );
}

function nameOf(collection: string, documentClass: DocumentClass): string {
  return `${documentClass} ${collection}`;
}

async function linesOf(path: string, { start, end }: Extent): Promise<string[]> {
  const file = await open(path, 'r');
  try {
    const bytes = await readWhole(file, Buffer.alloc(end - start), start);
    return bytes.toString('utf8').split('\n').slice(0, -1);
  } finally {
    await file.close();
  }
}
