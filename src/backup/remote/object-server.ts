/**
 * A server that keeps objects in buckets, as the rest of this folder needs it: ranges, lists, patience and checks are the same for all
 * of them. A new one is a folder with an `ObjectServer` beside `s3/`.
 */
import type { Readable } from 'node:stream';
import { RestorePlanError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { ByteSource } from '../storage/byte-source.ts';
import type { FileContent } from '../storage/store.ts';

export interface ObjectServer {
  /** Begins its addresses and fingerprints: `s3`. */
  readonly scheme: string;
  readonly bucket: string;
  /** As sentences name it. */
  readonly name: string;
  /** The key of the plan that names what is read. */
  readonly setting: string;
  /** What to do where something else answers: at once, and in place of a range. */
  readonly wrongServer: string;
  readonly wrongRange: string;
  /** One attempt each; what goes wrong comes as errors of its own, which `readFault` understands. */
  connect(timeouts: Timeouts): Promise<ObjectClient>;
  readFault(error: unknown): ServerFault;
  /** The sentence for people. `location`: of the object. */
  explain(error: unknown, location: string, request: FailedRequest): RestorePlanError;
  /** Whether the explained error says that there is no such object. */
  isMissing(error: unknown): boolean;
  /** Whether the server answered, and not that it is out of order. */
  isRefusal(error: unknown): boolean;
}

export interface FailedRequest {
  /** What it went through. */
  readonly proxy?: string | undefined;
  /** It stores an object. */
  readonly isWriting?: boolean | undefined;
}

/** Milliseconds to wait for a connection, and then for the first byte of an answer. */
export interface Timeouts {
  readonly connectMs: number;
  readonly answerMs: number;
}

interface ServerFault {
  /** Trying again may help. */
  readonly transient: boolean;
  /** The credentials were good once; a new client may find fresh ones. */
  readonly expired?: boolean;
}

export interface ObjectClient {
  head(key: string): Promise<Partial<StoredObject>>;
  /** What the server knows of the bytes of the very object that `etag` and `versionId` name. */
  checksum(object: StoredObject): Promise<Checksum | undefined>;
  /** Bytes `from` up to, not including, `to`; of the very object that `etag` and `versionId` name. */
  range(object: Pick<StoredObject, 'key' | 'etag' | 'versionId'>, span: Span): Promise<RangeAnswer>;
  /** The first bytes of whatever the server answers for the key; for explaining a failure. */
  firstBytes(key: string): Promise<RangeAnswer>;
  /** One page of a list. Undefined when the answer is no list, or does not say where it goes on. */
  list(prefix: string, options: ListQuery): Promise<KeyPage | undefined>;
  /** Stores an object whole, once what came has its SHA-256. */
  put(key: string, content: FileContent): Promise<void>;
  /** Removes an object; one that is not there is no fault. */
  remove(key: string): Promise<void>;
  /** The proxy that the last request went through, without credentials; undefined = none. */
  proxy(): string | undefined;
  close(): void;
}

export interface ListQuery {
  /** Where the list goes on, by the page before. */
  readonly next?: string | undefined;
  /** Entries of a page. */
  readonly most?: number;
  /** All objects whose keys begin with the prefix, not folders and what lies beside them. */
  readonly isDeep?: boolean;
}

export interface StoredObject {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  readonly versionId: string | undefined;
  /** UTC milliseconds. */
  readonly modified: number | undefined;
}

export interface RangeAnswer {
  /** 206 where the server kept to the range. */
  readonly status: number | undefined;
  /** `bytes 0-99/1000` */
  readonly contentRange: string | undefined;
  readonly contentLength: number | undefined;
  readonly contentType: string | undefined;
  readonly body: Readable;
}

export interface KeyPage {
  readonly objects: readonly StoredObject[];
  /** Prefixes that end in `/`. */
  readonly folders: readonly string[];
  /** Continues the list; undefined = this was the last page. */
  readonly next: string | undefined;
}

interface Span {
  readonly from: number;
  readonly to: number;
  readonly signal: AbortSignal;
}

/** What a server says that the bytes of an object add up to. */
export interface Checksum {
  /** `CRC32` */
  readonly name: string;
  readonly expected: string;
  start(): RunningChecksum;
  /** Says that it may be wrong though every byte is right; absent: it is not. */
  readonly doubt?: string;
}

/** Computes a checksum beside the reading. */
export interface RunningChecksum {
  /** Takes the next bytes, which are lent for the call; where a promise comes back, the next ones must wait for it. */
  update(chunk: Buffer): Promise<unknown> | undefined;
  /** In the form of `expected`. */
  digest(): Promise<string>;
  close(): void;
}

/**
 * All bytes of an object, compared at the end with what the server (`name`) knows of them, which is asked for beside the first
 * bytes. Throws BACKUP where they differ.
 *
 * A wrong checksum that may be wrong by itself is no proof of damage. Then the object is read once more. Bytes that come the same way twice were not damaged on the way; others were.
 */
export async function* checkedStream(
  source: ByteSource,
  ask: () => Promise<Checksum | undefined>,
  { name, emit }: { readonly name: string; readonly emit: Emit },
): AsyncGenerator<Buffer> {
  const asked = ask();
  asked.catch(() => undefined); // thrown where it is awaited
  const all = source.stream(0, source.size);
  let checksum: Checksum | undefined;
  let running: RunningChecksum | undefined;
  try {
    for await (const chunk of all) {
      if (running === undefined) {
        checksum = await asked;
        running = checksum?.start();
      }
      const working = running?.update(chunk);
      working?.catch(() => undefined);
      yield chunk;
      await working;
    }
    if (checksum === undefined || running === undefined) return;
    const found = await running.digest();
    if (found === checksum.expected) return;
    if (checksum.doubt === undefined || (await digestOf(source, checksum)) !== found)
      throw damaged(source, checksum, name);
    emit({
      type: 'warning',
      message: `${source.location}: ${checksum.doubt}. It was read twice, with the same bytes.`,
    });
  } finally {
    running?.close();
  }
}

async function digestOf(source: ByteSource, checksum: Checksum): Promise<string> {
  const running = checksum.start();
  try {
    for await (const chunk of source.stream(0, source.size)) await running.update(chunk);
    return await running.digest();
  } finally {
    running.close();
  }
}

/** Bytes of an object that do not add up. `server`: its name. */
export function damaged({ location }: ByteSource, { name }: Checksum, server: string): RestorePlanError {
  return new RestorePlanError(
    'BACKUP',
    `${location} arrived damaged: its bytes do not have the ${name} that ${server} names.`,
    {
      hint: `Nothing of it was used. Run again; if it happens again, something on the way to ${server} changes bytes: use https.`,
    },
  );
}
