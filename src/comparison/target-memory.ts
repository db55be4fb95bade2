/**
 * What a dry-run saw a target hold of each selected document: nothing, the backup's bytes, or others. An apply that finds
 * something else names the document. Eight bytes per document, in a private file of the work directory.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TargetName } from '../events.ts';
import { PRIVATE_DIRECTORY, PRIVATE_FILE } from '../selection/directory.ts';
import type { SelectionManifest } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';

export type Change = 'appeared' | 'disappeared' | 'changed';

/** What a target holds under a selected document's `_id`: nothing, the same bytes, or another document (raw). */
export type Sighting = 'absent' | 'same' | Buffer;

/** One document of the selection: its collection in the backup, and its position in the collection's file. */
export interface SelectedPlace {
  readonly collection: string;
  readonly index: number;
}

const FORMAT = 1;

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

  remember({ collection, index }: SelectedPlace, seen: Sighting): void {
    const states = this.#states.get(collection);
    if (states !== undefined) states[index] = stateOf(seen);
  }

  /** How the target's document differs from what was seen; undefined = it does not, or it was not seen. */
  changeOf({ collection, index }: SelectedPlace, sighting: Sighting): Change | undefined {
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
    const states = [...this.#states.values()].map((each) => Buffer.from(each.buffer));
    const path = pathOf(workDirectory, this.#manifest, reader.name);
    await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY });
    const partial = `${path}.${randomBytes(6).toString('hex')}`;
    await writeFile(partial, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...states]), {
      mode: PRIVATE_FILE,
    });
    await rename(partial, path);
  }

  /** What was saved for this selection and this very database; undefined when there is nothing, or nothing readable. */
  static async load(
    workDirectory: string,
    manifest: SelectionManifest,
    reader: TargetReader,
  ): Promise<TargetMemory | undefined> {
    const bytes = await readFile(pathOf(workDirectory, manifest, reader.name)).catch(() => undefined);
    const end = bytes?.indexOf('\n') ?? -1;
    if (bytes === undefined || end < 0) return undefined;
    let header: Header | null;
    try {
      header = JSON.parse(bytes.toString('utf8', 0, end)) as Header | null;
    } catch {
      return undefined; // a convenience, not a record: without it nothing is named, nothing goes wrong
    }
    const documents = manifest.collections.reduce((sum, { count }) => sum + count, 0);
    const isOurs =
      header?.format === FORMAT &&
      header.digest === manifest.digest &&
      header.server === reader.identity.id &&
      header.database === reader.database &&
      bytes.length - end - 1 === documents * BigUint64Array.BYTES_PER_ELEMENT;
    if (header === null || !isOurs) return undefined;
    const memory = TargetMemory.empty(manifest, header.seenAt);
    let at = end + 1;
    for (const states of memory.#states.values()) {
      bytes.copy(Buffer.from(states.buffer), 0, at, at + states.byteLength);
      at += states.byteLength;
    }
    return memory;
  }
}

function pathOf(workDirectory: string, { digest }: SelectionManifest, target: TargetName): string {
  return join(workDirectory, 'seen', `${digest.slice(0, 16)}-${target}`);
}

/** The first eight bytes of another document's sha256. */
function stateOf(sighting: Sighting): bigint {
  if (sighting === 'absent') return ABSENT;
  if (sighting === 'same') return SAME;
  const state = createHash('sha256').update(sighting).digest().readBigUInt64LE(0);
  return state <= SAME ? SAME + 1n : state;
}
