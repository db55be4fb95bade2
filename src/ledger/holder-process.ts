/**
 * The process that holds a lock, so that others on the same machine can ask the machine whether it lives. Linux only (`/proc`);
 * elsewhere, and for processes of other machines and containers, there is only the lock's heartbeat.
 */
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { kill } from 'node:process';

/** Process ids are given out again: only all of these together name one process. */
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
export function asHolderProcess(value: unknown): HolderProcess | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, started, host, boot, namespace } = value as Record<string, unknown>;
  const isKnown =
    typeof pid === 'number' &&
    typeof started === 'number' &&
    [host, boot, namespace].every((text) => typeof text === 'string');
  return isKnown ? (value as HolderProcess) : undefined;
}
