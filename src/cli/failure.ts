/** Which exit a thrown value stands for. */
import { type ErrorCode, RestorePlanError } from '../errors.ts';
import { neutral } from '../text/escape.ts';
import { paintWith } from '../text/terminal.ts';
import { typed } from './views/next-step.ts';

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

/** What a stop looks like on its way up: a run that broke off, a target or backup that was let go of. */
const STOPPED: ReadonlySet<ErrorCode> = new Set([
  'INCOMPLETE',
  'TARGET',
  'BACKUP',
  'UNEXPECTED',
  'WORK_DIRECTORY',
]);

/** A run that a signal stopped ends with the signal's code. A refusal or an unsaved ledger is news all the same. */
export function exitOf(error: RestorePlanError, signal: AbortSignal): ErrorCode {
  const reason = signal.aborted ? signal.reason : undefined;
  return reason instanceof RestorePlanError && STOPPED.has(error.code) ? reason.code : error.code;
}

// A failure as the operator reads it: what happened, and what to do next.

/** Several lines, newline at the end. `planFile`: as the operator named it, for commands. Lines of the message are kept; their content is neutralised one by one. */
export function failureText(error: RestorePlanError, color: boolean, planFile?: string): string {
  const paint = paintWith(color);
  const lines = error.message.split('\n').map(neutral);
  const hint = error.advice?.say(typed(planFile)).split('\n').map(neutral) ?? [];
  return [
    `${paint.bad('error:')} ${lines[0]}`,
    ...lines.slice(1),
    ...hint.map((line, index) => `${index === 0 ? paint.strong('next: ') : '      '} ${line}`),
    '',
  ].join('\n');
}
