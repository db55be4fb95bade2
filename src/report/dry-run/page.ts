/**
 * A dry-run as a page for the terminal: what was chosen from which backup, and what each target would meet; documents.ts
 * goes on with the documents. Fits 80 columns, uses more where there are more, and reads the same without colours.
 */
import type { TargetComparison } from '../../comparison/comparison.ts';
import type { TargetName } from '../../events.ts';
import type { Suggestion } from '../../follow-ups/suggestions/suggestion.ts';
import type { Plan } from '../../plan/plan.ts';
import type { SelectionManifest } from '../../selection/selection.ts';
import { foretold } from '../document-classes.ts';
import type { Paint } from '../paint.ts';
import { type Sum, sumLines } from '../sum.ts';
import { wrapped } from '../wrap.ts';
import { collectionTree } from './collection-tree.ts';
import { foretoldLines } from './foretold.ts';
import { header, warningsOf } from './header.ts';
import { remarks } from './remarks.ts';

export interface DryRun {
  readonly plan: Plan;
  readonly manifest: SelectionManifest;
  /** One for each target that was compared, in the order they are restored. */
  readonly comparisons: readonly TargetComparison[];
  readonly notCompared: readonly NotCompared[];
  /** What was warned of on the way: of the backup that was found, of the targets. */
  readonly warnings?: readonly string[];
  /** What the plan may have forgotten. */
  readonly suggestions?: readonly Suggestion[];
}

export interface NotCompared {
  readonly target: TargetName;
  readonly reason: string;
  readonly hint: string | undefined;
}

export interface PageStyle {
  readonly paint: Paint;
  /** Terminal columns. */
  readonly columns: number;
  /** Lines about documents are neither cut nor wrapped: a program reads them. */
  readonly wholeLines?: boolean;
}

/** The last lines: what can be foretold to end badly, and the sum of each target. `now` is UTC milliseconds. */
export function* dryRunEnd(run: DryRun, now: number, style: PageStyle): Generator<string> {
  yield '';
  yield* foretoldLines(run, style);
  for (const comparison of run.comparisons) yield* sumLines(sumOf(run, comparison, now), style);
  for (const { target, reason } of run.notCompared) {
    yield* wrapped(`${target}: not compared: ${reason}`, { columns: style.columns, hanging: 2 }).map(
      style.paint.odd,
    );
  }
}

function sumOf(run: DryRun, comparison: TargetComparison, now: number): Sum {
  const { target, database, collections } = comparison;
  return {
    target,
    database,
    outcomes: foretold(collections),
    danglingReferences: collections.reduce((sum, { danglingReferences }) => sum + danglingReferences, 0),
    backup: run.manifest.backup,
    warnings: warningsOf({ ...run, comparisons: [comparison] }).length,
    now,
  };
}

/** Lines without newlines. */
export function* dryRunPage(run: DryRun, style: PageStyle): Generator<string> {
  yield* header(run, style);
  yield '';
  yield* collectionTree(run, style);
  yield* remarks(run, style);
}
