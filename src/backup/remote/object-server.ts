/**
 * A server that keeps objects in buckets, as the rest of this folder needs it: ranges, lists, patience and checks are the same for all
 * of them. A new one is a folder with an `ObjectServer` beside `s3/`.
 */
import type { Readable } from 'node:stream';
import type { RestorePlanError } from '../../errors.ts';
import type { Checksum } from './checked-stream.ts';

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
  /** The sentence for people. `location`: of the object; `proxy`: what the request went through. */
  explain(error: unknown, location: string, proxy: string | undefined): RestorePlanError;
  /** Whether the explained error says that there is no such object. */
  isMissing(error: unknown): boolean;
  /** Whether the server answered, and not that it is out of order. */
  isRefusal(error: unknown): boolean;
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
  head(key: string): Promise<Partial<ObjectFacts>>;
  /** What the server knows of the bytes of the very object that `etag` and `versionId` name. */
  checksum(object: ObjectFacts): Promise<Checksum | undefined>;
  /** Bytes `from` up to, not including, `to`; of the very object that `etag` and `versionId` name. */
  range(object: Pick<ObjectFacts, 'key' | 'etag' | 'versionId'>, span: Span): Promise<RangeAnswer>;
  /** The first bytes of whatever the server answers for the key; for explaining a failure. */
  firstBytes(key: string): Promise<RangeAnswer>;
  /** One page of what lies directly in a folder. Undefined when the answer is no list, or does not say where it goes on. */
  list(prefix: string, options: { next?: string | undefined; most?: number }): Promise<KeyPage | undefined>;
  /** The proxy that the last request went through, without credentials; undefined = none. */
  proxy(): string | undefined;
  close(): void;
}

export interface ObjectFacts {
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
  readonly objects: readonly ObjectFacts[];
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
