/**
 * Connects a client of the driver. Imported when a command connects, and only then: loading the driver takes longer than `plan validate` runs.
 */
import { MongoClient, type MongoClientOptions } from 'mongodb';
import { afterClosing, orAborted } from '../run.ts';

/** Throws what the driver throws, with nothing left open, or the signal's reason at once. */
export async function connectClient(
  uri: string,
  options: MongoClientOptions,
  signal: AbortSignal | undefined,
): Promise<MongoClient> {
  signal?.throwIfAborted();
  const client = new MongoClient(uri, options);
  try {
    // The driver looks for a server until its time is up, whatever happens; we need not.
    return await orAborted(client.connect(), signal);
  } catch (cause) {
    await afterClosing(client.close(), signal);
    throw cause;
  }
}
