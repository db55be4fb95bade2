/**
 * The surroundings of a run: whom it tells, what stops it, its clock, where it keeps files, and the moments at which tests take hold of
 * it. Whatever runs is handed them as its first parameter, passes them on whole, and spreads them into nothing; they are never optional,
 * so that none is lost on the way without the compiler's word.
 */
import { hostname, userInfo } from 'node:os';
import type { Emit } from './events.ts';

/**
 * Named moments of an apply or a revert. A run is handed a function that is called at each; the fault tests kill or pause the
 * process there. It can delay a run or end it, and change nothing else.
 */
export const CHECKPOINTS = [
  'lock-taken',
  'run-begun',
  'collection-intended',
  'collection-created',
  'indexes-created',
  'batch-compared',
  'batch-intended',
  'batch-written',
  'batch-recorded',
  'all-written',
  'verified',
  'run-recorded',
] as const;
export type CheckpointName = (typeof CHECKPOINTS)[number];

export type Checkpoint = (name: CheckpointName) => void | Promise<void>;

export interface Run {
  readonly emit: Emit;
  /** Aborted: the run stops at the next safe moment, and throws the signal's reason, or INCOMPLETE where documents were written. */
  readonly signal: AbortSignal;
  /** UTC milliseconds. */
  readonly now: () => number;
  /** Absolute; where selections and local records are kept. Not created until something is written. */
  readonly workDirectory: string;
  readonly checkpoint: Checkpoint;
}

/** For callers other than the command line. What is not given is quiet: nobody is told, nothing stops the run. */
export function runIn(workDirectory: string, given: Partial<Omit<Run, 'workDirectory'>> = {}): Run {
  const quiet = { emit: () => {}, signal: new AbortController().signal, now: Date.now, checkpoint: () => {} };
  return { ...quiet, ...given, workDirectory };
}

/** The same run, of which nothing is told: for work inside a step that tells of itself. */
export function untold(run: Run): Run {
  return { ...run, emit: () => {} };
}

/** For work that nobody needs to wait for once the run is stopped. Rejects with the signal's reason at once; the work is left to end by itself. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
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

/** After a fault: closing takes as long as what is under way, and once the run is stopped nobody waits for it. Throws the signal's reason. */
export async function afterClosing(
  closing: Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const closed = closing.catch(() => undefined);
  signal?.throwIfAborted();
  await closed;
}

/** Who runs it, as the operating system says, never a variable. A user id without a passwd entry (a container's) has no name: the id and the machine stand for it. */
export function operator(): { readonly user: string; readonly host: string } {
  const host = hostname();
  try {
    return { user: userInfo().username, host };
  } catch {
    return { user: `${process.getuid?.() ?? 'unknown'}@${host}`, host };
  }
}
