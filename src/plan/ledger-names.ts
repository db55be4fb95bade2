/** The collections that this program keeps for itself in the database of a target: no plan restores them, and they are nobody's loss. */

export function isOfLedger(collection: string): boolean {
  return /^restore_plan(?:\.|$)/.test(collection);
}
