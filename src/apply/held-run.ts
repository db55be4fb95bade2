/**
 * A run under its target's lock: stopped in time when asked to; where it does not come to its end, what it says and still records;
 * and what the next one adopts of that.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { advice } from '../advice.ts';
import { RestorePlanError } from '../errors.ts';
import { findLocalRecord, openLedger, removeLocalRecord, saveLocalRecord } from '../ledger/ledger.ts';
import type { Lease } from '../ledger/lock.ts';
import type { RunProgress } from '../ledger/runs.ts';
import { isForeign, isRecordLost } from '../ledger/runs.ts';
import type { Run } from '../run.ts';
import { accessTo, type Target } from '../target/target.ts';
import type { ApplyRequest, ApplyRun } from './apply-run.ts';

/** After a signal, everything in hand must be done within 5 s; the rest of that is for the records. */
const STOP_GRACE_MS = 3_500;
const RELEASE_MS = 1_000;
/** After a failure: a target that is out of reach has been waited for already. */
const RELEASE_AFTER_FAILURE_MS = 5_000;

/**
 * The lock is given back whatever happens; where that fails, it ends by itself. So it does after a stop that left a batch on its
 * way: the server may write it yet, and nobody else shall look at the documents before that.
 */
export async function holdLock<T>(
  { emit, signal }: Run,
  request: Pick<ApplyRequest, 'target' | 'actor' | 'leaseMs'> & {
    readonly command: 'apply' | 'revert' | 'accept';
  },
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const { target, actor, command } = request;
  const holder = {
    name: `${actor.user}@${actor.host}:${actor.pid}`,
    token: randomBytes(12).toString('hex'),
    command,
  };
  const lease = await openLedger(target).lock(holder, {
    ...(request.leaseMs !== undefined && { leaseMs: request.leaseMs }),
    signal,
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
    if (signal.aborted) releaseMs = RELEASE_MS;
    if (hasEnded) await Promise.race([lease.release(), delay(releaseMs, undefined, { ref: false })]);
    else lease.abandon();
  }
}

/** The work's own end, or INCOMPLETE when the signal came and it did not end within the grace. */
async function stopInTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
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

/** For the last record of a run that stops: a target out of reach must not keep it from ending. */
const LAST_RECORD_MS = 1_500;

/** The error to throw when a run does not come to its end. Saves what can be saved on the way; never throws itself. */
export async function asEndOfRun(error: unknown, held: ApplyRun, progress: RunProgress): Promise<unknown> {
  if (!(error instanceof RestorePlanError)) return error;
  // Another run writes the record now.
  if (error.code === 'LOCKED') return error;
  const saving = await saveProgress(held, progress);
  if (!held.mayHaveWritten) return error;
  // What was written is not what was checked: going on from there is no way out.
  if (error.code === 'VERIFICATION' && saving !== 'refused' && held.unrecorded.length === 0) return error;
  // A ledger that is only slow has every intention; what became of them, the next run finds out.
  if (saving !== 'refused' && held.unrecorded.length === 0) return asIncomplete(error);
  return (await answers(held.target)) ? keepLocally(error, held, progress) : asIncomplete(error);
}

/** Intended batches stay in the journal as such, so a rerun finds out about them by itself. */
function asIncomplete(error: RestorePlanError): RestorePlanError {
  if (error.code === 'INCOMPLETE') return error;
  const goesOn = advice`${error.advice ?? 'Run again.'} The same command goes on where this run stopped.`;
  return new RestorePlanError('INCOMPLETE', `stopped part-way: ${error.message}`, {
    hint: isRecordLost(error) ? error.advice : goesOn,
    cause: error,
    facts: error.facts,
  });
}

async function saveProgress(
  { runs, key, fencing }: ApplyRun,
  progress: RunProgress,
): Promise<'saved' | 'lost' | 'refused' | 'overdue'> {
  const save = runs.save(key, fencing, progress).then(
    () => 'saved' as const,
    (error: unknown) => (isRecordLost(error) ? ('lost' as const) : ('refused' as const)),
  );
  return Promise.race([save, delay(LAST_RECORD_MS, 'overdue' as const, { ref: false })]);
}

async function answers(target: Target): Promise<boolean> {
  const ping = accessTo(target)
    .commands.run({ ping: 1 })
    .then(
      () => true,
      () => false,
    );
  return Promise.race([ping, delay(LAST_RECORD_MS, false, { ref: false })]);
}

/** The server is there, documents went in, and only the ledger does not take them. */
async function keepLocally(
  error: RestorePlanError,
  { run: { workDirectory }, target, key, unrecorded }: ApplyRun,
  progress: RunProgress,
): Promise<RestorePlanError> {
  const done = progress.status === 'reverting' ? 'taken back in' : 'written to';
  const what = `documents were ${done} ${target.name}, but its ledger could not be written: ${error.message}`;
  let path: string;
  try {
    path = await saveLocalRecord(
      { workDirectory, target: target.name, key },
      {
        format: 2,
        target: target.name,
        database: target.reader.database,
        server: target.reader.identity.id,
        key,
        batches: unrecorded,
        progress,
        savedAt: new Date().toISOString(),
      },
    );
  } catch (cause) {
    return new RestorePlanError('LEDGER_UNSAVED', `${what}; nor could ${workDirectory} be written to`, {
      hint: 'Mend both, then run the same command again: the journal names what was begun, and each document of it is looked for.',
      cause,
      facts: { unrecorded },
    });
  }
  return new RestorePlanError('LEDGER_UNSAVED', what, {
    hint: `What it lacks is kept in ${path}. Mend the ledger, then run the same command again on this machine: it adopts the record and goes on.`,
    cause: error,
    facts: { record: path, unrecorded },
  });
}

/** Brings into the ledger what an earlier run could only write to this machine. */
export async function adoptLocalRecord({ run, target, key, runs, journal }: ApplyRun): Promise<void> {
  const { emit, workDirectory } = run;
  const { isMigrated = false } = (await runs.find(key)) ?? {};
  const place = { workDirectory, target: target.name, key, isMigrated };
  const found = await findLocalRecord(place, target.reader);
  if (found === undefined) return;
  for (const batch of found.record.batches) await journal.record(batch);
  await removeLocalRecord(found.path);
  emit({
    type: 'warning',
    message: `${target.name}: the ledger was completed from the record kept on this machine`,
  });
}

/**
 * The record of this selection that came with a copy of another database says nothing of this one: what it inserted, soaked and
 * had approved was elsewhere, and there it is still on record. Its journal goes first, so that a kill in between leaves it foreign.
 */
export async function discardForeign({ run, target, key, lease, runs }: ApplyRun): Promise<void> {
  const record = await runs.find(key);
  if (record === undefined || !isForeign(record, target.reader)) return;
  const { database, kind, id = '' } = record.server ?? { database: '', kind: '' };
  const origin = `${database} on the ${kind} ${id}`.trimEnd();
  run.emit({
    type: 'warning',
    message: `${target.name}: the record of this selection came with a copy of ${origin}; it is replaced by this run's, and stays in the ledger there`,
  });
  await lease.ensure();
  await openLedger(target).journal(record.journalKey).discard();
  await runs.discard(key);
}
