/**
 * Threads of this process that scan slices. Each has a connection of its own to the store; the keys of parents are in memory that all
 * share. Parts come in any order and are handed on in that of their slices. What is kept of slices lies in memory that is lent by the chunk, so much
 * for each thread: who has none left waits until parts before his were joined. Only the slice that is joined next is never kept waiting.
 */
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { Advice, type Said } from '../../advice.ts';
import type { RemotePatience } from '../../backup/remote/patience.ts';
import { RestorePlanError } from '../../errors.ts';
import type { StoreLocation } from '../../plan/sources/stores.ts';
import type { Run } from '../../run.ts';
import type { JoinedMember } from './join-slices.ts';
import { KeptMemory, memoryOf } from './kept-memory.ts';
import type { Part } from './part.ts';
import type { Scope } from './scope.ts';
import { MOST_KEPT_BYTES, unread } from './select-slice.ts';
import type { Slice } from './slice.ts';
import type { SlicedLevel, SliceRunner } from './slice-runner.ts';
import type {
  MessageToThread,
  ThreadAnswer,
  ThreadData,
  ThreadFailure,
  ThreadMember,
} from './slice-thread.ts';

/** Large enough that finding a beginning and ending a reading do not show, small enough to wait in memory. */
const SLICE_BYTES = 16 * 1024 * 1024;
/** A thread takes 50 to 100 ms of processor time to begin, and more until it is compiled: with less for each, one is done sooner. */
const LEAST_BYTES = 256 * 1024 * 1024;
/** Of two cores a reading in one thread keeps one and almost a half busy, for what comes next is read ahead: there is less to be won. */
const LEAST_BYTES_OF_TWO_CORES = 1024 * 1024 * 1024;
/** Where somebody asks for threads. */
const LEAST_BYTES_ASKED = 64 * 1024 * 1024;
/** So many slices are under way where bytes are waited for, of all threads, and at least of each: meanwhile it works on another. */
const SLICES_UNDER_WAY = 6;
const LEAST_AT_ONCE = 2;
/** For each thread, of documents kept by slices that are scanned or wait to be joined. With what a thread takes, and receives and reads ahead from S3, 64 MB. */
const KEPT_BYTES = { disk: 16 * 1024 * 1024, remote: 8 * 1024 * 1024 } as const;
/** Twice 16 MiB, at most; newer versions of Node.js would let it grow to several times that. */
const YOUNG_SPACE_MB = 32;

export interface ThreadSettings {
  /** At most; one for each core where nothing is said. */
  readonly threads?: number | undefined;
  readonly sliceBytes?: number;
  /** For each thread; of less, fewer are started. */
  readonly leastBytes?: number;
  /** For each thread, of documents that are kept and not joined yet. */
  readonly keptBytes?: number;
  /** What a thread runs, where it is not the usual file beside this one. */
  readonly program?: URL;
}

export class SliceThreads implements SliceRunner {
  readonly sliceBytes: number;
  readonly #run: Run;
  readonly #data: ThreadData;
  readonly #settings: ThreadSettings;
  readonly #threads: Thread[] = [];
  readonly #memory = new KeptMemory();
  #bytes = 0;

  /** `location`: of the store; `patience`, `patternMs`: as for a reading in this thread. */
  constructor(
    run: Run,
    data: {
      readonly location: StoreLocation;
      readonly patience: RemotePatience;
      readonly patternMs: number | undefined;
    },
    settings: ThreadSettings,
  ) {
    this.#run = run;
    this.#data = data;
    this.#settings = settings;
    this.sliceBytes = settings.sliceBytes ?? SLICE_BYTES;
  }

  suits(bytes: number): boolean {
    this.#bytes = bytes;
    return this.#wanted > 1;
  }

  async *run(level: SlicedLevel, signal: AbortSignal, stored: (bytes: number) => void): AsyncGenerator<Part> {
    const count = Math.min(this.#wanted, level.slices.length);
    const { Worker } = await import('node:worker_threads');
    const { program = usualProgram() as URL } = this.#settings;
    while (this.#threads.length < count) this.#threads.push(new Thread(Worker, program, this.#data));
    const threads = this.#threads.slice(0, count);
    // Of a disk one for each thread, which takes a tenth less time.
    const waiting = Math.max(LEAST_AT_ONCE, Math.ceil(SLICES_UNDER_WAY / count));
    const isRemote = this.#data.location.kind !== 'path';
    const atOnce = isRemote ? waiting : 1;
    const { keptBytes = isRemote ? KEPT_BYTES.remote : KEPT_BYTES.disk } = this.#settings;
    this.#memory.mostBytes = count * keptBytes;
    yield* new LevelRun(this.#run, threads, { level, signal, stored, atOnce, memory: this.#memory }).parts();
  }

  /** Ends the threads, whatever they are at. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.end()));
  }

  get #wanted(): number {
    const { threads, leastBytes = threads === undefined ? usualLeastBytes() : LEAST_BYTES_ASKED } =
      this.#settings;
    if ((this.#settings.program ?? usualProgram()) === undefined) return 1;
    return Math.min(threads ?? availableParallelism(), Math.floor(this.#bytes / leastBytes));
  }
}

class Thread {
  readonly #worker: Worker;
  load = 0;
  onAnswer: (answer: ThreadAnswer) => void = () => undefined;
  onFault: (fault: Error) => void = () => undefined;

  constructor(WorkerOf: typeof Worker, program: URL, data: ThreadData) {
    this.#worker = new WorkerOf(program, {
      workerData: data,
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_SPACE_MB },
    });
    this.#worker.on('message', (answer: ThreadAnswer) => this.onAnswer(answer));
    this.#worker.on('error', (error) => this.onFault(error));
    this.#worker.on('exit', () => this.onFault(new Error('a thread that scans slices ended early')));
  }

  /** The memory of `chunks` goes with it. */
  tell(message: MessageToThread, chunks: readonly Uint8Array[] = []): void {
    this.#worker.postMessage(message, chunks.map(memoryOf));
  }

  async end(): Promise<void> {
    this.onFault = () => undefined;
    await this.#worker.terminate();
  }
}

/** Built, it is packed into one file, for the packed program as well as for the library. Sources start no threads by themselves. */
function usualProgram(): URL | undefined {
  const here = new URL(import.meta.url);
  const path = { '.cjs': '../selection/slices/slice-thread.js', '.js': './slice-thread.js' }[
    extname(here.pathname)
  ];
  return path === undefined ? undefined : new URL(path, here);
}

const usualLeastBytes = (): number => (availableParallelism() > 2 ? LEAST_BYTES : LEAST_BYTES_OF_TWO_CORES);

/** The slices of one level on their way through the threads. */
class LevelRun {
  readonly #run: Run;
  readonly #threads: readonly Thread[];
  readonly #level: SlicedLevel;
  readonly #signal: AbortSignal;
  readonly #stored: (bytes: number) => void;
  readonly #atOnce: number;
  readonly #memory: KeptMemory;
  /** Slices that wait for memory. */
  readonly #wanting: { readonly thread: Thread; readonly number: number; readonly chunks: number }[] = [];
  readonly #done = new Map<number, Part | RestorePlanError | Error>();
  /** The next slice to be given to a thread, and the next part to be handed on. */
  #next = 0;
  #joined = 0;
  #fault: Error | undefined;
  #wake = (): void => undefined;

  constructor(
    run: Run,
    threads: readonly Thread[],
    {
      level,
      signal,
      stored,
      atOnce,
      memory,
    }: {
      readonly level: SlicedLevel;
      readonly signal: AbortSignal;
      readonly stored: (bytes: number) => void;
      /** Slices of a thread under way. */
      readonly atOnce: number;
      readonly memory: KeptMemory;
    },
  ) {
    this.#run = run;
    this.#threads = threads;
    this.#level = level;
    this.#signal = signal;
    this.#stored = stored;
    this.#atOnce = atOnce;
    this.#memory = memory;
  }

  async *parts(): AsyncGenerator<Part> {
    for (const thread of this.#threads) {
      thread.onAnswer = (answer) => this.#take(thread, answer);
      thread.onFault = (fault) => this.#fail(fault);
      thread.tell({ type: 'level', scopes: this.#level.scopes });
    }
    const stop = (): void => this.#wake();
    this.#signal.addEventListener('abort', stop);
    try {
      for (; this.#joined < this.#level.slices.length; this.#joined++) {
        this.#give();
        this.#lend();
        const part = await this.#part(this.#joined);
        // Before it is joined: the threads are to have work meanwhile.
        this.#give(1);
        yield part;
        this.#memory.giveBack(part.kept);
      }
    } finally {
      this.#signal.removeEventListener('abort', stop);
    }
  }

  async #part(number: number): Promise<Part> {
    for (;;) {
      this.#signal.throwIfAborted();
      const done = this.#done.get(number);
      this.#done.delete(number);
      if (done instanceof Error) throw done;
      if (done !== undefined) return done;
      if (this.#fault !== undefined) throw this.#fault;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Gives slices to the threads that have room; `ahead`: parts that are being joined. */
  #give(ahead = 0): void {
    const { slices, members, scopes } = this.#level;
    const end = Math.min(slices.length, this.#joined + ahead + 2 * this.#atOnce * this.#threads.length);
    while (this.#next < end) {
      const slice = slices[this.#next] as Slice;
      const member = memberFor(slice, members, scopes);
      if (member === undefined) {
        this.#done.set(this.#next++, unread(slice));
        continue;
      }
      const thread = this.#threads.reduce((a, b) => (b.load < a.load ? b : a));
      if (thread.load >= this.#atOnce) return;
      thread.load++;
      thread.tell({ type: 'slice', number: this.#next++, slice, member });
    }
  }

  /** Lends memory to those who wait for it, in the order of their slices. */
  #lend(): void {
    this.#wanting.sort((a, b) => a.number - b.number);
    for (let next = this.#wanting[0]; next !== undefined; next = this.#wanting[0]) {
      const { thread, number } = next;
      const isNext = number === this.#joined;
      const chunks = isNext ? this.#memory.lendAtOnce(next.chunks) : this.#memory.lend(next.chunks);
      if (chunks === undefined) return;
      this.#wanting.shift();
      thread.tell({ type: 'lent', number, chunks }, chunks);
    }
  }

  #take(thread: Thread, answer: ThreadAnswer): void {
    if (answer.type === 'stored') this.#stored(answer.bytes);
    else if (answer.type === 'event') this.#run.emit(answer.event);
    else if (answer.type === 'unused') {
      this.#memory.giveBack(answer.chunks);
      this.#lend();
    } else if (answer.type === 'wanting') {
      this.#wanting.push({ thread, ...answer });
      this.#lend();
    } else {
      thread.load--;
      this.#done.set(answer.number, answer.type === 'part' ? answer.part : errorOf(answer.failure));
      this.#give();
      this.#wake();
    }
  }

  #fail(fault: Error): void {
    this.#fault ??= fault;
    this.#wake();
  }
}

/** What a thread is told of the member; undefined where its slice is better read where slices are joined. */
function memberFor(
  { member: { id, collection }, isWhole }: Slice,
  members: ReadonlyMap<number, JoinedMember>,
  scopes: ReadonlyMap<string, Scope>,
): ThreadMember | undefined {
  const { member, at, crc, maxRatio } = members.get(id) as JoinedMember;
  const spans = at.spans?.();
  const takesAll = scopes
    .get(collection)
    ?.routes.some((route) => !(route.query ?? route.parent ?? route.ids));
  // A part is held in memory, and of a whole member no part need be small.
  if (spans === undefined || (isWhole && takesAll && at.size > MOST_KEPT_BYTES / 4)) return undefined;
  return { member, location: at.location, spans, crc, maxRatio };
}

function errorOf({ code, message, advice, facts, stack }: ThreadFailure): Error {
  if (code !== undefined)
    return new RestorePlanError(code, message, {
      facts,
      ...(advice && { hint: new Advice(advice as readonly (string | Said)[]) }),
    });
  return Object.assign(new Error(message), { stack });
}
