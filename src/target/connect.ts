/** Opens one target. */
import type { MongoClient, MongoClientOptions, TopologyDescription } from 'mongodb';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { checkConnectionString, loginFailure } from '../mongo/connection-string.ts';
import type { TargetPlan } from '../plan/plan.ts';
import { afterClosing, orAborted, type Run } from '../run.ts';
import { CommandFailure } from './command-failure.ts';
import { COMMAND_TIME_MS, Commands } from './commands.ts';
import { CONNECTION_OPTIONS } from './driver-internals.ts';
import { MongoReader, readServerIdentity } from './reader.ts';
import { type ServerIdentity, type Target, withAccess } from './target.ts';
import { MongoWriter } from './writer.ts';

export interface ConnectOptions {
  /** How long a step rides out transient faults before it gives up; milliseconds. */
  readonly patienceMs?: number;
  /** Longest wait for one reply, milliseconds. */
  readonly replyMs?: number;
}

const PATIENCE_MS = 60_000;
/** A little more than the server gets, so that the server's own verdict arrives first. */
const REPLY_MS = COMMAND_TIME_MS + 15_000;
/** How long to look for a server that takes the command; an election takes up to 12 s, and `patience` repeats this. */
const SELECTION_MS = 10_000;

/** Throws RestorePlanError TARGET when it cannot be reached, refuses the user, or is no server that takes writes. */
export async function connectTarget(
  { emit, signal }: Run,
  name: TargetName,
  plan: TargetPlan,
  options: ConnectOptions = {},
): Promise<Target> {
  if (plan.uri === undefined) {
    throw new RestorePlanError('TARGET', `${name}: the connection string is not set`, {
      hint: 'Set the variable that the plan names under targets, then run again.',
    });
  }
  const { uri, notes, namesUser } = checkConnectionString(name, plan.uri);
  const patience = { totalMs: options.patienceMs ?? PATIENCE_MS, emit, signal };
  const selectionMs = Math.min(SELECTION_MS, patience.totalMs);
  const replyMs = options.replyMs ?? REPLY_MS;
  const client = await open(name, uri.reveal(), { selectionMs, replyMs, signal });
  const commands = new Commands(client, replyMs, { target: name, database: plan.database, patience });
  try {
    const identity = await orAborted(readServerIdentity(name, commands), signal);
    const reader = new MongoReader(plan, identity, commands);
    const target: Target = {
      name,
      plan,
      reader,
      notes: [...notes, ...serverNotes(name, identity)],
      close: () => client.close(),
    };
    // Frozen: a connection that could be renamed would pass production off as staging.
    return withAccess(Object.freeze(target), { writer: new MongoWriter(commands, reader), commands });
  } catch (error) {
    await afterClosing(client.close(), signal);
    throw namesUser ? error : asUnnamed(name, error);
  }
}

/** A server with access control refuses a connection without a user; to speak of the user's privileges would mislead. */
function asUnnamed(name: TargetName, error: unknown): unknown {
  if (!(error instanceof CommandFailure && error.lacksPrivilege)) return error;
  return new RestorePlanError(
    'TARGET',
    `${name}: the server asks for a user, and the connection string names none`,
    {
      cause: error,
      hint: 'Put user:password@ before its hosts, and authSource=… behind them where the user is not in admin.',
      facts: { target: name },
    },
  );
}

async function open(
  name: TargetName,
  uri: string,
  {
    selectionMs,
    replyMs,
    signal,
  }: { readonly selectionMs: number; readonly replyMs: number; readonly signal: AbortSignal },
): Promise<MongoClient> {
  const settings: MongoClientOptions = {
    ...CONNECTION_OPTIONS,
    appName: 'restore-plan',
    serverSelectionTimeoutMS: selectionMs,
    connectTimeoutMS: SELECTION_MS,
    socketTimeoutMS: replyMs,
    // All batches in flight, and always one for the lease's heartbeat.
    maxPoolSize: 16,
    retryReads: true,
    retryWrites: true,
    readPreference: 'primary',
    readConcernLevel: 'majority',
    writeConcern: { w: 'majority' },
  };
  const { connectClient } = await import('../mongo/driver.ts');
  try {
    return await connectClient(uri, settings, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(name, cause);
  }
}

/** The driver's classes of error for what it refuses before it connects. */
const UNUSABLE: ReadonlySet<string> = new Set(['MongoParseError', 'MongoInvalidArgumentError']);

/** Connection errors name hosts and reasons, never the connection string; the driver's text is kept for its detail. */
function unreachable(name: TargetName, cause: unknown): RestorePlanError {
  const failure = new CommandFailure({ target: name, command: 'connect', namespace: 'the server', cause });
  if (failure.serverCode !== undefined || loginFailure(cause) !== undefined) return failure;
  const set = foreignSet(cause);
  if (set !== undefined) {
    return new RestorePlanError(
      'TARGET',
      `${name}: no server that answers is a member of the replica set ${set}`,
      {
        cause,
        hint: 'Check replicaSet and the hosts in the connection string.',
        facts: { target: name },
      },
    );
  }
  const reason = cause instanceof Error ? cause.message : 'unknown error';
  const lacking = missingPackage(cause);
  if (lacking !== undefined) {
    return new RestorePlanError('TARGET', `${name}: the connection string needs the package ${lacking}`, {
      cause,
      hint: `Install it beside restore-plan (npm install ${lacking}), or correct the connection string.`,
      facts: { target: name },
    });
  }
  if (cause instanceof Error && UNUSABLE.has(cause.name)) {
    return new RestorePlanError('TARGET', `${name}: the connection string cannot be used: ${reason}`, {
      cause,
      hint: 'Correct it in the variable that the plan names.',
      facts: { target: name },
    });
  }
  return new RestorePlanError('TARGET', `${name} cannot be reached: ${reason}`, {
    cause,
    hint: 'Check the connection string, that the servers are up, and that this machine may connect to them.',
    facts: { target: name },
  });
}

/** Of the driver's own error for a package that it would need and does not bring. */
function missingPackage(cause: unknown): string | undefined {
  const { name, dependencyName } = cause as { name?: unknown; dependencyName?: unknown };
  return name === 'MongoMissingDependencyError' ? String(dependencyName) : undefined;
}

/** The driver forgets servers of another set than the one asked for; once none is left, its text speaks only of time. */
function foreignSet(cause: unknown): string | undefined {
  const seen = (cause as { reason?: Partial<TopologyDescription> }).reason;
  return seen?.servers?.size === 0 ? (seen.setName ?? undefined) : undefined;
}

function serverNotes(name: TargetName, identity: ServerIdentity): string[] {
  if (identity.kind === 'replica set') return [];
  const kind =
    identity.kind === 'standalone' ? 'a standalone server, not a replica set' : 'a sharded cluster (mongos)';
  return [`${name} is ${kind}`];
}
