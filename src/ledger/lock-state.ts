/** The lock's document in `restore_plan.lock`, read: who holds it, and whether that process lives. */

import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { kill } from 'node:process';
import { deserialize } from 'bson';
import { documentOf } from '../bson/document-builder.ts';
import { BSON } from '../bson/types.ts';
import { readCursor } from '../mongo/raw-messages.ts';
import type { Commands } from '../target/commands.ts';
import type { TargetReader } from '../target/target.ts';
import { damaged, isDate, isFencing, LOCK, requireKnownFormat } from './layout.ts';

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

const text = Buffer.from(`\0\0\0\0${LOCK_ID}\0`);
text.writeInt32LE(LOCK_ID.length + 1, 0);
const THE_LOCK = documentOf('_id', BSON.STRING, text);

/** Undefined when this database was never locked. */
export async function readLock(reader: TargetReader): Promise<LockState | undefined> {
  const [raw] = await reader.find(LOCK, THE_LOCK, { limit: 1 });
  return raw && readLockState(raw);
}

/** Throws RestorePlanError TARGET when it is newer than this version or damaged. */
export function readLockState(raw: Buffer): LockState {
  const document = deserialize(raw);
  requireKnownFormat(LOCK, document);
  const { fencing, holder } = document;
  if (!isFencing(fencing)) throw damaged(LOCK, document, 'fencing');
  const isHeld = holder !== null && holder !== undefined;
  // Nobody could be told who it is, nor unlock it by a name.
  if (isHeld && !isNamed(holder)) throw damaged(LOCK, document, 'holder');
  return {
    holder: isHeld ? asHolder(holder) : undefined,
    fencing,
    takenAt: asDate(document['takenAt']),
    heartbeatAt: asDate(document['heartbeatAt']),
    expiresAt: asDate(document['expiresAt']),
  };
}

type Named = Readonly<Record<string, unknown>> & Pick<LockHolder, 'name'>;

function isNamed(value: unknown): value is Named {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Named>).name === 'string';
}

function asHolder({ name, token, command, process }: Named): LockHolder {
  return { name, token: asText(token), command: asText(command), process: asHolderProcess(process) };
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown';
}

function asDate(value: unknown): Date | undefined {
  return isDate(value) ? value : undefined;
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

/**
 * The process that holds a lock, so that others on the same machine can ask the machine whether it lives. Linux only (`/proc`);
 * elsewhere, and for processes of other machines and containers, there is only the lock's heartbeat.
 *
 * Process ids are given out again: only all of these together name one process.
 */
export interface HolderProcess {
  readonly pid: number;
  /** Clock ticks from the start of the machine to the start of the process: field 22 of `/proc/<pid>/stat`. */
  readonly started: number;
  readonly host: string;
  /** Of this start of the machine: `/proc/sys/kernel/random/boot_id`. */
  readonly boot: string;
  /** Containers have process ids of their own: `pid:[4026531836]`, from `/proc/<pid>/ns/pid`. */
  readonly namespace: string;
}

/** stopped: by a signal or a debugger, so that it renews no lease until it is continued · elsewhere: it cannot be asked from here. */
export type Life = 'alive' | 'stopped' | 'dead' | 'elsewhere';

/** Undefined where the system does not say. */
export async function ownProcess(): Promise<HolderProcess | undefined> {
  try {
    const [stat, place] = await Promise.all([readFile('/proc/self/stat', 'latin1'), ownPlace()]);
    return { pid: Number.parseInt(stat, 10), started: startedOf(stat), ...place };
  } catch {
    return undefined;
  }
}

export async function lifeOf(process: HolderProcess): Promise<Life> {
  const here = await ownPlace().catch(() => undefined);
  const isHere =
    here?.host === process.host && here.boot === process.boot && here.namespace === process.namespace;
  if (!isHere || !Number.isSafeInteger(process.pid) || process.pid <= 0) return 'elsewhere';
  try {
    const stat = await readFile(`/proc/${process.pid}/stat`, 'latin1');
    if (startedOf(stat) !== process.started) return 'dead';
    const state = afterName(stat)[0] ?? '';
    // Z and X: ended, and its parent has not taken note of it yet.
    return 'ZX'.includes(state) ? 'dead' : 'Tt'.includes(state) ? 'stopped' : 'alive';
  } catch {
    return isHidden(process.pid) ? 'elsewhere' : 'dead';
  }
}

type Place = Pick<HolderProcess, 'host' | 'boot' | 'namespace'>;

async function ownPlace(): Promise<Place> {
  const [boot, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'latin1'),
    readlink('/proc/self/ns/pid'),
  ]);
  return { host: hostname(), boot: boot.trim(), namespace };
}

/** `pid (name) state ppid …`: the name may hold blanks and parentheses. */
function afterName(stat: string): string {
  return stat.slice(stat.lastIndexOf(')') + 2);
}

/** The state is field 3, and the first after the name. */
function startedOf(stat: string): number {
  return Number(afterName(stat).split(' ')[22 - 3]);
}

/** Where `/proc` shows only a user's own processes (`hidepid`), those of others are there all the same. */
function isHidden(pid: number): boolean {
  try {
    return kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What a ledger says of a holder's process; undefined for anything else than this tool writes there. */
function asHolderProcess(value: unknown): HolderProcess | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, started, host, boot, namespace } = value as Record<string, unknown>;
  const isKnown =
    typeof pid === 'number' &&
    typeof started === 'number' &&
    [host, boot, namespace].every((text) => typeof text === 'string');
  return isKnown ? (value as HolderProcess) : undefined;
}
