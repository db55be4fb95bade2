/**
 * What a run reports while it works: a closed union. The engine emits, views print; nothing here is needed for the work.
 * Byte counts are bytes, counts are documents. Emitters throttle to chunks and batches, never per document.
 */
/** A plan's targets, in the order they are restored. */
export type TargetName = 'staging' | 'production';

export type RunEvent =
  | { readonly type: 'plan-read'; readonly name: string; readonly digest: string }
  | {
      readonly type: 'backup-located';
      readonly location: string;
      readonly kind: string;
      readonly time: number | undefined;
      readonly localTime: string | undefined;
      readonly size: number | undefined;
      readonly beforeAtMs: number | undefined;
    }
  | {
      readonly type: 'selection-started';
      readonly collections: readonly string[];
      readonly totalBytes: number | undefined;
    }
  | {
      readonly type: 'selection-progress';
      readonly bytesRead: number;
      readonly scanned: number;
      readonly selected: number;
    }
  | {
      /** Machines that select together: how far a level of the plan (from 0) is. */
      readonly type: 'workers-progress';
      readonly level: number;
      readonly levels: number;
      /** What was handed in, of what there is. */
      readonly parts: number;
      readonly slices: number;
      readonly running: number;
      readonly waiting: number;
    }
  | { readonly type: 'selection-reused'; readonly digest: string; readonly directory: string }
  | {
      readonly type: 'selection-finished';
      readonly digest: string;
      readonly selected: number;
      readonly bytes: number;
      readonly bytesRead: number;
    }
  | { readonly type: 'comparison-started'; readonly target: TargetName; readonly documents: number }
  | { readonly type: 'comparison-progress'; readonly target: TargetName; readonly compared: number }
  | { readonly type: 'comparison-finished'; readonly target: TargetName }
  | { readonly type: 'target-skipped'; readonly target: TargetName; readonly reason: string }
  | { readonly type: 'gate-opened'; readonly target: TargetName; readonly reason: string }
  | { readonly type: 'lock-acquired'; readonly target: TargetName; readonly fencing: number }
  | {
      readonly type: 'collection-created';
      readonly target: TargetName;
      readonly collection: string;
      readonly indexes: number;
    }
  | {
      readonly type: 'apply-started';
      readonly target: TargetName;
      readonly documents: number;
      readonly bytes: number;
      readonly resumed: boolean;
    }
  | {
      readonly type: 'apply-progress';
      readonly target: TargetName;
      readonly written: number;
      readonly bytes: number;
    }
  | { readonly type: 'apply-finished'; readonly target: TargetName; readonly written: number }
  | { readonly type: 'verification-started'; readonly target: TargetName; readonly documents: number }
  | { readonly type: 'verification-progress'; readonly target: TargetName; readonly verified: number }
  | {
      readonly type: 'verification-finished';
      readonly target: TargetName;
      readonly differences: number;
      /** Documents that need not be there as in the backup: they were kept, in conflict or refused. */
      readonly notWritten: number;
      /** The documents were read from an export whose numbers do not say their types. */
      readonly relaxed?: boolean;
    }
  | {
      readonly type: 'revert-started';
      readonly target: TargetName;
      /** Documents that the ledger counts as written. Absent: a run was cut off before it had counted them. */
      readonly documents?: number;
      /** Documents are only looked at. */
      readonly isPreview: boolean;
    }
  | { readonly type: 'revert-progress'; readonly target: TargetName; readonly done: number }
  | {
      readonly type: 'revert-finished';
      readonly target: TargetName;
      readonly done: number;
      readonly isPreview: boolean;
    }
  | {
      readonly type: 'follow-up';
      readonly target: TargetName;
      readonly name: string;
      readonly state: 'started' | 'done' | 'failed' | 'open';
      readonly detail: string | undefined;
    }
  | {
      readonly type: 'retry';
      readonly what: string;
      /** The one that failed, from 1. */
      readonly attempt: number;
      /** Until the next one. */
      readonly delayMs: number;
      readonly reason: string;
    }
  /** Entries and bytes in the file so far. */
  | { readonly type: 'oplog-save-progress'; readonly entries: number; readonly bytes: number }
  | { readonly type: 'warning'; readonly message: string };

/** Where a run's events go. Must not throw and must not block. */
export type Emit = (event: RunEvent) => void;
