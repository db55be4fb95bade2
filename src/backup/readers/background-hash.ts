/**
 * SHA-256 of a member's bytes, computed beside the reading of them.
 *
 * Hashing costs about as much processor time as receiving and matching the bytes together. Chunks in shared memory (the
 * ranges of a download) are therefore hashed by a worker thread, which sees them without a copy; any others in place.
 */
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';

/** The worker's whole program; as text, so that it is the same whether this file runs from its source or built. */
const PROGRAM = `
  const { createHash } = require('node:crypto');
  const { parentPort } = require('node:worker_threads');
  const hash = createHash('sha256');
  parentPort.on('message', (bytes) => {
    if (bytes !== null) hash.update(bytes);
    parentPort.postMessage(bytes === null ? hash.digest('hex') : '');
  });
`;

export class BackgroundHash {
  readonly #inPlace = createHash('sha256');
  #worker: Worker | undefined;
  #isBegun = false;

  /**
   * Takes the next chunk. Where a promise comes back, the chunk's bytes must stay as they are until it settles, and the
   * next chunk must wait for it.
   */
  update(chunk: Buffer): Promise<unknown> | undefined {
    if (!this.#isBegun && chunk.buffer instanceof SharedArrayBuffer) this.#worker = startWorker();
    this.#isBegun = true;
    if (this.#worker !== undefined) return ask(this.#worker, chunk);
    this.#inPlace.update(chunk);
    return undefined;
  }

  /** sha256, hex. */
  digest(): Promise<string> {
    if (this.#worker !== undefined) return ask(this.#worker, null);
    return Promise.resolve(this.#inPlace.digest('hex'));
  }

  /** Ends the thread, whatever it was asked. */
  close(): void {
    void this.#worker?.terminate();
  }
}

function startWorker(): Worker {
  const worker = new Worker(PROGRAM, { eval: true, execArgv: [] });
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
