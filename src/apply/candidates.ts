/** The documents of a batch as they will stand in the target, and those that no server would take. Pure. */

import { documentValue } from '../bson/diff-documents.ts';
import { findId, startsWithId, storedForm } from '../bson/stored-form.ts';
import type { RawValue } from '../bson/types.ts';
import type { Candidate } from '../comparison/candidate.ts';
import { idOrRefusal, sizeRefusal } from '../comparison/structure.ts';
import type { DocumentBatch } from '../selection/selection.ts';

export interface Refusal {
  /** Position in the selection's file, from 0. */
  readonly index: number;
  readonly id: RawValue | undefined;
  readonly reason: string;
}

export interface AdmittedBatch {
  readonly candidates: readonly Candidate[];
  readonly refusals: readonly Refusal[];
  /** How many had their `_id` moved to the front, as the server would have done. */
  readonly reordered: number;
}

/** Cost per document whose `_id` comes first: its type is looked at; nothing is copied. */
export function admit(batch: DocumentBatch): AdmittedBatch {
  const candidates: Candidate[] = [];
  const refusals: Refusal[] = [];
  let reordered = 0;
  for (let position = 0; position < batch.offsets.length; position++) {
    const start = batch.offsets[position] as number;
    const index = batch.first + position;
    const idOrReason = idOrRefusal(batch.bytes, start);
    if (typeof idOrReason === 'string') {
      refusals.push({ index, id: findId(batch.bytes, start), reason: idOrReason });
      continue;
    }
    const document = documentValue(batch.bytes, start);
    const reason = sizeRefusal(document);
    if (reason !== undefined) {
      refusals.push({ index, id: idOrReason, reason });
    } else if (startsWithId(batch.bytes, start)) {
      candidates.push({ index, document, id: idOrReason });
    } else {
      reordered++;
      const moved = storedForm(batch.bytes, start);
      candidates.push({ index, document: documentValue(moved), id: findId(moved) as RawValue });
    }
  }
  return { candidates, refusals, reordered };
}
