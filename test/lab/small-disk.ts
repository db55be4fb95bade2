/**
 * A disk that can run full: a tmpfs in a mount namespace of its own, so that nobody else sees it and no rights on the machine are
 * needed where it lets its users make namespaces. Linux alone.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { statfsSync } from 'node:fs';
import { guardProcess, temporaryFolder } from './guard.ts';

export interface SmallDisk {
  /** Absolute; leads to the disk inside the namespace, to an empty folder outside. */
  readonly path: string;
  /** Program and arguments to put before a command that shall see the disk. */
  readonly enter: readonly [string, ...string[]];
  freeBytes(): number;
  /** From now on there is room for so many bytes more. */
  leaveFree(bytes: number): void;
  /** Whatever still uses it must have ended. */
  remove(): void;
}

/** User namespace (root inside, whoever we are) and mount namespace. */
const UNSHARE = ['--user', '--map-root-user', '--mount'];

/** Why this machine cannot have one; undefined where it can. */
export function whyNoSmallDisk(): string | undefined {
  const { error, status, stderr } = spawnSync(
    'unshare',
    [...UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'],
    {
      encoding: 'utf8',
    },
  );
  if (error !== undefined) return `unshare cannot be run here: ${error.message}`;
  return status === 0 ? undefined : `no mount namespace can be made here: ${stderr.trim()}`;
}

export async function openSmallDisk(): Promise<SmallDisk> {
  const { path, remove } = temporaryFolder('disk');
  // The namespace lives as long as a process is in it: this one, which waits for the end of its input.
  const script = 'mount -t tmpfs -o size=4g tmpfs "$1" && echo mounted && exec cat';
  const holder = spawn('unshare', [...UNSHARE, 'sh', '-c', script, 'sh', path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  guardProcess(holder);
  await once(holder.stdout, 'data');
  const enter = [
    'nsenter',
    '--target',
    String(holder.pid),
    ...['--user', '--mount', '--preserve-credentials'],
  ] as const;
  const seenFromOutside = `/proc/${holder.pid}/root${path}`;
  const usedBytes = (): number => {
    const { blocks, bfree, bsize } = statfsSync(seenFromOutside);
    return (blocks - bfree) * bsize;
  };
  return {
    path,
    enter: [...enter],
    freeBytes: () => {
      const { bavail, bsize } = statfsSync(seenFromOutside);
      return bavail * bsize;
    },
    leaveFree: (bytes) => {
      const [program, ...args] = enter;
      const size = `remount,size=${usedBytes() + bytes}`;
      const { status, stderr } = spawnSync(program, [...args, 'mount', '-o', size, 'tmpfs', path], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`the disk cannot be resized: ${stderr}`);
    },
    remove: () => {
      holder.kill('SIGKILL');
      remove();
    },
  };
}
