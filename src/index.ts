/**
 * The library: the steps that the commands are made of. They belong together as in `plan apply`:
 *
 *     const run = runIn('/var/tmp/work', { emit: (event) => console.log(event) });
 *     const { plan } = await readPlan('plan.yaml', { env });
 *     const selection = await prepareSelection(run, { plan });
 *     const staging = await connectTarget(run, 'staging', plan.targets.staging);
 *     const comparison = await compareWithTarget(run, { plan, selection, reader: staging.reader, … });
 *     const result = await applySelection(run, { plan, selection, target: staging, … });
 *     const looseEnds = await runFollowUps(run, { plan, target: staging, … });
 *
 * The engine keeps its promises here too: `applySelection` asks the gate before it writes to production, takes the lock and
 * keeps the ledger, whoever calls it. Errors are RestorePlanErrors; what a run reports comes as RunEvents.
 */

export { type ApprovalRequest, type ApprovedRun, approveRun } from './apply/accept.ts';
export { checkGate, type GateQuestion } from './apply/admission.ts';
export { type ApplyRequest, type ApplyResult, applySelection } from './apply/apply-selection.ts';
export { decideGate, type GateFacts, type GateVerdict } from './apply/gate.ts';
export type { Obstacle } from './apply/gate-rules.ts';
export { previewRevert, type RevertRequest, revertPlan } from './apply/revert.ts';
export type { RevertReport } from './apply/revert-entry.ts';
export {
  type Verification,
  type VerificationRequest,
  type VerifyRequest,
  verifyRestore,
  verifySelection,
} from './apply/verify-selection.ts';
export type { Backup, BackupIdentity } from './backup/backup.ts';
export type { BackupOptions } from './backup/backup-store.ts';
export { type BackupListing, type ListedBackup, listBackups } from './backup/list-backups.ts';
export { openBackup } from './backup/open-backup.ts';
export type { Documents } from './bson/documents.ts';
export { type CompareRequest, compareWithTarget } from './comparison/compare-with-target.ts';
export type {
  ComparedCollection,
  ComparedDocument,
  DanglingReference,
  DocumentClass,
  FieldDifference,
  TargetComparison,
} from './comparison/comparison.ts';
export { type ErrorCode, EXIT_CODES, RestorePlanError } from './errors.ts';
export type { Emit, RunEvent, TargetName } from './events.ts';
export { type FollowUpState, type FollowUpStatus, followUpStatuses } from './follow-ups/follow-up-status.ts';
export { type FollowUpRequest, runFollowUps } from './follow-ups/run-follow-ups.ts';
export { PassingCollections } from './follow-ups/suggestions/passing-collections.ts';
export { suggestFollowUps } from './follow-ups/suggestions/suggest.ts';
export type { Suggestion } from './follow-ups/suggestions/suggestion.ts';
export { type TickOffRequest, tickOff } from './follow-ups/tick-off.ts';
export type { Actor, RunRecord, RunStatus } from './ledger/run-record.ts';
export { readRuns } from './ledger/runs.ts';
export type { PlanFault } from './plan/fault.ts';
export type { Plan } from './plan/plan.ts';
export { type PlanReading, type ReadPlanOptions, readPlan } from './plan/read-plan.ts';
export { type Run, runIn } from './run.ts';
export { redact, registerSecret, Secret } from './secret.ts';
export { readBatches } from './selection/file-batches.ts';
export { findSelection, openSelection } from './selection/open-selection.ts';
export {
  type PrepareRequest,
  prepareSelection,
  type SelectionRequest,
  selectDocuments,
} from './selection/select-documents.ts';
export type {
  SelectedCollection,
  Selection,
  SelectionManifest,
} from './selection/selection.ts';
export { type ConnectOptions, connectTarget } from './target/connect.ts';
export type { ServerIdentity, Target, TargetReader } from './target/target.ts';
export { VERSION } from './version.ts';
