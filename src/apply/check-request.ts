/** What the library entry must not be talked into: a target that is not the plan's, a selection that is not what it says. */
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { selectionDigest } from '../selection/digest.ts';
import { selectedBy } from '../selection/open-selection.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { Target } from '../target/target.ts';

/** The ledger, which vouches for everything, and what belongs to the server. */
const RESERVED = /^(?:restore_plan(?:\.|$)|system\.)/;

/** Throws GATE: each of these would let something pass for what it is not. */
export function requireBelonging(plan: Plan, selection: Selection, target: Target): void {
  const { manifest } = selection;
  requireOwnTarget(plan, target);
  if (selectedBy(manifest) !== plan.selectsDigest) {
    throw refused('the selection was made from another version of the plan');
  }
  if (selectionDigest(manifest.collections) !== manifest.digest || !isAllDigested(manifest.collections)) {
    throw refused('the selection does not agree with its own digest');
  }
  const reserved = manifest.collections.find(({ into }) => RESERVED.test(into));
  if (reserved !== undefined) throw refused(`nothing is restored into ${reserved.into}`);
}

/** The digest leaves out what has no documents, and a collection is read by its name: neither may hide any. */
function isAllDigested(collections: readonly SelectedCollection[]): boolean {
  const names = new Set(collections.map(({ collection }) => collection));
  return (
    names.size === collections.length && collections.every(({ count, bytes }) => count > 0 || bytes === 0)
  );
}

/** Throws GATE when the connection was not made from the plan's own target of that name. */
export function requireOwnTarget(plan: Plan, target: Target): void {
  if (plan.targets[target.name] === target.plan) return;
  throw refused(`the connection given as ${target.name} was not made from the plan's ${target.name} target`);
}

function refused(message: string): RestorePlanError {
  return new RestorePlanError('GATE', message, {
    hint: 'Nothing was written. Run `plan dry-run`, then `plan apply --target staging` again.',
  });
}
