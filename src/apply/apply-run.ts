/** A run of one selection under its target's lock: what its batches share, and how they are written. */
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import type { ChangeSince, TargetMemory } from '../comparison/target-memory.ts';
import { RestorePlanError } from '../errors.ts';
import type { BatchEnd, Intention, Journal } from '../ledger/journal.ts';
import type { JournalEntry } from '../ledger/journal-entry.ts';
import { JOURNAL, journalKeyOf, type RunKey } from '../ledger/layout.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { Lease } from '../ledger/lock.ts';
import type { Actor, RunRecord } from '../ledger/run-record.ts';
import type { Runs } from '../ledger/runs.ts';
import { settleOpenBatch } from '../ledger/written.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { Selection } from '../selection/selection.ts';
import { CommandFailure } from '../target/command-failure.ts';
import {
  accessTo,
  type Target,
  type TargetReader,
  type TargetWriter,
  type WriteOptions,
} from '../target/target.ts';
import type { ApplyOutcome, DocumentOutcome } from './document-outcome.ts';

export interface OtherSource {
  /** The newest run of a plan of this name in the target. */
  readonly run: RunRecord;
  /** One sentence, without a full stop. */
  readonly fact: string;
}

export interface ApplyRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  /** For production: a reader of staging, without which the gate stays shut. For staging: of production, where reachable. */
  readonly other: TargetReader | undefined;
  readonly actor: Actor & { readonly pid: number };
  /** The last word of whoever asked: called when the run is admitted and nothing is written. Throwing ends it. */
  readonly confirm?: () => Promise<void>;
  /**
   * Called when a plan of this name was applied there from another source, before anything is written. Throwing ends the run;
   * without it, such a run is refused.
   */
  readonly confirmPlan?: (other: OtherSource) => Promise<void>;
  /** The operator's word that nobody else writes meanwhile: needed to replace documents of a standalone, which has no transactions. */
  readonly exclusive?: boolean;
  /** What the last dry-run saw; documents that are others now are named in the result. */
  readonly memory?: TargetMemory | undefined;
  readonly leaseMs?: number | undefined;
}

/** Documents named one by one in a result; all are counted. */
const MOST_NOTICES = 1_000;

/** A document that did not go the ordinary way. */
export interface Notice {
  /** Collection in the target. */
  readonly into: string;
  /** `_id` as Extended JSON; undefined when it has none. */
  readonly id: string | undefined;
  readonly outcome: ApplyOutcome;
  readonly reason: string;
}

/** A document that the target holds in another state than the last dry-run saw. */
export interface ChangeNotice {
  readonly into: string;
  /** `_id` as Extended JSON. */
  readonly id: string;
  readonly change: ChangeSince;
}

/** An identity of a write was used up: nobody does so but a run that has taken the lock since. */
const TRANSACTION_TOO_OLD = 225;

export class ApplyRun {
  readonly run: Run;
  readonly target: Target;
  readonly lease: Lease;
  readonly key: RunKey;
  readonly runs: Runs;
  readonly journal: Journal;
  readonly notices: Notice[] = [];
  /** The first of them. */
  readonly changes: ChangeNotice[] = [];
  changeCount = 0;
  /** Outcomes of batches that the journal could not be told. */
  readonly unrecorded: BatchEnd[] = [];
  readonly #warned = new Set<string>();
  /** Number of the journal's newest batch. */
  lastBatch = 0;
  /** Documents written by an apply so far. */
  written = 0;
  #bytes = 0;
  #reopened: Promise<void> | undefined;
  #mayHaveWritten = false;

  constructor(run: Run, { target, lease }: { readonly target: Target; readonly lease: Lease }, key: RunKey) {
    this.run = run;
    this.target = target;
    this.lease = lease;
    this.key = key;
    const ledger = openLedger(target);
    this.runs = ledger.runs;
    this.journal = ledger.journal(journalKeyOf(key));
  }

  get fencing(): number {
    return this.lease.fencing;
  }

  /** True as soon as a document may have been written. */
  get mayHaveWritten(): boolean {
    return this.#mayHaveWritten;
  }

  /** Finds out what came of a batch that a run left open when it died, and records it; undefined where nobody knows. */
  async settleOpen(entry: JournalEntry): Promise<BatchEnd | undefined> {
    await this.lease.ensure();
    const end = await settleOpenBatch(this.target.reader, accessTo(this.target).writer, entry);
    if (end !== undefined) await this.journal.record(end);
    return end;
  }

  /**
   * Every write of documents: intend, write, record. Until the record is made, the journal says: may have happened. `write` is called
   * with the identity that the journal has by then; `endOf` says what came of it, by positions in the intention's ids, or throws where
   * nobody knows.
   */
  async write<Result>(
    intention: Omit<Intention, 'identity'>,
    write: (writer: TargetWriter, options: WriteOptions) => Promise<Result>,
    endOf: (result: Result) => Omit<BatchEnd, 'batch'>,
  ): Promise<Result> {
    const { run, lease } = this;
    const { writer } = accessTo(this.target);
    const identity = await writer.newIdentity();
    const batch = ++this.lastBatch;
    await lease.ensure();
    this.#reopened ??= this.runs.reopen(this.key, this.fencing);
    await this.#reopened;
    await this.journal.intend(batch, this.fencing, { ...intention, identity });
    await run.checkpoint('batch-intended');
    let attempts = 0;
    let isRefused = false;
    /** Before every command, the repeated ones too: whoever was out of reach for long may have lost the lock. */
    const beforeAttempt = async (): Promise<void> => {
      // The attempt before this one had no clean answer.
      if (attempts > 0) this.#mayHaveWritten = true;
      await lease.ensure();
      attempts++;
    };
    let result: Result;
    try {
      result = await write(writer, { identity, beforeAttempt });
    } catch (error) {
      // Refused for want of a right, the server has not looked at a document.
      isRefused = error instanceof CommandFailure && error.lacksPrivilege;
      if (error instanceof CommandFailure && error.serverCode === TRANSACTION_TOO_OLD) await lease.renew();
      throw error;
    } finally {
      if (attempts > 0 && !isRefused) this.#mayHaveWritten = true;
    }
    await run.checkpoint('batch-written');
    const end = { batch, ...endOf(result) };
    let isThere: boolean;
    try {
      isThere = await this.journal.record(end);
    } catch (error) {
      this.unrecorded.push(end);
      throw error;
    }
    if (!isThere) throw journalLost(this.target);
    await run.checkpoint('batch-recorded');
    return result;
  }

  /** Of the documents of a part: how many were written, and how many bytes were gone through for them. */
  noteProgress(written: number, bytes: number): void {
    this.written += written;
    this.#bytes += bytes;
    const { written: all } = this;
    this.run.emit({ type: 'apply-progress', target: this.target.name, written: all, bytes: this.#bytes });
  }

  notice(
    { into, id }: { readonly into: string; readonly id: RawValue | undefined },
    { outcome, reason }: DocumentOutcome,
  ): void {
    if (this.notices.length >= MOST_NOTICES) return;
    this.notices.push({ into, id: id && showValue(id), outcome, reason });
  }

  noteChange({ into, id }: { readonly into: string; readonly id: RawValue }, change: ChangeSince): void {
    this.changeCount++;
    if (this.changes.length < MOST_NOTICES) this.changes.push({ into, id: showValue(id), change });
  }

  warnOnce(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.run.emit({ type: 'warning', message });
  }
}

function journalLost({ name, reader }: Target): RestorePlanError {
  return new RestorePlanError(
    'TARGET',
    `${name}: ${reader.database}.${JOURNAL} has lost the batch that was just written: it was dropped, renamed or emptied meanwhile`,
    {
      hint: 'Put it back if it can be had: what the journal does not name, a revert leaves alone.',
      facts: { target: name },
    },
  );
}
