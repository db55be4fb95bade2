import { Worker } from 'node:worker_threads';

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

export type HashAlgorithm = 'sha256' | 'md5';

interface Question {
  resolve(answer: string): void;
  reject(error: Error): void;
}

/** A thread that hashes what it is sent, in order. Does not keep the process alive unless an answer is waited for. */
export class HashThread {
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
