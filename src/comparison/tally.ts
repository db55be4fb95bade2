/** Counts the documents of one collection by class, and keeps the first few of each for showing. */
import { ATTENTION_ORDER, type DocumentClass } from '../outcomes.ts';
import type { ComparedDocument, DanglingReference, LeftOutCounts } from './comparison.ts';

/** How much is kept for showing. */
export interface Shown {
  /** Of each class. */
  readonly documents: number;
  /** References. */
  readonly dangling: number;
}

/** By decision; or held back, for what its parent is. */
export type LeftOutWhy = 'excepted' | 'conflict' | 'refused';

const NONE_LEFT_OUT: LeftOutCounts = { excepted: 0, heldBack: { conflict: 0, refused: 0 } };

export type ClassCounts = Record<DocumentClass, number>;

export class Tally {
  readonly counts: ClassCounts = {
    insert: 0,
    identical: 0,
    different: 0,
    softDeleted: 0,
    stale: 0,
    conflict: 0,
    refused: 0,
  };
  danglingReferences = 0;
  readonly #leftOut = new Map<DocumentClass, LeftOutCounts>();
  readonly dangling: DanglingReference[] = [];
  readonly #show: Shown;
  readonly #kept = new Map<DocumentClass, ComparedDocument[]>();

  constructor(show: Shown) {
    this.#show = show;
  }

  /** Counts a document and returns whether it is to be kept, which is when `keep` should be given its details. */
  count(documentClass: DocumentClass): boolean {
    return ++this.counts[documentClass] <= this.#show.documents;
  }

  /** Of a document that was counted: why it is left out. */
  countLeftOut(documentClass: DocumentClass, why: LeftOutWhy): void {
    const { excepted, heldBack } = this.#leftOut.get(documentClass) ?? NONE_LEFT_OUT;
    this.#leftOut.set(
      documentClass,
      why === 'excepted'
        ? { excepted: excepted + 1, heldBack }
        : { excepted, heldBack: { ...heldBack, [why]: heldBack[why] + 1 } },
    );
  }

  /** Undefined where none is. */
  get leftOut(): Partial<Record<DocumentClass, LeftOutCounts>> | undefined {
    return this.#leftOut.size === 0 ? undefined : Object.fromEntries(this.#leftOut);
  }

  keep(document: ComparedDocument): void {
    const kept = this.#kept.get(document.class);
    if (kept === undefined) this.#kept.set(document.class, [document]);
    else kept.push(document);
  }

  addDangling(references: readonly DanglingReference[]): void {
    this.danglingReferences += references.length;
    this.dangling.push(...references.slice(0, Math.max(0, this.#show.dangling - this.dangling.length)));
  }

  get documents(): ComparedDocument[] {
    return ATTENTION_ORDER.flatMap((documentClass) => this.#kept.get(documentClass) ?? []);
  }
}
