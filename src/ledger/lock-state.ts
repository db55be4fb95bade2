/** The lock's document in `restore_plan.lock`, read. */
import { deserialize } from 'bson';
import { readCursor } from '../mongo/reply.ts';
import type { Commands } from '../target/commands.ts';
import { LOCK } from './layout.ts';
import { requireKnownFormat } from './ledger-fault.ts';

export const LOCK_ID = 'lock';

export interface LockHolder {
  /** For people and for `plan unlock`: `user@host:pid`. */
  readonly name: string;
  /** Tells runs of equal names apart. */
  readonly token: string;
  /** What it is doing: `apply`, `revert`. */
  readonly command: string;
}

/** The lock's document, as far as others need to know it. */
export interface LockState {
  readonly holder: LockHolder | undefined;
  readonly fencing: number;
  readonly heartbeatAt: Date | undefined;
  readonly expiresAt: Date | undefined;
}

/** For the holder of a lock, in the middle of a run; everybody else reads it through a TargetReader (`readLock`). */
export async function lockNow(commands: Commands): Promise<LockState | undefined> {
  const reply = await commands.runPatiently('reading the lock', {
    find: LOCK,
    filter: { _id: LOCK_ID },
    limit: 1,
    readConcern: { level: 'majority' },
  });
  const raw = readCursor(reply).documents[0];
  return raw === undefined ? undefined : readLockState(raw);
}

/** Throws RestorePlanError TARGET when a newer version wrote it. */
export function readLockState(raw: Buffer): LockState {
  const document = deserialize(raw);
  requireKnownFormat(LOCK, document);
  const holder = document['holder'] as LockHolder | null | undefined;
  return {
    holder: holder ?? undefined,
    fencing: Number(document['fencing']),
    heartbeatAt: asDate(document['heartbeatAt']),
    expiresAt: asDate(document['expiresAt']),
  };
}

function asDate(value: unknown): Date | undefined {
  return value instanceof Date ? value : undefined;
}
