/** Connects a client of the driver. The driver is loaded here, and only when a command connects: `plan validate` never pays for it. */
import type { MongoClient, MongoClientOptions } from 'mongodb';

/** Throws what the driver throws, with nothing left open, or the signal's reason at once. */
export async function connectClient(
  uri: string,
  options: MongoClientOptions,
  signal: AbortSignal | undefined,
): Promise<MongoClient> {
  const { MongoClient } = await import('./driver.ts');
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

const AUTHENTICATION_FAILED = 18;
const MECHANISM_UNAVAILABLE = 334;
/** Atlas puts it on all its own refusals, of a login as of a command. */
const ATLAS_ERROR = 8000;

/**
 * What to say when the user could not be logged in, and what to do about it; undefined when something else went wrong. Goes by
 * codes, classes and the driver's label for what failed before the first command.
 */
export function loginFailure(cause: unknown): { readonly what: string; readonly hint: string } | undefined {
  const { name, code, codeName, hasErrorLabel } = (cause ?? {}) as {
    name?: unknown;
    code?: unknown;
    codeName?: unknown;
    hasErrorLabel?: (label: string) => boolean;
  };
  if (name === 'MongoAWSError') {
    return {
      what: 'no AWS credentials were found for authMechanism=MONGODB-AWS',
      hint: 'Log in (for instance `aws sso login`), or set AWS_PROFILE to a profile that this machine has.',
    };
  }
  if (code === MECHANISM_UNAVAILABLE) {
    return {
      what: 'the server does not offer the authMechanism of the connection string',
      hint: 'Correct authMechanism; without one, the server and the driver agree on SCRAM.',
    };
  }
  const isLogin = hasErrorLabel?.call(cause, 'HandshakeError') === true;
  if (code !== AUTHENTICATION_FAILED && !(code === ATLAS_ERROR && isLogin)) return undefined;
  const atlas =
    code === ATLAS_ERROR ? ' At Atlas it is a user of "Database Access", not of the website.' : '';
  return {
    what: `the server refused the user or the password (${typeof codeName === 'string' ? codeName : `code ${code}`})`,
    hint: `Check the user, the password and the authSource in the connection string; characters such as @ : / % are written %40 %3A %2F %25.${atlas}`,
  };
}
