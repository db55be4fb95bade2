/**
 * A command that did not get a clean reply, told apart by what can be done about it. Decided from error classes, numeric
 * codes and labels, never from message texts; server messages are not passed on, they can quote documents.
 */

import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';

/** Server error codes after which the same command may succeed: elections, shutdowns, time limits, lock and write conflicts. */
const TRANSIENT_CODES: ReadonlySet<number> = new Set([
  6, // HostUnreachable
  7, // HostNotFound
  24, // LockTimeout
  43, // CursorNotFound
  46, // LockBusy
  50, // MaxTimeMSExpired
  64, // WriteConcernTimeout
  89, // NetworkTimeout
  91, // ShutdownInProgress
  100, // UnsatisfiableWriteConcern
  112, // WriteConflict
  133, // FailedToSatisfyReadPreference
  134, // ReadConcernMajorityNotAvailableYet
  175, // QueryPlanKilled
  189, // PrimarySteppedDown
  202, // NetworkInterfaceExceededTimeLimit
  237, // CursorKilled
  262, // ExceededTimeLimit
  358, // InternalTransactionNotSupported during failover
  462, // IngressRequestRateLimitExceeded
  9001, // SocketException
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11601, // Interrupted
  11602, // InterruptedDueToReplStateChange
  13388, // StaleConfig
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
]);

const TRANSIENT_LABELS = ['RetryableWriteError', 'RetryableError', 'SystemOverloadedError'] as const;

/** Driver error classes that mean: the server could not be reached, or the connection was lost on the way. */
const NETWORK_ERRORS: ReadonlySet<string> = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoServerSelectionError',
  'MongoPoolClearedError',
  'MongoPoolClearedOnNetworkError',
  'MongoPoolClosedError',
  'MongoWaitQueueTimeoutError',
  'MongoTopologyClosedError',
  'MongoOperationTimeoutError',
]);

const UNAUTHORIZED = 13;
const AUTHENTICATION_FAILED = 18;

/** The privilege action that each command of ours needs, by the command's name. */
const ACTIONS: Readonly<Record<string, string>> = {
  find: 'find',
  aggregate: 'find',
  insert: 'insert',
  update: 'update',
  delete: 'remove',
  findAndModify: 'update',
  create: 'createCollection',
  createIndexes: 'createIndex',
  listCollections: 'listCollections',
  listIndexes: 'listIndexes',
};

/** What is read of a thrown driver error. */
interface DriverError {
  readonly name?: string;
  readonly code?: unknown;
  readonly codeName?: unknown;
  hasErrorLabel?(label: string): boolean;
}

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly command: string;
  /** `database.collection`, or the database alone. */
  readonly namespace: string;
  /** The server's error code; undefined when no reply came. */
  readonly code: number | undefined;
  readonly codeName: string | undefined;
  /** True when waiting and trying again may help. A write may or may not have happened. */
  readonly transient: boolean;

  constructor(command: string, namespace: string, cause: unknown) {
    const error = (typeof cause === 'object' && cause !== null ? cause : {}) as DriverError;
    const code = typeof error.code === 'number' ? error.code : undefined;
    const codeName = typeof error.codeName === 'string' ? error.codeName : undefined;
    super(`${command} on ${namespace}: ${codeName ?? error.name ?? 'unknown error'}`, { cause });
    this.command = command;
    this.namespace = namespace;
    this.code = code;
    this.codeName = codeName;
    this.transient =
      code === AUTHENTICATION_FAILED || code === UNAUTHORIZED
        ? false
        : (code !== undefined && TRANSIENT_CODES.has(code)) ||
          NETWORK_ERRORS.has(error.name ?? '') ||
          TRANSIENT_LABELS.some((label) => error.hasErrorLabel?.(label) === true);
  }

  /** The same failure as an operator should read it. */
  forOperator(target: TargetName): RestorePlanError {
    const details = { cause: this, facts: { target, code: this.code, codeName: this.codeName } };
    if (this.code === UNAUTHORIZED) {
      const action = ACTIONS[this.command] ?? this.command;
      return new RestorePlanError(
        'TARGET',
        `${target}: the user of the connection string lacks the privilege "${action}" on ${this.namespace}`,
        { ...details, hint: `Grant a role that allows "${action}" on ${this.namespace}, then run again.` },
      );
    }
    if (this.code === AUTHENTICATION_FAILED) {
      return new RestorePlanError('TARGET', `${target}: the server refused the user or password`, {
        ...details,
        hint: 'Check the credentials and the authSource in the connection string.',
      });
    }
    if (this.transient) {
      return new RestorePlanError('TARGET', `${target} cannot be reached: ${this.message}`, {
        ...details,
        hint: 'Check that the servers are up and that this machine may connect to them, then run again.',
      });
    }
    return new RestorePlanError('TARGET', `${target} refused a command: ${this.message}`, details);
  }
}
