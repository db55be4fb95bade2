/** The documents of a batch as they will stand in the target, and those that no server would take. Pure. */
import { DocumentRun } from '../bson/document-run.ts';
import { idRefusal, lengthRefusal } from '../bson/storable.ts';
import { startsWithId, storedForm } from '../bson/stored-form.ts';
import type { DocumentBatch } from '../selection/selection.ts';

interface Refusal {
  readonly position: number;
  readonly reason: string;
}

export interface AdmittedBatch {
  /** All documents of the batch, each with its `_id` first. */
  readonly run: DocumentRun;
  /** Index of the run's first document within its collection. */
  readonly first: number;
  /** Positions in the run of the documents that can be stored. */
  readonly positions: readonly number[];
  readonly refusals: readonly Refusal[];
  /** How many had their `_id` moved to the front, as the server would have done. */
  readonly reordered: number;
}

/** Nesting is left to the server, which names the document that is too deep; everything else is known beforehand. */
export function admit({ bytes, offsets, first }: DocumentBatch): AdmittedBatch {
  const { run, reordered } = inStoredForm(bytes, offsets);
  const positions: number[] = [];
  const refusals: Refusal[] = [];
  for (let position = 0; position < run.length; position++) {
    const length = run.end(position) - (run.offsets[position] as number);
    const reason = idRefusal(run.id(position)) ?? lengthRefusal(length);
    if (reason === undefined) positions.push(position);
    else refusals.push({ position, reason });
  }
  return { run, first, positions, refusals, reordered };
}

/** Copies only where a document does not start with its `_id`, which no dump of a server has. */
function inStoredForm(bytes: Buffer, offsets: readonly number[]): { run: DocumentRun; reordered: number } {
  const isOdd = (start: number): boolean => !startsWithId(bytes, start);
  if (!offsets.some(isOdd)) return { run: new DocumentRun(bytes, offsets), reordered: 0 };
  const documents = offsets.map((start) => storedForm(bytes, start));
  const reordered = documents.filter(
    (document, i) => isOdd(offsets[i] as number) && startsWithId(document),
  ).length;
  const moved: number[] = [];
  let at = 0;
  for (const document of documents) {
    moved.push(at);
    at += document.length;
  }
  return { run: new DocumentRun(Buffer.concat(documents), moved), reordered };
}
