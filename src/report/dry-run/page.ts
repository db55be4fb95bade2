/**
 * A dry-run as a page for the terminal: what was chosen from which backup, and what each target would meet; documents.ts
 * goes on with the documents. Fits 80 columns, uses more where there are more, and reads the same without colours.
 */
import type { TargetComparison } from '../../comparison/comparison.ts';
import type { TargetName } from '../../events.ts';
import type { Suggestion } from '../../follow-ups/suggestions/suggestion.ts';
import type { Plan } from '../../plan/plan.ts';
import type { SelectionManifest } from '../../selection/selection.ts';
import type { Paint } from '../paint.ts';
import { collectionTree } from './collection-tree.ts';
import { header } from './header.ts';
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

/** Lines without newlines. */
export function* dryRunPage(run: DryRun, style: PageStyle): Generator<string> {
  yield* header(run, style);
  yield '';
  yield* collectionTree(run, style);
  yield* remarks(run, style);
}
