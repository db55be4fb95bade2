/** The documents of a batch as they will stand in the target, and those that no server would take. Pure. */
import { DocumentRun } from '../bson/document-run.ts';
import { startsWithId, storedForm } from '../bson/stored-form.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { DocumentBatch } from '../selection/selection.ts';

const MOST_BYTES = 16 * 1024 * 1024;

const UNUSABLE_IDS: Readonly<Record<number, string>> = {
  // The server would invent one, and a second run would insert the document again.
  0: 'it has no _id',
  [BSON.ARRAY]: 'its _id is an array, which the server does not take',
  [BSON.REGEX]: 'its _id is a regular expression, which the server does not take',
  [BSON.UNDEFINED]: 'its _id is undefined, which the server does not take',
};

export interface Refusal {
  readonly position: number;
  readonly id: RawValue | undefined;
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
    const reason =
      UNUSABLE_IDS[run.idType(position)] ??
      (length > MOST_BYTES ? `it has ${length} bytes; the server stores at most 16 MiB` : undefined);
    if (reason === undefined) positions.push(position);
    else refusals.push({ position, id: run.idType(position) === 0 ? undefined : run.id(position), reason });
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
