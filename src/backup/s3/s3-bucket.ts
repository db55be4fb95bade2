/** One bucket, as reading needs it: every request persists through passing faults and explains lasting ones. */

import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { S3Location } from '../../plan/sources/s3.ts';
import { FlightControl } from './flight-control.ts';
import { checksumOf, isOfParts, type ObjectChecksum } from './object-checksum.ts';
import { PaceWatch } from './pace-watch.ts';
import { describeAnswer, type RangeSink, receiveRange } from './range-download.ts';
import type { KeyPage, ObjectFacts, S3Client } from './s3-client.ts';
import { type Attempts, inTime, persist, type S3Patience } from './s3-patience.ts';

export interface BucketOptions {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly patience: S3Patience;
}

/** Where the bytes of a range go. */
export interface RangeOrder {
  readonly sink: RangeSink;
  /** The sink's first byte is this byte of the object. */
  readonly start: number;
  readonly signal: AbortSignal;
}

export interface ListOptions {
  /** Entries of a page. */
  readonly most?: number;
  /** The key or prefix that the plan has. */
  readonly as?: string;
}

/** Of a list; a page holds up to 1,000 entries. */
const MOST_PAGES = 10_000;
/** After so many it is said how long the list is. */
const MANY_PAGES = 100;
/** Pages without any entry, one after the other: a server that has hidden or deleted ones may send some. */
const MOST_EMPTY_PAGES = 1_000;

export class S3Bucket {
  readonly flights = new FlightControl();
  readonly #location: S3Location;
  readonly #options: BucketOptions;
  readonly #pace: PaceWatch;
  #client: Promise<S3Client> | undefined;
  /** Of the client in use. */
  #proxy: () => string | undefined = () => undefined;
  /** Clients whose credentials expired; requests of theirs may still be under way. */
  readonly #retired: Promise<S3Client>[] = [];

  constructor(location: S3Location, options: BucketOptions) {
    this.#location = location;
    this.#options = options;
    const { tickMs, readingMs: totalMs } = options.patience;
    this.#pace = new PaceWatch({ emit: options.emit, tickMs, totalMs });
  }

  /** `s3://bucket/key` */
  describe(key: string): string {
    return `s3://${this.#location.bucket}/${key}`;
  }

  /** What S3 says of an object. Throws BACKUP when there is none. */
  async head(key: string): Promise<ObjectFacts> {
    const { firstMs, stallMs } = this.#options.patience;
    return persist(this.#attempts(key, firstMs), async () => {
      const client = await this.#connect();
      const facts = await this.#inTime(client.head(key)).catch(async (error: unknown) => {
        // An answer to a HEAD has no body, so no reason either; a GET that fails the same way has one.
        if (!isRefusal(error)) throw error;
        const answer = await client.firstBytes(key);
        answer.body.destroy();
        throw error;
      });
      const { etag, size } = facts;
      if (etag !== undefined && size !== undefined) return { ...facts, key, etag, size } as ObjectFacts;
      const answer = await client.firstBytes(key);
      if (answer.status === 206) {
        answer.body.destroy();
        throw withoutEtag(this.describe(key));
      }
      const what = await describeAnswer(answer, stallMs).finally(() => answer.body.destroy());
      throw notS3(this.describe(key), what);
    });
  }

  /** What the object's bytes must add up to, as far as S3 knows. */
  async checksum(object: ObjectFacts): Promise<ObjectChecksum | undefined> {
    return persist(this.#attempts(object.key, this.#options.patience.firstMs), async () => {
      const client = await this.#connect();
      return checksumOf(await this.#inTime(client.checksums(object, { parts: isOfParts(object.etag) })));
    });
  }

  /** Receives a range, however often it breaks off. */
  async receive(object: ObjectFacts, { sink, start, signal: ordered }: RangeOrder): Promise<void> {
    const signal = AbortSignal.any([ordered, this.#pace.signal]);
    const location = this.describe(object.key);
    const { stallMs, readingMs } = this.#options.patience;
    const attempts = { ...this.#attempts(object.key, readingMs), signal, progress: () => sink.received };
    const arrived = (bytes: number): void => {
      this.flights.arrived(bytes, performance.now());
      this.#pace.arrived(bytes);
    };
    await this.#pace.during(location, () =>
      persist(attempts, async () => {
        const client = await this.#connect();
        await receiveRange({ client, object, location, signal, stallMs, arrived }, sink, start);
      }),
    );
  }

  /**
   * Pages of what lies directly under a prefix. A refusal names the prefix, or `as`, where another text led to it. A list that does
   * not get on, or has no end in sight, is refused.
   */
  async *list(prefix: string, { most, as = prefix }: ListOptions = {}): AsyncGenerator<KeyPage> {
    let next: string | undefined;
    let pages = 0;
    let empty = 0;
    /** What each page begins with: servers may send them in any order, but none twice. */
    const beginnings = new Set<string>();
    do {
      const page = await persist(this.#attempts(as, this.#options.patience.firstMs), async () => {
        const client = await this.#connect();
        return this.#inTime(client.list(prefix, { next, ...(most === undefined ? {} : { most }) }));
      });
      if (page === undefined) throw notS3(this.describe(as), 'something that is no list of keys');
      // Servers that overlook the token would send their first page for ever.
      const beginning = page.objects[0]?.key ?? page.folders[0];
      empty = beginning === undefined ? empty + 1 : 0;
      if (
        (next !== undefined && page.next === next) ||
        (beginning !== undefined && beginnings.has(beginning))
      )
        throw notS3(this.describe(as), 'the same page of a list again');
      if (beginning !== undefined) beginnings.add(beginning);
      if (empty > MOST_EMPTY_PAGES)
        throw notS3(this.describe(as), 'one empty page of a list after the other');
      if (++pages === MANY_PAGES && page.next !== undefined) this.#sayLong(as);
      if (pages >= MOST_PAGES && page.next !== undefined) throw tooLong(this.describe(as));
      yield page;
      next = page.next;
    } while (next !== undefined);
  }

  #inTime<T>(work: Promise<T>): Promise<T> {
    const { answerMs, stallMs } = this.#options.patience;
    return inTime(answerMs + stallMs, work);
  }

  #sayLong(prefix: string): void {
    const message = `${this.describe(prefix)}: more than ${(MANY_PAGES * 1000).toLocaleString('en-US')} entries, which takes a while to list; ${NARROWER}`;
    this.emit({ type: 'warning', message });
  }

  get emit(): Emit {
    return this.#options.emit;
  }

  get signal(): AbortSignal {
    return this.#options.signal;
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

  #connect(): Promise<S3Client> {
    this.#client ??= import('./s3-client.ts').then(async ({ connectS3 }) => {
      const client = await connectS3(this.#location, this.#options.patience);
      this.#proxy = () => client.proxy();
      return client;
    });
    return this.#client;
  }

  #attempts(key: string, totalMs: number): Attempts {
    const { emit, signal } = this.#options;
    return {
      location: this.describe(key),
      totalMs,
      emit,
      signal,
      renew: () => this.#retire(),
      proxy: () => this.#proxy(),
    };
  }
}

const NARROWER = 'with more of the name before the first {time:…} or * in source.s3.key, S3 lists less';

function tooLong(location: string): RestorePlanError {
  const most = (MOST_PAGES * 1000).toLocaleString('en-US');
  return new RestorePlanError('BACKUP', `${location} is not searched: it has more than ${most} entries`, {
    hint: `Name a narrower place: ${NARROWER}.`,
  });
}

/** The server answered, and not that it is out of order. */
function isRefusal(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status !== undefined && status < 500;
}

function withoutEtag(location: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} cannot be read: the server names no ETag for it.`, {
    hint: 'Without one, nothing would tell that the object is replaced while it is read. Copy it to this machine and name it in source.path.',
  });
}

function notS3(location: string, what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} cannot be read: the server answered ${what}.`, {
    hint: 'Is source.s3.endpoint an S3 server? A proxy or a login page may answer in its place.',
  });
}
