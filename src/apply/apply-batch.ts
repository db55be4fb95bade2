/** One batch: look, intend, write, record. */

import type { RawValue } from '../bson/types.ts';
import { bytesOf, type Candidate, type CandidateCheck } from '../comparison/candidate.ts';
import { existingDocuments } from '../comparison/existing.ts';
import type { JournalAction } from '../ledger/journal-entry.ts';
import type { DocumentBatch } from '../selection/selection.ts';
import type { ApplyRun } from './apply-run.ts';
import { admit } from './candidates.ts';
import type { EarlierRuns } from './earlier-runs.ts';
import type { Outcomes } from './outcome.ts';
import {
  type Fates,
  insertDocuments,
  isSame,
  type ReplacementPair,
  replaceDocuments,
  type WritePlace,
} from './write-documents.ts';

/** Before-images of one replace command, and so of one journal entry; a single larger document stands alone. */
const MOST_IMAGE_BYTES = 8 * 1024 * 1024;

/** How the batches of one collection are applied. */
export interface CollectionTask {
  readonly place: WritePlace;
  readonly outcomes: Outcomes;
  /** False: the collection was seen empty under our lock, so there is nothing to look up. */
  readonly mayHold: boolean;
  readonly earlier: EarlierRuns;
  /** Documents that a TTL index would delete at once. */
  readonly expiryCheck: CandidateCheck | undefined;
}

interface Sorted {
  readonly toInsert: Candidate[];
  readonly toReplace: ReplacementPair[];
}

/** Returns how many documents it wrote. */
export async function applyBatch(run: ApplyRun, task: CollectionTask, batch: DocumentBatch): Promise<number> {
  const into = task.place.collection.name;
  const { candidates, refusals, reordered } = admit(batch);
  for (const { index, id, reason } of refusals) {
    task.outcomes.set(index, 'refused');
    run.notice({ into, id }, { outcome: 'refused', reason });
  }
  if (reordered > 0) run.warnOnce(`${into}: _id is moved to the front, as the server does`);
  const { toInsert, toReplace } = await sortOut(run, task, candidates);
  await run.checkpoint('batch-compared');
  let written = 0;
  if (toInsert.length > 0) {
    written += await write(run, task, {
      action: 'insert',
      candidates: toInsert,
      execute: () => insertDocuments(task.place, toInsert),
    });
  }
  for (const pairs of cutByImages(toReplace)) {
    written += await write(run, task, {
      action: 'replace',
      candidates: pairs.map(({ candidate }) => candidate),
      images: pairs.map(({ seen }) => seen),
      execute: () => replaceDocuments(task.place, pairs),
    });
  }
  return written;
}

/** Decides for each document by what the target holds now. What is to be left alone gets its outcome here. */
async function sortOut(
  run: ApplyRun,
  task: CollectionTask,
  candidates: readonly Candidate[],
): Promise<Sorted> {
  const { place, outcomes, earlier } = task;
  const into = place.collection.name;
  const sorted: Sorted = { toInsert: [], toReplace: [] };
  const existing = task.mayHold
    ? await existingDocuments(place.reader, place.collection, candidates)
    : new Map<Candidate, RawValue>();
  for (const candidate of candidates) {
    const there = existing.get(candidate);
    if (there === undefined) sorted.toInsert.push(candidate);
    else if (isSame(candidate, there)) {
      outcomes.set(candidate.index, earlier.outcomeOf(into, candidate.id));
    } else if (place.whenMatched === 'replace') {
      sorted.toReplace.push({ candidate, seen: Buffer.from(bytesOf({ ...candidate, document: there })) });
    } else if (place.whenMatched === 'keepExisting') outcomes.set(candidate.index, 'kept');
    else {
      outcomes.set(candidate.index, 'conflict');
      const reason = 'the target has another document of this _id, and the plan says whenMatched: fail';
      run.notice({ into, id: candidate.id }, { outcome: 'conflict', reason });
    }
  }
  return withoutExpiring(run, task, sorted);
}

async function withoutExpiring(run: ApplyRun, task: CollectionTask, sorted: Sorted): Promise<Sorted> {
  if (task.expiryCheck === undefined) return sorted;
  const into = task.place.collection.name;
  const written = [...sorted.toInsert, ...sorted.toReplace.map(({ candidate }) => candidate)];
  const objections = await task.expiryCheck(written);
  for (const [candidate, { reason }] of objections) {
    task.outcomes.set(candidate.index, 'refused');
    run.notice({ into, id: candidate.id }, { outcome: 'refused', reason });
  }
  return {
    toInsert: sorted.toInsert.filter((candidate) => !objections.has(candidate)),
    toReplace: sorted.toReplace.filter(({ candidate }) => !objections.has(candidate)),
  };
}

interface Step {
  readonly action: JournalAction;
  readonly candidates: readonly Candidate[];
  readonly images?: readonly Buffer[];
  readonly execute: () => Promise<Fates>;
}

/** Intend, write, record. Until the record is made, the entry says: may have happened. */
async function write(run: ApplyRun, task: CollectionTask, step: Step): Promise<number> {
  const { action, candidates, images = [] } = step;
  const into = task.place.collection.name;
  const batch = await run.intend({ action, into, ids: candidates.map(({ id }) => id), images });
  await run.checkpoint('batch-intended');
  const fates = await step.execute();
  await run.checkpoint('batch-written');
  const skipped: number[] = [];
  for (const [position, candidate] of candidates.entries()) {
    const fate = fates.get(candidate);
    task.outcomes.set(candidate.index, fate?.outcome ?? (action === 'insert' ? 'inserted' : 'replaced'));
    if (fate === undefined) continue;
    skipped.push(position);
    if (fate.reason !== '') run.notice({ into, id: candidate.id }, fate);
  }
  await run.record(batch, skipped);
  await run.checkpoint('batch-recorded');
  return candidates.length - fates.size;
}

function cutByImages(pairs: readonly ReplacementPair[]): ReplacementPair[][] {
  const cuts: ReplacementPair[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const pair of pairs) {
    if (bytes + pair.seen.length > MOST_IMAGE_BYTES) {
      cuts.push([]);
      bytes = 0;
    }
    cuts.at(-1)?.push(pair);
    bytes += pair.seen.length;
  }
  return cuts;
}
