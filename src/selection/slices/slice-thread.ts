/**
 * The program of a thread that scans slices: opens the store by itself, with a connection of its own, and the files that it is told of,
 * pinned to what was seen of them. What it needs of credentials it takes, as the first thread does, from the environment of the process.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { MemberInfo } from '../../backup/backup.ts';
import { openStore } from '../../backup/open-store.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import type { ByteSource, StoredSpan } from '../../backup/storage/byte-source.ts';
import { sourceOf } from '../../backup/storage/derived-sources.ts';
import type { Store } from '../../backup/storage/store.ts';
import { type ErrorCode, RestorePlanError } from '../../errors.ts';
import type { RunEvent } from '../../events.ts';
import type { StoreLocation } from '../../plan/sources/stores.ts';
import { runIn } from '../../run.ts';
import { TimeLimit } from '../document-walk.ts';
import { type KeptRoom, memoryOf } from './kept-memory.ts';
import type { Part } from './part.ts';
import type { Scope } from './scope.ts';
import { SliceScanner } from './select-slice.ts';
import type { Slice } from './slice.ts';

/** What a thread begins with. */
export interface ThreadData {
  readonly location: StoreLocation;
  readonly patience: RemotePatience;
  /** How long regular expressions may be at work on a megabyte or so, milliseconds. */
  readonly patternMs: number | undefined;
}

/** What it is told: by which scopes a level is scanned, then its slices, and for these memory that it asked for. */
export type MessageToThread =
  | { readonly type: 'level'; readonly scopes: ReadonlyMap<string, Scope> }
  | { readonly type: 'slice'; readonly number: number; readonly slice: Slice; readonly member: ThreadMember }
  | { readonly type: 'lent'; readonly number: number; readonly chunks: readonly Uint8Array[] };

/** A member as plain data. */
export interface ThreadMember {
  readonly member: MemberInfo;
  readonly location: string;
  readonly spans: readonly StoredSpan[];
  readonly crc: bigint | undefined;
  readonly maxRatio: number;
}

/** What it tells. */
export type ThreadAnswer =
  | { readonly type: 'part'; readonly number: number; readonly part: Part }
  /** So many chunks are needed to go on with the slice. */
  | { readonly type: 'wanting'; readonly number: number; readonly chunks: number }
  | { readonly type: 'unused'; readonly chunks: readonly Uint8Array[] }
  | { readonly type: 'failed'; readonly number: number; readonly failure: ThreadFailure }
  | { readonly type: 'stored'; readonly bytes: number }
  | { readonly type: 'event'; readonly event: RunEvent };

/** An error as plain data; without a code it is a bug. */
export interface ThreadFailure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly advice: readonly unknown[] | undefined;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly stack: string | undefined;
}

/** A member that slices are scanned of, or were last: to open it for each slice would take time, and handles. */
interface OpenedMember {
  readonly at: ByteSource;
  /** Under way. */
  slices: number;
}

/** Chunks that a thread keeps for its next slice: where little is chosen it never asks again. */
const CHUNKS_AT_HAND = 4;
/** Bytes between two messages about what has come from storage. */
const TOLD_BYTES = 4 * 1024 * 1024;

class SliceThread {
  readonly #port: MessagePort;
  readonly #store: Promise<Store>;
  readonly #limit: TimeLimit;
  readonly #signal = new AbortController().signal;
  #scanner: SliceScanner | undefined;
  /** By number. */
  readonly #opened = new Map<number, OpenedMember>();
  readonly #atHand: Uint8Array[] = [];
  /** By the number of the slice. */
  readonly #wanting = new Map<number, (chunks: readonly Uint8Array[]) => void>();
  #untold = 0;

  constructor(port: MessagePort, { location, patience, patternMs }: ThreadData) {
    this.#port = port;
    this.#limit = new TimeLimit(patternMs);
    const run = runIn('', { signal: this.#signal, emit: (event) => this.#tell({ type: 'event', event }) });
    this.#store = openStore(run, location, patience, { isInThread: true });
  }

  take(message: MessageToThread): void {
    if (message.type === 'level') this.#scanner = new SliceScanner(message.scopes, this.#limit, this.#signal);
    else if (message.type === 'slice') void this.#scan(message);
    else this.#lent(message);
  }

  #lent({ number, chunks }: Extract<MessageToThread, { type: 'lent' }>): void {
    this.#wanting.get(number)?.(chunks);
    this.#wanting.delete(number);
  }

  async #scan({ number, slice, member }: Extract<MessageToThread, { type: 'slice' }>): Promise<void> {
    try {
      const { at } = await this.#begin(member);
      const stored = (bytes: number): void => this.#stored(bytes);
      const reading = { member: { ...member, at }, stored, room: this.#roomFor(number) };
      const part = (await this.#scanner?.scan(slice, reading)) as Part;
      this.#stored(0);
      this.#tell({ type: 'part', number, part }, part.kept);
    } catch (error) {
      this.#tell({ type: 'failed', number, failure: failureOf(error) });
    } finally {
      const opened = this.#opened.get(member.member.id);
      if (opened !== undefined) opened.slices--;
    }
  }

  /** One slice more of the member is under way. Others of which none is are closed. */
  async #begin({ member: { id }, spans, location }: ThreadMember): Promise<OpenedMember> {
    const store = await this.#store;
    const opened = this.#opened.get(id) ?? {
      at: sourceOf(spans, location, (file) => store.reopen(file)),
      slices: 0,
    };
    opened.slices++;
    this.#opened.set(id, opened);
    for (const [other, { at, slices }] of this.#opened) {
      if (slices > 0) continue;
      this.#opened.delete(other);
      await at.close();
    }
    return opened;
  }

  #stored(bytes: number): void {
    this.#untold += bytes;
    if (bytes > 0 && this.#untold < TOLD_BYTES) return;
    this.#tell({ type: 'stored', bytes: this.#untold });
    this.#untold = 0;
  }

  /** Memory is lent by those who join, so that they bound it. */
  #roomFor(number: number): KeptRoom {
    return {
      more: async (chunks) => {
        const own = this.#atHand.splice(0);
        if (own.length >= chunks) return own;
        const lent = new Promise<readonly Uint8Array[]>((resolve) => this.#wanting.set(number, resolve));
        this.#tell({ type: 'wanting', number, chunks: chunks - own.length });
        return [...own, ...(await lent)];
      },
      giveBack: (chunks) => {
        this.#atHand.push(...chunks);
        const unused = this.#atHand.splice(CHUNKS_AT_HAND);
        if (unused.length > 0) this.#tell({ type: 'unused', chunks: unused }, unused);
      },
    };
  }

  /** The memory of `chunks` goes with it. */
  #tell(answer: ThreadAnswer, chunks: readonly Uint8Array[] = []): void {
    this.#port.postMessage(answer, chunks.map(memoryOf));
  }
}

function failureOf(error: unknown): ThreadFailure {
  if (error instanceof RestorePlanError) {
    const { code, message, advice, facts, stack } = error;
    return { code, message, advice: advice?.parts, facts, stack };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { code: undefined, message, advice: undefined, facts: {}, stack };
}

// To load it is to begin.
if (parentPort === null) throw new Error('this is no thread that scans slices');
const thread = new SliceThread(parentPort, workerData as ThreadData);
parentPort.on('message', (message: MessageToThread) => thread.take(message));
