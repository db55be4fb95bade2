/** The files that the program keeps for itself, and what the operating system says of files, in words. */
import { mkdir, rm } from 'node:fs/promises';
import { advice } from './advice.ts';
import { RestorePlanError } from './errors.ts';
import { makeFolders } from './make-folders.ts';

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;
/** As the umask leaves it: a folder of files that others may read, or that have modes of their own. */
export const SHARED_DIRECTORY = 0o777;

/** Makes a directory, and those above it, unless it is there. */
export async function makeDirectory(path: string, mode: number = PRIVATE_DIRECTORY): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    makeFolders(path, mode);
  }
}

/**
 * Removes what nobody uses any more, where that is possible: on a disk that has become read-only it stays, and must not hide why the
 * run ends.
 */
export async function removeUnused(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission was denied',
  EPERM: 'permission was denied',
  ENOTDIR: 'a part of the path is not a directory',
  EISDIR: 'it is a folder',
  EIO: 'the disk reported an input/output error',
  ENOENT: 'there is no such file or folder',
};

/** What the operating system says of a file; undefined where it was not the operating system that failed. */
export function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof RestorePlanError) return undefined;
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined ? undefined : (REASONS[code] ?? error.message);
}

/** Turns an operating-system error on a file of the work directory into one that says what to do. Others pass unchanged. */
export function workDirectoryFault(error: unknown, path: string): unknown {
  const reason = reasonOf(error);
  return reason === undefined ? error : workDirectoryError(`cannot write ${path}: ${reason}`, error as Error);
}

export function workDirectoryError(message: string, cause: NodeJS.ErrnoException): RestorePlanError {
  return new RestorePlanError('WORK_DIRECTORY', message, {
    hint: advice`Name a directory with enough space that you may write to: ${{ option: 'work-dir', value: '<directory>' }}. Nothing half-written is used.`,
    cause,
    facts: { errno: cause.code },
  });
}
/** Whether `workDirectoryFault` made the error of a full disk or a used-up quota. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof RestorePlanError && ['ENOSPC', 'EDQUOT'].includes(String(error.facts['errno']));
}
