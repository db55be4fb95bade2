/**
 * SHA-256 or MD5 of one run of bytes after the other, computed beside the reading of them.
 *
 * Hashing costs about as much processor time as receiving and matching the bytes together, so a worker thread does it
 * where the bytes get there without a copy: the memory of chunks that were given away is handed over to it. A run that
 * begins with other chunks is hashed in place.
 */
import { createHash, type Hash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { isGivenAway } from '../storage/byte-source.ts';

/** Memory is handed over in parcels of about this size: each has a price of its own. */
const PARCEL_BYTES = 512 * 1024;
/** Fewer bytes than this are not worth starting a thread for. */
const THREAD_FROM_BYTES = 4 * 1024 * 1024;
/** Parcels that may wait to be hashed. */
const MOST_PARCELS = 16;

export class BackgroundHash {
  readonly #algorithm: HashAlgorithm;
  #inPlace: Hash;
  #thread: HashThread | undefined;
  /** Who hashes this run; undefined before its first chunk. */
  #by: 'thread' | 'in place' | undefined;
  #parcel: Buffer[] = [];
  #parcelBytes = 0;
  /** Parcels of which it is not known that they are hashed. */
  readonly #sent: Promise<unknown>[] = [];

  constructor(algorithm: HashAlgorithm = 'sha256') {
    this.#algorithm = algorithm;
    this.#inPlace = createHash(algorithm);
  }

  /**
   * Hashes the next chunk, and takes its memory if it was given away: such a chunk is not to be looked at again. Where a
   * promise comes back, the next chunk must wait for it.
   */
  update(chunk: Buffer): Promise<unknown> | undefined {
    this.#by ??= isGivenAway(chunk) ? 'thread' : 'in place';
    if (this.#by === 'in place') {
      this.#inPlace.update(chunk);
      return undefined;
    }
    this.#parcel.push(isGivenAway(chunk) ? chunk : Buffer.from(new Uint8Array(chunk).buffer));
    this.#parcelBytes += chunk.length;
    if (this.#parcelBytes < (this.#thread === undefined ? THREAD_FROM_BYTES : PARCEL_BYTES)) return undefined;
    this.#sendParcel();
    return this.#sent.length > MOST_PARCELS ? this.#sent.shift() : undefined;
  }

  /** Of the run, hex; what comes next is another run. */
  async digest(): Promise<string> {
    const isInThread = this.#by === 'thread';
    this.#by = undefined;
    if (isInThread && this.#thread !== undefined) {
      this.#sendParcel();
      return this.#thread.digest();
    }
    for (const chunk of this.#parcel.splice(0)) this.#inPlace.update(chunk);
    this.#parcelBytes = 0;
    const hash = this.#inPlace;
    this.#inPlace = createHash(this.#algorithm);
    return hash.digest('hex');
  }

  /** Ends the thread, whatever it was asked. */
  close(): void {
    this.#thread?.close();
  }

  #sendParcel(): void {
    if (this.#parcel.length === 0) return;
    const parcel = this.#parcel;
    this.#parcel = [];
    this.#parcelBytes = 0;
    this.#thread ??= new HashThread(this.#algorithm);
    const hashed = this.#thread.hash(parcel);
    hashed.catch(() => undefined); // a thread that failed fails the digest too
    this.#sent.push(hashed);
  }
}

/** The thread's whole program; as text, so that it is the same whether this file runs from its source or built. */
const PROGRAM = `
  const { createHash } = require('node:crypto');
  const { MessageChannel, parentPort, workerData } = require('node:worker_threads');
  // A port whose other end is closed: what is given away through it is freed at once, not by collections of the whole heap.
  const { port1: drain, port2 } = new MessageChannel();
  port2.close();
  let hash = createHash(workerData);
  parentPort.on('message', (chunks) => {
    if (chunks !== null) {
      for (const chunk of chunks) hash.update(chunk);
      drain.postMessage(undefined, chunks.map(({ buffer }) => buffer));
      parentPort.postMessage('');
    } else {
      parentPort.postMessage(hash.digest('hex'));
      hash = createHash(workerData);
    }
  });
`;

type HashAlgorithm = 'sha256' | 'md5';

interface Question {
  resolve(answer: string): void;
  reject(error: Error): void;
}

/** A thread that hashes what it is sent, in order. Does not keep the process alive unless an answer is waited for. */
class HashThread {
  readonly #worker: Worker;
  /** Answered in the order in which they were asked. */
  readonly #unanswered: Question[] = [];
  #failure: Error | undefined;

  constructor(algorithm: HashAlgorithm) {
    this.#worker = new Worker(PROGRAM, { eval: true, execArgv: [], workerData: algorithm });
    this.#worker.unref();
    this.#worker.on('message', (answer: string) => this.#unanswered.shift()?.resolve(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the hashing thread ended early')));
  }

  /** Hashes the chunks, each of which fills its memory, and takes that over. Settles when they are hashed. */
  hash(chunks: readonly Buffer[]): Promise<string> {
    return this.#ask(
      chunks,
      chunks.map(({ buffer }) => buffer as ArrayBuffer),
    );
  }

  /** Hex, of all since the last digest. */
  digest(): Promise<string> {
    return this.#ask(null, []);
  }

  close(): void {
    void this.#worker.terminate();
  }

  #ask(message: readonly Buffer[] | null, given: ArrayBuffer[]): Promise<string> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#worker.ref();
    const answer = new Promise<string>((resolve, reject) => this.#unanswered.push({ resolve, reject }));
    this.#worker.postMessage(message, given);
    return answer.finally(() => {
      if (this.#unanswered.length === 0) this.#worker.unref();
    });
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#unanswered.splice(0)) reject(error);
  }
}
