/** One bucket: every request persists through passing faults and explains lasting ones. */

import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import { freeLeftovers } from '../../free-memory.ts';
import type { Run } from '../../run.ts';
import type { SeenFile } from '../storage/byte-source.ts';
import type { FileContent, Reading } from '../storage/store.ts';
import { FlightControl } from './flight-control.ts';
import type {
  Checksum,
  KeyPage,
  ListQuery,
  ObjectClient,
  ObjectServer,
  StoredObject,
} from './object-server.ts';
import { type Attempts, inTime, PaceWatch, persist, type RemotePatience } from './patience.ts';
import { describeAnswer, type RangeSink, receiveRange, WaitingRoom } from './range-download.ts';

/** Of a list; a page holds up to 1,000 entries. */
const MOST_PAGES = 10_000;
/** After so many it is said how long the list is. */
const MANY_PAGES = 100;
/** Pages without any entry, one after the other: a server that has hidden or deleted ones may send some. */
const MOST_EMPTY_PAGES = 1_000;

/** Several threads, with several slices each, ask for as many ranges as one thread does; more of each would take memory and bring nothing. */
const RANGES_OF_A_THREAD = 1;

export class Bucket {
  readonly flights: FlightControl;
  /** Under way. */
  streams = 0;
  readonly room = new WaitingRoom();
  readonly #server: ObjectServer;
  readonly #run: Run;
  readonly #patience: RemotePatience;
  readonly #pace: PaceWatch;
  #client: Promise<ObjectClient> | undefined;
  /** Of the client in use. */
  #proxy: () => string | undefined = () => undefined;
  /** Clients whose credentials expired; requests of theirs may still be under way. */
  readonly #retired: Promise<ObjectClient>[] = [];

  constructor(run: Run, server: ObjectServer, patience: RemotePatience, reading?: Reading) {
    this.flights = new FlightControl(reading?.isInThread ? RANGES_OF_A_THREAD : undefined);
    this.#server = server;
    this.#run = run;
    this.#patience = patience;
    this.#pace = new PaceWatch(run.emit, server.name, patience);
  }

  /** `s3://bucket/key` */
  describe(key: string): string {
    const { scheme, bucket } = this.#server;
    return `${scheme}://${bucket}/${key}`;
  }

  fingerprint({ etag, size, versionId }: StoredObject): string {
    const version = versionId === undefined ? '' : `:${versionId}`;
    return `${this.#server.scheme}:${etag.replaceAll('"', '')}:${size}${version}`;
  }

  /** What opens the object again elsewhere. */
  seen(object: StoredObject): SeenFile {
    const { key: path, size, modified, etag, versionId } = object;
    return { path, size, modified, fingerprint: this.fingerprint(object), etag, versionId };
  }

  /** Whether an explained error says that there is no such object. */
  isMissing(error: unknown): boolean {
    return this.#server.isMissing(error);
  }

  /** What the server says of an object. Throws BACKUP when there is none. */
  async head(key: string): Promise<StoredObject> {
    const { firstMs, stallMs } = this.#patience;
    return persist(this.#attempts(key, firstMs), async () => {
      const client = await this.#connect();
      const facts = await this.#inTime(client.head(key)).catch(async (error: unknown) => {
        // An answer to a HEAD has no body, so no reason either; a GET that fails the same way has one.
        if (!this.#server.isRefusal(error)) throw error;
        const answer = await client.firstBytes(key);
        answer.body.destroy();
        throw error;
      });
      const { etag, size } = facts;
      if (etag !== undefined && size !== undefined) return { ...facts, key, etag, size } as StoredObject;
      const answer = await client.firstBytes(key);
      if (answer.status === 206) {
        answer.body.destroy();
        throw withoutEtag(this.describe(key));
      }
      const what = await describeAnswer(answer, stallMs).finally(() => answer.body.destroy());
      throw this.#notIt(key, what);
    });
  }

  /** What the object's bytes must add up to, as far as the server knows. */
  async checksum(object: StoredObject): Promise<Checksum | undefined> {
    return persist(this.#attempts(object.key, this.#patience.firstMs), async () => {
      const client = await this.#connect();
      return this.#inTime(client.checksum(object));
    });
  }

  /**
   * Receives a range, however often it breaks off. The sink's first byte is byte `start` of the object; `wanted`: aborted when nobody
   * wants the range any more.
   */
  async receive(
    object: StoredObject,
    {
      sink,
      start,
      wanted,
    }: { readonly sink: RangeSink; readonly start: number; readonly wanted: AbortSignal },
  ): Promise<void> {
    const signal = AbortSignal.any([wanted, this.#pace.signal]);
    const location = this.describe(object.key);
    const { stallMs, readingMs } = this.#patience;
    const attempts = { ...this.#attempts(object.key, readingMs), signal, progress: () => sink.received };
    const arrived = (bytes: number): void => {
      // What is read by itself comes when it is asked for, and is no measure of the line.
      if (this.streams > 0) this.flights.arrived(bytes, performance.now());
      this.#pace.arrived(bytes);
    };
    const receive = (): Promise<void> =>
      persist(attempts, async () => {
        const client = await this.#connect();
        const { wrongRange } = this.#server;
        await receiveRange({ client, object, location, wrongRange, signal, stallMs, arrived }, sink, start);
      });
    await this.#pace.during(location, receive, () => sink.isPaused === true);
  }

  /**
   * Pages of what lies directly under a prefix; with `isDeep`, of all objects whose keys begin with it. A page has up to `most` entries.
   * A refusal names the prefix, or `as`: the key or prefix that the plan has. A list that does not get on, or has no end in sight, is
   * refused.
   */
  async *list(
    prefix: string,
    { as = prefix, ...asked }: Omit<ListQuery, 'next'> & { readonly as?: string } = {},
  ): AsyncGenerator<KeyPage> {
    let next: string | undefined;
    let pages = 0;
    let empty = 0;
    /** What each page begins with: servers may send them in any order, but none twice. */
    const beginnings = new Set<string>();
    do {
      const page = await persist(this.#attempts(as, this.#patience.firstMs), async () => {
        const client = await this.#connect();
        return this.#inTime(client.list(prefix, { next, ...asked }));
      });
      if (page === undefined) throw this.#notIt(as, 'something that is no list of keys');
      // Servers that overlook the token would send their first page for ever.
      const beginning = page.objects[0]?.key ?? page.folders[0];
      empty = beginning === undefined ? empty + 1 : 0;
      if (
        (next !== undefined && page.next === next) ||
        (beginning !== undefined && beginnings.has(beginning))
      )
        throw this.#notIt(as, 'the same page of a list again');
      if (beginning !== undefined) beginnings.add(beginning);
      if (empty > MOST_EMPTY_PAGES) throw this.#notIt(as, 'one empty page of a list after the other');
      if (++pages === MANY_PAGES && page.next !== undefined) this.#sayLong(as);
      if (pages >= MOST_PAGES && page.next !== undefined) throw this.#tooLong(as);
      yield page;
      freeLeftovers(); // what its answer was parsed from
      next = page.next;
    } while (next !== undefined);
  }

  /** Stores an object whole. */
  async put(key: string, content: FileContent): Promise<void> {
    await persist({ ...this.#attempts(key, this.#patience.readingMs), isWriting: true }, async () => {
      const client = await this.#connect();
      await client.put(key, content);
    });
  }

  async remove(key: string): Promise<void> {
    await persist(this.#attempts(key, this.#patience.firstMs), async () => {
      const client = await this.#connect();
      await this.#inTime(client.remove(key));
    });
  }

  #inTime<T>(work: Promise<T>): Promise<T> {
    const { answerMs, stallMs } = this.#patience;
    return inTime(answerMs + stallMs, work);
  }

  #sayLong(prefix: string): void {
    const message = `${this.describe(prefix)}: more than ${(MANY_PAGES * 1000).toLocaleString('en-US')} entries, which takes a while to list; ${this.#narrower()}`;
    this.emit({ type: 'warning', message });
  }

  get emit(): Emit {
    return this.#run.emit;
  }

  /** Of the server. */
  get name(): string {
    return this.#server.name;
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }

  async close(): Promise<void> {
    this.#retire();
    for (const retired of this.#retired.splice(0)) (await retired.catch(() => undefined))?.close();
  }

  /** The next request gets a new client, which looks for credentials anew. */
  #retire(): void {
    if (this.#client !== undefined) this.#retired.push(this.#client);
    this.#client = undefined;
  }

  #connect(): Promise<ObjectClient> {
    this.#client ??= this.#server.connect(this.#patience).then((client) => {
      this.#proxy = () => client.proxy();
      return client;
    });
    return this.#client;
  }

  #attempts(key: string, totalMs: number): Attempts {
    const { emit, signal } = this.#run;
    return {
      server: this.#server,
      location: this.describe(key),
      totalMs,
      emit,
      signal,
      renew: () => this.#retire(),
      proxy: () => this.#proxy(),
    };
  }

  #narrower(): string {
    const { setting, name } = this.#server;
    return `with more of the name before the first {time:…} or * in ${setting}, ${name} lists less`;
  }

  #tooLong(prefix: string): RestorePlanError {
    const most = (MOST_PAGES * 1000).toLocaleString('en-US');
    const message = `${this.describe(prefix)} is not searched: it has more than ${most} entries`;
    return new RestorePlanError('BACKUP', message, { hint: `Name a narrower place: ${this.#narrower()}.` });
  }

  #notIt(key: string, what: string): RestorePlanError {
    const message = `${this.describe(key)} cannot be read: the server answered ${what}.`;
    return new RestorePlanError('BACKUP', message, { hint: this.#server.wrongServer });
  }
}

function withoutEtag(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} cannot be read: the server names no ETag for it.`, {
    hint: 'Without one, nothing would tell that the object is replaced while it is read. Copy it to this machine and name it in source.path.',
  });
}
