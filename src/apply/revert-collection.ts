/** Reverts one collection, a few batches in flight. */

import type { DocumentRun } from '../bson/document-run.ts';
import { showValue } from '../bson/show.ts';
import { inFlight } from '../comparison/in-flight.ts';
import type { JournalAction } from '../ledger/journal-entry.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { DocumentBatch, SelectedCollection } from '../selection/selection.ts';
import { accessTo } from '../target/access.ts';
import type { TargetCollection } from '../target/target.ts';
import { admit } from './admit.ts';
import type { ApplyRun } from './apply-run.ts';
import type { RestoredIds } from './restored-ids.ts';
import { classifyForRevert, putBackDocuments, type RevertPlace, removeDocuments } from './revert-batch.ts';
import type { RevertTally } from './revert-report.ts';
import type { RevertRequest } from './revert-selection.ts';

export const REVERT_BATCH = { maxBytes: 4 * 1024 * 1024, maxDocuments: 4_000 };
export const REVERTS_IN_FLIGHT = 3;

export interface Reverting {
  readonly request: RevertRequest;
  readonly run: ApplyRun;
  readonly restored: RestoredIds;
  readonly tally: RevertTally;
}

/** Ends early, after the batches in hand, when the signal is aborted. */
export async function revertCollection(
  reverting: Reverting,
  selected: SelectedCollection,
  collection: TargetCollection,
): Promise<void> {
  const { request, run } = reverting;
  const { target, selection, signal } = request;
  const { writer } = accessTo(target);
  const place: RevertPlace = {
    reader: target.reader,
    writer: run.noting(writer),
    collection,
  };
  const batches = readBatches(selection, selected.collection, REVERT_BATCH);
  for await (const _ of inFlight(batches, REVERTS_IN_FLIGHT, async (batch) => {
    if (!signal?.aborted) await revertBatch(reverting, { place, selected, batch });
  }));
}

interface BatchToRevert {
  readonly place: RevertPlace;
  readonly selected: SelectedCollection;
  readonly batch: DocumentBatch;
}

async function revertBatch(reverting: Reverting, { place, selected, batch }: BatchToRevert): Promise<void> {
  const { run: documents, positions } = admit(batch);
  for (const group of reverting.restored.groups(place.collection.name, documents, positions)) {
    if (reverting.request.signal?.aborted) return;
    await revertGroup(reverting, { place, selected, documents, positions: group });
  }
}

interface GroupToRevert {
  readonly place: RevertPlace;
  readonly selected: SelectedCollection;
  readonly documents: DocumentRun;
  readonly positions: readonly number[];
}

async function revertGroup(
  { run, restored, tally }: Reverting,
  { place, selected, documents, positions }: GroupToRevert,
): Promise<void> {
  const items = await classifyForRevert(place, restored, { run: documents, positions });
  await run.checkpoint('batch-compared');
  const into = place.collection.name;
  const toRemove = items.filter((item) => item.class === 'remove').map(({ position }) => position);
  const images = new Map(
    items.flatMap(({ class: kind, position, image }) =>
      kind === 'putBack' && image !== undefined ? [[position, image] as const] : [],
    ),
  );
  const changed = new Set([
    ...(await takeBack(run, {
      action: 'remove',
      into,
      documents,
      positions: toRemove,
      execute: () => removeDocuments(place, documents, toRemove),
    })),
    ...(await takeBack(run, {
      action: 'putBack',
      into,
      documents,
      positions: [...images.keys()],
      execute: () => putBackDocuments(place, documents, images),
    })),
  ]);
  for (const { position, class: kind } of items) {
    tally.add(selected, changed.has(position) ? 'changed' : kind, () => showValue(documents.id(position)));
  }
}

interface TakingBack {
  readonly action: Extract<JournalAction, 'remove' | 'putBack'>;
  readonly into: string;
  readonly documents: DocumentRun;
  readonly positions: readonly number[];
  /** Returns the positions of documents that were changed in the meantime, and so left alone. */
  readonly execute: () => Promise<number[]>;
}

/** Intend, take back, record. */
async function takeBack(
  run: ApplyRun,
  { action, into, documents, positions, execute }: TakingBack,
): Promise<number[]> {
  if (positions.length === 0) return [];
  const batch = await run.intend({ action, into, ids: { run: documents, positions } });
  await run.checkpoint('batch-intended');
  const untouched = await execute();
  await run.checkpoint('batch-written');
  const order = new Map(positions.map((position, i) => [position, i]));
  await run.record({ batch, skipped: untouched.map((position) => order.get(position) as number) });
  await run.checkpoint('batch-recorded');
  return untouched;
}
