import { bytesOf, type WholeDocuments } from '../../backup/backup.ts';
import { KeyPath } from '../../selection/routes.ts';
import { fieldsThatRefer, type Parent } from './reference-search.ts';
import type { Suggestion } from './suggestion.ts';

/** Bytes of a collection that show which of its fields may refer. */
export const SAMPLE_BYTES = 256 * 1024;
/** Read in all to count; a suggestion is not worth more. */
export const MOST_BYTES = 512 * 1024 * 1024;
/** `_id`s of larger selections would not fit the memory bound beside everything else. */
export const MOST_IDS = 2_000_000;

interface Candidate {
  readonly field: string;
  readonly parent: Parent;
  readonly path: KeyPath;
  documents: number;
}

/** Counts the documents of one collection that refer to the selection, by each field that may. */
export class ReferenceCount {
  bytesLeft: number;
  readonly #candidates: readonly Candidate[];

  private constructor(candidates: readonly Candidate[], bytesLeft: number) {
    this.#candidates = candidates;
    this.bytesLeft = bytesLeft;
  }

  /** Looks for fields in the first documents of a collection, the last of which may be cut off; counts none of them yet. Throws BsonFault. */
  static ofSample(sample: Buffer, parents: readonly Parent[], bytesLeft: number): ReferenceCount {
    const candidates = fieldsThatRefer(sample, parents).map(({ field, parent }) => ({
      field,
      parent,
      path: new KeyPath(field, 'foreign'),
      documents: 0,
    }));
    return new ReferenceCount(candidates, bytesLeft);
  }

  get hasCandidates(): boolean {
    return this.#candidates.length > 0;
  }

  /** Takes the next documents, unless enough was read. Throws BsonFault. */
  take(documents: WholeDocuments): void {
    if (this.bytesLeft <= 0) return;
    const { bytes, starts, count } = documents;
    for (let i = 0; i < count; i++) this.#count(bytes, starts[i] as number);
    this.bytesLeft -= bytesOf(documents);
  }

  suggestions(collection: string): Extract<Suggestion, { kind: 'forgottenDependent' }>[] {
    const complete = this.bytesLeft > 0;
    return this.#candidates
      .filter(({ documents }) => documents > 0)
      .map(({ field, parent, documents }) => ({
        ...{ kind: 'forgottenDependent', collection, field, parent: parent.collection, documents, complete },
      }));
  }

  #count(bytes: Buffer, start: number): void {
    for (const candidate of this.#candidates) {
      const { ids } = candidate.parent;
      if (candidate.path.some(bytes, start, (value) => ids.has(value))) candidate.documents++;
    }
  }
}
