/** What a revert would do, or did. */
import type { TargetName } from '../events.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import type { RevertedOutcome } from '../outcomes.ts';

/** Documents that are left alone, named one by one; all are counted. */
const MOST_NAMED = 1_000;

export type RevertCounts = Readonly<Record<RevertedOutcome, number>>;

export interface RevertedCollection {
  /** In the backup. */
  readonly collection: string;
  /** In the target. */
  readonly into: string;
  readonly counts: RevertCounts;
}

/** One run of the plan. */
export interface RevertedRun {
  readonly digest: string;
  readonly startedAt: Date;
  readonly collections: readonly RevertedCollection[];
}

export interface UntouchedDocument {
  /** Selection digest of the run that wrote it. */
  readonly digest: string;
  readonly into: string;
  /** `_id` as Extended JSON. */
  readonly id: string;
  readonly reason: string;
}

/** Of a preview: what would be done. Of a revert: what was done. */
export interface RevertReport {
  readonly target: TargetName;
  readonly database: string;
  readonly plan: string;
  /** Newest first; without those that left nothing here. */
  readonly runs: readonly RevertedRun[];
  readonly untouched: readonly UntouchedDocument[];
}

const REASONS: Partial<Record<RevertedOutcome, string>> = {
  changed: 'it was changed since it was restored',
  deleted: 'it was deleted since it was replaced',
  doubtful: 'it is there as it was restored, and nobody can tell whether this tool wrote it or somebody else',
};

/** What is left in the target of what the plan wrote. */
export function leftOf({ changed, deleted, doubtful }: RevertCounts): number {
  return changed + deleted + doubtful;
}

/** Counts of all collections of all runs together. */
export function totalOf({ runs }: Pick<RevertReport, 'runs'>): RevertCounts {
  const total: Record<RevertedOutcome, number> = noCounts();
  for (const { collections } of runs) {
    for (const { counts } of collections) {
      for (const outcome of Object.keys(total) as RevertedOutcome[]) total[outcome] += counts[outcome];
    }
  }
  return total;
}

function noCounts(): Record<RevertedOutcome, number> {
  return { remove: 0, putBack: 0, gone: 0, back: 0, changed: 0, deleted: 0, doubtful: 0 };
}

export class RevertTally {
  readonly #runs: readonly RunRecord[];
  readonly #counts = new Map<RunRecord, Map<string, Record<RevertedOutcome, number>>>();
  readonly #untouched: UntouchedDocument[] = [];

  /** `runs`: newest first. */
  constructor(runs: readonly RunRecord[]) {
    this.#runs = runs;
  }

  add(
    run: RunRecord,
    { into, outcome, showId }: { into: string; outcome: RevertedOutcome; showId: () => string },
  ): void {
    const ofRun = this.#counts.get(run) ?? new Map<string, Record<RevertedOutcome, number>>();
    this.#counts.set(run, ofRun);
    const counts = ofRun.get(into) ?? noCounts();
    ofRun.set(into, counts);
    counts[outcome]++;
    const reason = REASONS[outcome];
    if (reason === undefined || this.#untouched.length >= MOST_NAMED) return;
    this.#untouched.push({ digest: run.key.selection, into, id: showId(), reason });
  }

  /** Documents of one run that were left alone. */
  leftOf(run: RunRecord): number {
    return [...(this.#counts.get(run)?.values() ?? [])].reduce((sum, counts) => sum + leftOf(counts), 0);
  }

  report(place: Pick<RevertReport, 'target' | 'database' | 'plan'>): RevertReport {
    const runs = this.#runs.flatMap((run): RevertedRun[] => {
      const counts = this.#counts.get(run);
      if (counts === undefined) return [];
      const nameOf = new Map(run.collections.map(({ collection, into }) => [into, collection]));
      const collections = [...counts].map(([into, each]) => ({
        collection: nameOf.get(into) ?? into,
        into,
        counts: each,
      }));
      return [{ digest: run.key.selection, startedAt: run.startedAt, collections }];
    });
    return { ...place, runs, untouched: this.#untouched };
  }
}
