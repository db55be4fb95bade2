/**
 * The ledger of one target database: what was done there, by whom, and who is doing something now.
 * Only apply, revert, approve and unlock open it; everybody else reads runs through a TargetReader (`readRuns`).
 */

import { randomBytes } from 'node:crypto';
import { accessTo, type Target } from '../target/target.ts';
import { AcceptedWrites } from './accepted.ts';
import { Journal } from './journal.ts';
import { acquireLock, breakLock, type Lease, type LockOptions, requireNotAlive } from './lock.ts';
import type { LockHolder } from './lock-state.ts';
import { hasOldRuns, migrateRuns } from './migration.ts';
import type { Actor } from './run-record.ts';
import { Runs } from './runs.ts';

export interface Ledger {
  readonly runs: Runs;
  readonly accepted: AcceptedWrites;
  /** `key`: `RunRecord.journalKey`. */
  journal(key: string): Journal;
  lock(holder: LockHolder, options?: LockOptions): Promise<Lease>;
  /** False when nobody of this name holds it. Throws LOCKED when the holder's process lives on this machine. */
  unlock(holderName: string): Promise<boolean>;
  /** For whoever holds the lock: brings the runs of a plan of this name into the newest format. */
  migrateUnderLock(plan: string, lease: Lease): Promise<void>;
  /** The same for whoever does not; takes the lock where there is something to do, and nowhere else. */
  migrate(plan: string, actor: Actor): Promise<void>;
}

export function openLedger(target: Target): Ledger {
  const { commands } = accessTo(target);
  return {
    runs: new Runs(commands),
    accepted: new AcceptedWrites(commands),
    journal: (key) => new Journal(commands, key),
    lock: (holder, options) => acquireLock(commands, holder, options),
    unlock: async (holderName) => {
      await requireNotAlive(commands, holderName);
      return breakLock(commands, holderName);
    },
    migrateUnderLock: (plan, lease) => migrateRuns(commands, plan, lease),
    migrate: async (plan, { user, host }) => {
      if (!(await hasOldRuns(commands, plan))) return;
      const token = randomBytes(12).toString('hex');
      const lease = await acquireLock(commands, { name: `${user}@${host}`, token, command: 'migrate' });
      try {
        await migrateRuns(commands, plan, lease);
      } finally {
        await lease.release();
      }
    },
  };
}
