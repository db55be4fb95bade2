/**
 * What people say of a restore: that documents are left out, and that they agree.
 *
 * Accepted are documents that cannot be written to a target, or differ there, as they are at hand. Nothing of the
 * target's own documents is written; its ledger keeps their places and `_id`s, with those of the dependents that go with them. Then
 * comes what an apply knows by that, before it writes a document, and what the ledger keeps of it afterwards; and last the approval.
 */
import { advice } from '../advice.ts';
import { findId } from '../bson/documents.ts';
import { copyOf, type RawValue } from '../bson/types.ts';
import { compareWithTarget } from '../comparison/compare-with-target.ts';
import type { ComparedCollection, ComparedDocument, Encounter } from '../comparison/comparison.ts';
import { type ExceptedAs, exceptedClassOf, LeftOut } from '../comparison/left-out.ts';
import { RestorePlanError } from '../errors.ts';
import {
  ACCEPTED_TOGETHER,
  type AcceptedDocuments,
  type AcceptedPart,
  type AcceptedPlace,
  type LeftOutAs,
  readAccepted,
} from '../ledger/accepted.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Actor, RunCollection, RunRecord } from '../ledger/run-record.ts';
import { readRuns, runMeant } from '../ledger/runs.ts';
import { EXCEPTED_CLASSES, type ExceptedClass, overwrites, type Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { readInTurn } from '../selection/file-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { ServerIdentity, Target } from '../target/target.ts';
import { requireBelonging, requireOwnTarget } from './admission.ts';
import { ApplyRun } from './apply-run.ts';
import { countsOverall, Outcomes } from './document-outcome.ts';
import { roleObstacles } from './gate.ts';
import {
  type Approvals,
  approvalObstacle,
  approvalScope,
  judgeApprovals,
  loginObstacle,
  rulesOf,
  runsOfSelection,
} from './gate-rules.ts';
import { discardForeign, holdLock } from './held-run.ts';
import { runStart } from './prepare-collection.ts';

export interface AcceptRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  readonly actor: Actor & { readonly pid: number };
  readonly reason: string;
  /** Those of these classes; of `different` only where the plan does not replace them. */
  readonly classes?: readonly ExceptedClass[];
  /** Documents kept for showing, per class and collection. */
  readonly show: number;
  /** Called with what is at hand, before it is written down. Throwing ends it. */
  readonly confirm: (atHand: readonly AcceptableCollection[]) => Promise<void>;
}

/** What can be accepted of one collection. */
export interface AcceptableCollection {
  readonly collection: string;
  readonly into: string;
  readonly counts: Readonly<Record<ExceptedClass, number>>;
  /** Documents that are left out with others. */
  readonly dependents: number;
  /** The first of each class. */
  readonly documents: readonly ComparedDocument[];
}

export interface Acceptance {
  /** What was written down now; empty where nothing was at hand. */
  readonly collections: readonly AcceptableCollection[];
  /** Documents accepted for this selection in this target by now, and which ones; undefined for none. */
  readonly accepted: number;
  readonly digest: string | undefined;
}

/** Throws RestorePlanError GATE, LOCKED or TARGET, or what `confirm` throws, before anything is written. */
export async function acceptAtHand(run: Run, request: AcceptRequest): Promise<Acceptance> {
  const { plan, selection, target, classes = EXCEPTED_CLASSES, show } = request;
  const { reader } = target;
  requireBelonging(plan, selection, target);
  await requireRole(target);
  const question = { plan, selection, reader };
  const alreadyOut = await leftOutOf(run, question);
  const leftOut = await leftOutOf(run, question, ({ whenMatched }) =>
    classes.filter((each) => each !== 'different' || !overwrites({ whenMatched })),
  );
  const { collections } = await compareWithTarget(run, {
    ...{ ...question, leftOut, show },
    found: (selected, ordinal, documentClass) => {
      const excepted = exceptedClassOf(documentClass);
      if (excepted !== undefined) alreadyOut.note(selected, ordinal, excepted);
    },
  });
  for (const selected of selection.manifest.collections) await alreadyOut.holdBack(selected);
  const isMeant = ({ collection }: SelectedCollection, ordinal: number): boolean =>
    leftOut.of(collection, ordinal) === 'excepted' && alreadyOut.of(collection, ordinal) !== 'excepted';
  const documents: LeftOutDocuments = { selection, leftOut, isMeant, reasonOf: () => request.reason };
  const atHand = selection.manifest.collections
    .map((selected, i) => acceptable(selected, collections[i] as ComparedCollection, documents))
    .filter(({ counts, dependents }) => Object.values(counts).some((count) => count > 0) || dependents > 0);
  const key = { plan: plan.name, selection: selection.manifest.digest };
  if (atHand.every(({ counts }) => Object.values(counts).every((count) => count === 0))) {
    const { accepted, digest } = await readAccepted(reader, key);
    return { collections: [], accepted, digest };
  }
  await request.confirm(atHand);
  run.signal.throwIfAborted();
  return holdLock(run, { target, actor: request.actor, command: 'accept' }, async (lease) => {
    const ledger = openLedger(target);
    await ledger.migrateUnderLock(key.plan, lease);
    await discardForeign(new ApplyRun(run, { target, lease }, key));
    const { fencing } = lease;
    const start = await runStart(request);
    await ledger.runs.plan(start, fencing, nothingYet(selection));
    // The record goes ahead of the parts: an approval of what was accepted before must not outlive a kill between them.
    const { accepted, digest } = withNew(await readAccepted(reader, key), documents);
    await ledger.runs.saveAccepted(
      key,
      fencing,
      digest === undefined ? undefined : { count: accepted, digest, by: start.actor },
    );
    let number = 0;
    for await (const part of exceptedParts(documents)) {
      await lease.ensure();
      await ledger.accepted.write({ kind: 'accepted', key, fencing, actor: start.actor }, number++, part);
    }
    return { collections: atHand, accepted, digest };
  });
}

/** Takes back what was accepted for this selection; returns how many documents that were. A run that was verified without them is to be applied again. */
export async function withdrawAccepted(
  run: Run,
  request: Pick<AcceptRequest, 'plan' | 'selection' | 'target' | 'actor'> & {
    readonly confirm: (count: number) => Promise<void>;
  },
): Promise<number> {
  const { plan, selection, target, actor, confirm } = request;
  requireBelonging(plan, selection, target);
  await requireRole(target);
  const key = { plan: plan.name, selection: selection.manifest.digest };
  const { accepted: count } = await readAccepted(target.reader, key);
  if (count === 0) return 0;
  await confirm(count);
  return holdLock(run, { target, actor, command: 'accept' }, async ({ fencing }) => {
    const ledger = openLedger(target);
    // First, so that nothing counts as verified that is not.
    await ledger.runs.withdrawVerified([{ key }]);
    await ledger.accepted.withdraw({ key, actor: { user: actor.user, host: actor.host } });
    await ledger.runs.saveAccepted(key, fencing, undefined);
    return count;
  });
}

/** What will be accepted when these are written down. */
function withNew(known: AcceptedDocuments, { selection, isMeant }: LeftOutDocuments): AcceptedDocuments {
  for (const selected of selection.manifest.collections) {
    for (let ordinal = 0; ordinal < selected.count; ordinal++)
      if (isMeant(selected, ordinal)) known.accept(selected.collection, ordinal);
  }
  return known;
}

/** A ledger that is recorded as the other target's takes no word for this one. */
async function requireRole({ name, reader }: Target): Promise<void> {
  const { database, identity } = reader;
  const [obstacle] = roleObstacles(name, { database, identity, runs: await readRuns(reader) });
  if (obstacle === undefined) return;
  throw new RestorePlanError('GATE', `refused: ${obstacle.fact}`, { hint: obstacle.remedy });
}

function acceptable(
  selected: SelectedCollection,
  { documents }: ComparedCollection,
  { leftOut, isMeant }: LeftOutDocuments,
): AcceptableCollection {
  const { collection, into, count } = selected;
  const counts = { conflict: 0, refused: 0, different: 0 };
  let dependents = 0;
  for (let ordinal = 0; ordinal < count; ordinal++) {
    if (!isMeant(selected, ordinal)) continue;
    const as: ExceptedAs = leftOut.exceptedAs(collection, ordinal);
    if (as === 'dependent') dependents++;
    else counts[as as ExceptedClass]++;
  }
  const shown = documents.filter(({ index }) => isMeant(selected, index));
  return { collection, into, counts, dependents, documents: shown };
}

function nothingYet({ manifest }: Selection): RunCollection[] {
  const counts = countsOverall(new Outcomes(0).tally());
  return manifest.collections.map(({ collection, into, count }) => ({
    ...{ collection, into, selected: count },
    ...counts,
  }));
}

/** With everything marked that is excepted by name, in the plan or in the target's ledger. */
export async function leftOutOf(
  { signal }: Run,
  encounter: Encounter,
  alsoExcepted?: (selected: SelectedCollection) => readonly ExceptedClass[],
): Promise<LeftOut> {
  const { plan, selection, reader } = encounter;
  const accepted = await readAccepted(reader, { plan: plan.name, selection: selection.manifest.digest });
  const leftOut = new LeftOut(signal, encounter, { accepted, alsoExcepted });
  for (const selected of selection.manifest.collections) await leftOut.mark(selected);
  return leftOut;
}

interface LeftOutDocuments {
  readonly selection: Selection;
  readonly leftOut: LeftOut;
  /** Which of the documents that are excepted are meant. */
  readonly isMeant: (selected: SelectedCollection, ordinal: number) => boolean;
  /** Why; of the class, where the plan says nothing. */
  readonly reasonOf: (collection: string, as: ExceptedAs) => string;
}

/** Documents that are left out by decision, in parts for the ledger, with their `_id`s. */
async function* exceptedParts({
  selection,
  leftOut,
  isMeant,
  reasonOf,
}: LeftOutDocuments): AsyncGenerator<AcceptedPart, void, undefined> {
  for (const selected of selection.manifest.collections) {
    const { collection, count } = selected;
    let many = 0;
    for (let ordinal = 0; ordinal < count; ordinal++) if (isMeant(selected, ordinal)) many++;
    if (many === 0) continue;
    const open = new Map<ExceptedAs, { ids: RawValue[]; ordinals: number[] }>();
    const closed = (as: ExceptedAs): AcceptedPart[] => {
      const part = open.get(as);
      open.delete(as);
      if (part === undefined) return [];
      return [{ collection, as: as as LeftOutAs, reason: reasonOf(collection, as), ...part }];
    };
    for await (const { bytes, offsets, first } of readInTurn(selection, collection)) {
      for (let i = 0; i < offsets.length; i++) {
        const id = isMeant(selected, first + i) ? findId(bytes, offsets[i]) : undefined;
        if (id === undefined) continue;
        const as = leftOut.exceptedAs(collection, first + i);
        const part = open.get(as) ?? { ids: [], ordinals: [] };
        open.set(as, part);
        part.ids.push(copyOf(id));
        part.ordinals.push(first + i);
        if (part.ids.length === ACCEPTED_TOGETHER) yield* closed(as);
      }
    }
    for (const as of [...open.keys()]) yield* closed(as);
  }
}

/** Writes down what this apply left out by the plan's exceptions, and forgets what an earlier one did. */
export async function recordExcepted(
  target: Target,
  place: Omit<AcceptedPlace, 'kind'>,
  documents: LeftOutDocuments,
): Promise<void> {
  const { accepted } = openLedger(target);
  let number = 0;
  for await (const part of exceptedParts(documents)) {
    await accepted.write({ ...place, kind: 'applied' }, number++, part);
  }
  await accepted.dropAppliedBefore(place.key, place.fencing);
}

// Records that a second person has looked at the verified staging run, or at what was accepted in production, and agrees.

export interface ApprovalRequest {
  readonly plan: Plan;
  /** Staging: its verified run is approved. Production: what was accepted there. */
  readonly target: Target;
  readonly actor: Actor;
  /** Of the selection that the approver saw; another one is not approved. */
  readonly digest?: string | undefined;
  /** The server of production as the approver reaches it; undefined where they do not: then its database is approved by name. */
  readonly production?: ServerIdentity | undefined;
}

export interface ApprovedRun extends Approvals {
  readonly digest: string;
}

/** Throws GATE when there is no verified run to approve, or the approval would not count. */
export async function approveRun(request: ApprovalRequest): Promise<ApprovedRun> {
  const { plan, target, actor, digest } = request;
  requireOwnTarget(plan, target);
  const { reader } = target;
  const production = target.name === 'production' ? reader.identity : request.production;
  const all = await readRuns(reader);
  const run = runMeant(all, plan, reader);
  if (run === undefined || !isApprovable(run) || run.plan.digest !== plan.digest)
    throw nothingToApprove(plan, target, run);
  if (digest !== undefined && run.key.selection !== digest) throw appliedSince(target);
  const rules = rulesOf(plan, runsOfSelection(all, run.key.selection, reader));
  const approver = { user: actor.user, host: actor.host, serverUser: await reader.authenticatedUser() };
  const obstacle =
    loginObstacle(rules, approver.serverUser, target.name) ??
    approvalObstacle(run, approver, rules.approvalsBy);
  if (obstacle !== undefined) throw new RestorePlanError('GATE', obstacle.fact, { hint: obstacle.remedy });
  const { runs, migrate } = openLedger(target);
  await migrate(plan.name, actor);
  const scope = approvalScope(plan, run, production);
  const before = judgeApprovals(run, rules, scope).given.length;
  const added = { ...run, approvals: [...run.approvals, { ...approver, at: new Date(), of: scope }] };
  const isNew = judgeApprovals(added, rules, scope).given.length > before;
  if (isNew && !(await runs.approve(run.key, approver, scope))) throw nothingToApprove(plan, target, run);
  const approved = (await runs.find(run.key)) ?? run;
  return { digest: run.key.selection, ...judgeApprovals(approved, rules, scope) };
}

/** There is something that a second person may approve. */
export function isApprovable({ target, status, acceptedDigest }: RunRecord): boolean {
  return target === 'staging' ? status === 'verified' : acceptedDigest !== undefined;
}

function appliedSince({ name }: Target): RestorePlanError {
  return new RestorePlanError('GATE', `another selection came to ${name} while you looked at this one`, {
    hint: advice`Run ${{ command: 'approve' }} again, and look at what it shows now.`,
  });
}

function nothingToApprove(plan: Plan, { name }: Target, run: RunRecord | undefined): RestorePlanError {
  if (name === 'production') {
    return new RestorePlanError(
      'GATE',
      'there is nothing to approve: nothing was accepted in production for this plan',
      {
        hint: advice`What was applied to staging is approved by ${{ command: 'approve' }}. Documents to be left out of production are written down by ${{ command: 'accept', target: 'production' }}.`,
      },
    );
  }
  const fact =
    run === undefined
      ? 'the plan was not applied to staging'
      : run.plan.digest === plan.digest
        ? `the run on staging is ${run.status}, not verified`
        : 'the plan has changed since it was applied to staging';
  return new RestorePlanError('GATE', `there is nothing to approve: ${fact}`, {
    hint: advice`Run ${{ command: 'apply', target: 'staging' }} until it ends verified; then approve what it did.`,
    facts: { status: run?.status ?? null },
  });
}
