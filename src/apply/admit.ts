/** The documents of a batch as they will stand in the target, and those that no server would take. Pure. */
import type { Documents } from '../bson/documents.ts';
import { idRefusal, lengthRefusal } from '../bson/storable.ts';
import { startsWithId } from '../bson/stored-form.ts';

interface Refusal {
  readonly position: number;
  readonly reason: string;
}

export interface AdmittedBatch {
  /** All documents of the batch, each with its `_id` first. */
  readonly run: Documents;
  /** Index of the run's first document within its collection. */
  readonly first: number;
  /** Positions in the run of the documents that can be stored. */
  readonly positions: readonly number[];
  readonly refusals: readonly Refusal[];
  /** Some had their `_id` moved to the front, as the server would have done. */
  readonly reordered: boolean;
}

/** Nesting is left to the server, which names the document that is too deep; everything else is known beforehand. */
export function admit(batch: Documents): AdmittedBatch {
  const run = batch.inStoredForm();
  const positions: number[] = [];
  const refusals: Refusal[] = [];
  for (let position = 0; position < run.length; position++) {
    const reason = idRefusal(run.id(position)) ?? lengthRefusal(run.size(position));
    if (reason === undefined) positions.push(position);
    else refusals.push({ position, reason });
  }
  return { run, first: batch.first, positions, refusals, reordered: run !== batch && hasMovedId(batch) };
}

function hasMovedId(batch: Documents): boolean {
  return batch.offsets.some((start, i) => !startsWithId(batch.bytes, start) && batch.idType(i) !== 0);
}
