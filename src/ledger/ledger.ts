/**
 * The ledger of one target database: what was done there, by whom, and who is doing something now.
 * Only apply, revert, approve and unlock open it; everybody else reads runs through a TargetReader (`readRuns`).
 */
import { accessTo } from '../target/access.ts';
import type { Target } from '../target/target.ts';
import { Journal } from './journal.ts';
import type { Lease } from './lease.ts';
import { acquireLock, breakLock, type LockOptions } from './lock.ts';
import type { LockHolder } from './lock-state.ts';
import { Runs } from './runs.ts';

export interface Ledger {
  readonly runs: Runs;
  journal(digest: string): Journal;
  lock(holder: LockHolder, options?: LockOptions): Promise<Lease>;
  unlock(holderName: string): Promise<boolean>;
}

export function openLedger(target: Target): Ledger {
  const { commands } = accessTo(target);
  return {
    runs: new Runs(commands),
    journal: (digest) => new Journal(commands, digest),
    lock: (holder, options) => acquireLock(commands, holder, options),
    unlock: (holderName) => breakLock(commands, holderName),
  };
}
