/** Hands entries to a replay, wherever they come from, and turns what is wrong with them into errors that say where and what to do. */
import { BsonFault } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { OplogFault } from './faults.ts';

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
    if (!(fault instanceof OplogFault || fault instanceof BsonFault)) throw fault;
    const { current } = replay;
    const where = current === undefined ? '' : ` at the entry ${current}`;
    const hint =
      (fault instanceof OplogFault ? fault.hint : undefined) ??
      'The oplog is damaged, or was written by a server that is not known here.';
    throw oplogError(origin + where, fault.message, hint, fault);
  }
}
