/**
 * Connects a client of the driver. Imported when a command connects, and only then: loading the driver takes longer than `plan validate` runs.
 */
import { MongoClient, type MongoClientOptions } from 'mongodb';

/** Throws what the driver throws, with nothing left open, or the signal's reason at once. */
export async function connectClient(
  uri: string,
  options: MongoClientOptions,
  signal: AbortSignal | undefined,
): Promise<MongoClient> {
  signal?.throwIfAborted();
  const client = new MongoClient(uri, options);
  try {
    return await orAborted(client.connect(), signal);
  } catch (cause) {
    // Closing a client that is still connecting takes as long as connecting does.
    const closed = client.close().catch(() => undefined);
    signal?.throwIfAborted();
    await closed;
    throw cause;
  }
}

/** The driver looks for a server until its time is up, whatever happens; we need not. Rejects with the signal's reason. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    work.catch(() => undefined);
  }
}
