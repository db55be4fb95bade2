import { Advice, type Remedy } from './advice.ts';

/**
 * One error class, a closed list of codes, one exit code each.
 *
 * Every failure an operator can meet is a RestorePlanError: `message` says what and where, `hint` what to do next.
 * Neither may hold a connection string, a credential, or document data beyond an `_id`.
 * Anything else that reaches the process edge is a bug and exits 70.
 */
export const EXIT_CODES = {
  /** done, or nothing to do */
  OK: 0,
  /** unexpected failure */
  UNEXPECTED: 1,
  /** only with `--detailed-exitcode`: a dry-run found documents to write, or to take back */
  CHANGES_PENDING: 2,
  /** plan invalid */
  PLAN_INVALID: 10,
  /** wrong usage */
  USAGE: 11,
  /** backup missing, changed, unreadable or corrupt; or a query matched nothing */
  BACKUP: 12,
  /** target unreachable or refused: wrong kind of server, missing privilege, view, time series */
  TARGET: 13,
  /** conflicts: some documents cannot be inserted; in a revert, some were left alone */
  CONFLICTS: 14,
  /** stopped part-way; run again to resume */
  INCOMPLETE: 15,
  /** verification found differences */
  VERIFICATION: 16,
  /** another run holds the lock */
  LOCKED: 17,
  /** gate refused */
  GATE: 18,
  /** documents written but the ledger could not be saved (a local record was) */
  LEDGER_UNSAVED: 19,
  /** the work directory or the exchange cannot be used: full, not writable, or not trusted */
  WORK_DIRECTORY: 20,
  /** internal error (a bug) */
  INTERNAL: 70,
  /** SIGINT, after finishing the batch in hand */
  SIGINT: 130,
  /** SIGTERM, after finishing the batch in hand */
  SIGTERM: 143,
} as const;

export type ErrorCode = Exclude<keyof typeof EXIT_CODES, 'OK' | 'CHANGES_PENDING'>;

export interface ErrorDetails {
  /** What to do next, one or two sentences. */
  readonly hint?: Remedy | undefined;
  readonly cause?: unknown;
  /** Machine-readable facts for `--json`; no secrets, no document data beyond `_id`s. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export class RestorePlanError extends Error {
  override readonly name = 'RestorePlanError';
  readonly code: ErrorCode;
  /** What to do next, for a view that words commands. */
  readonly advice: Advice | undefined;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.advice = typeof details.hint === 'string' ? new Advice([details.hint]) : details.hint;
    this.facts = details.facts ?? {};
  }

  /** What to do next, for whoever calls the library. */
  get hint(): string | undefined {
    return this.advice?.toString();
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}
