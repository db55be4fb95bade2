/** Which exit a thrown value stands for. */
import { type ErrorCode, RestorePlanError } from '../errors.ts';

/**
 * The failure as one that an operator can be told; undefined = a bug.
 * Trouble that the operating system reports (disk full, no permission) is known: it is not ours, and its text is clear.
 */
export function asKnownFailure(thrown: unknown, signal: AbortSignal): RestorePlanError | undefined {
  if (thrown instanceof RestorePlanError) return thrown;
  // Libraries answer an abort with errors of their own making; the reason that we gave says more.
  if (signal.aborted && signal.reason instanceof RestorePlanError) return signal.reason;
  const system = thrown as NodeJS.ErrnoException | undefined;
  if (thrown instanceof Error && typeof system?.code === 'string' && typeof system.syscall === 'string') {
    return new RestorePlanError('UNEXPECTED', thrown.message, {
      hint: 'The operating system refused this; set it right and run the same command again.',
      cause: thrown,
    });
  }
  return undefined;
}

/** A run that a signal stopped part-way ends with the signal's code, whatever name the stop got on its way up. */
export function exitOf(error: RestorePlanError, signal: AbortSignal): ErrorCode {
  const reason = signal.aborted ? signal.reason : undefined;
  if (reason instanceof RestorePlanError && error.code === 'INCOMPLETE') return reason.code;
  return error.code;
}
