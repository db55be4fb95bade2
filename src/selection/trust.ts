/**
 * What the work directory keeps is used again: it decides what is written, and what an earlier run is believed to have done. So it
 * is used only where nobody else can have written it: folders and files of this user that no group and no other user may
 * write to, and no links, which may lead anywhere.
 */
import type { Stats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RestorePlanError } from '../errors.ts';

const GROUP_OR_OTHERS_WRITE = 0o022;
/** As on `/tmp`: everybody may make folders there, each for himself. */
const STICKY = 0o1000;

/**
 * What lies at `root/parts`, every step of the way being trusted; undefined where it is not there. The root itself may be a link, which
 * the operator has named. Throws RestorePlanError WORK_DIRECTORY.
 */
export async function trusted(root: string, ...parts: readonly string[]): Promise<Stats | undefined> {
  let path = root;
  let found = await unlessMissing(stat(path));
  if (found !== undefined) requireTrust(path, found);
  for (const part of parts) {
    if (found === undefined) return undefined;
    path = join(path, part);
    found = await trustedEntry(path);
  }
  return found;
}

/** The same of one file or folder alone, in a folder that is trusted. */
export async function trustedEntry(path: string): Promise<Stats | undefined> {
  const found = await unlessMissing(lstat(path));
  if (found !== undefined) requireTrust(path, found);
  return found;
}

async function unlessMissing(asking: Promise<Stats>): Promise<Stats | undefined> {
  try {
    return await asking;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR'].includes(code)) return undefined;
    throw error;
  }
}

/** Throws RestorePlanError WORK_DIRECTORY. Without users, as on Windows, everything is trusted but links. */
function requireTrust(path: string, stats: Stats): void {
  const user = process.geteuid?.();
  if (stats.isSymbolicLink()) {
    throw refused(
      `${path} is a link, and what it leads to is not trusted`,
      'Remove the link, or name another',
    );
  }
  if (user === undefined) return;
  const isOpen = (stats.mode & GROUP_OR_OTHERS_WRITE) !== 0;
  const inside = `Name a folder inside it (--work-dir ${join(path, 'restore-plan')}), which is made yours alone, or any`;
  if (isOpen && (stats.mode & STICKY) !== 0) throw refused(`everybody may write to ${path}`, inside);
  if (stats.uid !== user) {
    throw refused(
      `${path} belongs to another user (uid ${stats.uid}, this is ${user}), and what is kept there is not trusted`,
      'Name a',
    );
  }
  if (isOpen) {
    const mode = (stats.mode & 0o777).toString(8);
    throw refused(
      `others than you may write to ${path} (mode ${mode}), and what is kept there is not trusted`,
      `If it holds nothing that somebody else put there: chmod -R go-w ${path}. Or name another`,
    );
  }
}

function refused(message: string, remedy: string): RestorePlanError {
  return new RestorePlanError('WORK_DIRECTORY', message, {
    hint: `${remedy} folder of your own: --work-dir <folder>.`,
  });
}
