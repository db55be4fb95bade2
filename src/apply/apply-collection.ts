/** Applies one collection of the selection: prepares it, then sends its batches, a few in flight. */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { expiryCheck } from '../comparison/collection-checks.ts';
import type { LeftOut } from '../comparison/left-out.ts';
import { type BatchSize, type Meeting, type Met, meet } from '../comparison/meet.ts';
import type { TargetMemory } from '../comparison/target-memory.ts';
import type { EarlierRuns } from '../ledger/written.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { accessTo, type Target, type TargetCollection } from '../target/target.ts';
import { applyPart, type CollectionTask } from './apply-batch.ts';
import type { ApplyRun } from './apply-run.ts';
import type { Outcomes } from './outcome.ts';

/**
 * A batch waits for the server's journal three times, so several side by side keep the server busy; and each takes four commands,
 * so few large ones cost less. Measured with 600,000 documents of 1 KB on two cores, whole command: twelve of 2 MB 5.7 s,
 * six of 4 MB 5.4 s, three of 4 MB 5.7 s. 10,000 documents keep the `$in` of small documents short.
 */
const BATCH: BatchSize = { maxBytes: 4 * 1024 * 1024, maxDocuments: 10_000, inFlight: 6 };

export interface CollectionRequest {
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
