/** What a revert would do, or did. */
import type { TargetName } from '../events.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { RevertClass } from './revert-batch.ts';

/** Untouched documents named one by one; all are counted. */
const MOST_NAMED = 1_000;

export interface RevertedCollection {
  readonly collection: string;
  readonly into: string;
  readonly counts: Readonly<Record<RevertClass, number>>;
}

export interface UntouchedDocument {
  readonly into: string;
  /** `_id` as Extended JSON. */
  readonly id: string;
  readonly reason: string;
}

/** Of a preview: what would be done. Of a revert: what was done. */
export interface RevertReport {
  readonly target: TargetName;
  readonly digest: string;
  readonly collections: readonly RevertedCollection[];
  readonly untouched: readonly UntouchedDocument[];
}

const REASONS: Partial<Record<RevertClass, string>> = {
  changed: 'it was changed since it was restored',
  deleted: 'it was deleted since it was replaced',
};

export class RevertTally {
  readonly #target: TargetName;
  readonly #selection: Selection;
  readonly #counts = new Map<SelectedCollection, Record<RevertClass, number>>();
  readonly #untouched: UntouchedDocument[] = [];

  constructor(target: TargetName, selection: Selection) {
    this.#target = target;
    this.#selection = selection;
    for (const selected of selection.manifest.collections) {
      this.#counts.set(selected, { remove: 0, putBack: 0, gone: 0, back: 0, changed: 0, deleted: 0 });
    }
  }

  add(selected: SelectedCollection, kind: RevertClass, showId: () => string): void {
    const counts = this.#counts.get(selected);
    if (counts !== undefined) counts[kind]++;
    const reason = REASONS[kind];
    if (reason === undefined || this.#untouched.length >= MOST_NAMED) return;
    this.#untouched.push({ into: selected.into, id: showId(), reason });
  }

  report(): RevertReport {
    return {
      target: this.#target,
      digest: this.#selection.manifest.digest,
      collections: [...this.#counts].map(([{ collection, into }, counts]) => ({ collection, into, counts })),
      untouched: this.#untouched,
    };
  }
}
