/** What checks say of selected documents on their way to a class. */
import type { Documents } from '../bson/documents.ts';
import type { DocumentClass } from '../outcomes.ts';
import type { TargetIndex } from '../target/target.ts';

/** Why a document cannot be inserted. */
export interface Objection {
  readonly class: 'conflict' | 'refused';
  readonly reason: string;
  /** See ComparedDocument. */
  readonly reasonValues?: string;
  /** The index that the document does not fit into. */
  readonly by?: TargetIndex;
}

/** What was found of a document. */
export interface Verdict extends Omit<Objection, 'class'> {
  readonly class: DocumentClass;
}

/** By position; nothing of those that there is no objection to. */
type Objections = ReadonlyMap<number, Objection>;

/** Looks at the documents at `positions`, which would be inserted or replaced. */
export type DocumentCheck = (documents: Documents, positions: readonly number[]) => Promise<Objections>;
