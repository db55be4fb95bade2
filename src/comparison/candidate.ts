/** A selected document on its way to a class, and what a check may say of it. */
import type { RawValue } from '../bson/types.ts';
import type { TargetIndex } from '../target/target.ts';

export interface Candidate {
  /** Position in the selection's file, from 0. */
  readonly index: number;
  /** The whole document. */
  readonly document: RawValue;
  readonly id: RawValue;
}

/** Why a document cannot be inserted. */
export interface Objection {
  readonly class: 'conflict' | 'refused';
  readonly reason: string;
  /** See ComparedDocument. */
  readonly reasonValues?: string;
  /** The index that the document does not fit into. */
  readonly by?: TargetIndex;
}

/** Looks at documents that would be inserted or replaced; says nothing of those it has no objection to. */
export type CandidateCheck = (candidates: readonly Candidate[]) => Promise<ReadonlyMap<Candidate, Objection>>;

export function bytesOf({ document }: Candidate): Buffer {
  return document.bytes.subarray(document.start, document.end);
}
