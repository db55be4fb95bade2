/**
 * The library: a plan, and what can be done with it.
 *
 *     const restore = await openRestore('plan.yaml', { env, workDirectory: '/var/tmp/restores' });
 *     const comparison = await restore.compare('staging'); // writes nothing
 *     await restore.apply('staging');
 *     await restore.apply('production'); // opened by its gate alone
 *     await restore.followUps('production');
 *     await restore.close();
 *
 * The engine keeps its promises here too: `apply` asks the gate before it writes to production, takes the lock and keeps the ledger,
 * whoever calls it. Every failure is a RestorePlanError with a code, what is wrong, and what to do next; what a run reports comes as
 * RunEvents. `redact` strikes secrets out of a text before it is written anywhere.
 */

export type { ApplyResult } from './apply/apply-selection.ts';
export type { TargetStatus } from './apply/restore-status.ts';
export type { RevertReport } from './apply/revert-entry.ts';
export type { Verification } from './apply/verify-selection.ts';
export type { TargetComparison } from './comparison/comparison.ts';
export { RestorePlanError } from './errors.ts';
export type { RunEvent, TargetName } from './events.ts';
export type { FollowUpStatus } from './follow-ups/follow-up-status.ts';
export type { Plan } from './plan/plan.ts';
export { openRestore, type Restore } from './restore/restore.ts';
export { redact } from './secret.ts';
export type { Selection } from './selection/selection.ts';
