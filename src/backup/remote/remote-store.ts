import { setMaxListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { RestorePlanError } from '../../errors.ts';
import type { Run } from '../../run.ts';
import type { ByteSource, SeenFile, StoredSpan, WholeChecksum } from '../storage/byte-source.ts';
import type { FileContent, Reading, StoredFile, StoredFolder, WritableStore } from '../storage/store.ts';
import { Bucket } from './bucket.ts';
import { MOST_BYTES_IN_FLIGHT } from './flight-control.ts';
import {
  checkedStream,
  damaged,
  type KeyPage,
  type ObjectServer,
  type StoredObject,
} from './object-server.ts';
import type { RemotePatience } from './patience.ts';
import { RangeBuffer, RangeFlight, type RangeSink } from './range-download.ts';

/** A bucket as folders and files. A key that ends in `/` (a folder made by a console) is a folder, never a file. */
export class RemoteStore implements WritableStore {
  readonly #bucket: Bucket;

  constructor(run: Run, server: ObjectServer, patience: RemotePatience, reading?: Reading) {
    this.#bucket = new Bucket(run, server, patience, reading);
  }

  describe(path: string): string {
    return this.#bucket.describe(path);
  }

  async *list(folder: string, nameStart = ''): AsyncGenerator<StoredFile | StoredFolder> {
    for await (const page of this.#bucket.list(folder + nameStart)) {
      for (const path of page.folders) yield { kind: 'folder', path };
      yield* this.#files(page);
    }
  }

  async *below(folder: string): AsyncGenerator<StoredFile> {
    for await (const page of this.#bucket.list(folder, { isDeep: true })) yield* this.#files(page);
  }

  *#files({ objects }: Pick<KeyPage, 'objects'>): Generator<StoredFile> {
    for (const object of objects) if (!object.key.endsWith('/')) yield this.#file(object);
  }

  async find(path: string): Promise<StoredFile | StoredFolder | undefined> {
    if (path !== '' && !path.endsWith('/')) {
      const object = await this.#bucket.head(path).catch((error: unknown) => {
        if (this.#bucket.isMissing(error)) return undefined;
        throw error;
      });
      if (object !== undefined) return this.#file(object);
    }
    const folder = path === '' || path.endsWith('/') ? path : `${path}/`;
    for await (const { objects, folders } of this.#bucket.list(folder, { most: 1, as: path })) {
      return objects.length + folders.length > 0 ? { kind: 'folder', path: folder } : undefined;
    }
    return undefined;
  }

  put(path: string, content: FileContent): Promise<void> {
    return this.#bucket.put(path, content);
  }

  async remove(path: string): Promise<void> {
    // A folder of a bucket is there only as far as something lies in it.
    if (!path.endsWith('/')) await this.#bucket.remove(path);
  }

  close(): Promise<void> {
    return this.#bucket.close();
  }

  reopen({ path: key, size, modified, etag = '', versionId }: SeenFile): ByteSource {
    return new RemoteFile(this.#bucket, { key, size, modified, etag, versionId });
  }

  #file(object: StoredObject): StoredFile {
    return {
      kind: 'file',
      ...this.#bucket.seen(object),
      open: () => new RemoteFile(this.#bucket, object),
    };
  }
}

/**
 * An object of a server, pinned to its ETag (and version): once it is replaced, the server refuses every further range.
 *
 * A stream keeps several ranges in flight and hands out what arrives in the object's order, the first range's chunks
 * as they come in. No connection is told to wait for long, so a consumer may take as long as it likes without one standing
 * still meanwhile; what is asked for and not yet handed out is bounded.
 */
class RemoteFile implements ByteSource {
  readonly location: string;
  readonly size: number;
  readonly modified: number | undefined;
  readonly fingerprint: string;
  readonly #bucket: Bucket;
  readonly #facts: StoredObject;

  constructor(bucket: Bucket, facts: StoredObject) {
    this.#bucket = bucket;
    this.#facts = facts;
    this.location = bucket.describe(facts.key);
    this.size = facts.size;
    this.modified = facts.modified;
    this.fingerprint = bucket.fingerprint(facts);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const sink = new RangeBuffer(length);
    if (length > 0) await this.#receive(sink, offset, this.#bucket.signal);
    return sink.bytes;
  }

  async *stream(from: number, to: number): AsyncGenerator<Buffer> {
    const { flights: control, room, signal } = this.#bucket;
    const left = new AbortController();
    const either = AbortSignal.any([signal, left.signal]);
    setMaxListeners(0, either); // one for each range in flight, which is no leak
    const flights: { readonly range: RangeFlight; readonly landed: Promise<void> }[] = [];
    let next = from;
    let handedOut = from;
    const isUnderWay = ({ range: { length, received } }: (typeof flights)[number]): boolean =>
      length - received >= control.nearlyDoneBytes;
    const fillUp = (): void => {
      while (next < to && flights.filter(isUnderWay).length < control.limit) {
        const length = Math.min(control.rangeBytes, to - next);
        if (flights.length > 0 && next + length - handedOut > MOST_BYTES_IN_FLIGHT) return;
        const start = next;
        const range = new RangeFlight(length, room, control.limit === 1);
        flights.push({ range, landed: range.fill((sink) => this.#receive(sink, start, either)) });
        next += length;
      }
    };
    // Of several at a time, the first one's measures hold for all.
    if (this.#bucket.streams++ === 0) control.begin(performance.now());
    try {
      fillUp();
      for (let first = flights[0]; first !== undefined; first = flights[0]) {
        for (;;) {
          const bytes = await first.range.arrived();
          if (bytes === undefined) break;
          handedOut += bytes.length;
          control.delivers(first.range);
          yield bytes;
          fillUp();
          // Else all that has arrived would be consumed before a socket is read again, and the server would stand still meanwhile.
          await setImmediate();
        }
        flights.shift();
        control.landed();
        fillUp();
      }
    } finally {
      this.#bucket.streams--;
      left.abort();
      await Promise.all(flights.map(({ landed }) => landed));
    }
  }

  checked(): AsyncIterable<Buffer> {
    return checkedStream(this, () => this.#bucket.checksum(this.#facts), this.#bucket);
  }

  async checksum(): Promise<WholeChecksum | undefined> {
    const checksum = await this.#bucket.checksum(this.#facts);
    const { name } = checksum ?? {};
    if (checksum === undefined || (name !== 'CRC32' && name !== 'CRC64NVME')) return undefined;
    const expected = BigInt(`0x${Buffer.from(checksum.expected, 'base64').toString('hex')}`);
    return { name, expected, damaged: () => damaged(this, checksum, this.#bucket.name) };
  }

  spans(): StoredSpan[] {
    return [{ file: this.#bucket.seen(this.#facts), from: 0, size: this.size }];
  }

  async close(): Promise<void> {}

  async #receive(sink: RangeSink, start: number, signal: AbortSignal): Promise<void> {
    if (start + sink.length > this.size) {
      throw new RestorePlanError('BACKUP', `${this.location} ends at byte ${this.size}, too early.`, {
        hint: 'Its upload did not finish. Take another backup.',
      });
    }
    await this.#bucket.receive(this.#facts, { sink, start, wanted: signal });
  }
}
