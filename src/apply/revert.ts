/**
 * Takes what a plan wrote into a target out again, exactly as far as this tool wrote it and nobody has touched it since.
 *
 * The ledger is all that is needed: the journal says of every document which bytes were written (their SHA-256), and holds what
 * was there before. No plan, no backup, no selection; only runs of format 1, which kept no hashes, need the documents again.
 *
 * 1. `previewRevert` looks, without writing: what would be removed or put back, what not and why.
 * 2. `revertPlan` does it under the lock. Batches that a run left open when it died are settled first. Then the journals of all
 *    runs are undone entry by entry, the last one written first, so that what was there before every run comes back: a document
 *    that one run inserted and a later one replaced is put back, then removed. Each batch is journalled like a write.
 *
 * Interrupted, the next revert goes on; done, another one finds nothing to do. Collections that were created stay, empty or not.
 * Not guaranteed: that nobody sees some documents gone and others not yet.
 */
import { advice } from '../advice.ts';
import { showValue } from '../bson/show.ts';
import { mapConcurrently } from '../comparison/meet.ts';
import { RestorePlanError } from '../errors.ts';
import { freeLeftovers } from '../free-memory.ts';
import type { Journal } from '../ledger/journal.ts';
import { isRestore, type JournalEntry } from '../ledger/journal-entry.ts';
import { journalKeyOf } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Lease } from '../ledger/lock.ts';
import { type Actor, isCounted, type RunRecord, writtenOf } from '../ledger/run-record.ts';
import { isForeign, readRuns, runsOfPlan } from '../ledger/runs.ts';
import type { Run } from '../run.ts';
import type { Selection } from '../selection/selection.ts';
import type { Target, TargetCollection, TargetReader } from '../target/target.ts';
import { requireExclusiveWord } from './admission.ts';
import { ApplyRun } from './apply-run.ts';
import { adoptLocalRecord, asEndOfRun, holdLock, stoppedOnRequest } from './held-run.ts';
import {
  isLeft,
  lookAtEntry,
  type RevertedDocument,
  type RevertReport,
  RevertTally,
  takeBackPart,
  type WrittenEntry,
  withHashes,
} from './revert-entry.ts';

/** Entries of one kind that are undone side by side, so that the server is kept busy. */
const ENTRIES_IN_FLIGHT = 3;

export interface RevertRequest {
  /** Name of the plan. */
  readonly plan: string;
  /** Digest of one selection, or the beginning of it; undefined: every run of the plan. */
  readonly selection?: string | undefined;
  readonly target: Target;
  readonly actor: Actor & { readonly pid: number };
  /** Called before anything is written, with the runs that will be reverted, newest first. Throwing ends the revert. */
  readonly confirm?: (runs: readonly RunRecord[]) => Promise<void>;
  /** The documents of a run of format 1, kept or selected again. Throws where they cannot be had. */
  readonly selectionOf?: (run: RunRecord) => Promise<Selection>;
  /** The operator's word that nobody else writes meanwhile: needed on a standalone, which has no transactions. */
  readonly exclusive?: boolean;
  readonly leaseMs?: number;
}

/**
 * Runs of the plan that a revert would take back, newest first: all that are not reverted, of this database and not of a copy.
 * Throws RestorePlanError USAGE for a selection that none or several have, GATE when they are recorded for the other target.
 */
export async function runsToRevert(asked: Asked): Promise<RunRecord[]> {
  return (await runsAsked(asked)).filter(isToRevert);
}

function isToRevert({ status }: RunRecord): boolean {
  return status !== 'reverted' && status !== 'planned';
}

type Asked = Pick<RevertRequest, 'plan' | 'selection' | 'target'>;

/** Also those that are reverted. */
async function runsAsked({ plan, selection, target: { name, reader } }: Asked): Promise<RunRecord[]> {
  const all = runsOfPlan(await readRuns(reader), { name: plan }, reader);
  const chosen = selection === undefined ? all : all.filter(({ key }) => key.selection.startsWith(selection));
  if (selection !== undefined && chosen.length !== 1) throw noSuchRun(all, selection, chosen.length);
  const swapped = chosen.find((run) => run.target !== name);
  if (swapped !== undefined) {
    throw new RestorePlanError(
      'GATE',
      `the database ${reader.database} given as ${name} is recorded in its own ledger as ${swapped.target}`,
      {
        hint: advice`Check the connection strings, or revert with \`${{ option: 'target', value: swapped.target }}\`.`,
      },
    );
  }
  return chosen;
}

/** Reads only. */
export async function previewRevert({ emit, signal }: Run, request: RevertRequest): Promise<RevertReport> {
  const asked = await runsAsked(request);
  const runs = asked.filter(isToRevert);
  const tally = new RevertTally(runs);
  const { target } = request;
  const looks = new Looks(target.reader);
  let done = 0;
  emit({ type: 'revert-started', target: target.name, ...writtenIn(runs), isPreview: true });
  await undo(request, { runs, tally }, async ({ run, entry, journal }) => {
    signal.throwIfAborted();
    const place = { reader: target.reader, collection: await looks.collection(entry.into) };
    for await (const { ids, documents } of lookAtEntry(place, entry, journal)) {
      count(tally, { run, entry, documents }, (position) => showValue(ids.id(position)));
      done += documents.length;
      emit({ type: 'revert-progress', target: target.name, done });
    }
  });
  emit({ type: 'revert-finished', target: target.name, done, isPreview: true });
  return tally.report(placeOf(request, asked));
}

/**
 * Throws RestorePlanError: USAGE, GATE, LOCKED, BACKUP (documents of a run of format 1) or TARGET before anything is written, or the
 * signal's reason; INCOMPLETE or LEDGER_UNSAVED when it stopped part-way.
 */
export async function revertPlan(run: Run, request: RevertRequest): Promise<RevertReport> {
  const asked = await runsAsked(request);
  const runs = asked.filter(isToRevert);
  if (runs.length === 0) return new RevertTally([]).report(placeOf(request, asked));
  requireExclusiveWord(request.target, request.exclusive === true, true);
  await request.confirm?.(runs);
  run.signal.throwIfAborted();
  const { target, actor, leaseMs } = request;
  return holdLock(run, { target, actor, leaseMs, command: 'revert' }, (lease) =>
    revertUnderLock(run, request, lease),
  );
}

async function revertUnderLock(run: Run, request: RevertRequest, lease: Lease): Promise<RevertReport> {
  const { plan, target } = request;
  const ledger = openLedger(target);
  await run.checkpoint('lock-taken');
  await ledger.migrateUnderLock(plan, lease);
  const asked = await runsAsked(request);
  const records = asked.filter(isToRevert);
  const tally = new RevertTally(records);
  const runs = new Map<RunRecord, ApplyRun>();
  for (const record of records) {
    const held = new ApplyRun(run, { target, lease }, record.key);
    await prepareRun(held);
    runs.set(record, held);
  }
  const [newest] = runs.values();
  if (newest === undefined) return tally.report(placeOf(request, asked));
  let current = newest;
  try {
    await ledger.runs.withdrawVerified(await otherVerifiedRuns(request, records));
    const exclusive = request.exclusive === true ? request.actor : undefined;
    for (const [{ key }, { fencing }] of runs) {
      await ledger.runs.save(key, fencing, { status: 'reverting', exclusive });
    }
    await run.checkpoint('run-begun');
    await takeBackAll(run, request, { records, runs, tally, onRun: (held) => (current = held) });
    await run.checkpoint('all-written');
    for (const [record, { fencing }] of [...runs].reverse()) {
      const progress = { status: 'reverted', left: tally.leftOf(record) } as const;
      await ledger.runs.save(record.key, fencing, progress);
    }
    await run.checkpoint('run-recorded');
    return tally.report(placeOf(request, asked));
  } catch (error) {
    throw await asEndOfRun(error, current, { status: 'reverting' });
  }
}

/** Picks up what an earlier run of it left behind: its local record, and batches of which nobody knew what came. */
async function prepareRun(held: ApplyRun): Promise<void> {
  const { journal } = held;
  await adoptLocalRecord(held);
  for await (const entry of journal.entriesBackwards()) {
    held.lastBatch = Math.max(held.lastBatch, entry.batch);
    if (entry.state !== 'intended') continue;
    const end = await held.settleOpen(entry);
    if (end === undefined) {
      await journal.record({ batch: entry.batch, skipped: [], doubtful: [...entry.ids.keys()] });
    }
  }
}

interface Reverting {
  readonly records: readonly RunRecord[];
  readonly runs: ReadonlyMap<RunRecord, ApplyRun>;
  readonly tally: RevertTally;
  readonly onRun: (held: ApplyRun) => void;
}

async function takeBackAll(
  { emit, signal, checkpoint }: Run,
  request: RevertRequest,
  { records, runs, tally, onRun }: Reverting,
): Promise<void> {
  const { target, exclusive = false } = request;
  const looks = new Looks(target.reader);
  let done = 0;
  emit({ type: 'revert-started', target: target.name, ...writtenIn(records), isPreview: false });
  await undo(request, { runs: records, tally }, async ({ run: record, entry, journal }) => {
    if (signal.aborted) throw stoppedOnRequest();
    const run = runs.get(record) as ApplyRun;
    onRun(run);
    const place = { reader: target.reader, collection: await looks.collection(entry.into) };
    const taking = { ...place, run, exclusive };
    const left: number[] = [];
    for await (const part of lookAtEntry(place, entry, journal)) {
      await checkpoint('batch-compared');
      const documents = await takeBackPart(taking, entry, part);
      count(tally, { run: record, entry, documents }, (position) => showValue(part.ids.id(position)));
      for (const document of documents) if (isLeft(document)) left.push(document.position);
      done += documents.length;
      emit({ type: 'revert-progress', target: target.name, done });
    }
    await journal.recordReverted(entry.batch, { positions: left, fencing: run.fencing });
  });
  emit({ type: 'revert-finished', target: target.name, done, isPreview: false });
}

interface ToUndo {
  readonly runs: readonly RunRecord[];
  readonly tally: RevertTally;
}

interface Undoing {
  readonly run: RunRecord;
  readonly entry: WrittenEntry;
  readonly journal: Journal;
}

/**
 * Calls `work` for every entry that was not taken back yet, the last one first. Inserts go side by side, as no two of them stand for
 * one document that both wrote and that is there; a replace or merge, which counts as heavy, waits for what was written after it.
 */
async function undo(
  request: RevertRequest,
  all: ToUndo,
  work: (undoing: Undoing) => Promise<void>,
): Promise<void> {
  const weigh = ({ entry }: Undoing): number => (entry.action === 'insert' ? 0 : Number.POSITIVE_INFINITY);
  const undone = mapConcurrently(lastFirst(request, all), { inFlight: ENTRIES_IN_FLIGHT, weigh }, work);
  for await (const _ of undone) freeLeftovers();
}

/**
 * The entries of all runs in the reverse order of their writing: every taking of the lock has a higher fencing number than those
 * before, and under one lock batches are numbered.
 */
async function* lastFirst(
  { target, selectionOf }: RevertRequest,
  { runs, tally }: ToUndo,
): AsyncGenerator<Undoing, void, undefined> {
  const sources = runs.map((run) => {
    const journal = openLedger(target).journal(run.journalKey);
    const entries = withHashes(written(journal, run, tally), () => documentsOf(run, selectionOf));
    return { run, journal, entries };
  });
  const heads = await Promise.all(sources.map(async ({ entries }) => (await entries.next()).value));
  for (;;) {
    let newest = -1;
    for (const [i, head] of heads.entries()) {
      if (head && (newest < 0 || isLater(head, heads[newest] as WrittenEntry))) newest = i;
    }
    const source = sources[newest];
    if (source === undefined) return;
    yield { run: source.run, journal: source.journal, entry: heads[newest] as WrittenEntry };
    heads[newest] = (await source.entries.next()).value;
  }
}

function isLater(a: JournalEntry, b: JournalEntry): boolean {
  return a.fencing === b.fencing ? a.batch > b.batch : a.fencing > b.fencing;
}

/** With the entries of which a revert that was cut off left documents alone: whoever goes on with it has to name those, too. */
async function* written(
  journal: Journal,
  run: RunRecord,
  tally: RevertTally,
): AsyncGenerator<JournalEntry, void, undefined> {
  const applied = run.gate?.fencing ?? 0;
  for await (const entry of journal.entriesBackwards()) {
    // Of an older entry without a number nobody knows which revert it was: nothing is called lost for it.
    const isTakenBack = entry.state === 'reverted' && (entry.revertedUnder ?? applied + 1) > applied;
    if (isTakenBack && run.status === 'reverting') tally.addTakenBack(run, entry);
    if (isRestore(entry) || (entry.left?.fencing ?? 0) > applied) yield entry;
  }
}

function documentsOf(run: RunRecord, selectionOf: RevertRequest['selectionOf']): Promise<Selection> {
  if (selectionOf !== undefined) return selectionOf(run);
  throw new RestorePlanError(
    'BACKUP',
    `the run of selection ${run.key.selection.slice(0, 12)} was recorded by an older version, which kept no hashes of its documents`,
    {
      hint: advice`Run ${{ command: 'revert' }} with the plan file, where the selection is kept or the backup can be read: it compares with those documents.`,
      facts: { selection: run.key.selection },
    },
  );
}

function count(
  tally: RevertTally,
  { run, entry, documents }: { run: RunRecord; entry: JournalEntry; documents: readonly RevertedDocument[] },
  showId: (position: number) => string,
): void {
  for (const { position, outcome } of documents) {
    tally.add(run, { into: entry.into, outcome, showId: () => showId(position) });
  }
}

/** Verified runs, also of other plans, that have documents in collections that are about to lose some. */
async function otherVerifiedRuns(
  { target: { reader } }: RevertRequest,
  reverting: readonly RunRecord[],
): Promise<RunRecord[]> {
  const touched = new Set(reverting.flatMap(({ collections }) => collections.map(({ into }) => into)));
  const own = new Set(reverting.map(({ key }) => journalKeyOf(key)));
  const runs = await readRuns(reader);
  return runs.filter(
    (run) =>
      run.status === 'verified' &&
      !isForeign(run, reader) &&
      !own.has(journalKeyOf(run.key)) &&
      run.collections.some(({ into }) => touched.has(into)),
  );
}

function noSuchRun(all: readonly RunRecord[], selection: string, found: number): RestorePlanError {
  const known = all.map(({ key, status }) => `${key.selection.slice(0, 12)} (${status})`).join(', ');
  return new RestorePlanError(
    'USAGE',
    found === 0
      ? `no run of this plan has the selection ${selection}`
      : `${found} runs of this plan have a selection that begins with ${selection}`,
    { hint: known === '' ? 'The ledger has no run of this plan.' : `The runs are: ${known}.` },
  );
}

function writtenIn(runs: readonly RunRecord[]): { readonly documents?: number } {
  if (runs.some((run) => !isCounted(run))) return {};
  return { documents: runs.reduce((sum, { collections }) => sum + writtenOf(collections), 0) };
}

/** What a report says beside what was done. `asked`: as this revert has found them, so that what it leaves alone itself is not in it. */
function placeOf(
  { target, plan }: RevertRequest,
  asked: readonly RunRecord[],
): Omit<RevertReport, 'runs' | 'untouched' | 'unnamed'> {
  const over = asked.filter(({ status }) => status === 'reverted');
  const leftBefore = over.reduce((sum, { left }) => sum + left, 0);
  return { target: target.name, database: target.reader.database, plan, leftBefore };
}

/** The entries of a collection mostly follow each other; many descriptions with all their indexes would be too much to hold. */
const MOST_LOOKS = 100;

/** Descriptions of collections, those asked for last. */
class Looks {
  readonly #reader: TargetReader;
  readonly #collections = new Map<string, Promise<TargetCollection | undefined>>();

  constructor(reader: TargetReader) {
    this.#reader = reader;
  }

  collection(name: string): Promise<TargetCollection | undefined> {
    const known = this.#collections.get(name) ?? this.#reader.collection(name);
    this.#collections.delete(name);
    this.#collections.set(name, known);
    const [oldest] = this.#collections.keys();
    if (this.#collections.size > MOST_LOOKS && oldest !== undefined) this.#collections.delete(oldest);
    return known;
  }
}
