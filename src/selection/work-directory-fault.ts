import { RestorePlanError } from '../errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission was denied',
  EPERM: 'permission was denied',
  ENOTDIR: 'a part of the path is not a directory',
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
  if (reason === undefined) return error;
  const { code } = error as NodeJS.ErrnoException;
  return new RestorePlanError('WORK_DIRECTORY', `cannot write ${path}: ${reason}`, {
    hint: 'Name a directory with enough space that you may write to: --work-dir <directory>. Nothing half-written is left or used.',
    cause: error,
    facts: { errno: code },
  });
}

/** Whether `workDirectoryFault` made the error of a full disk or a used-up quota. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof RestorePlanError && ['ENOSPC', 'EDQUOT'].includes(String(error.facts['errno']));
}
