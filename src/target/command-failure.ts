/**
 * A command that did not get a clean reply, told apart by what can be done about it. Decided from error classes, numeric
 * codes and labels, never from message texts; server messages are not passed on, they can quote documents.
 */

import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { loginFailure } from '../mongo/connection-string.ts';

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
  267, // PreparedTransactionInProgress
  358, // InternalTransactionNotSupported during failover
  365, // TemporarilyUnavailable: the server's cache had no room, and it has tried for itself
  371, // UserWritesBlocked
  462, // IngressRequestRateLimitExceeded
  9001, // SocketException
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11601, // Interrupted
  11602, // InterruptedDueToReplStateChange
  13388, // StaleConfig
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
  14031, // OutOfDiskSpace
  -31800, // WT_ROLLBACK: the server's cache had no room, and nothing of it was kept
]);

const WRITES_BLOCKED = 371;
const OUT_OF_DISK_SPACE = 14031;
const ANOTHER_COLLECTION = 361;

/** What such codes are called: the server takes no write at all here at present, and blames the document at hand for nothing. */
const STANDSTILLS: Readonly<Record<number, string>> = {
  [ANOTHER_COLLECTION]: 'CollectionUUIDMismatch',
  [WRITES_BLOCKED]: 'UserWritesBlocked',
  [OUT_OF_DISK_SPACE]: 'OutOfDiskSpace',
};

/** Name of a code that says: no write is taken at present, whatever the document. Undefined for every other. */
export function standstillName(code: number): string | undefined {
  return STANDSTILLS[code];
}

/** Also for the errors of single documents in a write reply. */
export function isTransientCode(code: number): boolean {
  return TRANSIENT_CODES.has(code);
}

const TRANSIENT_LABELS = [
  'RetryableWriteError',
  'RetryableError',
  'SystemOverloadedError',
  'TransientTransactionError',
] as const;

/** Codes that one document causes for its whole command: too deep, too large, not acceptable to the server. */
const DOCUMENT_CODES: ReadonlySet<number> = new Set([2, 9, 14, 15, 22, 10334, 17280, 17419, 17420]);

/** Whether a document may be to blame for this code of a whole command. */
export function isDocumentCode(code: number | undefined): boolean {
  return code !== undefined && DOCUMENT_CODES.has(code);
}

/** TransactionTooLargeForCache: also of a document that fits, while the server's cache is full of others that are not on the disk yet. */
export const TOO_LARGE_FOR_CACHE = 388;
/** So often, with ever longer pauses (some six seconds in all), before the document itself is too large for the cache. */
export const TRIES_FOR_CACHE = 7;

/** Codes of a transaction that fewer documents may avoid, or may show which one is to blame. */
const MANY_DOCUMENTS_CODES: ReadonlySet<number> = new Set([
  24, // LockTimeout
  50, // MaxTimeMSExpired
  112, // WriteConflict
  251, // NoSuchTransaction: ended by the server, too old, or to make room in its cache
  262, // ExceededTimeLimit
  290, // TransactionExceededLifetimeLimitSeconds
  365, // TemporarilyUnavailable
  TOO_LARGE_FOR_CACHE,
  -31800, // WT_ROLLBACK, the same by another name
]);

/** Whether a transaction of fewer documents may do where one was ended by this code. */
export function isCodeOfManyDocuments(code: number): boolean {
  return MANY_DOCUMENTS_CODES.has(code);
}

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
  'TimeoutError', // of an AbortSignal: our own limit
]);

/** The socket's own errors: the driver passes them on as they are when a connection breaks while a large command is being sent. */
const SOCKET_ERRORS: ReadonlySet<string> = new Set([
  'ECONNABORTED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTCONN',
  'EPIPE',
  'ETIMEDOUT',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
]);

const UNAUTHORIZED = 13;

/** The privilege actions that each command of ours needs, by the command's name. */
const ACTIONS: Readonly<Record<string, string | readonly string[]>> = {
  find: 'find',
  aggregate: 'find',
  insert: 'insert',
  update: 'update',
  delete: 'remove',
  // It makes the document where there is none, and the server does not say which of the two is missing.
  findAndModify: ['insert', 'update'],
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

/** RestorePlanError TARGET: what callers that do not know better may show as it is. */
export class CommandFailure extends RestorePlanError {
  readonly command: string;
  /** The server's error code; undefined when no reply came. */
  readonly serverCode: number | undefined;
  /** The server's name for it, or the driver's class of error. */
  readonly reason: string;
  /** True when waiting and trying again may help. A write may or may not have happened. */
  readonly transient: boolean;
  /** True when the user may not run the command: the server did nothing of it. */
  readonly lacksPrivilege: boolean;
  /** True when the server says that the transaction, which this was a command of, has been aborted. */
  readonly abortedTransaction: boolean;

  constructor({ target, command, namespace, cause }: FailedCommand) {
    const error = (typeof cause === 'object' && cause !== null ? cause : {}) as DriverError;
    // A DOMException has numeric codes too, which mean something else.
    const isFromServer = typeof error.code === 'number' && !(cause instanceof DOMException);
    const code = isFromServer ? (error.code as number) : undefined;
    const reason = typeof error.codeName === 'string' ? error.codeName : (error.name ?? 'unknown error');
    const transient = isTransient(code, error);
    const { message, hint } = explain(`${target}: `, { command, namespace, code, reason, transient, cause });
    super('TARGET', message, { hint, cause, facts: { target, command, namespace, code, reason } });
    this.command = command;
    this.serverCode = code;
    this.reason = reason;
    this.transient = transient;
    this.lacksPrivilege = code === UNAUTHORIZED;
    this.abortedTransaction = isFromServer && error.hasErrorLabel?.('TransientTransactionError') === true;
  }

  /**
   * The server's own words, without what it repeats of the command. Only for commands that held no document: these texts quote
   * what they are about.
   */
  get serverWords(): string {
    const message = this.serverCode !== undefined && this.cause instanceof Error ? this.cause.message : '';
    return message.split(' :: caused by :: ').at(-1)?.trim() || this.reason;
  }
}

interface FailedCommand {
  readonly target: TargetName;
  readonly command: string;
  /** `database.collection`, or the database alone. */
  readonly namespace: string;
  readonly cause: unknown;
}

function isTransient(code: number | undefined, error: DriverError): boolean {
  if (code === UNAUTHORIZED || loginFailure(error) !== undefined) return false;
  return (
    (code !== undefined && isTransientCode(code)) ||
    NETWORK_ERRORS.has(error.name ?? '') ||
    SOCKET_ERRORS.has(String(error.code)) ||
    TRANSIENT_LABELS.some((label) => error.hasErrorLabel?.(label) === true)
  );
}

interface Circumstances {
  readonly command: string;
  readonly namespace: string;
  readonly code: number | undefined;
  readonly reason: string;
  readonly transient: boolean;
  readonly cause: unknown;
}

function explain(prefix: string, failed: Circumstances): { message: string; hint: string } {
  const { command, namespace, code, reason } = failed;
  if (code === UNAUTHORIZED) {
    const actions = [ACTIONS[command] ?? command].flat().map((action) => JSON.stringify(action));
    return {
      message: `${prefix}the user of the connection string lacks the privilege ${actions.join(' or ')} on ${namespace}`,
      hint: `Grant a role that allows ${actions.join(' and ')} on ${namespace}, then run again. To apply and revert takes readWrite on the database, everything else read.`,
    };
  }
  const login = loginFailure(failed.cause);
  if (login !== undefined) return { message: `${prefix}${login.what}`, hint: login.hint };
  if (code === WRITES_BLOCKED) {
    return {
      message: `${prefix}the server takes no writes at present (${command} on ${namespace}: ${reason})`,
      hint: 'An operator, or the service that runs the server, has blocked them (setUserWriteBlockMode), often because a disk is nearly full. When they are allowed again, run again.',
    };
  }
  if (code === OUT_OF_DISK_SPACE) {
    return {
      message: `${prefix}the disk of the server is full (${command} on ${namespace}: ${reason})`,
      hint: 'Make room on it, then run again.',
    };
  }
  if (code === ANOTHER_COLLECTION) {
    return {
      message: `${prefix}${namespace} was dropped, renamed or replaced by another collection while documents were written to it`,
      hint: 'Find out who did so, then run again: the collection is looked at anew, and created from the backup where it is missing.',
    };
  }
  if (failed.transient) {
    return {
      message: `${prefix}the server cannot be reached or cannot answer (${command} on ${namespace}: ${reason})`,
      hint: 'Check that the servers are up and that this machine may connect to them, then run again. One that ended by itself says why at the end of its log: a full disk, for instance.',
    };
  }
  return {
    message: `${prefix}the server refused ${command} on ${namespace}: ${reason}`,
    hint: 'The server log holds the details; fix what it names, then run again.',
  };
}
