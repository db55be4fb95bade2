/** The lock's document in `restore_plan.lock`, read. */
import { deserialize } from 'bson';
import { readCursor } from '../mongo/reply.ts';
import type { Commands } from '../target/commands.ts';
import { asHolderProcess, type HolderProcess, type Life, lifeOf } from './holder-process.ts';
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
  /** Undefined where the system does not tell, and in locks of earlier versions. */
  readonly process?: HolderProcess | undefined;
}

/** The lock's document, as far as others need to know it. */
export interface LockState {
  readonly holder: LockHolder | undefined;
  readonly fencing: number;
  /** By the server's clock, like the next two. Undefined in locks of earlier versions. */
  readonly takenAt: Date | undefined;
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
    holder: holder == null ? undefined : { ...holder, process: asHolderProcess(holder.process) },
    fencing: Number(document['fencing']),
    takenAt: asDate(document['takenAt']),
    heartbeatAt: asDate(document['heartbeatAt']),
    expiresAt: asDate(document['expiresAt']),
  };
}

function asDate(value: unknown): Date | undefined {
  return value instanceof Date ? value : undefined;
}

/** What this machine knows of whoever holds the lock. */
export async function lifeOfHolder({ holder }: LockState): Promise<Life> {
  return holder?.process === undefined ? 'elsewhere' : lifeOf(holder.process);
}

/** `anna@ops-1:4242 (apply) has held the lock since 2026-11-28T21:04:10.120Z`. */
export function whoHolds({ holder, takenAt }: LockState): string {
  const who = `${holder?.name ?? 'another run'} (${holder?.command ?? 'unknown'})`;
  return takenAt === undefined
    ? `${who} holds the lock`
    : `${who} has held the lock since ${takenAt.toISOString()}`;
}

/** Way out where the holder's process lives on this machine. */
export function endHolder({ holder }: LockState): string {
  const pid = holder?.process?.pid ?? 0;
  return `Wait for it to end, or end it: \`kill ${pid}\` lets it finish the batch in hand and give the lock back.`;
}
