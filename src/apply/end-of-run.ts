/** How a run ends that did not come to its end: what it says, and what it still records. */

import { setTimeout as delay } from 'node:timers/promises';
import { RestorePlanError } from '../errors.ts';
import { openLedger } from '../ledger/ledger.ts';
import { saveLocalRecord } from '../ledger/local-record.ts';
import type { RunProgress } from '../ledger/runs.ts';
import { accessTo, type Target } from '../target/target.ts';
import type { ApplyRun } from './apply-run.ts';

/** For the last record of a run that stops: a target out of reach must not keep it from ending. */
const LAST_RECORD_MS = 1_500;

export interface StoppedRun {
  readonly request: { readonly target: Target; readonly workDirectory: string };
  readonly run: ApplyRun;
  readonly progress: RunProgress;
}

/** The error to throw. Saves what can be saved on the way; never throws itself. */
export async function asEndOfRun(error: unknown, stopped: StoppedRun): Promise<unknown> {
  if (!(error instanceof RestorePlanError)) return error;
  const { run } = stopped;
  // Another run writes the record now.
  if (error.code === 'LOCKED') return error;
  const saving = await saveProgress(stopped);
  if (!run.mayHaveWritten) return error;
  // What was written is not what was checked: going on from there is no way out.
  if (error.code === 'VERIFICATION' && saving !== 'refused' && run.unrecorded.length === 0) return error;
  // A ledger that is only slow has every intention; what became of them, the next run finds out.
  if (saving !== 'refused' && run.unrecorded.length === 0) return asIncomplete(error);
  return (await answers(stopped.request.target)) ? keepLocally(error, stopped) : asIncomplete(error);
}

/** Intended batches stay in the journal as such, so a rerun finds out about them by itself. */
function asIncomplete(error: RestorePlanError): RestorePlanError {
  if (error.code === 'INCOMPLETE') return error;
  return new RestorePlanError('INCOMPLETE', `stopped part-way: ${error.message}`, {
    hint: `${error.hint ?? 'Run again.'} The same command goes on where this run stopped.`,
    cause: error,
    facts: error.facts,
  });
}

async function saveProgress({
  request,
  run,
  progress,
}: StoppedRun): Promise<'saved' | 'refused' | 'overdue'> {
  const save = openLedger(request.target)
    .runs.save(run.key, run.fencing, progress)
    .then(
      () => 'saved' as const,
      () => 'refused' as const,
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
  { request, run, progress }: StoppedRun,
): Promise<RestorePlanError> {
  const { target, workDirectory } = request;
  const what = `documents were written to ${target.name}, but its ledger could not be: ${error.message}`;
  const { unrecorded } = run;
  let path: string;
  try {
    path = await saveLocalRecord(
      { workDirectory, target: target.name, key: run.key },
      {
        format: 2,
        target: target.name,
        database: target.reader.database,
        server: target.reader.identity.id,
        key: run.key,
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
