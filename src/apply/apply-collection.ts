/** Applies one collection of the selection: its batches meet the target, a few in flight; of each part: decide, intend, write, record. */
import { advice } from '../advice.ts';
import { documentValue } from '../bson/diff-documents.ts';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { Documents, startsWithId } from '../bson/documents.ts';
import type { MergeFields } from '../bson/merge-fields.ts';
import { replacementRefusal } from '../bson/storable.ts';
import { ChangedSince } from '../comparison/changed-since.ts';
import { documentsAsWritten, expiryCheck } from '../comparison/compare-batch.ts';
import { sightingOf } from '../comparison/compare-with-target.ts';
import type { DocumentCheck } from '../comparison/comparison.ts';
import type { LeftOut } from '../comparison/left-out.ts';
import { type BatchSize, type Meeting, type Met, meet } from '../comparison/meet.ts';
import type { ChangeSince, Sighting } from '../comparison/target-memory.ts';
import type { BatchEnd, Intention } from '../ledger/journal.ts';
import { hashesOf } from '../ledger/journal-entry.ts';
import type { EarlierRuns } from '../ledger/written.ts';
import { overwrites } from '../plan/plan.ts';
import type { PastReader } from '../selection/document-past.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import { accessTo, type TargetCollection } from '../target/target.ts';
import type { ApplyRequest, ApplyRun } from './apply-run.ts';
import {
  type ApplyOutcome,
  changedMeanwhile,
  DISCARDED,
  DOUBTFUL,
  type DocumentOutcome,
  EXCEPTED,
  EXCEPTED_AS,
  FOUND,
  HELD_BACK,
  ID_TAKEN,
  INSERTED,
  KEPT,
  MATCHED,
  type Outcomes,
  REPLACED,
  refusalOf,
  UNSEEN,
} from './document-outcome.ts';

/**
 * A batch waits for the server's journal three times, so several side by side keep the server busy; and each takes four commands,
 * so few large ones cost less. Measured with 600,000 documents of 1 KB on two cores, whole command: twelve of 2 MB 5.7 s,
 * six of 4 MB 5.4 s, three of 4 MB 5.7 s. 10,000 documents keep the `$in` of small documents short.
 */
const BATCH: BatchSize = { maxBytes: 4 * 1024 * 1024, maxDocuments: 10_000, inFlight: 6 };

/** What the collections of one apply have in common. */
export interface Applying {
  readonly held: ApplyRun;
  readonly request: ApplyRequest;
  readonly earlier: EarlierRuns;
  readonly leftOut: LeftOut;
  /** What the oplog knows of documents, where one was used. */
  readonly pasts: PastReader | undefined;
  /** Filled in as the documents are come to. */
  readonly outcomes: ReadonlyMap<SelectedCollection, Outcomes>;
}

/** Ends early, after the batches in hand, when the signal is aborted. Documents not come to by then stay pending. */
export async function applyCollection(
  applying: Applying,
  selected: SelectedCollection,
  collection: TargetCollection,
): Promise<void> {
  const { held, request } = applying;
  const { name: target, reader } = request.target;
  const [first] = await reader.find(collection.name, EMPTY_DOCUMENT, { limit: 1 });
  const rules: CollectionRules = {
    ...{ selected, collection, outcomes: applying.outcomes.get(selected) as Outcomes },
    expiryCheck: expiryCheck(reader, collection, await reader.serverTime()),
    changedSince: new ChangedSince(selected, applying.pasts, request.plan.mask),
  };
  const meeting: Meeting = {
    ...{ selection: request.selection, name: selected.collection, reader },
    // Seen empty under our lock: there is nothing to look up.
    collection: first === undefined ? undefined : collection,
    needs: 'documents',
    size: BATCH,
    whenStopped: 'end',
    checked: {
      during: `while it was written to ${target}`,
      remedy: advice`What this run wrote may not be the backup's: take it out with ${{ command: 'revert', target: target }}, then run ${{ command: 'apply', target: target }} again; it selects the documents anew.`,
    },
  };
  const applied = meet(held.run, meeting, (met) => new AppliedPart(applying, rules, met).apply());
  for await (const { written, bytes } of applied) held.noteProgress(written, bytes);
  const { writtenOver } = rules.changedSince;
  if (writtenOver !== undefined) held.warnOnce(`${target}.${collection.name}: ${writtenOver}`);
}

/** What holds of every document of a collection. */
interface CollectionRules {
  readonly selected: SelectedCollection;
  readonly collection: TargetCollection;
  readonly outcomes: Outcomes;
  /** Documents that a TTL index would delete at once. */
  readonly expiryCheck: DocumentCheck | undefined;
  readonly changedSince: ChangedSince;
}

/** Of the documents of a part, as they were selected. */
function bytesOf({ documents, positions, refusals }: Met): number {
  if (positions.length + refusals.length === documents.length) return documents.bytes.length;
  const all = [...positions, ...refusals.map(({ position }) => position)];
  return all.reduce((sum, position) => sum + documents.size(position), 0);
}

function hasMovedId({ documents, stored }: Met): boolean {
  const isMoved = (start: number, i: number): boolean =>
    !startsWithId(documents.bytes, start) && documents.idType(i) !== 0;
  return stored !== documents && documents.offsets.some(isMoved);
}

interface Sorted {
  readonly toInsert: readonly number[];
  readonly toReplace: readonly ReplacementPair[];
}

/** A document to be replaced, or of which fields are merged. */
interface ReplacementPair {
  readonly position: number;
  /** What the target was seen to hold. */
  readonly seen: Buffer;
}

/** Decides about the documents of a part by what the target holds now, and writes. */
class AppliedPart {
  readonly #applying: Applying;
  readonly #rules: CollectionRules;
  readonly #met: Met;
  readonly #documents: Documents;

  constructor(applying: Applying, rules: CollectionRules, met: Met) {
    this.#applying = applying;
    this.#rules = rules;
    this.#met = met;
    this.#documents = met.stored;
  }

  /** Returns how many documents it wrote, and how many bytes were gone through for it. */
  async apply(): Promise<{ readonly written: number; readonly bytes: number }> {
    const { held } = this.#applying;
    for (const { position, reason } of this.#met.refusals)
      this.#settle(position, { outcome: 'refused', reason });
    if (hasMovedId(this.#met)) held.warnOnce(`${this.#into}: _id is moved to the front, as the server does`);
    const { toInsert, toReplace } = await this.#sortOut();
    await held.run.checkpoint('batch-compared');
    let written = 0;
    if (toInsert.length > 0) written += await this.#insert(toInsert);
    for (const pairs of this.#inTransactions(toReplace)) written += await this.#change(pairs);
    return { written, bytes: bytesOf(this.#met) };
  }

  get #into(): string {
    return this.#rules.collection.name;
  }

  #settle(position: number, given: DocumentOutcome): void {
    const documentOutcome = this.#isExcepted(position, given)
      ? { ...given, outcome: 'excepted' as const }
      : given;
    this.#rules.outcomes.set(this.#documents.first + position, documentOutcome.outcome);
    if (documentOutcome.reason === '') return;
    const id = this.#documents.idType(position) === 0 ? undefined : this.#documents.id(position);
    this.#applying.held.notice({ into: this.#into, id }, documentOutcome);
  }

  #isExcepted(position: number, { outcome, isOfThisId = false }: DocumentOutcome): boolean {
    const documentClass = isOfThisId ? 'different' : EXCEPTED_AS[outcome];
    const { leftOut } = this.#applying;
    return (
      documentClass !== undefined &&
      leftOut.note(this.#rules.selected, this.#documents.first + position, documentClass)
    );
  }

  /** What keeps an absent document from being inserted, as far as it was decided before. */
  #leftOut(position: number): DocumentOutcome | undefined {
    const { leftOut } = this.#applying;
    const { collection } = this.#rules.selected;
    const ordinal = this.#documents.first + position;
    switch (leftOut.of(collection, ordinal)) {
      case 'excepted':
        return EXCEPTED;
      case 'heldBack':
        return HELD_BACK[leftOut.heldBackFor(collection, ordinal)];
      case undefined:
        return undefined;
    }
  }

  #toInsert(positions: readonly number[]): number[] {
    return positions.filter((position) => {
      const documentOutcome = this.#leftOut(position);
      if (documentOutcome !== undefined) this.#settle(position, documentOutcome);
      return documentOutcome === undefined;
    });
  }

  /** What is to be left alone gets its outcome here. */
  #sortOut(): Promise<Sorted> {
    const { positions, there } = this.#met;
    const { whenMatched, merge } = this.#rules.selected;
    const toInsert: number[] = [];
    const toReplace: ReplacementPair[] = [];
    for (const position of positions) {
      const presence = there.presence(position);
      if (presence === 'same') {
        const outcome = this.#settleAsThere(position);
        // What an earlier run of ours has written since the dry-run is no news.
        if (outcome === 'identical') this.#compareWithMemory(position, 'same');
        continue;
      }
      const other = presence === 'otherId' ? undefined : there.other(position);
      const change = this.#compareWithMemory(position, sightingOf(this.#met, position));
      if (other === undefined && merge?.whenNotMatched === 'discard') this.#settle(position, DISCARDED);
      else if (presence === 'otherId') this.#settle(position, ID_TAKEN);
      else if (other === undefined) toInsert.push(position);
      else if (this.#isExcepted(position, KEPT)) this.#settle(position, EXCEPTED);
      else if (overwrites({ whenMatched })) {
        const reason = this.#changeRefusal(position, other);
        if (change !== undefined) this.#settle(position, UNSEEN);
        else if (reason !== undefined) this.#settle(position, { outcome: 'refused', reason });
        else toReplace.push({ position, seen: other });
      } else this.#settle(position, whenMatched === 'keepExisting' ? KEPT : MATCHED);
    }
    return this.#withoutExpiring({ toInsert: this.#toInsert(toInsert), toReplace });
  }

  /** Why the document that is there cannot be changed. */
  #changeRefusal(position: number, other: Buffer): string | undefined {
    const { fields } = this.#met;
    const document = this.#documents.document(position);
    const refusal = fields?.refusal(other, document);
    if (refusal !== undefined) return refusal;
    return replacementRefusal(
      documentValue(fields === undefined ? document : fields.merged(other, document)),
    );
  }

  /** The target holds its very bytes: written by an earlier run of ours, or by somebody else. */
  #settleAsThere(position: number): ApplyOutcome {
    const outcome = this.#applying.earlier.outcomeOf(this.#into, this.#documents.first + position);
    this.#settle(position, outcome === 'doubtful' ? DOUBTFUL : { outcome, reason: '' });
    return outcome;
  }

  /** Whether the target's document is another one than the last dry-run saw; then it is named. */
  #compareWithMemory(position: number, now: Sighting): ChangeSince | undefined {
    const { held, request } = this.#applying;
    const { collection } = this.#rules.selected;
    const change = request.memory?.changeOf(collection, this.#documents.first + position, now);
    if (change !== undefined) {
      held.noteChange({ into: this.#into, id: this.#documents.id(position) }, change);
    }
    return change;
  }

  async #withoutExpiring(sorted: Sorted): Promise<Sorted> {
    const { expiryCheck } = this.#rules;
    if (expiryCheck === undefined) return sorted;
    const written = [...sorted.toInsert, ...sorted.toReplace.map(({ position }) => position)];
    const expiring = new Set<number>();
    for (const [position, { reason }] of await expiryCheck(documentsAsWritten(this.#met, written), written)) {
      expiring.add(position);
      this.#settle(position, { outcome: 'refused', reason });
    }
    return {
      toInsert: sorted.toInsert.filter((position) => !expiring.has(position)),
      toReplace: sorted.toReplace.filter(({ position }) => !expiring.has(position)),
    };
  }

  /** Documents that were absent a moment ago. Returns how many it wrote. */
  async #insert(positions: readonly number[]): Promise<number> {
    const documents = this.#documents;
    const { collection, selected } = this.#rules;
    const unwritten = new Map<number, DocumentOutcome>();
    await this.#applying.held.write(
      this.#intention('insert', positions),
      (writer, options) => writer.insert(collection, { documents, positions }, options),
      ({ there, faults }) => {
        for (const [at, presence] of there) unwritten.set(at, FOUND[presence](selected.whenMatched));
        for (const fault of faults) unwritten.set(fault.index, refusalOf(fault, collection));
        return this.#endOf(positions, unwritten, INSERTED);
      },
    );
    return positions.length - unwritten.size;
  }

  /** Documents that are still the ones seen, or whose fields are. Returns how many it wrote. */
  async #change(pairs: readonly ReplacementPair[]): Promise<number> {
    const positions = pairs.map(({ position }) => position);
    const seen = pairs.map((pair) => pair.seen);
    const { collection } = this.#rules;
    const { fields } = this.#met;
    const exclusive = this.#applying.request.exclusive === true;
    const ours = (place: number): Buffer => this.#documents.document(positions[place] as number);
    const unwritten = new Map<number, DocumentOutcome>();
    await this.#applying.held.write(
      fields === undefined
        ? { ...this.#intention('replace', positions), images: seen }
        : { ...this.#intention('merge', positions), images: seen, ...mergedHashes(fields, seen, ours) },
      (writer, options) => {
        if (fields === undefined) {
          const replacements = seen.map((each, place) => ({ seen: each, after: ours(place) }));
          return writer.replace(collection, replacements, { ...options, exclusive });
        }
        const after = (place: number, found: Buffer): Buffer => fields.merged(found, ours(place));
        return writer.merge(collection, { fields, seen, after }, { ...options, exclusive });
      },
      ({ leftAlone, faults }) => {
        for (const [at, now] of leftAlone) unwritten.set(at, changedMeanwhile(now));
        for (const fault of faults) unwritten.set(fault.index, refusalOf(fault, collection));
        return this.#endOf(positions, unwritten, REPLACED);
      },
    );
    for (const [place, position] of positions.entries())
      if (!unwritten.has(place)) this.#rules.changedSince.note(this.#met, position);
    return positions.length - unwritten.size;
  }

  /**
   * Each is one journal entry, and where nobody gets in between one transaction of those that the server takes by then: of one that had to be
   * several, nobody can say after a kill which were committed.
   */
  *#inTransactions(pairs: readonly ReplacementPair[]): Generator<ReplacementPair[]> {
    const { writer } = accessTo(this.#applying.held.target);
    let cut: ReplacementPair[] = [];
    let bytes = 0;
    for (const pair of pairs) {
      const size = pair.seen.length + this.#sizeAfter(pair);
      const most = writer.transactionSize;
      if (cut.length > 0 && (bytes + size > most.bytes || cut.length >= most.documents)) {
        yield cut;
        cut = [];
        bytes = 0;
      }
      cut.push(pair);
      bytes += size;
    }
    if (cut.length > 0) yield cut;
  }

  #sizeAfter({ position, seen }: ReplacementPair): number {
    const { fields } = this.#met;
    if (fields === undefined) return this.#documents.size(position);
    return fields.merged(seen, this.#documents.document(position)).length;
  }

  #intention(
    action: 'insert' | 'replace' | 'merge',
    positions: readonly number[],
  ): Omit<Intention, 'identity'> {
    return {
      ...{ action, into: this.#into, images: [] },
      ids: { run: this.#documents, positions },
      hashes: hashesOf(this.#documents, positions),
      ordinals: positions.map((position) => this.#documents.first + position),
    };
  }

  /** Every document gets its outcome; the journal is told of those that were not written. `unwritten`: by place in `positions`. */
  #endOf(
    positions: readonly number[],
    unwritten: ReadonlyMap<number, DocumentOutcome>,
    ordinary: DocumentOutcome,
  ): Omit<BatchEnd, 'batch'> {
    const skipped: number[] = [];
    const doubtful: number[] = [];
    for (let i = 0; i < positions.length; i++) {
      const documentOutcome = unwritten.get(i);
      if (documentOutcome !== undefined)
        (documentOutcome.outcome === 'doubtful' ? doubtful : skipped).push(i);
      // What an earlier run had sent to a server that keeps no identities may have arrived only now.
      if (documentOutcome?.outcome === 'identical') this.#settleAsThere(positions[i] as number);
      else this.#settle(positions[i] as number, documentOutcome ?? ordinary);
    }
    return { skipped, doubtful };
  }
}

/** Of documents of which fields are merged: the whole ones as they are meant to be, and the fields alone. */
function mergedHashes(
  fields: MergeFields,
  seen: readonly Buffer[],
  ours: (place: number) => Buffer,
): Pick<Intention, 'hashes' | 'merged'> {
  const places = [...seen.keys()];
  const whole = Documents.of(seen.map((each, place) => fields.merged(each, ours(place))));
  const alone = Documents.of(places.map((place) => fields.image(ours(place))));
  return {
    hashes: hashesOf(whole, places),
    merged: { paths: fields.paths, hashes: hashesOf(alone, places) },
  };
}
