/** What the batches of one run share: the lease, the journal's numbering, what is to be said, and what could not be recorded. */
import { showValue } from '../bson/show.ts';
import type { RawValue } from '../bson/types.ts';
import type { ChangeSince } from '../comparison/target-memory.ts';
import type { BatchEnd, Intention, Journal } from '../ledger/journal.ts';
import type { RunKey } from '../ledger/layout.ts';
import type { Lease } from '../ledger/lock.ts';
import type { Runs } from '../ledger/runs.ts';
import type { CheckpointName, Run } from '../run.ts';
import { CommandFailure } from '../target/command-failure.ts';
import type { TargetWriter, WriteIdentity } from '../target/target.ts';
import type { DocumentOutcome } from './write-documents.ts';

/** Documents named one by one in a result; all are counted. */
const MOST_NOTICES = 1_000;

/** A document that did not go the ordinary way. */
export interface Notice {
  /** Collection in the target. */
  readonly into: string;
  /** `_id` as Extended JSON; undefined when it has none. */
  readonly id: string | undefined;
  readonly outcome: DocumentOutcome['outcome'];
  readonly reason: string;
}

/** A document that the target holds in another state than the last dry-run saw. */
export interface ChangeNotice {
  readonly into: string;
  /** `_id` as Extended JSON. */
  readonly id: string;
  readonly change: ChangeSince;
}

export interface RunTools {
  readonly key: RunKey;
  readonly lease: Lease;
  readonly runs: Runs;
  readonly journal: Journal;
  /** Number of the journal's newest batch. */
  readonly lastBatch: number;
  readonly writer: TargetWriter;
}

export class ApplyRun {
  readonly notices: Notice[] = [];
  /** The first of them. */
  readonly changes: ChangeNotice[] = [];
  changeCount = 0;
  /** Outcomes of batches that the journal could not be told. */
  readonly unrecorded: BatchEnd[] = [];
  /** The target's, as far as this run is concerned: it writes under the lock alone, and notes that it may have written. */
  readonly writer: TargetWriter;
  readonly #run: Run;
  readonly #tools: RunTools;
  readonly #warned = new Set<string>();
  #lastBatch: number;
  #reopened: Promise<void> | undefined;
  #mayHaveWritten = false;

  constructor(run: Run, tools: RunTools) {
    this.#run = run;
    this.#tools = tools;
    this.#lastBatch = tools.lastBatch;
    this.writer = notedWriter(tools.writer, {
      ensureLock: () => tools.lease.ensure(),
      renewLock: () => tools.lease.renew(),
      onMayHaveWritten: () => {
        this.#mayHaveWritten = true;
      },
    });
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }

  get key(): RunKey {
    return this.#tools.key;
  }

  get fencing(): number {
    return this.#tools.lease.fencing;
  }

  /** True as soon as a document may have been written. */
  get mayHaveWritten(): boolean {
    return this.#mayHaveWritten;
  }

  /**
   * Every write of documents: intend, write, record. Until the record is made, the journal says: may have happened. `write` is called
   * under the identity that the journal has by then; `endOf` says what came of it, by positions in the intention's ids, or throws where
   * nobody knows.
   */
  async write<Result>(
    intention: Omit<Intention, 'identity'>,
    write: (identity: WriteIdentity | undefined) => Promise<Result>,
    endOf: (result: Result) => Omit<BatchEnd, 'batch'>,
  ): Promise<Result> {
    const identity = await this.writer.newIdentity();
    const batch = await this.#intend({ ...intention, identity });
    await this.checkpoint('batch-intended');
    const result = await write(identity);
    await this.checkpoint('batch-written');
    await this.#record({ batch, ...endOf(result) });
    await this.checkpoint('batch-recorded');
    return result;
  }

  /** Makes sure of the lock, then journals what is about to be done; the writer asks for it again. Returns the batch's number. */
  async #intend(intention: Intention): Promise<number> {
    const { lease, runs, journal, key } = this.#tools;
    const batch = ++this.#lastBatch;
    await lease.ensure();
    this.#reopened ??= runs.reopen(key, this.fencing);
    await this.#reopened;
    await journal.intend(batch, this.fencing, intention);
    return batch;
  }

  async #record(end: BatchEnd): Promise<void> {
    try {
      await this.#tools.journal.record(end);
    } catch (error) {
      this.unrecorded.push(end);
      throw error;
    }
  }

  async checkpoint(name: CheckpointName): Promise<void> {
    await this.#run.checkpoint(name);
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
    this.#run.emit({ type: 'warning', message });
  }
}

const TRANSACTION_TOO_OLD = 225;

interface WriteRules {
  /** Called before every command, the repeated ones too: whoever was out of reach for long may have lost the lock. */
  readonly ensureLock: () => Promise<void>;
  /**
   * Called when the server says that somebody has used up the identity of a write: nobody does so but a run that has taken the
   * lock since. Throws when it is lost.
   */
  readonly renewLock: () => Promise<void>;
  /** Not called for a command that the user has no right to: the server refuses it before it looks at a document. */
  readonly onMayHaveWritten: () => void;
}

/** A writer that writes under the lock alone, and says when documents may have been written, whatever the answer was. */
function notedWriter(
  writer: TargetWriter,
  { ensureLock, renewLock, onMayHaveWritten }: WriteRules,
): TargetWriter {
  const noted = async <T>(write: () => Promise<T>): Promise<T> => {
    let isRefused = false;
    try {
      return await write();
    } catch (error) {
      isRefused = error instanceof CommandFailure && error.lacksPrivilege;
      if (error instanceof CommandFailure && error.serverCode === TRANSACTION_TOO_OLD) await renewLock();
      throw error;
    } finally {
      if (!isRefused) onMayHaveWritten();
    }
  };
  const underLock = { beforeAttempt: ensureLock };
  return {
    newIdentity: () => writer.newIdentity(),
    insert: async (...what) => {
      await ensureLock();
      return noted(() => writer.insert(...what));
    },
    replace: (collection, replacements, options) =>
      noted(() => writer.replace(collection, replacements, { ...options, ...underLock })),
    remove: (collection, seen, options) =>
      noted(() => writer.remove(collection, seen, { ...options, ...underLock })),
    endIdentity: (...what) => writer.endIdentity(...what),
    executedStatements: (...what) => writer.executedStatements(...what),
    settleTransaction: (...what) => writer.settleTransaction(...what),
    createCollection: (name, blueprint) => writer.createCollection(name, blueprint),
    createIndexes: (collection, blueprint) => writer.createIndexes(collection, blueprint),
  };
}
