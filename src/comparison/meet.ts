/**
 * The one loop in which the selected documents of a collection meet what a target holds under their `_id`s. Those who compare, verify,
 * apply or open a gate are handed both, part by part, and bring no more than their decision. A revert begins with the journal instead,
 * and shares the look-up (`existingInParts`) and the way in which a few go side by side.
 *
 * Batches are read in backup order, a few of them in flight: memory is bounded by them, however large the selection is. What no server
 * stores is told apart. The target's documents may be hundreds of times larger than those that they are looked up by: then a batch comes
 * in several parts. Results are in order, too.
 */
import type { Remedy } from '../advice.ts';
import type { Documents } from '../bson/documents.ts';
import { MergeFields } from '../bson/merge-fields.ts';
import { depthRefusal, idRefusal, lengthRefusal, MAX_STORED_BYTES } from '../bson/storable.ts';
import { freeLeftovers } from '../free-memory.ts';
import type { Run } from '../run.ts';
import { readBatches, readCheckedBatches } from '../selection/file-batches.ts';
import { type Selection, selectedOf } from '../selection/selection.ts';
import { Existing, existingInParts, findExisting } from '../target/existing.ts';
import { BATCHES_SEARCHED, scanExisting } from '../target/scan-existing.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';

/** How much is held at once. */
export interface BatchSize {
  readonly maxBytes: number;
  readonly maxDocuments: number;
  /** Batches that are decided about side by side. A heavy one has no other beside it. */
  readonly inFlight: number;
}

/** Three batches and what the target holds of them stay below 20 MB; larger ones gain no speed. */
const READING: BatchSize = { maxBytes: 2 * 1024 * 1024, maxDocuments: 2_000, inFlight: 3 };

export interface Meeting {
  readonly selection: Selection;
  /** Name of the collection in the backup. */
  readonly name: string;
  readonly reader: TargetReader;
  /** Where documents are looked up. Undefined: the target has none, so that nothing is asked. */
  readonly collection: Pick<TargetCollection, 'name' | 'collated'> | undefined;
  /** presence: whether a document is there, and is the same. documents: those that are other than ours, too. */
  readonly needs: 'presence' | 'documents';
  /** Said when the selection's file is not what its manifest describes. Without it the bytes are not hashed on their way. */
  readonly checked?: { readonly during: string; readonly remedy: Remedy };
  /** Only one document in so many is looked up; 1 = all. */
  readonly every?: number;
  /** With `presence`: the target's collection is read whole, as it holds so many documents as are selected. */
  readonly isScanned?: boolean;
  /** Whether a document that is nested too deep is told apart, too; else that is left to the server. */
  readonly knowsDepth?: boolean;
  readonly size?: BatchSize;
  /** What the signal does: it ends the loop with its reason, or, after the batches in hand, without one. */
  readonly whenStopped?: 'throw' | 'end';
}

/** Some documents of a batch, and what the target holds under their `_id`s. Positions count within the batch. */
export interface Met {
  /** As they were selected. */
  readonly documents: Documents;
  /** As a server stores them: the same ones, where each has its `_id` first. */
  readonly stored: Documents;
  /** Of the documents of this part that were looked up, in order. */
  readonly positions: readonly number[];
  /** Those among them that no server stores, in order. */
  readonly refusals: readonly Refusal[];
  readonly there: Existing;
  /** What alone of the documents is compared, and restored where the target has them; undefined: all of them. */
  readonly fields: MergeFields | undefined;
}

interface Refusal {
  readonly position: number;
  readonly reason: string;
}

/**
 * Yields what `decide` makes of each part. Throws the signal's reason between batches, unless it ends without one, and RestorePlanError
 * BACKUP or VERIFICATION where the selection cannot be read.
 */
export async function* meet<Result>(
  { signal }: Pick<Run, 'signal'>,
  meeting: Meeting,
  decide: (met: Met) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const { inFlight } = meeting.size ?? READING;
  const endsQuietly = meeting.whenStopped === 'end';
  // The first part of a batch, mostly the only one, is decided about while earlier batches are taken; the others in their turn.
  const begin = async (scanned: Scanned) => {
    if (!endsQuietly) signal.throwIfAborted();
    const others = decided(partsOf(meeting, scanned), decide);
    return { first: await others.next(), others };
  };
  const weigh = ({ documents }: Scanned): number => documents.bytes.length;
  const batches = endsQuietly ? untilAborted(scannedBatches(meeting), signal) : scannedBatches(meeting);
  for await (const { first, others } of mapConcurrently(batches, { inFlight, weigh }, begin)) {
    if (!first.done) yield first.value;
    yield* others;
  }
  // A plan may have thousands of collections, of one small batch each.
  freeLeftovers();
}

async function* decided<Result>(
  parts: AsyncIterable<Met>,
  decide: (met: Met) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  for await (const part of parts) yield await decide(part);
}

/** All of the part, in order: documents that were looked up, and those that no server stores. */
export function inOrder({ positions, refusals }: Pick<Met, 'positions' | 'refusals'>): readonly number[] {
  if (refusals.length === 0) return positions;
  return [...positions, ...refusals.map(({ position }) => position)].sort((a, b) => a - b);
}

interface Scanned {
  readonly documents: Documents;
  /** What a scan has shown of them. */
  readonly there?: Existing;
}

async function* untilAborted<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal,
): AsyncGenerator<Item, void, undefined> {
  for await (const item of items) {
    if (signal.aborted) return;
    yield item;
  }
}

async function* scannedBatches(meeting: Meeting): AsyncGenerator<Scanned, void, undefined> {
  const { selection, name, checked, reader, collection, isScanned = false } = meeting;
  const { maxBytes, maxDocuments, inFlight } = meeting.size ?? READING;
  const limits = { maxBytes, maxDocuments, held: inFlight + (isScanned ? BATCHES_SEARCHED : 0) };
  const batches =
    checked === undefined
      ? readBatches(selection, name, limits)
      : readCheckedBatches(selection, name, { limits, ...checked });
  if (!isScanned || collection === undefined || fieldsOf(meeting) !== undefined) {
    for await (const documents of batches) yield { documents };
    return;
  }
  const { count = 1, bytes = 1 } = selectedOf(selection.manifest, name) ?? {};
  const perReply = Math.min(Math.ceil((maxBytes * count) / bytes), maxDocuments);
  yield* scanExisting(inStoredForm(batches), reader.scan(collection.name, perReply));
}

async function* inStoredForm(batches: AsyncIterable<Documents>): AsyncGenerator<Documents, void, undefined> {
  for await (const documents of batches) yield documents.inStoredForm();
}

/** At least one part, however little there is in the batch. */
async function* partsOf(
  meeting: Meeting,
  { documents, there }: Scanned,
): AsyncGenerator<Met, void, undefined> {
  const { reader, collection, needs } = meeting;
  const stored = documents.inStoredForm();
  const { positions, refusals } = sortOut(stored, meeting);
  const fields = fieldsOf(meeting);
  const met = { documents, stored, fields };
  if (collection === undefined || positions.length === 0) {
    yield { ...met, positions, refusals, there: there ?? new Existing(stored, { fields }) };
    return;
  }
  if (needs === 'presence') {
    const known = there ?? new Existing(stored, { fields });
    const open = positions.filter((position) => known.presence(position) === 'absent');
    await findExisting({ reader, collection }, { documents: stored, positions: open }, known);
    yield { ...met, positions, refusals, there: known };
    return;
  }
  let passed = 0;
  for await (const part of existingInParts(
    { reader, collection },
    { documents: stored, positions },
    fields,
  )) {
    const last = part.positions.at(-1) as number;
    const isLast = last === positions.at(-1);
    const next = isLast ? refusals.length : refusals.findIndex(({ position }) => position > last);
    const end = next < 0 ? refusals.length : next;
    yield { ...met, ...part, refusals: refusals.slice(passed, end) };
    passed = end;
  }
}

/** Of a collection whose fields are merged. */
function fieldsOf({ selection, name }: Meeting): MergeFields | undefined {
  const merge = selectedOf(selection.manifest, name)?.merge;
  return merge && new MergeFields(merge.fields);
}

/** Positions of those to look up, and what no server stores; `stored` have their `_id` first. */
function sortOut(
  stored: Documents,
  { every = 1, knowsDepth = false }: Meeting,
): { positions: number[]; refusals: Refusal[] } {
  const positions: number[] = [];
  const refusals: Refusal[] = [];
  // Mostly none of the batch can be too large. To look at each costs much after a scan: it is in no cache any more.
  const knowsLength = stored.bytes.length > MAX_STORED_BYTES;
  for (let position = 0; position < stored.length; position++) {
    const reason =
      idRefusal(stored.id(position)) ??
      (knowsLength ? lengthRefusal(stored.size(position)) : undefined) ??
      (knowsDepth ? depthRefusal(stored.value(position)) : undefined);
    if (reason !== undefined) refusals.push({ position, reason });
    else if (every === 1 || (stored.first + position) % every === 0) positions.push(position);
  }
  return { positions, refusals };
}

const HEAVY_BYTES = 4 * 1024 * 1024;

/**
 * Works on several items of a stream at once and yields the results in the stream's order.
 *
 * At most `inFlight` items are being worked on, which bounds memory and keeps a server busy while the next one is read. One above a few
 * megabytes is worked on alone. After a failure no further item is started, and the failure is thrown when those in flight have settled.
 */
export async function* mapConcurrently<Item, Result>(
  items: AsyncIterable<Item>,
  { inFlight, weigh }: { readonly inFlight: number; readonly weigh: (item: Item) => number },
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const running: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const most = weigh(item) > HEAVY_BYTES ? 1 : inFlight;
      while (running.length >= most) yield await (running.shift() as Promise<Result>);
      const result = work(item);
      // It is awaited in its turn; failing before that is no unhandled rejection.
      result.catch(() => undefined);
      running.push(result);
      while (running.length >= most) yield await (running.shift() as Promise<Result>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<Result>);
  } finally {
    await Promise.allSettled(running);
  }
}
