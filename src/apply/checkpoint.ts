/**
 * Named moments of an apply or a revert. A run is handed a function that is called at each; the fault tests kill or pause the
 * process there. It can delay a run or end it, and change nothing else.
 */
export const CHECKPOINTS = [
  'lock-taken',
  'run-begun',
  'collection-intended',
  'collection-created',
  'indexes-created',
  'batch-compared',
  'batch-intended',
  'batch-written',
  'batch-recorded',
  'all-written',
  'verified',
  'run-recorded',
] as const;
export type CheckpointName = (typeof CHECKPOINTS)[number];

export type Checkpoint = (name: CheckpointName) => void | Promise<void>;
