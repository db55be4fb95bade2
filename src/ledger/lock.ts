/**
 * One run at a time per target database: a lease, taken and renewed by single atomic operations on one document.
 *
 * The lease runs by the server's clock and is renewed by a heartbeat, so a holder that died loses it by itself. Each taking
 * raises the fencing number. A holder that was paused past its lease finds out before its next batch: `Lease.ensure` renews
 * only while the document still names this holder and this number.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RestorePlanError } from '../errors.ts';
import { asBuffer } from '../mongo/reply.ts';
import type { Commands } from '../target/commands.ts';
import { MAJORITY } from '../target/writer.ts';
import { LEDGER_FORMAT, LOCK } from './layout.ts';
import { Lease, momentNow } from './lease.ts';
import { literal, SERVER_NOW, updateLedger } from './ledger-writes.ts';
import { LOCK_ID, type LockHolder, type LockState, readLockState } from './lock-state.ts';

/** Long enough for a garbage collection or a slow disk, short enough to wait for after a crash. */
export const LEASE_MS = 10_000;
/** How often a run that waits for a lease looks at it. */
const LOOK_AGAIN_MS = 500;

export interface LockOptions {
  readonly leaseMs?: number;
  /** Says that the run waits, and for whom. */
  readonly onWait?: (state: LockState) => void;
  readonly signal?: AbortSignal;
}

/**
 * Takes the lock. One that is held but no longer renewed is waited for, until its lease ends; one that is being renewed is
 * refused with LOCKED, naming the holder.
 */
export async function acquireLock(
  commands: Commands,
  holder: LockHolder,
  options: LockOptions = {},
): Promise<Lease> {
  const leaseMs = options.leaseMs ?? LEASE_MS;
  let first: LockState | undefined;
  for (;;) {
    const sentAt = momentNow();
    const state = await tryToTake(commands, holder, leaseMs);
    if (state.holder?.token === holder.token) {
      return new Lease(commands, { holder, leaseMs, fencing: state.fencing, renewedAt: sentAt });
    }
    if (first === undefined) options.onWait?.(state);
    first ??= state;
    const renewed =
      state.heartbeatAt?.getTime() !== first.heartbeatAt?.getTime() || state.fencing !== first.fencing;
    if (renewed || options.signal?.aborted) throw heldBy(commands, state);
    await delay(LOOK_AGAIN_MS);
  }
}

/** Takes the lock away from a holder of this name. False when it is not (or no longer) the holder. */
export async function breakLock(commands: Commands, holderName: string): Promise<boolean> {
  const matched = await updateLedger(commands, {
    collection: LOCK,
    filter: { _id: LOCK_ID, 'holder.name': holderName },
    pipeline: [{ $set: { holder: null, expiresAt: SERVER_NOW } }],
  });
  return matched === 1;
}

/** One findAndModify decides on the server whether the lock is free, and takes it in the same step. */
async function tryToTake(commands: Commands, holder: LockHolder, leaseMs: number): Promise<LockState> {
  const take = (then: unknown, otherwise: string): unknown => ({ $cond: ['$free', then, otherwise] });
  const reply = await commands.runPatiently('taking the lock', {
    findAndModify: LOCK,
    query: { _id: LOCK_ID },
    update: [
      { $set: { free: IS_FREE, format: { $ifNull: ['$format', LEDGER_FORMAT] } } },
      {
        $set: {
          fencing: take({ $add: [{ $ifNull: ['$fencing', 0] }, 1] }, '$fencing'),
          holder: take(literal(holder), '$holder'),
          heartbeatAt: take(SERVER_NOW, '$heartbeatAt'),
          expiresAt: take({ $add: [SERVER_NOW, leaseMs] }, '$expiresAt'),
        },
      },
      { $unset: 'free' },
    ],
    upsert: true,
    new: true,
    writeConcern: MAJORITY,
  });
  return readLockState(asBuffer(reply['value']));
}

/** A lock of a newer format is never free: its rules are not known here. */
const IS_FREE = {
  $and: [
    { $lte: [{ $ifNull: ['$format', LEDGER_FORMAT] }, LEDGER_FORMAT] },
    { $or: [{ $eq: [{ $ifNull: ['$holder', null] }, null] }, { $lte: ['$expiresAt', SERVER_NOW] }] },
  ],
};

function heldBy(commands: Commands, state: LockState): RestorePlanError {
  const name = state.holder?.name ?? 'another run';
  const since = state.heartbeatAt?.toISOString() ?? 'an unknown time';
  return new RestorePlanError(
    'LOCKED',
    `${commands.target}: ${name} (${state.holder?.command ?? 'unknown'}) holds the lock; last sign of life ${since}`,
    {
      hint: `Wait for it to end. If it is dead: \`plan unlock --target ${commands.target} --holder ${name}\``,
      facts: { holder: name, fencing: state.fencing },
    },
  );
}
