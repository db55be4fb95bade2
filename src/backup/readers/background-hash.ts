/**
 * SHA-256 or MD5 of bytes, computed beside the reading of them.
 *
 * Hashing costs about as much processor time as receiving and matching the bytes together. Chunks in shared memory (the
 * ranges of a download) are therefore hashed by a worker thread, which sees them without a copy; any others in place.
 */
import { createHash, type Hash } from 'node:crypto';
import { Worker } from 'node:worker_threads';

/** The worker's whole program; as text, so that it is the same whether this file runs from its source or built. */
const PROGRAM = `
  const { createHash } = require('node:crypto');
  const { parentPort, workerData } = require('node:worker_threads');
  let hash = createHash(workerData);
  parentPort.on('message', (bytes) => {
    if (bytes !== null) hash.update(bytes);
    parentPort.postMessage(bytes === null ? hash.digest('hex') : '');
    if (bytes === null) hash = createHash(workerData);
  });
`;

export class BackgroundHash {
  readonly #algorithm: 'sha256' | 'md5';
  #inPlace: Hash;
  #worker: Worker | undefined;
  #isBegun = false;

  constructor(algorithm: 'sha256' | 'md5' = 'sha256') {
    this.#algorithm = algorithm;
    this.#inPlace = createHash(algorithm);
  }

  /**
   * Takes the next chunk. Where a promise comes back, the chunk's bytes must stay as they are until it settles, and the
   * next chunk must wait for it.
   */
  update(chunk: Buffer): Promise<unknown> | undefined {
    if (!this.#isBegun && chunk.buffer instanceof SharedArrayBuffer) {
      this.#worker = startWorker(this.#algorithm);
    }
    this.#isBegun = true;
    if (this.#worker !== undefined) return ask(this.#worker, chunk);
    this.#inPlace.update(chunk);
    return undefined;
  }

  /** Of what was taken since the last digest, hex. */
  digest(): Promise<string> {
    if (this.#worker !== undefined) return ask(this.#worker, null);
    const digest = this.#inPlace.digest('hex');
    this.#inPlace = createHash(this.#algorithm);
    return Promise.resolve(digest);
  }

  /** Ends the thread, whatever it was asked. */
  close(): void {
    void this.#worker?.terminate();
  }
}

function startWorker(algorithm: string): Worker {
  const worker = new Worker(PROGRAM, { eval: true, execArgv: [], workerData: algorithm });
  worker.unref();
  worker.setMaxListeners(0);
  return worker;
}

/** Shared memory is seen by the thread as it is; other memory is copied to it. */
function ask(worker: Worker, chunk: Buffer | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      worker.off('message', answered).off('error', failed).off('exit', ended);
      worker.unref();
    };
    const answered = (answer: string): void => {
      settle();
      resolve(answer);
    };
    const failed = (error: Error): void => {
      settle();
      reject(error);
    };
    const ended = (): void => failed(new Error('the hashing thread ended early'));
    worker.on('message', answered).on('error', failed).on('exit', ended);
    worker.ref();
    worker.postMessage(chunk);
  });
}
