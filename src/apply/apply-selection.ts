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
import type { LeftOut } from '../comparison/left-out.ts';
import type { TargetMemory } from '../comparison/target-memory.ts';
import { journalKeyOf } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Lease } from '../ledger/lock.ts';
import type {
  Actor,
  Creation,
  RunCollection,
  RunCounts,
  RunRecord,
  RunStatus,
} from '../ledger/run-record.ts';
import { readRuns } from '../ledger/runs.ts';
import { EarlierRuns } from '../ledger/written.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { refuseRelaxed } from '../selection/refusals.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { accessTo, type Target, type TargetCollection, type TargetReader } from '../target/target.ts';
import { leftOutOf, recordExcepted } from './accept.ts';
import {
  mayOverwrite,
  refuseMatches,
  requireAdmission,
  requireAdmissionStill,
  requireExclusiveWord,
} from './admission.ts';
import { applyCollection } from './apply-collection.ts';
import { ApplyRun, type ChangeNotice, type Notice } from './apply-run.ts';
import { adoptLocalRecord, asEndOfRun, discardForeign, holdLock, stoppedOnRequest } from './held-run.ts';
import { type ApplyOutcome, countsOfThisRun, countsOverall, countsSoFar, Outcomes } from './outcome.ts';
import {
  missingOf,
  type OtherSource,
  otherSource,
  type Preparation,
  prepareCollection,
  refuseOtherSource,
  requirePreparable,
  runStart,
} from './prepare-collection.ts';
import { unwrittenIn } from './restore-status.ts';
import { type Verification, verifySelection } from './verify-selection.ts';
import { settleOpenBatch } from './write-documents.ts';

export interface ApplyRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  /** For production: a reader of staging, without which the gate stays shut. For staging: of production, where reachable. */
  readonly other: TargetReader | undefined;
  readonly actor: Actor & { readonly pid: number };
  /** The last word of whoever asked: called when the run is admitted and nothing is written. Throwing ends it. */
  readonly confirm?: () => Promise<void>;
  /**
   * Called when a plan of this name was applied there from another source, before anything is written. Throwing ends the run;
   * without it, such a run is refused.
   */
  readonly confirmPlan?: (other: OtherSource) => Promise<void>;
  /** The operator's word that nobody else writes meanwhile: needed to replace documents of a standalone, which has no transactions. */
  readonly exclusive?: boolean;
  /** What the last dry-run saw; documents that are others now are named in the result. */
  readonly memory?: TargetMemory | undefined;
  readonly leaseMs?: number;
}

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
  const { digest, collections } = selection.manifest;
  const ledger = openLedger(target);
  const key = { plan: request.plan.name, selection: digest };
  await run.checkpoint('lock-taken');
  await ledger.migrateUnderLock(key.plan, lease);
  const journal = ledger.journal(journalKeyOf(key));
  await discardForeign(run, { target, key, lease });
  await adoptLocalRecord(run, { target, key, record: await ledger.runs.find(key), journal });
  const { writer } = accessTo(target);
  const earlier = await EarlierRuns.read(journal, selection, async (entry) => {
    await lease.ensure();
    const end = await settleOpenBatch(target.reader, writer, entry);
    if (end !== undefined) await journal.record(end);
    return end;
  });
  const { runs } = ledger;
  const held = new ApplyRun(run, { key, lease, runs, journal, lastBatch: earlier.lastBatch, writer });
  const outcomes = new Map(collections.map((selected) => [selected, new Outcomes(selected.count)]));
  let record: RunRecord | undefined;
  // Refused here, this run has done nothing: the record stays what an earlier one has made of it.
  const leftOut = await leftOutOf(run, { plan: request.plan, selection, reader: target.reader });
  await refuseMatches(run, request, (selected, ordinal) => leftOut.note(selected, ordinal, 'different'));
  try {
    await ledger.runs.begin(await runStart(request), held.fencing, recordOf(outcomes));
    record = await ledger.runs.find(key);
    await run.checkpoint('run-begun');
    const prepared = await prepareAll(run, request, held, record?.creations ?? []);
    await writeAll(run, request, { held, prepared, earlier, outcomes, leftOut });
    const outcomesIn = new Map([...outcomes].map(([{ into }, each]) => [into, each]));
    await earlier.settle(journal, (into, ordinal) => outcomesIn.get(into)?.get(ordinal) === 'doubtful');
    await run.checkpoint('all-written');
    await ledger.runs.save(key, held.fencing, { status: 'applied', collections: recordOf(outcomes) });
    await recordLeftOut(request, held, { outcomes, leftOut, before: record });
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
    const verified = verification.failures === 0 && unwrittenIn(applied) === 0;
    const status: RunStatus = verified ? 'verified' : 'incomplete';
    await ledger.runs.save(key, held.fencing, { status, collections: recordOf(outcomes) });
    await run.checkpoint('run-recorded');
    return {
      target: target.name,
      digest,
      collections: applied,
      verified,
      verification,
      notices: held.notices,
      sinceDryRun: request.memory && {
        seenAt: request.memory.seenAt,
        count: held.changeCount,
        changes: held.changes,
      },
    };
  } catch (error) {
    throw await asEndOfRun(error, {
      target,
      workDirectory: run.workDirectory,
      run: held,
      progress: {
        status: 'incomplete',
        collections: countsSoFar(recordOf(outcomes), record?.collections ?? []),
      },
    });
  }
}

interface LeftOutOfRun {
  readonly outcomes: AllOutcomes;
  readonly leftOut: LeftOut;
  /** As the run found it. */
  readonly before: RunRecord | undefined;
}

/** What was accepted in the ledger stays there; what this run excepted beside it is written down, so that the gate knows. */
async function recordLeftOut(
  { plan, selection, target, actor }: ApplyRequest,
  { key, fencing }: ApplyRun,
  { outcomes, leftOut, before }: LeftOutOfRun,
): Promise<void> {
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

type AllOutcomes = Map<SelectedCollection, Outcomes>;

/**
 * The record of a run names all creations and is written whole: three times for each collection would be 30,000 writes of up to a
 * megabyte for 10,000 collections. Those of a larger plan are recorded by the group: before its first creation, and after its last.
 */
const MOST_CREATION_GROUPS = 100;

/** All collections before the first document: one that is unfit, or cannot be created, stops the run while nothing is written. */
async function prepareAll(
  { emit, checkpoint }: Run,
  { plan, target, selection }: ApplyRequest,
  held: ApplyRun,
  recorded: readonly Creation[],
): Promise<Map<SelectedCollection, TargetCollection>> {
  const { runs } = openLedger(target);
  const begun = new Map(recorded.map((creation) => [creation.into, creation]));
  const creations = new Map(begun);
  let unsaved = false;
  const save = async (): Promise<void> => {
    unsaved = false;
    await runs.saveCreations(held.key, held.fencing, [...creations.values()]);
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
  const prepared = new Map<SelectedCollection, TargetCollection>();
  for (let at = 0; at < collections.length; at += together) {
    const group = collections.slice(at, at + together);
    const intended = together === 1 ? [] : await missingOf(target.reader, group);
    for (const into of intended) creations.set(into, { into, done: false });
    if (intended.length > 0) await save();
    try {
      for (const selected of group) prepared.set(selected, await prepareCollection(preparation, selected));
      // Also one that somebody else made meanwhile, and that is left as it is.
      for (const into of intended) creations.set(into, { into, done: true });
    } catch (error) {
      // What is there already is ours; the fault itself matters more than that this cannot be said.
      await save().catch(() => undefined);
      throw error;
    }
    if (unsaved || intended.length > 0) await save();
  }
  return prepared;
}

interface Writing {
  readonly held: ApplyRun;
  readonly prepared: Map<SelectedCollection, TargetCollection>;
  readonly earlier: EarlierRuns;
  readonly outcomes: AllOutcomes;
  readonly leftOut: LeftOut;
}

async function writeAll(
  run: Run,
  request: ApplyRequest,
  { held, prepared, earlier, outcomes, leftOut }: Writing,
): Promise<void> {
  const { plan, target, selection } = request;
  const { emit, signal } = run;
  const { collections } = selection.manifest;
  emit({
    type: 'apply-started',
    target: target.name,
    documents: collections.reduce((sum, { count }) => sum + count, 0),
    bytes: collections.reduce((sum, { bytes }) => sum + bytes, 0),
    resumed: earlier.lastBatch > 0,
  });
  let written = 0;
  let bytes = 0;
  const question = { plan, selection, reader: target.reader };
  for (const [selected, collection] of prepared) {
    await holdBack(run, question, leftOut, { selected, collection });
    await applyCollection(held, {
      leftOut,
      target,
      selection,
      selected,
      collection,
      earlier,
      memory: request.memory,
      outcomes: outcomes.get(selected) as Outcomes,
      exclusive: request.exclusive === true,
      onProgress: (documents, size) => {
        written += documents;
        bytes += size;
        emit({ type: 'apply-progress', target: target.name, written, bytes });
      },
    });
    if (signal.aborted) throw stoppedOnRequest();
  }
  emit({ type: 'apply-finished', target: target.name, written });
}

function recordOf(outcomes: AllOutcomes): RunCollection[] {
  return [...outcomes].map(([{ collection, into, count }, each]) => ({
    collection,
    into,
    selected: count,
    ...countsOverall(each.tally()),
  }));
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

const IS_NOT_WRITTEN: ReadonlySet<ApplyOutcome> = new Set(['conflict', 'refused', 'excepted', 'heldBack']);
