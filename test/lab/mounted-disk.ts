/** A disk of a few megabytes, mounted where this process sees it: it can run full, or become read-only. Linux, as root; `small-disk.ts` needs neither for a server. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { temporaryFolder } from './guard.ts';

export interface MountedDisk {
  readonly path: string;
  /** From now on it is read-only, or has this size: `ro`, `size=2m`. Nothing may be open for writing when it becomes read-only. */
  become(options: string): void;
}

const mount = (path: string, options: string): string | undefined => {
  const { status, error, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'small', path], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
};

/** Mounted at `path`, which is made, while `act` runs. */
export async function onMountedDisk(
  path: string,
  options: string,
  act: (disk: MountedDisk) => Promise<void>,
): Promise<void> {
  mkdirSync(path, { recursive: true });
  const become = (changed: string): void => {
    const fault = mount(path, changed);
    if (fault !== undefined) throw new Error(`no disk at ${path} with ${changed}: ${fault}`);
  };
  become(`mode=700,${options}`);
  try {
    await act({ path, become: (changed) => become(`remount,${changed}`) });
  } finally {
    spawnSync('umount', [path]);
  }
}

/** Why this user cannot have one; undefined where one can be had. */
export function whyNoMountedDisk(): string | undefined {
  const probe = temporaryFolder('mount-probe');
  const fault = mount(probe.path, 'size=1m');
  if (fault === undefined) spawnSync('umount', [probe.path]);
  probe.remove();
  return fault && `this user may not mount a small disk: ${fault}`;
}
