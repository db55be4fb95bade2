/** What cannot be followed, an oplog or one document, and how it is told: where, and what to do. */
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { reasonOf } from '../files.ts';

/** An oplog, or a part of it, that cannot be followed: an unknown form, a gap, a dropped collection. Callers add which entry it was. */
export class OplogFault extends Error {
  override readonly name = 'OplogFault';
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** A document that cannot be rolled forward exactly; others can. The message goes on from its `_id`: "it has two fields of …". */
export class CannotRoll extends Error {
  override readonly name = 'CannotRoll';
}

/** Nobody has the document as it was before something that happened to it. */
export class WithoutBase extends CannotRoll {}

/** What to do about a form that a later server writes. */
export const NEWER_SERVER = 'A newer restore-plan may know the entries of that server.';

/** What cannot be followed is never used in part. */
const NOTHING_USED = 'Nothing of it was used.';

export function oplogError(origin: string, what: string, hint: string, cause?: unknown): RestorePlanError {
  return new RestorePlanError('BACKUP', `${origin}: ${what}.`, {
    hint: `${hint} ${NOTHING_USED}`,
    ...(cause !== undefined && { cause }),
  });
}

/** Runs a step of a replay; `origin` names the oplog in messages. Throws RestorePlanError BACKUP. */
export function following<T>(
  origin: string,
  replay: { readonly current?: string | undefined },
  step: () => T,
): T {
  try {
    return step();
  } catch (fault) {
    const { current } = replay;
    throw faultTold(current === undefined ? origin : `${origin} at the entry ${current}`, fault);
  }
}

/** Does what is only told, and no document that is given back rests on: where it cannot be followed, it is not told. */
export function ifFollowed(step: () => void): void {
  try {
    step();
  } catch (fault) {
    if (![CannotRoll, OplogFault, BsonFault].some((each) => fault instanceof each)) throw fault;
  }
}

/** A fault of entries as an error that says where and what to do; everything else as it is. */
export function faultTold(where: string, fault: unknown): unknown {
  if (!(fault instanceof OplogFault || fault instanceof BsonFault)) return fault;
  const hint =
    (fault instanceof OplogFault ? fault.hint : undefined) ??
    'The oplog is damaged, or was written by a server that is not known here.';
  return oplogError(where, fault.message, hint, fault);
}

/** A file of entries that could not be written, in the operator's words; any other error as it is. */
export function notWritten(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof RestorePlanError) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  return new RestorePlanError('WORK_DIRECTORY', `cannot write ${path}: ${reasonOf(error) ?? error.message}`, {
    hint: 'Name another place with --to, or another --work-dir. What was saved there is gone on from when the command runs again.',
    cause: error,
    facts: { errno: code },
  });
}
