/** Where the ledger lies: three collections inside the target's own database, so that it cannot be mixed up with another. */

export const RUNS = 'restore_plan.runs';
export const JOURNAL = 'restore_plan.journal';
export const LOCK = 'restore_plan.lock';

/** Format of every ledger document. A higher number was written by a newer version of this tool. */
export const LEDGER_FORMAT = 1;
