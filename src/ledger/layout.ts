/** Where the ledger lies: three collections inside the target's own database, so that it cannot be mixed up with another. */
import { createHash } from 'node:crypto';

export const RUNS = 'restore_plan.runs';
export const JOURNAL = 'restore_plan.journal';
export const LOCK = 'restore_plan.lock';

/** Format of every ledger document. A higher number was written by a newer version of this tool. */
export const LEDGER_FORMAT = 2;
export type LedgerFormat = 1 | 2;

/** Whose record it is: one plan, by its name, and one selection, by its digest. */
export interface RunKey {
  readonly plan: string;
  readonly selection: string;
}

/** What the `_id`s of a run's journal begin with: sha256 of the plan's name (hex), a dot, the selection's digest. */
export function journalKeyOf({ plan, selection }: RunKey): string {
  return `${createHash('sha256').update(plan).digest('hex')}.${selection}`;
}
