/** Runs something under a target's lock, and stops it in time when asked to. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { RestorePlanError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Lease } from '../ledger/lock.ts';
import type { Actor } from '../ledger/run-record.ts';
import type { Target } from '../target/target.ts';

/** After a signal, everything in hand must be done within 5 s; the rest of that is for the records. */
const STOP_GRACE_MS = 3_500;
const RELEASE_MS = 1_000;
/** After a failure: a target that is out of reach has been waited for already. */
const RELEASE_AFTER_FAILURE_MS = 5_000;

export interface LockRequest {
  readonly target: Target;
  /** Who takes it; the process id makes two runs of one person distinct. */
  readonly actor: Actor & { readonly pid: number };
  readonly command: 'apply' | 'revert' | 'accept';
  readonly leaseMs?: number | undefined;
  readonly emit: Emit;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The lock is given back whatever happens; where that fails, it ends by itself. So it does after a stop that left a batch on its
 * way: the server may write it yet, and nobody else shall look at the documents before that.
 */
export async function holdLock<T>(request: LockRequest, work: (lease: Lease) => Promise<T>): Promise<T> {
  const { target, actor, command, emit, signal } = request;
  const holder = {
    name: `${actor.user}@${actor.host}:${actor.pid}`,
    token: randomBytes(12).toString('hex'),
    command,
  };
  const lease = await openLedger(target).lock(holder, {
    ...(request.leaseMs !== undefined && { leaseMs: request.leaseMs }),
    ...(signal && { signal }),
    onWait: ({ holder: other, heartbeatAt }, life) =>
      emit({
        type: 'warning',
        message:
          life === 'dead'
            ? `${target.name}: waiting for the lock that ${other?.name} left behind: its process has ended`
            : `${target.name}: waiting for the lock of ${other?.name}, or its next sign of life; the last one was ${heartbeatAt?.toISOString()}`,
      }),
  });
  emit({ type: 'lock-acquired', target: target.name, fencing: lease.fencing });
  let releaseMs = 60_000;
  let hasEnded = false;
  const working = work(lease).finally(() => {
    hasEnded = true;
  });
  try {
    return await stopInTime(working, signal);
  } catch (error) {
    releaseMs = RELEASE_AFTER_FAILURE_MS;
    throw error;
  } finally {
    if (signal?.aborted) releaseMs = RELEASE_MS;
    if (hasEnded) await Promise.race([lease.release(), delay(releaseMs, undefined, { ref: false })]);
    else lease.abandon();
  }
}

/** The work's own end, or INCOMPLETE when the signal came and it did not end within the grace. */
async function stopInTime<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const settled = new AbortController();
  const overdue = new Promise<never>((_, reject) => {
    const start = async (): Promise<void> => {
      await delay(STOP_GRACE_MS, undefined, { signal: settled.signal });
      reject(stoppedOnRequest());
    };
    const begin = (): void => void start().catch(() => undefined);
    if (signal.aborted) begin();
    else signal.addEventListener('abort', begin, { once: true, signal: settled.signal });
  });
  try {
    return await Promise.race([work, overdue]);
  } finally {
    settled.abort();
    work.catch(() => undefined);
  }
}

export function stoppedOnRequest(): RestorePlanError {
  return new RestorePlanError('INCOMPLETE', 'stopped on request, with part of the work done', {
    hint: 'Run the same command again: it goes on where this run stopped.',
  });
}
