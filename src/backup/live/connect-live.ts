/** Connects to the database that `source.mongodb` names. */

import type { MongoClient, MongoClientOptions } from 'mongodb';
import { ConnectionString } from 'mongodb-connection-string-url';
import { RestorePlanError } from '../../errors.ts';
import { connectClient, leaveOutCompressors, loginFailure } from '../../mongo/connection-string.ts';
import type { Run } from '../../run.ts';
import { Secret } from '../../secret.ts';

/** How long to look for a server, milliseconds; an election takes up to 12 s. */
const SELECTION_MS = 15_000;

export interface LiveConnection {
  readonly client: MongoClient;
  /** `host:port,host:port`; no credentials. */
  readonly hosts: string;
}

const SOURCE = 'source.mongodb';

/**
 * `named`: where the connection string stands in the plan, without `.uri`. Throws RestorePlanError BACKUP when it cannot be reached or
 * refuses the user, or the signal's reason.
 */
export async function connectLive(
  { emit, signal }: Run,
  uri: Secret,
  named = SOURCE,
): Promise<LiveConnection> {
  const parsed = parse(uri, named);
  const { hosts, searchParams } = parsed;
  const leftOut = leaveOutCompressors(parsed);
  if (leftOut !== undefined) emit({ type: 'warning', message: `${named}: ${leftOut}` });
  const settings: MongoClientOptions = {
    appName: 'restore-plan',
    ...(searchParams.has('serverSelectionTimeoutMS') ? {} : { serverSelectionTimeoutMS: SELECTION_MS }),
    readConcernLevel: 'majority',
    retryReads: true,
  };
  try {
    return {
      client: await connectClient(new Secret(parsed.toString()).reveal(), settings, signal),
      hosts: hosts.join(','),
    };
  } catch (cause) {
    signal.throwIfAborted();
    throw liveFault(cause, 'connecting', named);
  }
}

function parse(uri: Secret, named: string): ConnectionString {
  try {
    return new ConnectionString(uri.reveal());
  } catch {
    // The parser's message can quote the string, so it is neither shown nor kept as a cause.
    throw new RestorePlanError('BACKUP', `${named}.uri is not a valid MongoDB connection string.`, {
      hint: 'It must look like mongodb://host:27017/?replicaSet=name or mongodb+srv://host/.',
    });
  }
}

const UNAUTHORIZED = 13;

/** What the driver threw, as a sentence about the source; goes by codes and classes, shows no message of a server. */
export function liveFault(cause: unknown, doing: string, named = SOURCE): RestorePlanError {
  const { code, codeName, name } = cause as { code?: unknown; codeName?: unknown; name?: unknown };
  // The driver's own words when it finds no server: they name the host and the reason, never the connection string.
  const isNobody = name === 'MongoServerSelectionError' && cause instanceof Error;
  const reason = isNobody ? cause.message : String(codeName ?? name ?? 'unknown error');
  if (code === UNAUTHORIZED) {
    return new RestorePlanError('BACKUP', `The user of ${named} may not read it (${doing}).`, {
      hint: 'Grant it the role "read" on source.database, then run again.',
      cause,
    });
  }
  const login = loginFailure(cause);
  if (login !== undefined)
    return new RestorePlanError('BACKUP', `${named}: ${login.what}.`, { hint: login.hint, cause });
  return new RestorePlanError('BACKUP', `${named} cannot be read (${doing}: ${reason}).`, {
    hint: 'Check that its servers are up and that this machine may connect to them, then run again.',
    cause,
  });
}
