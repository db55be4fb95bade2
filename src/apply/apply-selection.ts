/**
 * Applies a selection to one target, in this order:
 *
 * 1. The request is checked, for production the gate. No caller can leave any of it out.
 * 2. The lock is taken, and what an earlier run left behind is picked up: its local record, its journal.
 * 3. Missing collections are created; then batches go out, some in flight: look, intend, write, record.
 * 4. Everything is read back at majority and compared, byte by byte.
 * 5. The ledger says what came of it, and the lock is given back.
 *
 * Interrupted anywhere, the next run does the rest: a document is written only where the target has none of that `_id`, and
 * the journal knows which ones were ours. Not guaranteed: that nobody sees some documents before all of them are in.
 */
import { holdBack } from '../comparison/compare-with-target.ts';
import { requireMergeable } from '../comparison/fitness.ts';
import { freeLeftovers } from '../free-memory.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Lease } from '../ledger/lock.ts';
import type { Creation, RunCollection, RunCounts, RunRecord, RunStatus } from '../ledger/run-record.ts';
import { readRuns } from '../ledger/runs.ts';
import { EarlierRuns } from '../ledger/written.ts';
import type { Run } from '../run.ts';
import { PastReader } from '../selection/document-past.ts';
import { refuseRelaxed } from '../selection/refusals.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';
import { leftOutOf, recordExcepted } from './accept.ts';
import {
  mayOverwrite,
  refuseMatches,
  requireAdmission,
  requireAdmissionStill,
  requireExclusiveWord,
} from './admission.ts';
import { type Applying, applyCollection } from './apply-collection.ts';
import {
  type ApplyRequest,
  ApplyRun,
  type ChangeNotice,
  type Notice,
  type OtherSource,
} from './apply-run.ts';
import {
  type ApplyOutcome,
  countsOfThisRun,
  countsOverall,
  countsSoFar,
  Outcomes,
} from './document-outcome.ts';
import { adoptLocalRecord, asEndOfRun, discardForeign, holdLock, stoppedOnRequest } from './held-run.ts';
import {
  missingOf,
  otherSource,
  type Preparation,
  prepareCollection,
  preparedCollection,
  refuseOtherSource,
  requirePreparable,
  runStart,
} from './prepare-collection.ts';
import { unwrittenIn } from './restore-status.ts';
import { type Verification, verifySelection } from './verify-selection.ts';

export interface AppliedCollection extends RunCounts {
  readonly collection: string;
  readonly into: string;
}

export interface ApplyResult {
  readonly target: Target['name'];
  readonly digest: string;
  /** What this run did; a document that an earlier run wrote counts as identical. */
  readonly collections: readonly AppliedCollection[];
  /** Every document of the selection is in, or was left alone as the plan says, and was read back with its bytes. */
  readonly verified: boolean;
  readonly verification: Verification;
  /** Documents that did not go the ordinary way. */
  readonly notices: readonly Notice[];
  /** Undefined when no dry-run was remembered. */
  readonly sinceDryRun: SinceDryRun | undefined;
}

export interface SinceDryRun {
  /** When the dry-run looked, UTC milliseconds. */
  readonly seenAt: number;
  readonly count: number;
  /** The first of them. */
  readonly changes: readonly ChangeNotice[];
}

/**
 * Throws RestorePlanError: GATE, USAGE, LOCKED, TARGET or CONFLICTS (`whenMatched: fail`) before anything is written, or the signal's
 * reason; INCOMPLETE or LEDGER_UNSAVED when it stopped part-way. Aborted while documents are written, it finishes and records the
 * batches in hand first.
 */
export async function applySelection(run: Run, given: ApplyRequest): Promise<ApplyResult> {
  const { target } = given;
  const request = { ...given, selection: copyOf(given.selection) };
  refuseRelaxed(request.plan, request.selection.manifest);
  const runs = await readRuns(target.reader);
  await requireAdmission(run, { ...request, runs });
  const other = otherSource(request.plan, runs, target.reader);
  if (other !== undefined) await confirmOtherSource(run, request, other);
  // Looked at before anybody is asked, and before the lock, which is a write too.
  for (const selected of request.selection.manifest.collections) {
    await requirePreparable({ ...request, reader: target.reader }, selected);
    freeLeftovers();
  }
  requireExclusiveWord(target, request.exclusive === true, mayOverwrite(request.selection.manifest));
  await request.confirm?.();
  run.signal.throwIfAborted();
  const { actor, leaseMs } = request;
  return holdLock(run, { target, actor, leaseMs, command: 'apply' }, async (lease) => {
    await requireAdmissionStill(run, { ...request, runs: await readRuns(target.reader) });
    return applyUnderLock(run, request, lease);
  });
}

async function confirmOtherSource(
  { emit }: Run,
  { confirmPlan }: ApplyRequest,
  other: OtherSource,
): Promise<void> {
  emit({ type: 'warning', message: other.fact });
  if (confirmPlan === undefined) throw refuseOtherSource(other);
  await confirmPlan(other);
}

/** What is let in is what is written, whatever becomes of the caller's object. */
function copyOf({ directory, manifest }: Selection): Selection {
  const collections = manifest.collections.map((selected) => ({ ...selected }));
  return { directory, manifest: { ...manifest, collections } };
}

async function applyUnderLock(run: Run, request: ApplyRequest, lease: Lease): Promise<ApplyResult> {
  const { selection, target } = request;
  const key = { plan: request.plan.name, selection: selection.manifest.digest };
  await run.checkpoint('lock-taken');
  await openLedger(target).migrateUnderLock(key.plan, lease);
  const held = new ApplyRun(run, { target, lease }, key);
  await discardForeign(held);
  await adoptLocalRecord(held);
  const earlier = await EarlierRuns.read(held.journal, selection, (entry) => held.settleOpen(entry));
  held.lastBatch = earlier.lastBatch;
  const outcomes = new Map(
    selection.manifest.collections.map((selected) => [selected, new Outcomes(selected.count)]),
  );
  let record: RunRecord | undefined;
  // Refused here, this run has done nothing: the record stays what an earlier one has made of it.
  const leftOut = await leftOutOf(run, { plan: request.plan, selection, reader: target.reader });
  await refuseMatches(run, request, (selected, ordinal) => leftOut.note(selected, ordinal, 'different'));
  const pasts = selection.manifest.oplog && new PastReader(selection.directory);
  const applying: Applying = { held, request, earlier, leftOut, pasts, outcomes };
  try {
    await held.runs.begin(await runStart(request), held.fencing, recordOf(outcomes));
    record = await held.runs.find(key);
    await run.checkpoint('run-begun');
    const uuids = await prepareAll(held, request, record?.creations ?? []);
    sayStarted(applying);
    for (const selected of selection.manifest.collections) {
      const question = { plan: request.plan, selection, reader: target.reader };
      const collection = await preparedCollection(target.reader, selected.into, uuids.get(selected.into));
      await holdBack(run, question, leftOut, { selected, collection });
      await applyCollection(applying, selected, collection);
      if (run.signal.aborted) throw stoppedOnRequest();
    }
    run.emit({ type: 'apply-finished', target: target.name, written: held.written });
    const outcomesIn = new Map([...outcomes].map(([{ into }, each]) => [into, each]));
    await earlier.settle(held.journal, (into, ordinal) => outcomesIn.get(into)?.get(ordinal) === 'doubtful');
    await run.checkpoint('all-written');
    await held.runs.save(key, held.fencing, { status: 'applied', collections: recordOf(outcomes) });
    await recordLeftOut(applying, record);
    return await verified(applying);
  } catch (error) {
    const collections = countsSoFar(recordOf(outcomes), record?.collections ?? []);
    throw await asEndOfRun(error, held, { status: 'incomplete', collections });
  } finally {
    pasts?.close();
  }
}

function sayStarted({ held: { run }, request: { target, selection }, earlier }: Applying): void {
  const { collections } = selection.manifest;
  run.emit({
    type: 'apply-started',
    target: target.name,
    documents: collections.reduce((sum, { count }) => sum + count, 0),
    bytes: collections.reduce((sum, { bytes }) => sum + bytes, 0),
    resumed: earlier.lastBatch > 0,
  });
}

/** Reads everything back, and records what came of the run. */
async function verified({ held, request, outcomes }: Applying): Promise<ApplyResult> {
  const { run, lease, key } = held;
  const { selection, target, memory } = request;
  // A write that waited for the majority: what is read after it holds every write before it, whoever is primary now.
  await lease.renew();
  const verification = await verifySelection(run, {
    selection,
    reader: target.reader,
    expect: (selected, index) => expectationOf(outcomes, selected, index),
  });
  await run.checkpoint('verified');
  const applied = [...outcomes].map(([{ collection, into }, each]) => ({
    collection,
    into,
    ...countsOfThisRun(each.tally()),
  }));
  const isVerified = verification.failures === 0 && unwrittenIn(applied) === 0;
  const status: RunStatus = isVerified ? 'verified' : 'incomplete';
  await held.runs.save(key, held.fencing, { status, collections: recordOf(outcomes) });
  await run.checkpoint('run-recorded');
  return {
    target: target.name,
    digest: key.selection,
    collections: applied,
    verified: isVerified,
    verification,
    notices: held.notices,
    sinceDryRun: memory && { seenAt: memory.seenAt, count: held.changeCount, changes: held.changes },
  };
}

/**
 * What was accepted in the ledger stays there; what this run excepted beside it is written down, so that the gate knows. `before`: the
 * record as the run found it.
 */
async function recordLeftOut(
  { held: { key, fencing }, request, outcomes, leftOut }: Applying,
  before: RunRecord | undefined,
): Promise<void> {
  const { plan, selection, target, actor } = request;
  const excepted = [...recordOf(outcomes), ...(before?.collections ?? [])];
  if (excepted.every((counts) => counts.excepted === 0)) return;
  await recordExcepted(
    target,
    { key, fencing, actor: { user: actor.user, host: actor.host } },
    {
      selection,
      leftOut,
      isMeant: (selected, ordinal) =>
        outcomes.get(selected)?.get(ordinal) === 'excepted' &&
        leftOut.exceptedAs(selected.collection, ordinal) !== 'accepted',
      reasonOf: (collection, as) =>
        leftOut.reasonOf(collection, as) ?? `left out with what it depends on, by the plan ${plan.name}`,
    },
  );
}

type AllOutcomes = Applying['outcomes'];

/**
 * The record of a run names all creations and is written whole: three times for each collection would be 30,000 writes of up to a
 * megabyte for 10,000 collections. Those of a larger plan are recorded by the group: before its first creation, and after its last.
 */
const MOST_CREATION_GROUPS = 100;

/**
 * All collections before the first document: one that is unfit, or cannot be created, stops the run while nothing is written. Returns
 * their uuids, hex, by name in the target, where servers have them; descriptions of many with all their indexes would be too much to hold.
 */
async function prepareAll(
  held: ApplyRun,
  { plan, target, selection }: ApplyRequest,
  recorded: readonly Creation[],
): Promise<ReadonlyMap<string, string>> {
  const { emit, checkpoint } = held.run;
  const begun = new Map(recorded.map((creation) => [creation.into, creation]));
  const creations = new Map(begun);
  let unsaved = false;
  const save = async (): Promise<void> => {
    unsaved = false;
    await held.runs.saveCreations(held.key, held.fencing, [...creations.values()]);
  };
  const { collections } = selection.manifest;
  const together = Math.ceil(collections.length / MOST_CREATION_GROUPS);
  const preparation: Preparation = {
    plan,
    target,
    selection,
    creations: begun,
    recordCreation: async (creation) => {
      creations.set(creation.into, creation);
      if (together === 1) await save();
      else unsaved = true;
    },
    checkpoint,
    warn: (message) => held.warnOnce(message),
    onCreated: (name, indexes) =>
      emit({ type: 'collection-created', target: target.name, collection: name, indexes }),
  };
  const uuids = new Map<string, string>();
  for (let at = 0; at < collections.length; at += together) {
    const group = collections.slice(at, at + together);
    const intended = together === 1 ? [] : await missingOf(target.reader, group);
    for (const into of intended) creations.set(into, { into, done: false });
    if (intended.length > 0) await save();
    try {
      for (const selected of group) {
        const collection = await prepareCollection(preparation, selected);
        requireMergeable(target.reader, collection, selected);
        if (collection.uuid !== undefined) uuids.set(selected.into, collection.uuid.toString('hex'));
        freeLeftovers();
      }
      // Also one that somebody else made meanwhile, and that is left as it is.
      for (const into of intended) creations.set(into, { into, done: true });
    } catch (error) {
      // What is there already is ours; the fault itself matters more than that this cannot be said.
      await save().catch(() => undefined);
      throw error;
    }
    if (unsaved || intended.length > 0) await save();
  }
  return uuids;
}

function recordOf(outcomes: AllOutcomes): RunCollection[] {
  return [...outcomes].map(([{ collection, into, count }, each]) => {
    const tally = each.tally();
    const { discarded } = tally;
    return {
      ...{ collection, into, selected: count, ...countsOverall(tally) },
      ...(discarded > 0 && { discarded }),
    };
  });
}

function expectationOf(
  outcomes: AllOutcomes,
  selected: SelectedCollection,
  index: number,
): 'restored' | 'present' | 'ignored' {
  const outcome = outcomes.get(selected)?.get(index);
  if (outcome === 'kept') return 'present';
  return outcome === undefined || IS_NOT_WRITTEN.has(outcome) ? 'ignored' : 'restored';
}

const IS_NOT_WRITTEN: ReadonlySet<ApplyOutcome> = new Set([
  'conflict',
  'refused',
  'excepted',
  'heldBack',
  'discarded',
]);
