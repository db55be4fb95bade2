/**
 * Takes a selection out of a target again, exactly as far as this tool put it in and nobody has touched it since.
 *
 * 1. `previewRevert` looks, without writing: what would be removed or put back, what not and why.
 * 2. `revertSelection` does it under the lock, batch by batch, each journalled like a write: look again, intend, take back,
 *    record. Interrupted, the next revert goes on; done, another one finds nothing to do.
 *
 * Decided by bytes: a document goes only if it is still, byte for byte, the one of the selection. Collections that were created
 * stay, empty or not.
 */
import { showValue } from '../bson/show.ts';
import { inFlight } from '../comparison/in-flight.ts';
import type { Emit } from '../events.ts';
import { journalKeyOf, type RunKey } from '../ledger/layout.ts';
import type { Lease } from '../ledger/lease.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Actor } from '../ledger/run-record.ts';
import type { Plan } from '../plan/plan.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { admit } from './admit.ts';
import { adoptLocalRecord } from './adopt-local-record.ts';
import { ApplyRun } from './apply-run.ts';
import { requireOwnTarget } from './check-request.ts';
import type { Checkpoint } from './checkpoint.ts';
import { asEndOfRun } from './end-of-run.ts';
import { holdLock, stoppedOnRequest } from './hold-lock.ts';
import { RestoredIds } from './restored-ids.ts';
import { classifyForRevert } from './revert-batch.ts';
import { REVERT_BATCH, REVERTS_IN_FLIGHT, revertCollection } from './revert-collection.ts';
import { type RevertReport, RevertTally } from './revert-report.ts';

export interface RevertRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  readonly actor: Actor & { readonly pid: number };
  readonly workDirectory: string;
  readonly emit: Emit;
  readonly signal?: AbortSignal;
  /** Called with the preview before anything is written. Throwing ends the revert. */
  readonly confirm?: (preview: RevertReport) => Promise<void>;
  readonly leaseMs?: number;
  readonly checkpoint?: Checkpoint;
}

function keyOf({ plan, selection }: RevertRequest): RunKey {
  return { plan: plan.name, selection: selection.manifest.digest };
}

/** Reads only. */
async function previewRevert(
  { selection, target, signal }: RevertRequest,
  journalKey: string,
): Promise<RevertReport> {
  const restored = await RestoredIds.read(openLedger(target).journal(journalKey));
  const tally = new RevertTally(target.name, selection);
  for (const selected of selection.manifest.collections) {
    const collection = await target.reader.collection(selected.into);
    if (collection === undefined) continue;
    const place = { reader: target.reader, collection };
    const batches = readBatches(selection, selected.collection, REVERT_BATCH);
    for await (const _ of inFlight(batches, REVERTS_IN_FLIGHT, async (batch) => {
      const { run, positions } = admit(batch);
      for (const group of restored.groups(collection.name, run, positions)) {
        signal?.throwIfAborted();
        for (const item of await classifyForRevert(place, restored, { run, positions: group })) {
          tally.add(selected, item.class, () => showValue(run.id(item.position)));
        }
      }
    }));
  }
  return tally.report();
}

/**
 * Throws RestorePlanError: LOCKED or TARGET before anything is written, or the signal's reason; INCOMPLETE or LEDGER_UNSAVED
 * when it stopped part-way.
 */
export async function revertSelection(request: RevertRequest): Promise<RevertReport> {
  const { plan, selection, target } = request;
  requireOwnTarget(plan, target);
  const record = await openLedger(target).runs.find(keyOf(request));
  if (record === undefined || record.status === 'reverted') {
    return new RevertTally(target.name, selection).report();
  }
  await request.confirm?.(await previewRevert(request, record.journalKey));
  request.signal?.throwIfAborted();
  return holdLock({ ...request, command: 'revert' }, (lease) => revertUnderLock(request, lease));
}

async function revertUnderLock(request: RevertRequest, lease: Lease): Promise<RevertReport> {
  const { plan, selection, target, emit, checkpoint, signal } = request;
  const { collections } = selection.manifest;
  const ledger = openLedger(target);
  const { runs } = ledger;
  const key = keyOf(request);
  await checkpoint?.('lock-taken');
  await ledger.migrateUnderLock(plan.name, lease);
  const journal = ledger.journal(journalKeyOf(key));
  await adoptLocalRecord({ ...request, key, record: await runs.find(key), journal });
  const restored = await RestoredIds.read(journal);
  const run = new ApplyRun({ key, lease, runs, journal, lastBatch: restored.lastBatch, emit, checkpoint });
  const tally = new RevertTally(target.name, selection);
  try {
    await runs.save(key, run.fencing, { status: 'reverting' });
    await run.checkpoint('run-begun');
    for (const selected of collections) {
      const collection = await target.reader.collection(selected.into);
      if (collection !== undefined)
        await revertCollection({ request, run, restored, tally }, selected, collection);
      if (signal?.aborted) throw stoppedOnRequest();
    }
    await run.checkpoint('all-written');
    await journal.recordReverted();
    await runs.save(key, run.fencing, { status: 'reverted' });
    await run.checkpoint('run-recorded');
    return tally.report();
  } catch (error) {
    throw await asEndOfRun(error, { request, run, progress: { status: 'reverting' } });
  }
}
