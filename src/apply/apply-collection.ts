/** Applies one collection of the selection: its batches meet the target, a few in flight; of each part: decide, intend, write, record. */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { Documents } from '../bson/documents.ts';
import { replacementRefusal } from '../bson/storable.ts';
import { startsWithId } from '../bson/stored-form.ts';
import { expiryCheck } from '../comparison/compare-batch.ts';
import type { DocumentCheck } from '../comparison/comparison.ts';
import type { LeftOut } from '../comparison/left-out.ts';
import { type BatchSize, type Meeting, type Met, meet } from '../comparison/meet.ts';
import type { ChangeSince, Sighting, TargetMemory } from '../comparison/target-memory.ts';
import type { BatchEnd } from '../ledger/journal.ts';
import { hashesOf } from '../ledger/journal-entry.ts';
import type { EarlierRuns } from '../ledger/written.ts';
import type { ExceptedClass } from '../plan/plan.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { accessTo, type Target, type TargetCollection, type WriteIdentity } from '../target/target.ts';
import { MOST_BYTES, MOST_DOCUMENTS } from '../target/transactional-writes.ts';
import type { ApplyRun } from './apply-run.ts';
import type { ApplyOutcome, Outcomes } from './outcome.ts';
import {
  DOUBTFUL,
  type DocumentOutcome,
  type DocumentOutcomes,
  insertDocuments,
  type ReplacementPair,
  replaceDocuments,
  type WritePlace,
} from './write-documents.ts';

/**
 * A batch waits for the server's journal three times, so several side by side keep the server busy; and each takes four commands,
 * so few large ones cost less. Measured with 600,000 documents of 1 KB on two cores, whole command: twelve of 2 MB 5.7 s,
 * six of 4 MB 5.4 s, three of 4 MB 5.7 s. 10,000 documents keep the `$in` of small documents short.
 */
const BATCH: BatchSize = { maxBytes: 4 * 1024 * 1024, maxDocuments: 10_000, inFlight: 6 };

interface CollectionRequest {
  readonly target: Target;
  readonly selection: Selection;
  readonly selected: SelectedCollection;
  readonly collection: TargetCollection;
  readonly earlier: EarlierRuns;
  readonly memory: TargetMemory | undefined;
  readonly leftOut: LeftOut;
  /** Filled in as the documents are come to. */
  readonly outcomes: Outcomes;
  /** Nobody else writes meanwhile, says the operator. */
  readonly exclusive: boolean;
  /** Called after each part of a batch. */
  readonly onProgress: (written: number, bytes: number) => void;
}

/** Ends early, after the batches in hand, when the signal is aborted. Documents not come to by then stay pending. */
export async function applyCollection(run: ApplyRun, request: CollectionRequest): Promise<void> {
  const { target, selection, selected, collection } = request;
  const { commands } = accessTo(target);
  const [first] = await target.reader.find(collection.name, EMPTY_DOCUMENT, { limit: 1 });
  const task: CollectionTask = {
    place: {
      reader: target.reader,
      writer: run.writer,
      patience: commands.patience,
      collection,
      whenMatched: selected.whenMatched,
      exclusive: request.exclusive,
    },
    outcomes: request.outcomes,
    earlier: request.earlier,
    memory: request.memory,
    leftOut: request.leftOut,
    selected,
    expiryCheck: expiryCheck(target.reader, collection, await target.reader.serverTime()),
  };
  const meeting: Meeting = {
    ...{ selection, name: selected.collection, reader: target.reader },
    // Seen empty under our lock: there is nothing to look up.
    collection: first === undefined ? undefined : collection,
    needs: 'documents',
    size: BATCH,
    whenStopped: 'end',
    checked: {
      during: `while it was written to ${target.name}`,
      remedy:
        `What this run wrote may not be the backup's: take it out with \`plan revert --target ${target.name}\`, then run ` +
        `\`plan apply --target ${target.name}\` again; it selects the documents anew.`,
    },
  };
  const applying = meet(run, meeting, async (met) => ({
    written: await applyPart(run, task, met),
    bytes: bytesOf(met),
  }));
  for await (const { written, bytes } of applying) request.onProgress(written, bytes);
}

/** Of the documents of a part, as they were selected. */
function bytesOf({ documents, positions, refusals }: Met): number {
  if (positions.length + refusals.length === documents.length) return documents.bytes.length;
  const sizeOf = (sum: number, position: number): number => sum + documents.size(position);
  return refusals.map(({ position }) => position).reduce(sizeOf, positions.reduce(sizeOf, 0));
}

/** How the batches of one collection are applied. */
interface CollectionTask {
  readonly place: WritePlace;
  readonly outcomes: Outcomes;
  readonly earlier: EarlierRuns;
  /** Documents that a TTL index would delete at once. */
  readonly expiryCheck: DocumentCheck | undefined;
  /** What the last dry-run saw here; a document that is another now is named. */
  readonly memory: TargetMemory | undefined;
  readonly leftOut: LeftOut;
  readonly selected: SelectedCollection;
}

/** Decides about the documents of a part by what the target holds now, and writes. Returns how many it wrote. */
async function applyPart(run: ApplyRun, task: CollectionTask, met: Met): Promise<number> {
  const work = new PartWork(run, task, met);
  for (const { position, reason } of met.refusals) work.settle(position, { outcome: 'refused', reason });
  if (hasMovedId(met)) {
    run.warnOnce(`${task.place.collection.name}: _id is moved to the front, as the server does`);
  }
  const { toInsert, toReplace } = await work.sortOut();
  await run.checkpoint('batch-compared');
  let written = 0;
  if (toInsert.length > 0) written += await work.insert(toInsert);
  for (const pairs of inTransactions(toReplace, met.stored)) written += await work.replace(pairs);
  return written;
}

function hasMovedId({ documents, stored }: Met): boolean {
  if (stored === documents) return false;
  const { bytes, offsets } = documents;
  return offsets.some((start, i) => !startsWithId(bytes, start) && documents.idType(i) !== 0);
}

interface Sorted {
  readonly toInsert: readonly number[];
  readonly toReplace: readonly ReplacementPair[];
}

interface BatchWrite {
  readonly action: 'insert' | 'replace';
  readonly positions: readonly number[];
  /** What stands there now. */
  readonly images?: readonly Buffer[];
}

class PartWork {
  readonly #run: ApplyRun;
  readonly #task: CollectionTask;
  readonly #met: Met;
  readonly #documents: Documents;

  constructor(run: ApplyRun, task: CollectionTask, met: Met) {
    this.#run = run;
    this.#task = task;
    this.#met = met;
    this.#documents = met.stored;
  }

  get #into(): string {
    return this.#task.place.collection.name;
  }

  settle(position: number, given: DocumentOutcome): void {
    const documentOutcome = this.#isExcepted(position, given)
      ? { ...given, outcome: 'excepted' as const }
      : given;
    this.#task.outcomes.set(this.#documents.first + position, documentOutcome.outcome);
    if (documentOutcome.reason === '') return;
    const id = this.#documents.idType(position) === 0 ? undefined : this.#documents.id(position);
    this.#run.notice({ into: this.#into, id }, documentOutcome);
  }

  #isExcepted(position: number, { outcome, isOfThisId = false }: DocumentOutcome): boolean {
    const { leftOut, selected } = this.#task;
    const documentClass = isOfThisId ? 'different' : EXCEPTED_AS[outcome];
    return (
      documentClass !== undefined && leftOut.note(selected, this.#documents.first + position, documentClass)
    );
  }

  /** What keeps an absent document from being inserted, as far as it was decided before. */
  #leftOut(position: number): DocumentOutcome | undefined {
    const { leftOut, selected } = this.#task;
    const ordinal = this.#documents.first + position;
    switch (leftOut.of(selected.collection, ordinal)) {
      case 'excepted':
        return EXCEPTED;
      case 'heldBack':
        return HELD_BACK[leftOut.heldBackFor(selected.collection, ordinal)];
      case undefined:
        return undefined;
    }
  }

  #toInsert(positions: readonly number[]): number[] {
    return positions.filter((position) => {
      const documentOutcome = this.#leftOut(position);
      if (documentOutcome !== undefined) this.settle(position, documentOutcome);
      return documentOutcome === undefined;
    });
  }

  /** What is to be left alone gets its outcome here. */
  sortOut(): Promise<Sorted> {
    const { positions, there } = this.#met;
    const { whenMatched } = this.#task.place;
    const toInsert: number[] = [];
    const toReplace: ReplacementPair[] = [];
    for (const position of positions) {
      if (there.presence(position) === 'same') {
        const outcome = this.#settleAsThere(position);
        // What an earlier run of ours has written since the dry-run is no news.
        if (outcome === 'identical') this.#compareWithMemory(position, 'same');
        continue;
      }
      const other = there.other(position);
      const change = this.#compareWithMemory(position, other ?? 'absent');
      if (other === undefined) toInsert.push(position);
      else if (this.#isExcepted(position, KEPT)) this.settle(position, EXCEPTED);
      else if (whenMatched === 'replace') {
        const reason = replacementRefusal(this.#documents.value(position));
        if (change !== undefined) this.settle(position, UNSEEN);
        else if (reason !== undefined) this.settle(position, { outcome: 'refused', reason });
        else toReplace.push({ position, seen: other });
      } else this.settle(position, whenMatched === 'keepExisting' ? KEPT : MATCHED);
    }
    return this.#withoutExpiring({ toInsert: this.#toInsert(toInsert), toReplace });
  }

  /** The target holds its very bytes: written by an earlier run of ours, or by somebody else. */
  #settleAsThere(position: number): ApplyOutcome {
    const outcome = this.#task.earlier.outcomeOf(this.#into, this.#documents.first + position);
    this.settle(position, outcome === 'doubtful' ? DOUBTFUL : { outcome, reason: '' });
    return outcome;
  }

  /** Whether the target's document is another one than the last dry-run saw; then it is named. */
  #compareWithMemory(position: number, now: Sighting): ChangeSince | undefined {
    const { memory, selected } = this.#task;
    const { collection } = selected;
    const change = memory?.changeOf(collection, this.#documents.first + position, now);
    if (change !== undefined) {
      this.#run.noteChange({ into: this.#into, id: this.#documents.id(position) }, change);
    }
    return change;
  }

  async #withoutExpiring(sorted: Sorted): Promise<Sorted> {
    const { expiryCheck } = this.#task;
    if (expiryCheck === undefined) return sorted;
    const written = [...sorted.toInsert, ...sorted.toReplace.map(({ position }) => position)];
    const expiring = new Set<number>();
    for (const [position, { reason }] of await expiryCheck(this.#documents, written)) {
      expiring.add(position);
      this.settle(position, { outcome: 'refused', reason });
    }
    return {
      toInsert: sorted.toInsert.filter((position) => !expiring.has(position)),
      toReplace: sorted.toReplace.filter(({ position }) => !expiring.has(position)),
    };
  }

  /** Returns how many documents it wrote. */
  async insert(positions: readonly number[]): Promise<number> {
    const documentOutcomes = await this.#write({ action: 'insert', positions }, (identity) =>
      insertDocuments(this.#task.place, this.#documents, positions, identity),
    );
    return positions.length - documentOutcomes.size;
  }

  /** Returns how many documents it wrote. */
  async replace(pairs: readonly ReplacementPair[]): Promise<number> {
    const positions = pairs.map(({ position }) => position);
    const images = pairs.map(({ seen }) => seen);
    const documentOutcomes = await this.#write({ action: 'replace', positions, images }, (identity) =>
      replaceDocuments(this.#task.place, this.#documents, pairs, identity),
    );
    return positions.length - documentOutcomes.size;
  }

  #write(
    { action, positions, images = [] }: BatchWrite,
    execute: (identity: WriteIdentity | undefined) => Promise<DocumentOutcomes>,
  ): Promise<DocumentOutcomes> {
    const intention = {
      action,
      into: this.#into,
      ids: { run: this.#documents, positions },
      images,
      hashes: hashesOf(this.#documents, positions),
      ordinals: positions.map((position) => this.#documents.first + position),
    };
    const ordinary: DocumentOutcome = { outcome: action === 'insert' ? 'inserted' : 'replaced', reason: '' };
    return this.#run.write(intention, execute, (documentOutcomes) =>
      this.#endOf(positions, documentOutcomes, ordinary),
    );
  }

  /** Every document gets its outcome; the journal is told of those that were not written. */
  #endOf(
    positions: readonly number[],
    documentOutcomes: DocumentOutcomes,
    ordinary: DocumentOutcome,
  ): Omit<BatchEnd, 'batch'> {
    const skipped: number[] = [];
    const doubtful: number[] = [];
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i] as number;
      const documentOutcome = documentOutcomes.get(position);
      if (documentOutcome !== undefined)
        (documentOutcome.outcome === 'doubtful' ? doubtful : skipped).push(i);
      // What an earlier run had sent to a server that keeps no identities may have arrived only now.
      if (documentOutcome?.outcome === 'identical') this.#settleAsThere(position);
      else this.settle(position, documentOutcome ?? ordinary);
    }
    return { skipped, doubtful };
  }
}

/** The class by which an exception may name a document of this outcome. */
const EXCEPTED_AS: Readonly<Partial<Record<ApplyOutcome, ExceptedClass>>> = {
  conflict: 'conflict',
  refused: 'refused',
  kept: 'different',
};

const EXCEPTED: DocumentOutcome = { outcome: 'excepted', reason: 'left out by decision' };
const HELD_BACK: Readonly<Record<'conflict' | 'refused', DocumentOutcome>> = {
  conflict: { outcome: 'heldBack', reason: 'what it depends on is in conflict' },
  refused: { outcome: 'heldBack', reason: 'what it depends on was refused' },
};

const KEPT: DocumentOutcome = { outcome: 'kept', reason: '' };
const MATCHED: DocumentOutcome = {
  outcome: 'conflict',
  isOfThisId: true,
  reason: 'the target has another document of this _id, and the plan says whenMatched: fail',
};

/** A replacement was agreed to for the document that the dry-run showed, and for no other. */
const UNSEEN: DocumentOutcome = {
  outcome: 'conflict',
  isOfThisId: true,
  reason: 'the target’s document is another one than the dry-run saw; look at it with a new dry-run',
};

/** Each is one journal entry, and where nobody gets in between one transaction. */
function inTransactions(pairs: readonly ReplacementPair[], documents: Documents): ReplacementPair[][] {
  const cuts: ReplacementPair[][] = [];
  let bytes = 0;
  for (const pair of pairs) {
    const size = pair.seen.length + documents.document(pair.position).length;
    const cut = cuts.at(-1);
    if (cut !== undefined && bytes + size <= MOST_BYTES && cut.length < MOST_DOCUMENTS) {
      cut.push(pair);
      bytes += size;
    } else {
      cuts.push([pair]);
      bytes = size;
    }
  }
  return cuts;
}
