/** Applies one collection of the selection: prepares it, then sends its batches, a few in flight. */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { Documents } from '../bson/documents.ts';
import { expiryCheck } from '../comparison/collection-checks.ts';
import type { LeftOut } from '../comparison/left-out.ts';
import { mapConcurrently } from '../comparison/meet.ts';
import type { TargetMemory } from '../comparison/target-memory.ts';
import { readCheckedBatches } from '../selection/file-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import { accessTo, type Target, type TargetCollection } from '../target/target.ts';
import { applyBatch, type CollectionTask } from './apply-batch.ts';
import type { ApplyRun } from './apply-run.ts';
import type { EarlierRuns } from './earlier-runs.ts';
import type { Outcomes } from './outcome.ts';

/**
 * A batch waits for the server's journal three times, so several side by side keep the server busy; and each takes four commands,
 * so few large ones cost less. Measured with 600,000 documents of 1 KB on two cores, whole command: twelve of 2 MB 5.7 s,
 * six of 4 MB 5.4 s, three of 4 MB 5.7 s. 10,000 documents keep the `$in` of small documents short.
 */
const BATCHES_IN_FLIGHT = 6;
const BATCH = { maxBytes: 4 * 1024 * 1024, maxDocuments: 10_000, held: BATCHES_IN_FLIGHT };
/** Larger documents make batches of their own: then fewer are in flight. */
const BYTES_IN_FLIGHT = BATCHES_IN_FLIGHT * BATCH.maxBytes;

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
  readonly signal: AbortSignal;
  /** Nobody else writes meanwhile, says the operator. */
  readonly exclusive: boolean;
  /** Called after each batch. */
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
    mayHold: first !== undefined,
    earlier: request.earlier,
    memory: request.memory,
    leftOut: request.leftOut,
    selected,
    expiryCheck: expiryCheck(target.reader, collection, await target.reader.serverTime()),
  };
  const budget = new ByteBudget(BYTES_IN_FLIGHT);
  const read = readCheckedBatches(selection, selected.collection, {
    limits: BATCH,
    during: `while it was written to ${target.name}`,
    remedy:
      `What this run wrote may not be the backup's: take it out with \`plan revert --target ${target.name}\`, then run ` +
      `\`plan apply --target ${target.name}\` again; it selects the documents anew.`,
  });
  const batches = untilAborted(read, request.signal);
  const work = (batch: Documents): Promise<{ written: number; bytes: number }> =>
    budget.spend(batch.bytes.length, async () => ({
      written: await applyBatch(run, task, batch),
      bytes: batch.bytes.length,
    }));
  const weigh = ({ bytes }: Documents): number => bytes.length;
  const applying = mapConcurrently(batches, { inFlight: BATCHES_IN_FLIGHT, weigh }, work);
  for await (const { written, bytes } of applying) {
    request.onProgress(written, bytes);
  }
}

async function* untilAborted<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  for await (const item of items) {
    if (signal.aborted) return;
    yield item;
  }
}
/**
 * Bounds the bytes that are on their way to the server at once. The driver copies a command's bytes twice before they are on
 * the wire, so batches of large documents take turns while small ones go side by side.
 */
export class ByteBudget {
  readonly #limit: number;
  #used = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `work` when `bytes` fit beside what is running; alone, when they exceed the whole budget. */
  async spend<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    while (this.#used > 0 && this.#used + bytes > this.#limit) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#used += bytes;
    try {
      return await work();
    } finally {
      this.#used -= bytes;
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }
}
